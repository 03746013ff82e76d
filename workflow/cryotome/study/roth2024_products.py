"""Products of Roth et al. 2024: the tables and figures of its colorectal part."""

from cryotome.study.product import COURSE, FIGURE, PATCHES, ROTH, SLIDES, TISSUE, Product

ROTH_PRODUCTS = [
    Product(
        ROTH, "colorectal/table1", "Table 1", {"csv": "roth_table1"}, SLIDES,
        "AUROC over patients of every encoder and head, in the cohort and outside it, with "
        "intervals, published numbers and verdicts.",
        "`cohort,cohort_sd,cohort_low,cohort_high,cohort_n_positive,cohort_n_negative,"
        "cohort_published,cohort_published_sd,cohort_verdict`, and the same of `external`",
    ),
    Product(
        ROTH, "colorectal/table2", "Table 2", {"csv": "roth_table2"}, PATCHES,
        "Balanced accuracy and weighted F1 over patches of the test set, with intervals, "
        "published numbers and verdicts; a colour histogram below every model.",
        "as Table 1, `balanced_accuracy…`, `weighted_f1…`",
    ),
    Product(
        ROTH, "colorectal/table3", "Table 3", {"csv": "roth_table3"}, TISSUE,
        "Parameters and length of an embedding, counted on the networks that were built, "
        "published sizes beside.",
        "`model,title,parameters,published_parameters,features,published_features,note`",
    ),
    Product(
        ROTH, "colorectal/tables", "Tables 1 to 3", {"md": "format_roth_tables"}, TISSUE,
        "Tables 1 to 3 of Roth et al. 2024, to read.",
    ),
    Product(
        ROTH, "colorectal/published", "Published", {"csv": "compare_published_roth"}, TISSUE,
        "Every number that Roth et al. 2024 publish of these encoders, beside those measured.",
    ),
    Product(
        ROTH, "colorectal/figure1", "Figure 1", {FIGURE: "roth_figure1"}, TISSUE,
        "Performance against the hours of training on tissue. `source` says whether the hours "
        "were measured here or published.",
    ),
    Product(
        ROTH, "colorectal/figure2", "Figure 2", {FIGURE: "roth_figure2"}, COURSE,
        "Performance over the iterations of finetuning; `chosen` is the one validation takes.",
    ),
]  # fmt: skip
