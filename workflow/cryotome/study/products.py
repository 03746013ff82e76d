"""Products: the files for people that a study makes, below `results/studies/{study}`."""

from typing import TYPE_CHECKING

from cryotome.core.errors import CardError
from cryotome.study import colorectal

if TYPE_CHECKING:
    from cryotome.study.study import Study


def _drawn(name: str) -> list[str]:
    return [f"{name}.{kind}" for kind in ("csv", "pdf", "png")]


ALWAYS = ["table1.csv", "intervals.csv", "comparisons.csv", "variances.csv", "published.csv"]
CURVES = ["learning.csv", "crossings.csv", "learning.pdf", "learning.png"]
CROSSED = ["table2.csv", "table2.md", "table2.tex", "table2_sd.csv"]
CROSSED += [*_drawn("figure2"), *_drawn("ranks")]
CLINIC = [*_drawn("reliability"), "calibration.csv", "counts.csv", "agreement.csv"]
CLINIC += ["operating.csv", "bland_altman.pdf", "bland_altman.png"]
LADDER, ORDERS = [*_drawn("ladder"), "ladder.md"], _drawn("orders")
CONTEXT = _drawn("context")
COSTS = ["ledger.csv", "costs.csv", "cost_auroc.pdf", "cost_auroc.png"]
PRODUCTS = [*ALWAYS, *_drawn("figure1"), *CURVES, *CROSSED, *ORDERS, *LADDER, *CLINIC, *CONTEXT]
PRODUCTS += [*COSTS, *colorectal.PRODUCTS]


def products_of(study: "Study") -> list[str]:
    """Return the file names of everything that a study makes for people."""
    figure1 = _drawn("figure1") * bool(study.all_domain_blocks)
    crossed = CROSSED * bool(study.cross_domain_blocks)
    curves = CURVES * bool(study.all_domain_blocks and len(study.fractions) > 1)
    orders = ORDERS * bool(study.cross_domain_blocks and study.multi_head_rows)
    ladder = LADDER * bool(study.matched_blocks)
    cells = [*ALWAYS, *figure1, *curves, *crossed, *orders, *ladder]
    cells += [*CLINIC, *CONTEXT * bool(study.context)]
    more = study.colorectal.products if study.colorectal else []
    costs = COSTS if study.rows else COSTS[:1]  # an AUROC against its cost needs rows
    return [*(cells * bool(study.rows)), *costs, *more]


def require_product(study: "Study", name: str) -> str:
    """Return the name of a table or figure, if the study makes it.

    Raises
    ------
    CardError
        The study's schemes do not give that table or figure.
    """
    if name not in study.products:
        raise CardError(f"study {study.name!r} has no scheme that {name} is made from.")
    return name
