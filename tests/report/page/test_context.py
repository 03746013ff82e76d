import pandas as pd

from cryotome.report.page.context import context

KEYS = {"base_dataset": "midog2022", "head": "linear_probe", "scheme": "from_*", "fraction": 1.0,
        "pooling": "class", "n": 100, "note": None, "synthetic": False}  # fmt: skip


def test_a_line_a_model_over_the_sides_in_and_out_of_domain(g):
    table = pd.DataFrame([
        {"model": "gigapath", "base_model": "gigapath", "side": side, "um": side / 4,
         "where": where, "auroc": 0.7 + side / 1000, "low": 0.6, "high": 0.9, "gap": 0.1,
         "gap_low": 0.0, "gap_high": 0.2, **KEYS}
        for side in (64, 128) for where in ("in", "out")
    ])  # fmt: skip
    table.to_csv(g.folder / "context.csv", index=False)
    section = context(g)
    assert [picture.title for picture in section.pictures] == [
        f"MIDOG 2022, trained on each single domain, 100 %, {where} domain"
        for where in ("in", "out of")
    ]  # fmt: skip
    assert section.pictures[0].spec["layer"][1]["encoding"]["x"]["axis"]["values"] == [64, 128]
    line = [cell.text for cell in section.grids[0].lines[0]]
    assert line[3:8] == ["100 %", "in domain", "64", "16.0", "class"]  # fmt: skip


def test_a_study_that_sweeps_nothing_has_no_such_part(g):
    assert not context(g)
