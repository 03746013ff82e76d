"""A study of seconds, and Snakemake on it: what the tests of whole studies share."""

import os
import re
from pathlib import Path

import warm_snakemake

TOKEN = "hf_" + "secret" * 6

# One dataset, three rows: seconds of compute, every kind of job but training.
SMALL = {
    "study": "small",
    "datasets": ["demo_slides"],
    "rows": [{"model": "colour_histogram", "head": h} for h in ("linear_probe", "ridge", "knn")],
    "schemes": ["random"],
    "fractions": [0.5, 1.0],
    "folds": 2,
    "view": {"transform": "paper", "precision": "fp32"},
    "precision_check": {"patches": 64, "min_cosine": 0.99, "auroc": 0.05},
    "statistics": {"draws": 200, "alpha": 0.05, "margin": 0.02},
    "reference": {"model": "colour_histogram", "head": "ridge"},
    "figure2": [{"model": "colour_histogram", "head": "ridge"}],
    "device": "auto",
}

LADDER = ["random", "no_overlap", "slide_grouped", "except_*"]
LADDER += [f"{scheme}_matched" for scheme in LADDER]
ROIS = {"datasets": ["demo_rois"], "schemes": LADDER, "fractions": [1.0], "folds": 1}


def snakemake(folder: Path, *arguments: str, check: bool = True, **environment: str) -> str:
    """Run snakemake in a folder, and return what it said."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("CRYOTOME_")}
    code, said = warm_snakemake.call(
        folder, "--nocolor", *arguments, environment=kept | environment
    )
    assert not check or code == 0, said
    return said


def jobs(said: str) -> dict[str, int]:
    """Read the table of planned jobs."""
    table = said.split("Job stats:")[-1].split("Reasons:")[0] if "Job stats:" in said else ""
    return {
        name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.M) if name != "total"
    }


def plan(folder: Path, *arguments: str, **environment: str) -> dict[str, int]:
    """Return how many jobs of each rule a command plans."""
    return jobs(snakemake(folder, "-n", *arguments, **environment))


def changed(path: Path, old: str, new: str) -> str:
    """Edit a file, and return what it held before."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text
