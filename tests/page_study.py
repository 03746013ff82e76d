"""A study's tables with invented numbers, of as many rows as asked for, for tests of the page.

python tests/page_study.py FOLDER --rows 45    # writes FOLDER/studies/invented/index.html
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.cards import read_yaml  # noqa: E402
from cryotome.page.about import page_about  # noqa: E402
from cryotome.page.page import write_page  # noqa: E402
from cryotome.study import Study  # noqa: E402

REFERENCE = ("resnet50_imagenet", "e2e")


def study_of(rows: int, datasets: list[str]) -> Study:
    """Return a study of the reference and so many probes on released weights."""
    config = read_yaml(ROOT / "config" / "ganz2024.yaml")
    names = [row["model"] for row in config["rows"][:-2]]
    for path in sorted((ROOT / "config" / "models").glob("*.yaml")):
        card = read_yaml(path)
        if path.stem not in [*names, REFERENCE[0]] and "finetune" not in card.get("weights", {}):
            names.append(path.stem)
    probes = [{"model": name, "head": "probe"} for name in names[: rows - 1]]
    first = {"model": REFERENCE[0], "head": REFERENCE[1]}
    config |= {"study": "invented", "datasets": datasets, "rows": [*probes, first]}
    config |= {"figure2": [first, *probes[:1]]}
    return Study(config, ROOT / "config", files=("config/ganz2024.yaml",))


def write_tables(folder: Path, study: Study) -> None:
    """Write the study's tables: numbers from a generator, columns as the rules write them."""
    rng = np.random.default_rng(0)
    home = folder / "studies" / study.name
    home.mkdir(parents=True, exist_ok=True)
    level = {f"{r.model} + {r.head}": 0.72 + 0.2 * rng.random() for r in study.rows}
    spans, figure1, figure2, table2 = [], [], [], []
    for dataset in study.datasets:
        domains = list(study.dataset(dataset)["domains"])
        crossed = len(domains) > 1
        for row in study.rows:
            key, place = f"{row.model} + {row.head}", (row.model, row.head)
            for share in (0.001, 0.01, 0.1, 1.0):
                value = level[key] - 0.1 * (1 - share) * rng.random()
                figure1.append(("random", dataset, *place, share, value, 0.01, 5, None, None))
                spans += [(dataset, "random", share, tested, key, value, value - 0.03, value + 0.03)
                          for tested in ("all", "domains")[: 1 + crossed]]  # fmt: skip
            if not crossed:
                continue
            for scheme in ["from_*", *(f"from_{d}" for d in domains)]:
                for tested, less in (("in", 0.05), ("out", 0.15)):
                    value = level[key] - less + 0.02 * rng.normal()
                    span = (value - 0.03, value + 0.03)
                    spans.append((dataset, scheme, 1.0, tested, key, value, *span))
            inside, outside = level[key] - 0.05, level[key] - 0.15
            table2.append((dataset, *place, inside, 0.04, outside, 0.07, 0.79, 0.04, 0.66, 0.07))
            if list(place) in [list(p) for p in json.loads(study.table_rows)["figure2"]]:
                figure2 += [(dataset, *place, a, b, level[key] - 0.1 * (a != b), 0.01, 5)
                            for a in domains for b in domains]  # fmt: skip
    keys = ["dataset", "model", "head"]
    tables = {
        "intervals": (spans, ["dataset", "scheme", "fraction", "tested", "row", "auroc", "low", "high"]),
        "figure1": (figure1, ["scheme", *keys, "fraction", "mean", "sd", "folds",
                              "published_mean", "published_sd"]),
        "figure2": (figure2, [*keys, "train_domain", "test_domain", "mean", "sd", "folds"]),
        "table2": (table2, [*keys, "in_mean", "in_sd", "out_mean", "out_sd", "published_in",
                            "published_in_sd", "published_out", "published_out_sd"]),
    }  # fmt: skip
    made = {name: pd.DataFrame(lines, columns=columns) for name, (lines, columns) in tables.items()}
    made["comparisons"] = _against(made["intervals"], " + ".join(REFERENCE))
    made["figure1"]["row"] = made["figure1"]["model"] + " + " + made["figure1"]["head"]
    made["figure2"]["row"] = made["figure2"]["model"] + " + " + made["figure2"]["head"]
    made["published"] = _judged(made["table2"])
    for name, table in made.items():
        table.assign(study=study.name, synthetic=False).to_csv(home / f"{name}.csv", index=False)


def _against(spans: pd.DataFrame, reference: str) -> pd.DataFrame:
    keys = ["dataset", "scheme", "fraction", "tested"]
    first = spans[spans["row"] == reference].set_index(keys)["auroc"]
    table = spans[spans["row"] != reference].join(first.rename("first"), on=keys)
    table["difference"] = table["first"] - table["auroc"]
    table["low"], table["high"] = table["difference"] - 0.02, table["difference"] + 0.02
    apart = table["difference"].abs() > 0.04
    return table.assign(
        reference=reference, p_slides=np.where(apart, 1e-4, 0.3), margin=0.02, note="",
        p_slides_holm=np.where(apart, 1e-3, 0.6), verdict=np.where(apart, "different", "undecided"),
    ).drop(columns=["first", "auroc"])  # fmt: skip


def _judged(table2: pd.DataFrame) -> pd.DataFrame:
    lines = [
        ("ganz2024_table2", line["dataset"], line["model"], line["head"], f"auroc_{where}",
         line[f"published_{where}"], line[f"{where}_mean"],
         "agrees" if abs(line[f"published_{where}"] - line[f"{where}_mean"]) < 0.03 else "differs")
        for line in table2.to_dict("records")
        for where in ("in", "out")
    ]  # fmt: skip
    columns = ["table", "dataset", "model", "head", "quantity", "published", "measured", "verdict"]
    table = pd.DataFrame(lines, columns=columns)
    low, high = table["measured"] - 0.03, table["measured"] + 0.03
    return table.assign(low=low, high=high, why="measured minus published", source="the paper")


def make_page(folder: Path, rows: int = 9, datasets: tuple[str, ...] = ("midog2022",)) -> Path:
    """Write the tables and the page; return the page."""
    study = study_of(rows, list(datasets))
    write_tables(folder, study)
    page = folder / "studies" / study.name / "index.html"
    write_page(page, json.loads(page_about(study)))
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=9)
    given = parser.parse_args()
    print(make_page(given.folder, given.rows, ("midog2022", "ccmct")))
