"""Multiple-instance learning on the bags of slides."""
