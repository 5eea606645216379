"""Known motifs: databases, scans, comparisons, enrichment."""
