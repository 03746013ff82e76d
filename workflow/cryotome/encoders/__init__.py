"""From patches and tiles to embeddings: model cards, weights, inference and stores."""
