"""DNA as numbers: tokens, k-mers, samples, shuffles."""
