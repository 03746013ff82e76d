"""Synthetic demo datasets in the real formats."""
