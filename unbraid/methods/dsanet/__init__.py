"""DSANet: identity and camera features of a video, split and recombined."""
