"""What only the protocol of Haldar et al. 2026 needs."""
