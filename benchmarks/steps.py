"""The steps of a whole study, as the rules call them, and the config that it runs on."""

import json
import shutil
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from worlds import mixing, windows_of, write_store

ROOT = Path(__file__).resolve().parents[1]
# before this folder, which has a probe.py of its own
sys.path[:0] = [str(ROOT / "workflow"), str(ROOT / "workflow" / "scripts")]

import audit_splits
import compare
import compare_published
import figure1
import figure2
import format_table2
import leakage_ladder
import plot_learning_curves
import probe
import rank_models_by_head
import rank_rows
import score_row
import split_cells
import table1
import table2

from cryotome.core import step_versions
from cryotome.core.cards import without_notes
from cryotome.core.files import sha256
from cryotome.data.audit import COLUMNS, near_pairs
from cryotome.study.gather_facts import row_facts
from cryotome.study.study import Study

VIEW = "paper-fp32"
NOTICE = "synthetic embeddings with planted effects"
MODELS = {  # width and signal, SDs of noise between the classes
    "invented_a": (1536, 1.60),
    "invented_b": (1536, 1.70),
    "invented_c": (2560, 1.50),
    "invented_d": (2560, 1.65),
    "invented_e": (1024, 1.55),
    "invented_f": (768, 1.40),
    "invented_g": (1280, 1.20),
    "invented_h": (2048, 1.10),
    "invented_endtoend": (1024, 2.20),
}
ENDTOEND = {"model": "invented_endtoend", "head": "ridge"}
PROBES = [{"model": name, "head": "linear_probe"} for name in MODELS if name != ENDTOEND["model"]]
RIDGES = [row | {"head": "ridge"} for row in PROBES]
IDENTITY = {"model": "slide_identity", "head": "slide_prevalence"}


def studies(draws: int, folds: int) -> dict[str, dict]:
    """Return the configs: Table 2 and Figure 1, the orders of two probes, the ladder."""
    every = {
        "datasets": ["midog2022", "ccmct"],
        "fractions": [0.001, 0.01, 0.1, 1.0],
        "folds": folds,
        "view": {"transform": "paper", "precision": "fp32"},
        "precision_check": {"patches": 512, "min_cosine": 0.99, "auroc": 0.01},
        "statistics": {"draws": draws, "alpha": 0.05, "margin": 0.02},
        "device": "cpu",
    }
    two = {"reference": ENDTOEND, "figure2": [ENDTOEND, PROBES[1]]}
    ridges = {"reference": RIDGES[0], "figure2": RIDGES[:1], "rows": [*PROBES, *RIDGES]}
    matched = ["random_matched", "no_overlap_matched", "slide_grouped_matched", "except_*_matched"]
    asked = {
        "full": two | {"rows": [*PROBES, ENDTOEND], "schemes": ["random", "from_*"]},
        "full_probes": ridges | {"schemes": ["from_*"]},
        "full_ladder": two | {"rows": [IDENTITY, *PROBES, ENDTOEND], "schemes": matched},
    }
    return {name: every | one | {"study": name} for name, one in asked.items()}


def write_cards(folder: Path, widths: dict[str, int]) -> None:
    """Copy the repository's cards; add one for each invented model; mark the datasets."""
    shutil.copytree(ROOT / "config", folder)
    for name, width in widths.items():
        kind = name.removeprefix("invented_").upper()
        title = "synthetic stand-in for end to end" if kind == "ENDTOEND" else f"synthetic {kind}"
        card = {"title": f"{title}, {width}", "source": "benchmarks/worlds.py", "dim": width}
        # nothing is loaded: this only says that there is no network
        card |= {"licence": "none needed", "weights": "none", "loader": "slide_identity"}
        (folder / "models" / f"{name}.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    for name in ("midog2022", "ccmct"):
        path = folder / "datasets" / f"{name}.yaml"
        path.write_text(
            f"synthetic: {NOTICE}\n{path.read_text(encoding='utf-8')}", encoding="utf-8"
        )


@dataclass
class Dataset:
    """Cells, what their windows share, and where the files of a dataset lie."""

    name: str
    cells: pd.DataFrame

    def __post_init__(self) -> None:
        windows = windows_of(self.cells)
        self.shares = mixing(windows)
        self.table = Path(f"results/cells/{self.name}.csv")
        self.windows = Path(f"results/audits/{self.name}.windows.csv")
        self.audit = Path(f"results/audits/{self.name}.csv")
        near = near_pairs(self.cells, 25)
        found = pd.DataFrame({"finding": "near", "id": near[:, 0], "other": near[:, 1]})
        found = found.reindex(columns=COLUMNS).assign(left_out=False, other_left_out=False)
        for path, table in ((self.table, self.cells), (self.windows, windows), (self.audit, found)):
            path.parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False)

    def splits(self, study: Study, scheme: str) -> list[Path]:
        start = f"results/splits/{self.name}/{scheme}"
        draws = product(study.training_fractions(scheme), study.folds)
        return [Path(f"{start}/fraction={part}/fold={fold}.csv") for part, fold in draws]

    def predictions(self, study: Study, scheme: str, model: str, head: str) -> list[Path]:
        start = f"results/predictions/{self.name}/{scheme}/view={VIEW}/model={model}/head={head}"
        draws = product(study.training_fractions(scheme), study.folds)
        return [Path(f"{start}/fraction={part}/fold={fold}.csv") for part, fold in draws]


