"""Peaks, regions and promoters: where TSSs are."""
