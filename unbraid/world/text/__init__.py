"""What there is to say about the synthetic people."""
