"""Training of the track network."""
