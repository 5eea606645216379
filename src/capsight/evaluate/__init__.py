"""What a model is worth: held-out chromosomes scanned whole."""
