"""Heads on frozen embeddings, fitted for all fractions and folds at once."""
