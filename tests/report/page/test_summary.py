import json

import pandas as pd

from cryotome.report.page.summary import run


def test_the_hardware_is_that_of_the_ledger(more):
    assert run(more).said[-1] == "Computed on a GPU; a processor."


def test_what_was_run_names_datasets_weights_and_failed_jobs(g):
    cells = g.results / "cells" / "midog2022.csv"
    cells.parent.mkdir()
    lines = [(n, f"{n % 2}.tiff", f"{n % 2}.tiff", 1.0, 2.0, "d", n % 2) for n in range(5)]
    columns = ["id", "image", "slide", "x", "y", "domain", "label"]
    pd.DataFrame(lines, columns=columns).to_csv(cells, index=False)
    place = (
        g.results
        / "predictions/midog2022/random/view=v/model=gigapath/head=linear_probe/fraction=1.0"
    )
    place.mkdir(parents=True)
    (place / "fold=0.json").write_text(json.dumps({"weights_sha256": "ab" * 32}), encoding="utf-8")
    datasets, rows = run(g).grids
    counts = dict(zip(datasets.columns, [c.text for c in datasets.lines[0]], strict=True))
    assert (counts["Positive cells"], counts["Negative cells"], counts["Slides"]) == ("2", "3", "2")
    weights = rows.columns.index("Weights (sha256)")
    assert rows.lines[0][weights].text == "ab" * 6
    assert rows.lines[1][weights].text == "missing"
