"""Annotation formats: readers of cells, one module per format."""
