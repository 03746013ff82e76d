"""Clinical evaluation: calibration, mitotic counts per region, operating points."""
