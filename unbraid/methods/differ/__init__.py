"""DIFFER: identity freed from what texts can name, by gradient reversal."""
