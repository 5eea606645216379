"""What is wrong with windows: leakage, and confounders."""
