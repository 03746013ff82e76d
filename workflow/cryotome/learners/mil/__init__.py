"""Multiple-instance learning: classifiers of patients on bags of tiles."""
