"""Motifs read from attributions: seqlets, k-mers, known elements, de novo PWMs; needs no model."""
