"""Whole runs: recipes, the list of stages, the dry run, and cross-validation."""
