"""The bundle of a finished study, to hand on: `python -m cryotome.cli.bundle demo`.

It holds tables, figures, page, config and cards, lock file, splits, predictions and what stands
beside them, described by RO-Crate metadata; no weights, no patches, no images of slides.
"""

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryotome.core.errors import CryotomeError
from cryotome.evaluation.history import FILE, is_same, key_of, latest, present_state, read_history
from cryotome.report.bundle import save_metadata, save_versions, write_zip
from cryotome.report.page.page import compose
from cryotome.report.page.results import StudyResults
from cryotome.runtime.interpreter import run_program
from cryotome.runtime.source import CLONE, commit
from cryotome.study.facts import PageFacts
from cryotome.study.gather_facts import page_facts
from cryotome.study.load import CONFIG, config_file, load_study
from cryotome.study.recomputed import TEXT, table_rules, tables_of
from cryotome.study.site import PLAN, RESULTS
from cryotome.study.study import Study

KEPT = TEXT | {".json", ".jsonl", ".yaml"}  # endings of inputs that are text
NOTED = {"predictions", "external", "splits"}  # folders of tables with a JSON beside
ATLAS = ["cells.csv", "agreement.csv", "sheets.csv"]  # of the error atlas, without pictures
README = """# Study {study}

`results/index.html` shows what was found. `ro-crate-metadata.json` lists each file with its hash.

In a clone of cryotome{at}, this recomputes every table from the predictions:

    make verify BUNDLE=…

The error atlas has no pictures here: a bundle holds no image of tissue and no weights.
"""


def snakemake(*arguments: str, config: str, rules: Iterable[str]) -> list[str]:
    """Return a command that takes what no rule of `rules` makes as given."""
    command = [sys.executable, "-m", "snakemake", "--nocolor", "--nolock", *arguments]
    command += ["--configfile", config, "--config", "device=cpu"]
    return [*command, "--allowed-rules", *rules, "--"]


def inputs_of_tables(study: Study, config: Path) -> set[Path]:
    """Return the text files from which the study's tables are made, and cards' tables.

    Raises
    ------
    CryotomeError
        Some are missing: the study is not finished.
    """
    targets = [f"{RESULTS}/studies/{study.name}/{name}" for name in tables_of(study)]
    flags = "-n", "--forceall"
    command = snakemake(*flags, config=str(config), rules=table_rules()) + targets
    env = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}
    env |= {PLAN: "1"}  # images need not be there
    done = subprocess.run(command, env=env, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise CryotomeError(
            f"Study {study.name!r} is not finished, so it cannot be handed on: run it to its end "
            f"first. Snakemake said:\n{(done.stdout + done.stderr)[-2000:]}"
        )
    lines = re.findall(r"^    (input|output): (.*)$", done.stdout + done.stderr, re.M)
    named = {kind: {p for k, line in lines if k == kind for p in line.split(", ")}
             for kind in ("input", "output")}  # fmt: skip
    paths = map(Path, named["input"] - named["output"])
    return {path for path in paths if path.suffix in KEPT and "workflow" not in path.parts}


def files_of(study: Study, config: Path) -> set[Path]:
    """Return all files of a bundle but those that it is described by, from the working folder.

    Raises
    ------
    CryotomeError
        Some are missing: the study is not finished.
    """
    below = RESULTS / "studies" / study.name
    found = inputs_of_tables(study, config) | {config, *study.card_files()}
    tables = [path for path in found if path.parts[:1] == RESULTS.parts]
    found |= {p.with_suffix(".json") for p in tables if NOTED & set(p.parts)} | set(_beside(tables))
    found |= {RESULTS / "audits" / f"{study.split_source(d)}.csv" for d in study.datasets}
    atlases = [below / "atlas" / dataset for dataset in study.datasets]
    found |= {atlas / name for atlas in atlases for name in ATLAS if atlas.exists()}
    found |= {below / name for name in study.products}
    if missing := sorted(str(path) for path in found if not path.exists()):
        raise CryotomeError(
            f"Study {study.name!r} is not finished: {', '.join(missing[:3])} and "
            f"{max(0, len(missing) - 3)} more are missing. Run it to its end first."
        )
    return found


def _beside(tables: Iterable[Path]) -> Iterator[Path]:
    """Yield the splits of predictions, with their notes and the audit of their leakage."""
    runs = [path.parts for path in tables if path.parts[1] == "predictions"]
    for parts in runs:
        split = RESULTS.joinpath("splits", *parts[2:4], *parts[-2:])
        yield from (split, split.with_suffix(".json"))
        if (leaks := split.with_suffix(".leakage.csv")).exists():
            yield leaks


def _write_history(stage: Path, facts: PageFacts) -> None:
    """Write the present line of each row, as recorded where it is, for `make compare`."""
    known = latest(read_history(RESULTS))
    now = {key_of(line): line for line in present_state(RESULTS, facts)}
    lines = [known[key] if is_same(line, known.get(key)) else line for key, line in now.items()]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (stage / RESULTS / FILE).write_text(text, encoding="utf-8")


def _write_page(stage: Path, facts: PageFacts, made: str) -> None:
    """Write the page anew from what the bundle holds, so that it has no picture of tissue."""
    with contextlib.chdir(stage):
        page = RESULTS / "studies" / facts.study / "index.html"
        text = compose(StudyResults(page.parent, facts, made))
        page.write_text(text, encoding="utf-8")
        short = text.replace('="../../', '="')
        (RESULTS / "index.html").write_text(short, encoding="utf-8")


def stage_files(files: Iterable[Path], folder: Path, config: Path) -> None:
    """Link files into a folder at the places that they have in a clone."""
    for path in files:
        inside = path.relative_to(config) if path.is_relative_to(config) else None
        target = folder / (Path("config") / inside if inside else path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path.absolute())


def main(name: str, to: Path | None = None, folder: Path = CONFIG) -> Path:
    """Write the bundle of the study in `config/{name}.yaml`, and return its path."""
    study, _ = load_study(name, folder)
    facts, config = page_facts(study), config_file(name, folder)
    files, archive = files_of(study, config), to or Path(f"{study.name}.zip")
    tables = (RESULTS / "studies" / study.name / name for name in tables_of(study))
    done = datetime.fromtimestamp(max(path.stat().st_mtime for path in tables), UTC)
    with tempfile.TemporaryDirectory() as place:
        stage = Path(place)
        stage_files(files, stage, folder)
        (stage / "requirements.txt").symlink_to(CLONE / "requirements.txt")
        inner = Path("config") / config.relative_to(folder)
        save_versions(stage, study=study.name, config=inner.as_posix())
        _write_history(stage, facts)
        _write_page(stage, facts, f"{done:%Y-%m-%d %H:%M UTC}")
        at = f", commit {commit()}" if commit() else ""
        (stage / "README.md").write_text(README.format(study=study.name, at=at), encoding="utf-8")
        save_metadata(stage, facts, done.isoformat(timespec="seconds"))
        write_zip(stage, archive)
    size = archive.stat().st_size / 1e6
    print(f"{archive}: study {study.name}, {len(files) + 6} files, {size:.1f} MB, no weights, "
          f"no images. `make verify BUNDLE={archive}` recomputes its tables.")  # fmt: skip
    return archive


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--to", type=Path, help="the archive; {study}.zip by default")
    given = parser.parse_args()
    run_program(lambda: main(given.study, given.to))
