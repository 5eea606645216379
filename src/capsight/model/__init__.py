"""The network: LLaMA blocks with a choice of stem and head, ReLoRA, and the model folder."""
