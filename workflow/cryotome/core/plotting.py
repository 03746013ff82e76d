"""How all figures are drawn: without a screen, and with text as written.

A title with two dollar signs is no formula, so no label of ours may need mathtext.
"""

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["text.parse_math"] = False
