"""Why a window scores as it does: attention, integrated gradients, mutagenesis, and how far to trust each."""
