"""What embeddings give away: probes, neighbours, dependence and factors, behind the verb `leakage`."""
