"""What people wear and hold."""
