"""Scores from a trained model, for any input that holds sequence."""
