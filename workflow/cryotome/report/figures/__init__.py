"""Figures, each drawn once for page, PDF and PNG."""
