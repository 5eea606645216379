"""Files as they come, read and checked."""
