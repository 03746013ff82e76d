"""Synthetic tissue of the demo."""