def draw_splits(study: Study, of: Dataset) -> None:
    """Draw every split of a study, as the rule `split_cells` does, and audit it."""
    for scheme in study.schemes(of.name):
        paths = of.splits(study, scheme)
        split_cells.main(
            of.table,
            of.audit,
            [of.windows] if study.needs_windows(scheme) else [],
            paths,
            [path.with_suffix(".json") for path in paths],
            step_versions.SPLITS,
            json.loads(study.split_card(of.name, scheme)),
            study.drops(of.name),
            scheme,
        )
        leaks = [path.with_suffix(".leakage.csv") for path in paths]
        audit_splits.main(of.table, of.windows, of.audit, paths, leaks, scheme)


def fit_model(asked: list[Study], of: Dataset, model: str, x: np.ndarray) -> int:
    """Write the store of one model, fit it in every study that has it, delete the store."""
    store = Path(f"results/embeddings/{of.name}/{VIEW}/{model}.h5")
    stamps = {"cells_sha256": sha256(of.table), "model": model, "view": VIEW}
    card = without_notes(asked[0].model(model))
    write_store(store, x, of.cells["id"].to_numpy(), stamps | {"card": card})
    jobs = {
        (scheme, row.head): study
        for study in asked
        for row in study.rows
        for scheme in study.schemes(of.name)
        if row.model == model
    }
    fitted = 0
    for (scheme, head), study in jobs.items():
        splits, out = of.splits(study, scheme), of.predictions(study, scheme, model, head)
        probe.main(
            [store],
            [of.table],
            splits,
            out,
            json.loads(without_notes(study.head(head))),
            {},
            model,
            VIEW,
        )
        scores = Path(
            f"results/scores/{of.name}/{scheme}/view={VIEW}/model={model}/head={head}.csv"
        )
        score_row.main(of.table, out, scores, scheme)
        fitted += len(out)
    store.unlink()
    return fitted


class Report:
    """Makes the products of one study, as the rules of `evaluate.smk`, `ganz2024.smk`, `rank.smk` and `published.smk` do."""

    def __init__(self, study: Study, datasets: list[Dataset]) -> None:
        self.study, self.of = study, {one.name: one for one in datasets}
        self.facts = row_facts(study)
        self.out = Path(f"results/studies/{study.name}")
        self.cells = [one.table for one in datasets]
        self.published = ROOT / "config" / "published"
        self.calibration = ROOT / "config" / "calibration.csv"

    def files(self, blocks: list[tuple[str, str]]) -> list[Path]:
        return [
            path
            for name, scheme in blocks
            for row in self.study.rows
            for path in self.of[name].predictions(self.study, scheme, row.model, row.head)
        ]

    def scores(self, blocks: list[tuple[str, str]]) -> list[Path]:
        return [
            Path(f"results/scores/{name}/{scheme}/view={VIEW}/model={r.model}/head={r.head}.csv")
            for name, scheme in blocks
            for r in self.study.rows
        ]

    def drawn(self, name: str) -> tuple[Path, Path, Path]:
        csv, pdf, png = (self.out / f"{name}.{kind}" for kind in ("csv", "pdf", "png"))
        return csv, pdf, png

    def compare(self) -> None:
        names = ["intervals", "comparisons", "variances", "learning", "crossings"]
        paths = [self.out / f"{name}.csv" for name in names]
        files = self.files(self.study.blocks)
        compare.main(self.cells, files, self.calibration, *paths, self.facts)

    def tables(self) -> None:
        out, cards = self.out, {row.model: self.study.model(row.model) for row in self.study.rows}
        table1.main(out / "table1.csv", cards, self.study.name)
        printed = sorted(self.published.glob("*.csv"))
        judged = ([out / "intervals.csv"], [], out / "table1.csv", printed, out / "published.csv")
        compare_published.main(*judged, self.facts)
        if not self.study.cross_domain_blocks:
            return
        scores, paper = (
            self.scores(self.study.cross_domain_blocks),
            self.published / "ganz2024_table2.csv",
        )
        beside = (out / "intervals.csv", out / "published.csv")
        table2.main(scores, paper, out / "table2.csv", out / "table2_sd.csv", self.facts)
        printed_to = (out / "table2.md", out / "table2.tex")
        format_table2.main(out / "table2.csv", *beside, *printed_to, self.facts)

    def figures(self) -> None:
        facts = self.facts
        spans, curves, crossed = (
            self.out / f"{n}.csv" for n in ("intervals", "learning", "crossings")
        )
        if "figure1.csv" in self.study.products:
            paper = self.published / "ganz2024_figure1.csv"
            figure1.main(
                self.scores(self.study.all_domain_blocks), paper, *self.drawn("figure1"), facts
            )
            plot_learning_curves.main(spans, curves, crossed, *self.drawn("learning")[1:], facts)
        if "figure2.csv" in self.study.products:
            figure2.main(self.scores(self.study.cross_domain_blocks), *self.drawn("figure2"), facts)
            rank_rows.main(spans, *self.drawn("ranks"), facts)
        if "orders.csv" in self.study.products:
            files = self.files(self.study.cross_domain_blocks)
            rank_models_by_head.main(self.out / "table2.csv", files, *self.drawn("orders"), facts)

    def leaks(self) -> list[Path]:
        splits = [
            p
            for n, scheme in self.study.matched_blocks
            for p in self.of[n].splits(self.study, scheme)
        ]
        return [path.with_suffix(".leakage.csv") for path in splits]

    def ladder(self) -> None:
        table, pdf, png = self.drawn("ladder")
        files, out = (
            self.files(self.study.matched_blocks),
            (table, self.out / "ladder.md", pdf, png),
        )
        leakage_ladder.main(self.cells, files, self.calibration, self.leaks(), *out, self.facts)
