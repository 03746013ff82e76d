"""Products of scanners: from one scanner to another, and the split of the spread of AUROC."""

from cryotome.study.product import BY_SCANNER, FIGURE, GANZ, SPLIT, UNCERTAINTY, Product

SCANNERS_PAGE = "[Scanners and resolution](../results/scanners-and-resolution.md)"
SCANNER_PRODUCTS = [
    Product(
        GANZ, "figure2_scanner", "Figure 2 by scanner", {FIGURE: "figure2_scanner"}, BY_SCANNER,
        "Trained on the scanner of the line, tested on that of the column: AUROC, mean ± SD over "
        "folds. The diagonal is the same scanner.",
        SCANNERS_PAGE,
    ),
    Product(
        UNCERTAINTY, "variance_split", "Variance split", {FIGURE: "split_variance"}, SPLIT,
        "How much of the variance of AUROC between parts (a fold on one scanner and domain) comes "
        "from the slides that are tested, the scanner, the domain and the fold, with 95 % "
        "intervals. `share`: of their sum.",
        SCANNERS_PAGE,
    ),
]  # fmt: skip
