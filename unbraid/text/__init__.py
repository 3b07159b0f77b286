"""What is said about tracklets in words: captions, who writes them, and their frozen embeddings; for training only."""
