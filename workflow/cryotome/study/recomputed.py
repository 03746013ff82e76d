"""Recomputed products: the tables that follow from predictions, cells and splits alone."""

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from cryotome.study.products import RULES

if TYPE_CHECKING:
    from cryotome.study.study import Study

TEXT = {".csv", ".md", ".tex"}  # endings of tables; figures are drawn from tables
SCORE_RULES = ["score_row", "score_patches", "score_patients"]
NETWORKS = "it counts the networks, which are built anew"
NOT_RECOMPUTED = {  # rule to the reason
    "table1": NETWORKS,
    "roth_table3": NETWORKS,
    "summarise_costs": "it was measured while the jobs ran",
    "context_curves": "its µm come from the images",
    "measure_robustness": "it reads the embeddings",
    "external_cohorts": "it asks the patches which cells two cohorts share",
}


def table_rules() -> list[str]:
    """Return the rules on the way from predictions to products, sorted."""
    return sorted({*RULES.values(), *SCORE_RULES})


def recomputing_rules() -> list[str]:
    """Return those of `table_rules` that need neither images nor networks."""
    return [rule for rule in table_rules() if rule not in NOT_RECOMPUTED]


def tables_of(study: "Study") -> dict[str, str]:
    """Return the tables of a study, each with why it is not recomputed; empty where it is."""
    names = [name for name in study.products if PurePosixPath(name).suffix in TEXT]
    return {name: NOT_RECOMPUTED.get(RULES[name], "") for name in names}
