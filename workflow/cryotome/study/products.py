"""Products: the tables and figures that a study makes for people, in `results/studies/{study}`.

From `PRODUCTS` are made the page's list, the captions of Snakemake's report and the table of
products in the documentation. Adding a product: a line here, and its rule.
"""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cryotome.core.errors import CardError
from cryotome.study.product import (
    ALL,
    CELLS,
    CLINICAL,
    COMPARED,
    COST,
    COSTS_PAGE,
    CROSSED,
    CURVES,
    EXTERNAL,
    FIGURE,
    GANZ,
    HEADS,
    LISTED,
    MATCHED,
    POOLED,
    RATED,
    RECALIBRATED,
    RESOLVED,
    STATISTICS,
    SWEPT,
    UNCERTAINTY,
    Product,
)
from cryotome.study.roth2024_products import ROTH_PRODUCTS
from cryotome.study.scanner_products import SCANNER_PRODUCTS

if TYPE_CHECKING:
    from cryotome.study.study import Study

PRODUCTS = [
    Product(
        GANZ, "table1", "Table 1", {"csv": "table1"}, CELLS,
        "The encoders, a line each: what Ganz et al. 2024 publish of them, what their cards say, "
        "and what was counted on the networks that were built: parameters, length of an "
        "embedding, GFLOP of a patch.",
    ),
    Product(
        GANZ, "table2", "Table 2", {"csv": "table2", "md tex": "format_table2"}, CROSSED,
        "AUROC of every row trained on one domain: in domain, and out of domain on all others. "
        "Means over folds and domains, ± their SD; the numbers that Ganz et al. 2024 publish "
        "stand beside. Markdown and LaTeX give intervals over slides and verdicts in the cells.",
        "`study,dataset,model,head,in_mean,in_sd,out_mean,out_sd,published_…,synthetic`",
    ),
    Product(
        GANZ, "table2_sd", "Table 2, every SD", {"csv": "table2"}, CROSSED,
        'The same means as Table 2 with every possible meaning of its "±": over all values, over '
        "folds, over domains. The paper does not specify which it publishes.",
    ),
    Product(
        GANZ, "figure1", "Figure 1", {FIGURE: "figure1"}, POOLED,
        "AUROC against the fraction of the training pool, mean and SD over folds. Diamonds are "
        "the points that Ganz et al. 2024 publish in words or tables.",
    ),
    Product(
        GANZ, "figure2", "Figure 2", {FIGURE: "figure2"}, CROSSED,
        "Trained on the domain of the line, tested on that of the column: AUROC, mean ± SD over "
        "folds. The diagonal is in domain.",
    ),
    Product(
        GANZ, "published", "Published", {"csv": "compare_published"}, CELLS,
        "Every number that Ganz et al. 2024 publish of the rows, beside what was measured and its "
        "interval: whether they agree, and why some cannot be compared.",
        "`published,published_sd,measured,low,high,verdict,why,source`",
    ),
    Product(
        "Published test set", "benchmark", "Rows", {"csv": "compare_benchmark"}, LISTED,
        "Every row on the test cells that the dataset's authors chose, beside what others publish "
        "of them: mean and population SD over the folds' models, intervals over slides.",
    ),
    Product(
        UNCERTAINTY, "intervals", "Intervals", {"csv": "compare"}, CELLS,
        "AUROC of every row with 95 % intervals: slides as the unit (`low`, `high`), slides "
        "resampled (`bootstrap_…`), and cells taken as independent "
        "(`delong_patches_independent_…`), which is too narrow. `note` marks rows with too few "
        "slides for a conclusion.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "metrics", "All metrics", {"csv": "compare"}, CELLS,
        "Seven metrics of every row with 95 % intervals over slides, on the largest fraction.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "comparisons", "Comparisons", {"csv": "compare"}, CELLS,
        "Every row against the reference row, on the same cells: the difference with its "
        "interval, p-values corrected by Holm's method, and whether the two are equivalent, "
        "different or undecided.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "row_ranks", "Ranks of rows", {"csv": "compare"}, CELLS,
        "The rank of every row with its 95 % interval over draws of slides, how often it is first, "
        "and letters: rows of one letter cannot be told apart.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "variances", "Spread", {"csv": "compare"}, CELLS,
        "Where the spread of a row comes from: the seed of its training, the draw of cells, and "
        "the slides that happened to be tested.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "learning", "Learning curves",
        {"csv": "compare", "pdf png": "plot_learning_curves"}, CURVES,
        "Learning curves with 95 % intervals over slides, and the model AUROC = limit - drop / "
        "n^power fitted to them. A cross marks where the reference reaches what another row "
        "reaches on all cells.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "crossings", "Crossings", {"csv": "compare"}, CURVES,
        "The fraction of the training pool at which the reference row reaches the AUROC of "
        "another row, for each fraction of that row.",
        STATISTICS,
    ),
    Product(
        UNCERTAINTY, "ranks", "Ranks", {FIGURE: "rank_rows"}, CROSSED,
        "Mean rank of each row over training domains. From five domains on, rows joined by a bar "
        "do not differ by Nemenyi's test; with fewer domains the ranks are descriptive only.",
    ),
    Product(
        UNCERTAINTY, "orders", "Orders", {FIGURE: "rank_models_by_head"}, HEADS,
        "The order of the models in Table 2 under each head that reads their embeddings. An order "
        "that changes with the head reflects the head as much as the models.",
        "order, SD of the embeddings and effective C of each model and head",
    ),
    Product(
        UNCERTAINTY, "ladder", "Leakage ladder", {f"{FIGURE} md": "leakage_ladder"}, MATCHED,
        "The leakage ladder: AUROC on ever stricter splits at equal training size, and the loss "
        "of each row at each step, slides paired.",
    ),
    Product(
        CLINICAL, "reliability", "Reliability", {FIGURE: "clinical_summary"}, CELLS,
        "How often cells with a score are positive: reliability of every row, in domain and out "
        "of domain, bins with 95 % intervals over slides.",
        "`dataset,scheme,fraction,model,head,where,bin,low,high,n,mean_score,share_positive,"
        "share_low,share_high`",
    ),
    Product(
        CLINICAL, "calibration", "Calibration", {"csv": "clinical_summary"}, CELLS,
        "Brier score, expected calibration error, slope and intercept of every row, in domain and "
        "out of domain, with 95 % intervals over slides.",
        "`…,n,positives,brier…,ece…,slope,intercept,note`",
    ),
    Product(
        CLINICAL, "recalibration", "Recalibration", {FIGURE: "recalibrate"}, RECALIBRATED,
        "Calibration before and after a temperature, or slope and intercept, that were fitted on "
        "validation cells or on labelled cells of the target, against all labels that it took; "
        "beside it AUROC. Intervals over slides.",
        "[Calibration](../results/calibration.md)",
    ),
    Product(
        CLINICAL, "recalibration_orders", "Calibration and AUROC", {"csv": "recalibrate"},
        RECALIBRATED,
        "Rank correlation of the order of rows by AUROC with that by calibration, at each "
        "training fraction. 1: what separates the classes better is calibrated better too.",
        "[Calibration](../results/calibration.md)",
    ),
    Product(
        CLINICAL, "counts", "Counts of regions", {"csv": "clinical_summary"}, CELLS,
        "Cells called positive against cells annotated, of every region that is tested whole; the "
        "threshold comes from validation cells. Candidates that nobody annotated are not counted.",
        "`…,domain,where,image,area_mm2,annotated,counted,cells,threshold`",
    ),
    Product(
        CLINICAL, "agreement", "Limits of agreement", {"csv": "clinical_summary"}, CELLS,
        "Bias and 95 % limits of agreement (Bland and Altman) of the counts, by tumour type.",
        "`…,rois,bias…,sd,lower…,upper…,unit`",
    ),
    Product(
        CLINICAL, "bland_altman", "Counts", {"pdf png": "clinical_summary"}, CELLS,
        "Counted minus annotated over their mean: a point is a region. Line: bias; dashed: 95 % "
        "limits of agreement.",
    ),
    Product(
        CLINICAL, "operating", "Operating points", {"csv": "clinical_summary"}, CELLS,
        "Sensitivity at a fixed number of false positives per mm², and how a threshold chosen on "
        "one tumour type performs on another.",
        "`…,train_domain,test_domain,what,rate_per_mm2,threshold,sensitivity,"
        "false_positives_per_mm2,low,high,false_positives_low,false_positives_high,specificity,"
        "promised_…`; `what`: `fixed_rate`, `carried`",
    ),
    Product(
        "Context study", "context", "Crop and pooling", {FIGURE: "context_curves"}, SWEPT,
        "AUROC against how much of the slide around a cell is seen, for each pooling: the same "
        "cells in the same roles, every crop enlarged to the network's input. `gap` is the "
        "difference from the largest crop, slides paired. A smaller crop is also a higher "
        "magnification, and a blurred one.",
        "`dataset,base_dataset,side,um,model,base_model,pooling,head,scheme,fraction,where,auroc,"
        "low,high,n,gap,gap_low,gap_high,note,synthetic`; `side` px, `um` µm, `n` test cells",
    ),
    Product(
        "Context study", "resolution", "Resolution", {"pdf png": "resolution_curves"}, RESOLVED,
        "AUROC against µm per px at equal field of view, and against the field of view at equal "
        "µm per px: the lines of `context.csv`. Every crop is enlarged to the network's input.",
    ),
    Product(
        UNCERTAINTY, "robustness", "Robustness of embeddings", {FIGURE: "measure_robustness"},
        COMPARED,
        "Whether cells are alike by class or by slide, scanner and domain: indices of the package "
        "croma on the embeddings of every model, 95 % intervals over slides; `chance` is the index "
        "of the same embeddings dealt to the cells at random. Large stores are sampled, equally "
        "many cells of each large slide (`sampled`, `seed`). `loss`: AUROC in domain less that out "
        "of domain, trained on single domains.",
        "[Robustness](../results/robustness.md)",
    ),
    Product(
        UNCERTAINTY, "robustness_loss", "Robustness and loss", {"csv": "measure_robustness"},
        COMPARED,
        "Rank correlation over models of each index with the loss out of domain, and its 95 % "
        "interval over the same draws of slides; blank under four models.",
        "[Robustness](../results/robustness.md)",
    ),
    *SCANNER_PRODUCTS,
    Product(
        UNCERTAINTY, "external", "External cohorts", {FIGURE: "external_cohorts"}, EXTERNAL,
        "Every row on other datasets, the models of all folds as trained, and what it loses from "
        "in domain. Cells that both datasets have are left out and counted.",
        "[External cohorts](../results/external-cohorts.md)",
    ),
    Product(
        UNCERTAINTY, "raters", "Raters", {FIGURE: "compare_raters"}, RATED,
        "Every row beside the raters whose votes made the labels: Cohen's kappa with each rater, "
        "AUROC where raters agree and where not, and a ceiling with its assumption.",
        "[Raters](../results/raters.md)",
    ),
    Product(
        COST, "ledger", "Jobs", {"csv": "summarise_costs"}, ALL,
        "Time and resources of every job, as the jobs themselves recorded them.",
        COSTS_PAGE,
    ),
    Product(
        COST, "costs", "Rows", {"csv": "summarise_costs"}, CELLS,
        "Time and resources of every row on every dataset. Rows do not add up: an embedding "
        "counts in each row that reads it. Jobs without a record are counted, not taken as zero.",
        COSTS_PAGE,
    ),
    Product(
        COST, "cost_auroc", "AUROC", {"pdf png": "summarise_costs"}, CELLS,
        "AUROC against GPU-hours; core-hours where no GPU ran. A triangle is a lower bound: "
        "records are missing.",
    ),
    *ROTH_PRODUCTS,
]  # fmt: skip
RULES = {name: rule for product in PRODUCTS for name, rule in product.files.items()}


def products_of(study: "Study") -> list[str]:
    """Return the file names of everything that a study makes for people."""
    return [name for one in PRODUCTS if one.when.holds(study) for name in one.files]


def report_entry(study: "Study", name: str) -> dict[str, Any]:
    """Return caption, category and labels of a file in Snakemake's report."""
    product = next(product for product in PRODUCTS if name in product.files)
    labels = {"what": product.title, "as": PurePosixPath(name).suffix[1:].upper()}
    if study.unknown_slides:
        labels["unit of intervals"] = "slide; image where slides are unknown: too narrow"
    if study.synthetic:
        labels["tissue"] = "synthetic"
    return {
        "caption": f"../report/{product.stem}.rst",
        "category": product.section,
        "subcategory": "Figures" if labels["as"] in ("PDF", "PNG") else "Tables",
        "labels": labels,
    }


def require_product(study: "Study", name: str) -> str:
    """Return the name of a table or figure, if the study makes it.

    Raises
    ------
    CardError
        The study's schemes do not give that table or figure.
    """
    if name not in study.products:
        raise CardError(
            f"study {study.name!r} has no scheme that {name} is made from (docs/reference/"
            f"output-files.md). It makes {', '.join(study.products)}."
        )
    return name
