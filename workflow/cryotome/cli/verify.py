"""Verification of a bundle: its tables, recomputed from its predictions in a temporary folder.

    python -m cryotome.cli.verify amibr.zip

The rules of the workflow do it, with the config and the cards of the bundle; what needs networks
or images is not recomputed, and named.
"""

import argparse
import math
import os
import shutil
import subprocess
import tempfile
from itertools import zip_longest
from pathlib import Path

from cryotome.cli.bundle import snakemake
from cryotome.core.cards import read_yaml
from cryotome.report.bundle import Bundle, unpack
from cryotome.runtime.failures import failures
from cryotome.runtime.interpreter import run_program
from cryotome.runtime.source import CLONE, commit, versions
from cryotome.study.load import study_of
from cryotome.study.products import RULES
from cryotome.study.recomputed import recomputing_rules, tables_of
from cryotome.study.site import RESULTS
from cryotome.study.study import Study

CODE = ["Snakefile", "workflow", "profiles", "envs"]
DEFAULT = "config/config.yaml"  # which the Snakefile reads before that of the study
ROUNDING = 1e-9  # relative; other processors and packages move the last digits
MAX_LISTED = 20  # files that are not as listed
EQUAL, ROUNDED, DIFFERS, MISSING, KEPT = "equal", "rounding", "differs", "missing", "kept"


def foreign_versions(bundle: Bundle) -> list[str]:
    """Return a line for each version that is another one here, the commit first."""
    theirs = {"commit": bundle.about["commit"]} | bundle.about["versions"]
    ours = {"commit": commit()} | versions()
    return [
        f"{name}: {theirs.get(name) or 'unknown'} in the bundle, {ours.get(name) or 'unknown'} here"
        for name in sorted({*theirs, *ours}, key=lambda name: (name != "commit", name))
        if theirs.get(name) != ours.get(name)
    ]


def study_in(bundle: Bundle) -> Study:
    """Return the study of a bundle, of its own config and cards."""
    config = bundle.folder / bundle.about["config"]
    return study_of(read_yaml(config), bundle.folder / "config", (str(config),))[0]


def recompute(bundle: Bundle, tables: list[str], folder: Path, cores: int) -> str:
    """Make tables of a bundle again in a folder, with the code that runs here.

    Parameters
    ----------
    tables
        Their names below results/studies/{study}.

    Returns
    -------
    What Snakemake said.
    """
    for part in CODE:
        copy = shutil.copytree if (CLONE / part).is_dir() else shutil.copy
        copy(CLONE / part, folder / part)
    below = RESULTS / "studies" / bundle.about["study"]
    for name in ("config", str(RESULTS)):
        shutil.copytree(bundle.folder / name, folder / name)
    for name in [name for name, rule in RULES.items() if rule in recomputing_rules()]:
        (folder / below / name).unlink(missing_ok=True)
    if not (folder / DEFAULT).exists():
        shutil.copy(CLONE / DEFAULT, folder / DEFAULT)
    config = bundle.about["config"]
    command = snakemake("--cores", str(cores), config=config, rules=recomputing_rules())
    env = {name: value for name, value in os.environ.items() if name != "SNAKEMAKE_PROFILE"}
    done = subprocess.run(
        [*command, *(str(below / name) for name in tables)],
        cwd=folder, env=env, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def _near(one: str, other: str) -> bool:
    """Whether two cells are equal, as numbers but for rounding."""
    try:
        return one == other or math.isclose(float(one), float(other), rel_tol=ROUNDING)
    except ValueError:
        return False


def compare_tables(given: Path, again: Path) -> tuple[str, str]:
    """Compare a table with the recomputed one: `equal`, `rounding` or `differs`, and where.

    Returns
    -------
    The first line that differs by more than rounding, both of its forms; empty where none does.
    """
    if given.read_bytes() == again.read_bytes():
        return EQUAL, ""
    both = (
        path.read_text(encoding="utf-8", errors="replace").splitlines() for path in (given, again)
    )
    for number, (one, other) in enumerate(zip_longest(*both, fillvalue=""), 1):
        cells = one.split(","), other.split(",")
        if len(cells[0]) != len(cells[1]) or not all(map(_near, *cells)):
            return DIFFERS, f"line {number}\n    bundle:     {one}\n    recomputed: {other}"
    return ROUNDED, ""


def check_tables(bundle: Bundle, study: Study, again: Path, output: str) -> dict[str, tuple]:
    """Return what became of each table of a study: its state, and where or why."""
    below, found = RESULTS / "studies" / study.name, {}
    failed = {failure.rule: failure.why for failure in failures(again / RESULTS / "logs")}
    for name, why in tables_of(study).items():
        given, made = bundle.folder / below / name, again / below / name
        if not given.exists():
            found[name] = MISSING, "it is not in the bundle"
        elif why:
            found[name] = KEPT, why
        elif not made.exists():
            reasons = failed.get(RULES[name]) or "; ".join(failed.values()) or output[-1500:]
            found[name] = MISSING, f"it cannot be recomputed: {reasons}"
        else:
            found[name] = compare_tables(given, made)
    return found


def report(bundle: Bundle, found: dict[str, tuple], foreign: list[str]) -> list[str]:
    """Return the lines that say whether a bundle holds together, and the way out."""
    lines = bundle.problems[:MAX_LISTED]
    more = len(bundle.problems) - len(lines)
    lines += [f"… and {more} more files are not as listed."] * (more > 0)
    lines += [f"other version here, {line}" for line in foreign]
    lines += [f"{state:<9}{name}{f': {why}' * bool(why)}" for name, (state, why) in found.items()]
    states = [state for state, _ in found.values()]
    kept, same = states.count(KEPT), states.count(EQUAL) + states.count(ROUNDED)
    again = len(states) - kept
    if holds(bundle, found):
        said = f"All {again} recomputed tables are equal to those of the bundle"
        return [*lines, f"{said}; {kept} are kept as they are."]
    way = f" Or check out commit {bundle.about['commit']} and verify again." * bool(foreign)
    said = f"{same} of {again} recomputed tables are equal, {len(bundle.problems)} files are not as"
    return [*lines, f"{said} listed: what is named was changed. Ask for a new bundle.{way}"]


def holds(bundle: Bundle, found: dict[str, tuple]) -> bool:
    """Whether all files are as listed, and all recomputed tables equal."""
    return not bundle.problems and not {state for state, _ in found.values()} & {DIFFERS, MISSING}


def main(archive: Path, cores: int) -> bool:
    """Verify a bundle, print what was found, and return whether it holds together."""
    with tempfile.TemporaryDirectory() as place:
        bundle = unpack(archive, Path(place) / "bundle")
        about = bundle.about
        print(f"{archive}: study {about['study']}, commit {about['commit'] or 'unknown'}. "
              "Recomputing its tables from its predictions …", flush=True)  # fmt: skip
        study, again = study_in(bundle), Path(place) / "again"
        again.mkdir()
        tables = [name for name, why in tables_of(study).items() if not why]
        output = recompute(bundle, tables, again, cores)
        found = check_tables(bundle, study, again, output)
        print("\n".join(report(bundle, found, foreign_versions(bundle))))
        return holds(bundle, found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path)
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    run_program(lambda: main(given.archive, given.cores))
