"""Encoders: networks, their weights, and the stores of their embeddings."""
