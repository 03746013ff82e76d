"""Continued DINOv2 training of a vision transformer on unlabelled patches or tiles."""
