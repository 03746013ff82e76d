"""Training loop: augmentation, batches, steps, checkpoints and curves."""
