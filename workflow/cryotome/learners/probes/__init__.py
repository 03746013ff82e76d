"""Linear and nearest-neighbour classifiers on frozen embeddings."""
