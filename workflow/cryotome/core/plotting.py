"""Matplotlib settings of all figures: no screen, no mathtext.

Titles of datasets may contain dollar signs, so no label of ours may use formulas.
"""

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False
matplotlib.rcParams["pdf.fonttype"] = 42  # fonts embedded as TrueType, so that text can be edited
