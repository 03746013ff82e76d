"""Tables of a study with random numbers and any number of rows, for tests of the page.

python tests/tools/page_study.py FOLDER --rows 45    # writes FOLDER/studies/invented/index.html
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import read_yaml
from cryotome.report.page.metrics import TITLES
from cryotome.report.page.page import write_page
from cryotome.study.checks import checked_study
from cryotome.study.gather_facts import page_facts, row_facts
from cryotome.study.load import config_file
from cryotome.study.study import Study

REFERENCE = ("resnet50_imagenet", "endtoend")


def study_of(rows: int, datasets: list[str]) -> Study:
    """Return a study of the reference and so many probes on released weights."""
    config = read_yaml(config_file("ganz2024", ROOT / "config"))
    names = [row["model"] for row in config["rows"][:-2]]
    for path in sorted((ROOT / "config" / "models").glob("*.yaml")):
        card = read_yaml(path)
        if path.stem not in [*names, REFERENCE[0]] and "finetune" not in card.get("weights", {}):
            names.append(path.stem)
    probes = [{"model": name, "head": "linear_probe"} for name in names[: rows - 1]]
    first = {"model": REFERENCE[0], "head": REFERENCE[1]}
    config |= {"study": "invented", "datasets": datasets, "rows": [*probes, first]}
    config |= {"reference": None, "figure2": [first, *probes[:1]]}
    return checked_study(config, ROOT / "config", files=("config/studies/ganz2024.yaml",))


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
            if key in row_facts(study).figure2:
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
    made["metrics"] = _measured(made["intervals"])
    made["comparisons"] = _against(made["intervals"], " + ".join(REFERENCE))
    made["figure1"]["row"] = made["figure1"]["model"] + " + " + made["figure1"]["head"]
    made["figure2"]["row"] = made["figure2"]["model"] + " + " + made["figure2"]["head"]
    made["published"] = _judged(made["table2"])
    for name, table in made.items():
        table.assign(study=study.name, synthetic=False).to_csv(home / f"{name}.csv", index=False)


def write_more(folder: Path, study: Study, *, cells: int = 60) -> None:
    """Write counts, calibration, cost and the atlas of a study: so many cells a dataset."""
    rng = np.random.default_rng(1)
    home = folder / "studies" / study.name
    rows = pd.DataFrame([(r.model, r.head) for r in study.rows], columns=["model", "head"])
    names = [f"{r.model} + {r.head}" for r in study.rows]
    for dataset in study.datasets:
        domains = list(study.dataset(dataset)["domains"])
        place = home / "atlas" / dataset
        _write_atlas(place, names, domains, cells, rng)
    dataset = study.datasets[0]
    domains = list(study.dataset(dataset)["domains"])
    rois = pd.DataFrame({"image": [f"{n:03d}.tiff" for n in range(40)], "area_mm2": 2.0})
    rois["domain"] = [domains[n % len(domains)] for n in range(40)]
    rois["annotated"] = rng.integers(0, 60, 40)
    counts = rows.merge(rois, how="cross").assign(
        dataset=dataset, scheme="slide_grouped", fold=0, where="in", threshold=0.5
    )
    counts["counted"] = (counts["annotated"] + rng.integers(-9, 12, len(counts))).clip(0)
    gap = counts["counted"] - counts["annotated"]
    keys = ["dataset", "scheme", "model", "head", "domain", "where"]
    agreed = counts.assign(gap=gap).groupby(keys, sort=False)["gap"]
    agreed = agreed.agg(bias="mean", sd="std", rois="count").reset_index()
    for name, sign in (("lower", -1.96), ("upper", 1.96), ("bias", 0)):
        middle = agreed["bias"] + sign * agreed["sd"]
        agreed[name] = middle
        agreed[f"{name}_low"], agreed[f"{name}_high"] = middle - 1, middle + 1
    bins = pd.DataFrame({"bin": range(10), "n": 50, "mean_score": np.arange(10) / 10 + 0.05})
    bins = bins.assign(low=bins["mean_score"] - 0.05, high=bins["mean_score"] + 0.05)
    where = pd.DataFrame({"where": ["in", "out"]})
    both = rows.merge(where, how="cross").assign(dataset=dataset, scheme="from_*")
    curves = both.merge(bins, how="cross")
    curves["share_positive"] = curves["mean_score"] ** 1.3
    curves["share_low"] = curves["share_high"] = curves["share_positive"]
    tables = {
        "counts": counts, "agreement": agreed.assign(unit="cells a region"),
        "reliability": curves,
        "calibration": both.assign(n=500, positives=200, brier=0.15, brier_low=0.14, ece=0.05,
                                   brier_high=0.16, ece_low=0.04, ece_high=0.06, slope=0.9,
                                   intercept=0.1, note=""),
        "operating": both.assign(train_domain=domains[0], test_domain=domains[-1],
                                 what="fixed_rate", rate_per_mm2=1.0, threshold=0.4,
                                 sensitivity=0.7, false_positives_per_mm2=0.98, low=0.6, high=0.8),
        "costs": rows.assign(dataset=dataset, jobs=4, missing=0, killed=0, gpu_hours=0.5 + rows.index,
                             core_hours=1.0, wall_hours=1.0, shared_gpu_hours=0.0,
                             shared_core_hours=0.1, peak_mb=900, peak_gpu_mb=9000,
                             patches_per_s=800.0, device="a GPU", energy_kwh=0.4, in_mean=0.8,
                             out_mean=0.7, note=""),
        "ledger": pd.DataFrame({"rule": ["embed", "probe"], "wall_s": [90.0, 3.0],
                                "cpu_s": [100.0, 3.0], "gpu_s": [80.0, 0.0],
                                "peak_mb": [900, 300], "device": ["a GPU", "a processor"]}),
    }  # fmt: skip
    for name, table in tables.items():
        table.assign(study=study.name, synthetic=False).to_csv(home / f"{name}.csv", index=False)


def write_audits(folder: Path, study: Study) -> None:
    """Write cells of every dataset, what its audit found, and what every split lets through."""
    for name in {study.split_source(dataset) for dataset in study.datasets}:
        cells = pd.DataFrame({"id": range(1200)}).assign(x=1.0, y=2.0, domain="d")
        cells = cells.assign(image=[f"{n % 40}.tiff" for n in cells["id"]], label=cells["id"] % 2)
        (folder / "cells").mkdir(exist_ok=True)
        cells.assign(slide=cells["image"]).to_csv(folder / "cells" / f"{name}.csv", index=False)
        found = [("duplicate", 9, 3, 1, 1), ("duplicate", 11, 3, 1, 1), ("conflict", 20, 31, 0, 1),
                 ("near", 41, 40, 1, 0), ("near", 45, 44, 1, 1), ("border", 7, -1, 1, -1)]  # fmt: skip
        table = pd.DataFrame(found, columns=["finding", "id", "other", "label", "other_label"])
        kept = table.assign(image="1.tiff", x=1.0, y=2.0, left_out=False, other_left_out=False)
        (folder / "audits").mkdir(exist_ok=True)
        kept.to_csv(folder / "audits" / f"{name}.csv", index=False)
    for dataset, scheme in study.blocks:
        for fold in study.folds:
            counts = {
                "test_cells": 240,
                "on_training_slide": 240,
                "pixels_with_training": 60 + fold,
            }
            counts |= {"centre_of_other_label": 2, "duplicate_of_training": 1 + fold}
            counts |= {"near_training_of_other_label": 1}
            place = folder / "splits" / dataset / scheme / "fraction=1.0"
            place.mkdir(parents=True, exist_ok=True)
            table = pd.DataFrame(counts.items(), columns=["measure", "cells"])
            table.assign(share=table["cells"] / 240).to_csv(
                place / f"fold={fold}.leakage.csv", index=False
            )


def _write_atlas(place: Path, names: list[str], domains: list[str], cells: int, rng) -> None:
    (place / "sheets").mkdir(parents=True, exist_ok=True)
    (place / "slides").mkdir(exist_ok=True)
    scores = {f"score {name}": rng.random(cells).round(6) for name in names}
    table = pd.DataFrame({"id": range(cells), "slide": "a.tiff", "label": 1, **scores})
    table.to_csv(place / "cells.csv", index=False)
    (place / "slides" / "a.tiff.geojson").write_text(
        '{"type": "FeatureCollection", "features": []}', encoding="utf-8"
    )
    slides = {"dataset": place.name, "slide": ["a.tiff"], "cells": cells, "errors": 3}
    file = f"atlas/{place.name}/slides/a.tiff.geojson"
    pd.DataFrame(slides | {"file": file}).to_csv(place / "slides.csv", index=False)
    sheets = [("disagreement", "", "", domain) for domain in domains]
    sheets += [("errors", *name.split(" + "), domain) for name in names for domain in domains]
    lines = []
    for kind, model, head, domain in sheets:
        file = f"sheets/{kind}.{domain}.{model}.{head}.jpg"
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(place / file)
        lines.append((place.name, kind, model, head, domain, "", f"atlas/{place.name}/{file}", 12))
    columns = ["dataset", "kind", "model", "head", "domain", "scanner", "file", "cells"]
    pd.DataFrame(lines, columns=columns).assign(what="invented").to_csv(
        place / "sheets.csv", index=False
    )
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    agreement = pd.DataFrame(pairs, columns=["row", "other"]).assign(kappa=0.4, spearman=0.5)
    agreement.assign(both_right=9, only_row=2, only_other=1, both_wrong=3).to_csv(
        place / "agreement.csv", index=False
    )


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


def _measured(spans: pd.DataFrame) -> pd.DataFrame:
    """Give every row seven metrics, on the largest fraction."""
    top = spans[spans["fraction"] == 1.0].rename(columns={"auroc": "value"})
    less = {name: 0.02 * n for n, name in enumerate(TITLES)}
    tables = [
        top.assign(metric=name, **{end: top[end] - by for end in ("value", "low", "high")})
        for name, by in less.items()
    ]
    return pd.concat(tables)


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


def make_page(
    folder: Path, rows: int = 9, datasets: tuple[str, ...] = ("midog2022",), cells: int = 60
) -> Path:
    """Write the tables and the page; return the page."""
    study = study_of(rows, list(datasets))
    write_tables(folder, study)
    write_more(folder, study, cells=cells)
    write_audits(folder, study)
    page = folder / "studies" / study.name / "index.html"
    write_page(page, page_facts(study))
    return page


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=9)
    parser.add_argument("--cells", type=int, default=60)
    given = parser.parse_args()
    print(make_page(given.folder, given.rows, ("midog2022", "ccmct"), given.cells))
