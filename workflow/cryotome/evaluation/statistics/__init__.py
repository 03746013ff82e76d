"""Statistics of paired scores: intervals, tests and learning curves, slides as the unit."""
