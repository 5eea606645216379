"""Genomes: bases, contigs, and parts of them."""
