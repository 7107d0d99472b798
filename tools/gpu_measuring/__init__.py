"""What a machine with one GPU is measured by: peak, pre-training, sampling, steps, and training with long answers."""
