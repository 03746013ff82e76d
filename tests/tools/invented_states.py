"""Results of two rows on invented cells, as a finished study leaves them: for tests of histories."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from cryotome.core.files import sha256
from cryotome.core.metrics import auroc
from cryotome.study.row import Row

ROWS = [Row("good", "ridge", "v"), Row("poor", "ridge", "v"), Row("third", "ridge", "v")]
SKILL = {"good": 2.0, "poor": 0.3, "third": 1.0}


def facts_of(results: Path) -> Any:
    """Return the facts of a study that a history asks for."""
    return SimpleNamespace(study="s", blocks=[("d", "random")], folds=[0, 1], rows=ROWS)


def write_state(results: Path, seed: int = 0, **skill: float) -> Any:
    """Write cells, predictions and intervals of three rows, and return the study's facts."""
    rng = np.random.default_rng(0)
    n, slides = 240, 12
    label = rng.integers(0, 2, n)
    cells = pd.DataFrame({"id": np.arange(n), "image": "i", "slide": np.arange(n) % slides})
    cells = cells.assign(x=1.0, y=1.0, domain="all", label=label, source_row=0)
    cells["slide"] = "s" + cells["slide"].astype(str)
    (results / "cells").mkdir(parents=True, exist_ok=True)
    cells.to_csv(results / "cells/d.csv", index=False)
    lines = []
    for row in ROWS:
        values = []
        for fold in (0, 1):
            noise = np.random.default_rng([seed, fold, ROWS.index(row)]).normal(size=n)
            strength = (SKILL | skill)[row.model]
            score = 1 / (1 + np.exp(-(strength * (label - 0.5) + noise)))
            below = f"predictions/d/random/view=v/model={row.model}/head=ridge/fraction=1.0"
            path = results / below / f"fold={fold}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            role = np.where(np.arange(n) % 2 == fold, "test", "validation")
            table = pd.DataFrame({"id": cells["id"], "role": role, "label": label, "score": score})
            path.unlink(missing_ok=True)  # as Snakemake does: a history has a second link to it
            table.to_csv(path, index=False)
            notes = {"csv_sha256": sha256(path), "cells_sha256": sha256(results / "cells/d.csv")}
            notes |= {"weights_sha256": row.model, "split_sha256": "p", "patches_sha256": "q"}
            notes |= {"head": {"learner": "ridge"}, "versions": {"numpy": "1"}}
            path.with_suffix(".json").write_text(json.dumps(notes), encoding="utf-8")
            test = table[table["role"] == "test"]
            values.append(auroc(test["label"].to_numpy(), test["score"].to_numpy()))
        mean = float(np.mean(values))
        lines.append(("s", "d", "random", 1.0, "all", row.key, mean, mean - 0.1, mean + 0.1))
    home = results / "studies/s"
    home.mkdir(parents=True, exist_ok=True)
    names = ["study", "dataset", "scheme", "fraction", "tested", "row", "auroc", "low", "high"]
    pd.DataFrame(lines, columns=names).to_csv(home / "intervals.csv", index=False)
    return facts_of(results)
