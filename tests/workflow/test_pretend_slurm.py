"""Names passed to Slurm: what `sbatch` gets, recorded by a program of that name."""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from accidents import checkout
from conftest import ROOT
from small_study import snakemake
from tests.workflow.test_two_cohorts import STUDY, card

from cryotome.core.errors import DataError
from cryotome.data.cohorts import read_slide_table
from cryotome.data.names import WILDCARD
from cryotome.data.slides.slide_folder import find_slides

pytestmark = pytest.mark.study

GOOD = ["a b (2)", "TCGA-3L-AA1B.01+x=1", "Ära_7"]
HARMFUL = ["a$(touch PWNED)", "a`touch PWNED`", "a;touch PWNED", 'a"; touch PWNED; "', "a'b", "a&b",
           "a|b", "a>b", "a\\b", "a$HOME", "a*", "a{b}", "a,b=c", "a\nb", "-n", "=1+1", "a#b", "a:b",
           "~a!b"]  # fmt: skip
PROGRAMS = {
    # runs what a node would run, and records its arguments
    "sbatch": """
import json, os, subprocess, sys
kept = os.environ["KEPT"]
number = str(len(os.listdir(kept)) + 1)
script = next((a[7:] for a in sys.argv if a.startswith("--wrap=")), None) or sys.stdin.read()
with open(os.path.join(kept, number), "w", encoding="utf-8") as file:
    json.dump(sys.argv[1:] + [script], file)
subprocess.run(["sh", "-c", script], stdin=subprocess.DEVNULL,
               stdout=open(os.path.join(kept, "..", "said." + number), "w", encoding="utf-8"), stderr=subprocess.STDOUT)
print(number)
""",
    "srun": """
import os, sys
words = sys.argv[1:]
while words[0].startswith("-"):
    words.pop(0)
os.execvp(words[0], words)
""",
    "squeue": """
import os
for number in os.listdir(os.environ["KEPT"]):
    print(number + "|COMPLETED")
""",
    "sacct": "raise SystemExit('Slurm accounting storage is disabled')",
    "sacctmgr": "raise SystemExit('no accounting')",
    "scontrol": "print('MinJobAge = 300 sec')",
    "sinfo": "",
    "scancel": "",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone, a cohort whose slides a table names, and a Slurm that runs jobs at once."""
    root = tmp_path_factory.mktemp("slurm place")  # a blank in every path
    folder, programs = checkout(root / "c"), root / "programs"
    (root / "data" / "ca" / "slides").mkdir(parents=True)
    (root / "kept").mkdir()
    programs.mkdir()
    for name, text in PROGRAMS.items():
        (programs / name).write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
        (programs / name).chmod(0o755)
    mine = card("ca", images="ca/slides", tiles={"classify": {"mpp": 2.0, "side": 64,
                "min_tissue_fraction": 0.5}})  # fmt: skip
    del mine["bags"]
    (folder / "config" / "datasets" / "ca.yaml").write_text(yaml.dump(mine), encoding="utf-8")
    study = STUDY | {"colorectal": STUDY["colorectal"] | {
        "slides": STUDY["colorectal"]["slides"] | {"external": None}}}  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.dump(study), encoding="utf-8")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "KEPT": str(root / "kept"),
                   "CRYOTOME_DATA_ROOT": str(root / "data")}  # fmt: skip
    return folder, environment, root / "data" / "ca"


def tables(home, slides, patients=None):
    patients = patients or [f"P{number}" for number in range(len(slides))]
    pd.DataFrame({"FILENAME": slides, "PATIENT": patients}).to_csv(home / "slides.csv", index=False)
    labels = ["MSIH", "nonMSIH"] * len(slides)
    pd.DataFrame({"PATIENT": patients, "TARGET": labels[: len(patients)]}).to_csv(
        home / "labels.csv", index=False
    )


def submit(place, *goal, check=True):
    folder, environment, _ = place
    return snakemake(
        folder, "--profile", "slurm", "--configfile", "mine.yaml", "--retries", "0",
        "--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1",
        "--latency-wait", "5", "--", *goal, check=check, **environment,
    )  # fmt: skip


def traces(place):
    return [path for path in place[0].parent.rglob("*") if "PWNED" in path.name]


def test_good_names_reach_the_jobs_of_slurm_as_they_are(place):
    """Blanks, parentheses, `+`, `=` and letters beyond ASCII pass two shells unchanged."""
    folder, environment, home = place
    tables(home, GOOD, ["P $(touch PWNED)", "Q`touch PWNED`", "R;touch PWNED"])
    said = submit(place, "results/tiles/ca/classify.csv", "results/cohorts/ca.patients.csv")
    found = pd.read_csv(folder / "results/tiles/ca/classify.csv")
    assert sorted(found["slide"]) == sorted(GOOD)
    assert "R;touch PWNED" in (folder / "results/cohorts/ca.patients.csv").read_text(
        encoding="utf-8"
    )
    kept = [
        json.loads(path.read_text(encoding="utf-8")) for path in Path(environment["KEPT"]).iterdir()
    ]
    assert len(kept) == 3, said  # for the slides together, their list, and the cohort
    words = [word for job in kept for word in shlex.split(job[-1])]
    assert {f"tile_slide:dataset=ca,tiling=classify,slide={name}" for name in GOOD} <= set(words)
    assert not traces(place)


@pytest.mark.parametrize("name", HARMFUL)
def test_no_file_and_no_table_gives_a_slide_a_name_that_shells_read(tmp_path, name):
    (tmp_path / f"{name}.tiff").touch()
    with pytest.raises(DataError, match="cannot be used: it (has the character|begins with)"):
        find_slides(tmp_path)
    pd.DataFrame({"FILENAME": [name], "PATIENT": ["P"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError, match="cannot be used: it (has the character|begins with)"):
        read_slide_table(tmp_path / "t.csv")


@pytest.mark.parametrize("where", ["file", "table"])
@pytest.mark.parametrize("name", ["a$(touch PWNED)", "a`touch PWNED`", 'a"; touch PWNED; "'])
def test_a_slide_with_a_name_that_shells_read_stops_the_plan(place, name, where):
    """Nothing is submitted."""
    _, environment, home = place
    before = len(os.listdir(environment["KEPT"]))
    tables(home, ["plain", name if where == "table" else "other"])
    file = home / "slides" / f"{name}.tiff"
    if where == "file":
        file.touch()
    said = submit(place, "results/tiles/ca/classify.csv", check=False)
    file.unlink(missing_ok=True)
    assert "cannot be used" in said and "Rename it" in said
    assert len(os.listdir(environment["KEPT"])) == before and not traces(place)


@pytest.mark.parametrize("kind", ["study", "models", "datasets", "downloads", "heads", "schemes"])
def test_no_card_and_no_study_has_a_name_that_shells_read(place, kind):
    folder, environment, home = place
    name = "a$(touch PWNED)"
    said = yaml.safe_load((folder / "mine.yaml").read_text(encoding="utf-8"))
    slides = said["colorectal"]["slides"]
    if kind == "study":
        said["study"] = name
    elif kind == "models":
        said["colorectal"]["rows"] = [name]
    elif kind == "datasets":
        slides["cohort"] = name
    elif kind == "heads":
        slides["heads"] = [name]
    elif kind == "schemes":
        slides["scheme"] = name
    goal = f"results/downloads/{name}.csv" if kind == "downloads" else "results/index.html"
    old = {"models": "colour_histogram", "datasets": "ca", "heads": "mean_pool",
           "schemes": "patient_folds", "downloads": "midog21"}  # fmt: skip
    if kind in old:
        cards = folder / "config" / kind
        source = cards / f"{old[kind]}.yaml"
        source = source if source.exists() else next(cards.glob("*.yaml"))
        (cards / f"{name}.yaml").write_bytes(source.read_bytes())
    (folder / "harmful.yaml").write_text(yaml.dump(said), encoding="utf-8")
    tables(home, ["plain", "other"])
    said = snakemake(folder, "--profile", "slurm", "--configfile", "harmful.yaml", "--", goal,
                     check=False, **environment)  # fmt: skip
    if kind in old:
        (cards / f"{name}.yaml").unlink()
    assert re.search(r"cannot be called|does not match|is not one of|MissingRule", said), said
    assert "Submitted" not in said and not traces(place)


def test_the_wall_behind_the_names_lets_nothing_through_that_a_shell_reads():
    """Every wildcard of a rule has a constraint: its own, or one of a few signs."""
    said = (ROOT / "Snakefile").read_text(encoding="utf-8").partition("wildcard_constraints:")[2]
    walls = dict(re.findall(r'^    (\w+)=rf?"(.*)",$', said, re.M)) | {"slide": WILDCARD}
    walls["scheme"] = walls["scheme"].replace("{OF_CELLS}", "")
    for name, wall in walls.items():
        for harmful in set(HARMFUL) - {"-n", "=1+1"}:
            assert not re.fullmatch(wall, harmful), (name, harmful)
    assert set(walls) >= {"study", "view", "head", "dataset", "record", "scheme", "model",
                          "finetune", "fraction", "fold", "tiling", "slide"}  # fmt: skip
