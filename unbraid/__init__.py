"""Recognise people by disentangled features, and measure how well they are disentangled."""

__version__ = "0.1.0"
