"""Windows around peaks, and their negatives."""
