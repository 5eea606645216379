"""Training: joins `data` and `model`; one loop for pre-training and fine-tuning."""
