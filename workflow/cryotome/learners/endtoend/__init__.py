"""End-to-end and adapter training of a classifier of patches."""
