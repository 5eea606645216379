"""Genome, peaks, negatives, folds, windows, tokens: everything before the model. Imports no torch."""
