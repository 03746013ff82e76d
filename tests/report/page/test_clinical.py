import pandas as pd

from cryotome.report.page import clinical
from cryotome.report.page.clinical import pathologist


def test_counts_operating_points_and_calibration_are_laid_out(more):
    section = pathologist(more)
    counts, operating, calibration = section.grids
    table = pd.read_csv(more.folder / "agreement.csv").iloc[0]
    line = dict(zip(counts.columns, [cell.text for cell in counts.lines[0]], strict=True))
    assert line["Bias"] == f"{table['bias']:.2f}"
    assert line["Domain"] == "human breast cancer"
    assert line["Tested"] == "in domain"
    assert "Sensitivity" in operating.columns
    assert "Expected calibration error" in calibration.columns


def test_bland_and_altman_is_drawn_for_rows_of_figure_2_by_tumour_type(more):
    picture = next(p for p in pathologist(more).pictures if p.name == "bland-midog2022")
    params = {p["name"]: p for p in picture.spec["params"]}
    assert len(params["line"]["bind"]["options"]) == len(more.facts.figure2) == 2
    assert params["place"]["value"] == "all"
    assert len(params["place"]["bind"]["options"]) == 6
    counts = pd.read_csv(more.folder / "counts.csv")
    first = counts[counts["model"] + " + " + counts["head"] == more.facts.figure2[0]]
    _, points, limits = picture.spec["datasets"].values()  # the first: the line at zero
    mine = [v for v in points if v["key"] == more.facts.figure2[0]]
    assert sorted(v["gap"] for v in mine) == sorted(first["counted"] - first["annotated"])
    table = pd.read_csv(more.folder / "agreement.csv")
    assert {v["bias"] for v in limits} <= set(table["bias"])  # none of the page's own


def test_of_too_many_regions_a_sample_is_drawn_the_same_of_all_rows(more, monkeypatch):
    path = more.folder / "counts.csv"
    counts = pd.read_csv(path)
    copies = [counts.assign(image=f"{n}." + counts["image"]) for n in range(100)]
    pd.concat(copies).to_csv(path, index=False)
    picture = next(p for p in pathologist(more).pictures if p.name == "bland-midog2022")
    points = pd.DataFrame(list(picture.spec["datasets"].values())[1])
    assert len(points) == 2 * 4000  # more than Altair takes unasked
    assert "at random" not in picture.title
    monkeypatch.setattr(clinical, "DRAWN", 60)
    picture = next(p for p in pathologist(more).pictures if p.name == "bland-midog2022")
    points = pd.DataFrame(list(picture.spec["datasets"].values())[1])
    first, other = (set(part["image"]) for _, part in points.groupby("row"))
    assert first == other and len(points) == len(picture.behind.lines) == 60
    assert picture.title.endswith(", 30 of 4,000 regions at random")


def test_reliability_has_a_figure_in_and_out_of_domain(more):
    names = [p.name for p in pathologist(more).pictures]
    assert names[1:] == ["reliability-midog2022-in", "reliability-midog2022-out"]


def test_what_is_missing_is_said_and_the_rest_is_shown(more):
    (more.folder / "counts.csv").unlink()
    section = pathologist(more)
    assert [gap.file for gap in section.missing] == ["counts.csv"]
    assert section.missing[0].rule == "clinical_summary"
    assert len(section.grids) == 3
    assert not [p for p in section.pictures if p.name.startswith("bland")]
