"""Whole-slide images: which there are, where tissue is, and their tiles."""
