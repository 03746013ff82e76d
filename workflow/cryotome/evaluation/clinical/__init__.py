"""Calibration, operating points and mitotic counts."""
