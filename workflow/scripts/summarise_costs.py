"""Add up what the jobs of a study took, job by job and row by row, and draw AUROC against it."""

from pathlib import Path

from cryotome.core.charts import save_chart
from cryotome.core.tables import read_csv, save_csv
from cryotome.report.figures.costs import draw_costs
from cryotome.report.tables.costs import JOBS, costs, read_jobs, with_auroc
from cryotome.runtime.job import run_script
from cryotome.study.facts import JobFacts, RowFacts


def main(
    table2: list[Path], intervals: list[Path], jobs: Path, rows_csv: Path, pdf: Path, png: Path,
    ledger: Path, jobs_of_study: JobFacts, facts: RowFacts,
) -> None:  # fmt: skip
    took = read_jobs(ledger, jobs_of_study.wildcards)
    table = costs(took, jobs_of_study)
    if intervals:
        crossed = read_csv(table2[0]) if table2 else None
        table = with_auroc(table, crossed, read_csv(intervals[0]))
    else:  # a study without rows has no AUROC of cells
        table = table.reindex(columns=[*table, "in_mean", "out_mean"])
    invented = jobs_of_study.synthetic
    took["synthetic"] = took["dataset"].isin(invented) | (took["dataset"].isna() & bool(invented))
    table["synthetic"] = table["dataset"].isin(invented)
    for path, result in ((jobs, took[[*JOBS, "synthetic"]]), (rows_csv, table)):
        result = result.copy()
        result.insert(0, "study", facts.study)
        save_csv(result, path)
    save_chart(draw_costs(table, facts), pdf, png)


if __name__ == "__main__":
    run_script(main)
