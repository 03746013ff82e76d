import pandas as pd

from cryotome.report.page.answer import headline
from cryotome.report.page.comparisons import differences
from cryotome.report.page.ganz2024_figures import figure1, figure2, ladder
from cryotome.report.page.ganz2024_tables import encoders, learning, published, table2


def test_table_2_lays_measured_interval_published_and_verdict_side_by_side(g):
    (grid,) = table2(g).grids
    first = dict(zip(grid.columns, [cell.text for cell in grid.lines[0]], strict=True))
    table = pd.read_csv(g.folder / "table2.csv").iloc[0]
    assert first["Row"] == "Prov-GigaPath + linear probe"
    assert first["In domain"] == f"{table['in_mean']:.3f} ± 0.040"
    assert first["In domain: published"] == "0.79 ± 0.04"
    assert "to" in first["In domain: 95 % interval"]
    assert first["In domain: verdict"] in ("✓ agrees", "≠ differs")
    cell = grid.lines[0][grid.columns.index("In domain")]
    assert (cell.href, cell.rule) == ("../../studies/invented/table2.csv", "table2")


def test_what_is_missing_of_table_2_says_which_job_and_which_command(g):
    table = pd.read_csv(g.folder / "table2.csv")
    table.loc[0, ["in_mean", "out_mean"]] = None
    table["why"] = ["embed: no token for the hub.", "", "", ""]
    table = table.assign(in_found=[0, 20, 25, 25], in_expected=25, out_found=100, out_expected=100)
    table.to_csv(g.folder / "table2_partial.csv", index=False)
    (g.folder / "table2.csv").unlink()
    section = table2(g)
    assert [gap.file for gap in section.missing] == ["table2.csv"]
    cell = section.grids[0].lines[0][section.grids[0].columns.index("In domain")]
    assert (cell.text, cell.kind) == ("missing", "missing")
    assert cell.why.startswith("embed: no token for the hub. snakemake --configfile")
    assert section.grids[0].source.file == "table2_partial.csv"
    spans = [line[section.grids[0].columns.index("In domain: 95 % interval")].text
             for line in section.grids[0].lines]  # fmt: skip
    assert spans[1] == "20 of 25 values"  # an interval of all would be of another number
    assert " to " in spans[2]


def test_sections_without_their_tables_say_what_makes_them(g):
    for path in g.folder.glob("*.csv"):
        path.unlink()
    for section in (headline, table2, figure1, figure2, differences, learning, encoders, published):
        found = section(g)
        assert not found.grids, section
        assert found.missing, section
        assert all(gap.command for gap in found.missing)
    assert not ladder(g)  # the study has none
