"""dinov2."""
