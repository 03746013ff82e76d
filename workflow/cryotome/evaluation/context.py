"""How much of the slide around a cell a model needs: AUROC against the crop, a line a model."""

import fnmatch
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryotome.core import plotting as drawing  # noqa: F401  # text as written
from cryotome.core.cards import Card
from cryotome.core.errors import CardError, StoreError
from cryotome.data.images import find_image, microns_per_pixel, open_image
from cryotome.evaluation.statistics.clustered_auroc import gap_interval, interval
from cryotome.evaluation.statistics.comparisons import Rows
from cryotome.report.figures.ganz2024 import looks_of, noticed
from cryotome.study.statistical_unit import unit_of
from cryotome.study.variants import TOKENS

COLUMNS = ["dataset", "base_dataset", "side", "um", "model", "base_model", "pooling", "head"]
COLUMNS += ["scheme", "fraction", "where", "auroc", "low", "high", "n"]
COLUMNS += ["gap", "gap_low", "gap_high", "note"]
PANEL = ["base_dataset", "scheme", "where"]
PLACES = {"in": "in domain", "out": "out of domain", "all": "all domains"}


def resolution(cells: pd.DataFrame, folder: Path, card: Card) -> float:
    """Return µm per patch px of a dataset: the median over its images, NaN where one does not say.

    Parameters
    ----------
    cells
        The table of cells, which names the images.
    folder
        Folder of the images.
    """
    said = card["patch"]["resolution"]
    if said != "native":
        return float(said)
    found = []
    for name in cells["image"].unique():
        path = find_image(folder, str(name))
        try:
            how = {"overrides": card.get("mpp_overrides_file")}
            found.append(microns_per_pixel(open_image(path), path, card.get("mpp"), **how))
        except CardError:  # neither image nor card says: the crop has px alone
            return float("nan")
    return float(np.median(found))


def place_of(scheme: str, tested: str) -> str:
    """Return where a block tests: `in`, `out` or `all` domains; nothing where another block does.

    >>> place_of("from_*", "out"), place_of("except_*", "domains"), place_of("random", "all")
    ('out', 'out', 'all')
    >>> place_of("from_lung", "out"), place_of("random", "domains")
    ('', '')
    """
    if scheme.startswith("except_"):
        return "out" if "*" in scheme else ""
    one_domain = scheme.startswith("from_") and "*" not in scheme
    return "" if one_domain or tested == "domains" else tested


def tabulate_context(blocks: dict, sweep: Card, um: dict[str, float], alpha: float) -> pd.DataFrame:
    """Lay out the AUROC of every model under each crop and pooling, on the same cells.

    Parameters
    ----------
    blocks
        (dataset, scheme, fraction, tested) to `Rows`, of all crops.
    sweep
        The study's `sweep`.
    um
        Dataset that crops are of to µm per patch px.
    alpha
        The level at which slides are too few.

    Returns
    -------
    data frame with columns dataset, base_dataset, side, um, model, base_model, pooling, head,
    scheme, fraction, where, auroc, low, high, n, gap, gap_low, gap_high, note
        side: of the crop, px; n: test cells; low, high: 95 %, slides as the unit; gap: less
        the AUROC of the same model at the largest crop, slides paired.

    Raises
    ------
    StoreError
        Two crops were not tested on the same cells.
    """
    lines = []
    for (dataset, scheme, fraction, tested), rows in blocks.items():
        where, (base, side) = place_of(scheme, tested), sweep["crops"][dataset]
        if not where:
            continue
        largest = max((size, name) for name, (of, size) in sweep["crops"].items() if of == base)[1]
        whole = blocks[largest, scheme, fraction, tested]
        _check_cells(rows, whole, (dataset, largest, scheme))
        n = len(np.unique(np.concatenate([part["id"].to_numpy() for part in rows.block.parts])))
        for row, slides in rows.influences.items():
            model, head = row.split(" + ")
            place = (dataset, base, side, side * um[base], model, *sweep["models"][model], head)
            span = interval(slides.auroc, slides.error, freedom=slides.freedom)
            gap = slides.minus(whole.influences[row])
            paired = gap_interval(gap.auroc, gap.error, freedom=gap.freedom)
            measured = (slides.auroc, *span, n, gap.auroc, *paired, rows.note(row, alpha))
            lines.append((*place, scheme, float(fraction), where, *measured))
    table = pd.DataFrame(lines, columns=COLUMNS)
    return table.sort_values(["base_dataset", "side"], kind="stable", ignore_index=True)


