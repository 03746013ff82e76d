"""Robustness of embeddings: whether biology or a confounder decides which cells are alike."""
