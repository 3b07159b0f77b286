"""Bodies, faces, who has them, and how they stand."""
