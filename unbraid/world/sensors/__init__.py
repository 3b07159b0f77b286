"""Cameras, segmentation and a LiDAR: from a dressed, posed body to pictures."""
