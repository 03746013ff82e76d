"""Evaluation of predictions: scores, statistics, leakage, comparison with published numbers."""
