"""What changes of the sequence do: variants, haplotypes, every single change of a region."""
