"""cryotome: frozen foundation models against end-to-end training, as one reproducible DAG."""

__version__ = "0.1.0"
