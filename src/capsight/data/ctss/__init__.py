"""5' ends, counted at single bases."""
