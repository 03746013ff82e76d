"""The page of a study: one file that needs no network."""

import datetime
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import vl_convert
from jinja2 import Environment, PackageLoader, StrictUndefined

from cryotome.core.files import atomic_write
from cryotome.report.page.answer import headline
from cryotome.report.page.atlas import Sheet, atlas
from cryotome.report.page.attention import attention
from cryotome.report.page.benchmark import benchmark
from cryotome.report.page.clinical import pathologist
from cryotome.report.page.comparisons import differences
from cryotome.report.page.context import context
from cryotome.report.page.costs import cost
from cryotome.report.page.external import external
from cryotome.report.page.ganz2024_figures import figure1, figure2, ladder
from cryotome.report.page.ganz2024_tables import encoders, learning, published, table2
from cryotome.report.page.history import history
from cryotome.report.page.leaderboard import leaderboard
from cryotome.report.page.metrics import metrics
from cryotome.report.page.raters import raters
from cryotome.report.page.recalibration import recalibration
from cryotome.report.page.results import StudyResults
from cryotome.report.page.robustness import robustness
from cryotome.report.page.roth2024 import colorectal
from cryotome.report.page.scanners import scanners
from cryotome.report.page.sections import Section
from cryotome.report.page.summary import run
from cryotome.study.facts import PageFacts
from cryotome.study.styles import COLOURS, MARKS, Style

PARTS: list[Callable[[StudyResults], Section]] = [
    headline,
    leaderboard,
    metrics,
    benchmark,
    run,
    history,
    table2,
    figure1,
    figure2,
    scanners,
    ladder,
    external,
    robustness,
    raters,
    differences,
    learning,
    pathologist,
    recalibration,
    atlas,
    context,
    cost,
    colorectal,
    attention,
    encoders,
    published,
]
# a mark in a square of 12, centre (6, 6)
SHAPES = {
    "circle": '<circle cx="6" cy="6" r="4.5"/>',
    "square": '<rect x="2" y="2" width="8" height="8"/>',
    "triangle-up": '<path d="M6 1.5 11 10.5H1z"/>',
    "diamond": '<path d="M6 .8 11.2 6 6 11.2.8 6z"/>',
    "cross": '<path d="M4.2 1h3.6v3.2H11v3.6H7.8V11H4.2V7.8H1V4.2h3.2z"/>',
    "triangle-down": '<path d="M6 10.5 1 1.5h10z"/>',
    "triangle-right": '<path d="M10.5 6 1.5 1v10z"/>',
    "triangle-left": '<path d="M1.5 6 10.5 1v10z"/>',
}
assert set(SHAPES) == set(MARKS)
BUNDLE = "window.drawn = (place, spec, options) => vegaEmbed(place, spec, options);"


def mark(look: Style | None) -> str:
    """Return a row's mark as SVG, hidden from screen readers: its name stands beside it."""
    if look is None:
        return ""
    names = {value: name for name, value in COLOURS.items()}
    return (
        f'<svg class="mark {names[look.colour]}" viewBox="0 0 12 12" aria-hidden="true">'
        f"{SHAPES[look.mark]}</svg>"
    )


def grouped(sheets: list[Sheet]) -> list[tuple[str, list[Sheet]]]:
    """Return the sheets of each group, in their order."""
    groups: dict[str, list[Sheet]] = {}
    for sheet in sheets:
        groups.setdefault(sheet.group, []).append(sheet)
    return list(groups.items())


def compose(g: StudyResults) -> str:
    """Return the page as HTML."""
    loader = PackageLoader("cryotome.report.page", "parts")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"mark": mark, "grouped": grouped}
    parts = [part for section in PARTS if (part := section(g))]
    specs = {picture.name: picture.spec for part in parts for picture in part.pictures}
    scripts = (environment.get_template(name).module for name in ("page.js", "metrics.js"))
    return environment.get_template("page.html").render(
        facts=g.facts,
        made=g.made,
        parts=parts,
        # no text of a table may end or begin a script
        specs=json.dumps(specs, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c"),
        vega=vl_convert.javascript_bundle(BUNDLE).replace("</script", "<\\/script"),
        script="".join(map(str, scripts)),  # no values in them
        style=str(environment.get_template("page.css").module),
        versions={name: version(name) for name in ("snakemake", "torch", "timm", "scikit-learn")},
    )


def write_page(page: Path, facts: PageFacts) -> None:
    """Write the page of a study from whatever lies beside it.

    Parameters
    ----------
    page
        results/studies/{study}/index.html; its tables are beside it, cells and scores in the
        folders above.
    """
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    with atomic_write(page) as beside:
        beside.write_text(compose(StudyResults(page.parent, facts, now)), encoding="utf-8")
