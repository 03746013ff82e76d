"""Intervals, tests and learning curves with slides as the unit."""