def _check_cells(rows: Rows, whole: Rows, names: tuple[str, str, str]) -> None:
    pairs = zip(rows.block.parts, whole.block.parts, strict=True)
    if not all(np.array_equal(one["id"], other["id"]) for one, other in pairs):
        raise StoreError(
            f"{names[0]} and {names[1]} were not tested on the same cells under {names[2]}. Delete "
            "their splits and rerun."
        )


def draw_context(table: pd.DataFrame, sweep: Card, about: Card) -> Figure:
    """Draw AUROC against the side of the crop: panels by place and pooling, a line a model.

    Models whose networks return no tokens stand in every panel, dashed.

    Parameters
    ----------
    table
        From `tabulate_context`; of several fractions, the largest is drawn.
    sweep, about
        The study's `sweep` and `table_rows`.
    """
    table = table[table["fraction"] == table["fraction"].max()]
    swept = table["pooling"].isin(sweep["poolings"])
    columns = [how for how in sweep["poolings"] if (table["pooling"] == how).any()] or [""]
    places = list(dict.fromkeys(table[PANEL].itertuples(index=False, name=None)))
    rows = table["base_model"] + " + " + table["head"]
    looks, keys = looks_of(about), table["model"] + " + " + table["head"]
    # a line is a model under its poolings: it looks as the first of them
    colours = {row: looks[key].colour for row, key in reversed(list(zip(rows, keys, strict=True)))}
    colours = {row: colours[row] for row in dict.fromkeys(rows)}
    labels = {row: _label(row, sweep, about) for row in colours}
    sns.set_theme(style="whitegrid", context="paper")
    size = (3.4 * len(columns) + 2.4, 3.2 * len(places))
    figure, axes = plt.subplots(
        len(places), len(columns), squeeze=False, sharey="row", layout="constrained", figsize=size
    )
    for line, place in zip(axes, places, strict=True):
        here = (table[PANEL] == list(place)).all(axis=1)
        for axis, how in zip(line, columns, strict=True):
            chosen = here & ((table["pooling"] == how) | ~swept)
            solid = swept | (not how)
            _draw_lines(axis, table[chosen].assign(row=rows, solid=solid), colours, labels)
            title = f"{sweep['bases'][place[0]]['title']}, {_scheme(place[1], about)}"
            words = TOKENS[how][0] if how else "as the cards pool"
            axis.set_title(f"{title}\n{PLACES[place[2]]}; {words}", fontsize=8)
        line[0].set_ylabel(f"AUROC, 95 % over {unit_of(about)}")
    handles, names = axes[0, 0].get_legend_handles_labels()
    where: Card = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
    note = "dashed: returns no tokens" if swept.any() and not swept.all() else None
    figure.legend(handles, names, title=note, **where)
    return noticed(figure, about["notice"])


def _label(row: str, sweep: Card, about: Card) -> str:
    model, head = row.split(" + ")
    return f"{sweep['titles'][model]} + {about['heads'][head]}"


def _scheme(name: str, about: Card) -> str:
    """Return the title of a scheme, of `from_*` that of one of its domains."""
    return about["schemes"][min(fnmatch.filter(about["schemes"], name), key=len)]


def _draw_lines(axis: Axes, part: pd.DataFrame, colours: dict, labels: dict) -> None:
    """Draw a panel's lines, beside each other so that intervals do not hide each other."""
    sides = sorted(part["side"].unique())
    for place, (row, colour) in enumerate(colours.items()):
        line = part[part["row"] == row].sort_values("side")
        x = line["side"] * 1.02 ** (place - (len(colours) - 1) / 2)
        error = np.abs(line[["low", "high"]].to_numpy().T - line["auroc"].to_numpy())
        style = "-" if line["solid"].all() else "--"
        look = {"color": colour, "label": labels[row], "marker": "o", "ms": 4, "capsize": 2}
        axis.errorbar(x, line["auroc"], yerr=error, linestyle=style, **look)
    axis.axhline(0.5, color="0.6", linestyle=":", linewidth=1)
    axis.set(xscale="log", xlabel="side of the crop, px")
    axis.set_xticks(sides, [f"{side:g}" for side in sides])
    axis.minorticks_off()
    um = part.drop_duplicates("side").sort_values("side")["um"]
    if um.notna().all():
        above = axis.secondary_xaxis("top")
        above.set_xticks(sides, [f"{value:.0f} µm" for value in um])
        above.minorticks_off()
