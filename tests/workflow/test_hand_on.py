"""A finished study as a bundle that is verified, and its history over two runs."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from accidents import checkout
from small_study import SMALL, snakemake

from cryotome.evaluation.history import read_history

pytestmark = pytest.mark.study

CHANGED = "results/studies/small/intervals.csv"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the small study has run."""
    folder = checkout(tmp_path_factory.mktemp("handed"))
    (folder / "config/studies/small.yaml").write_text(yaml.dump(SMALL), encoding="utf-8")
    run(folder)
    return folder


def run(folder: Path, *options: str) -> str:
    study = ("--configfile", "config/studies/small.yaml")
    return snakemake(folder, "--cores", "2", *study, *options)


def program(folder: Path, name: str, *words: str) -> subprocess.CompletedProcess:
    """Run `python -m cryotome.cli.{name}` in a clone."""
    env = os.environ | {"PYTHONPATH": "workflow"}
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    command = [sys.executable, "-m", f"cryotome.cli.{name}", *words]
    return subprocess.run(
        command, cwd=folder, env=env | {"PATH": path}, check=False, capture_output=True,
        encoding="utf-8",
    )  # fmt: skip


def test_a_bundle_holds_no_image_of_tissue_and_its_tables_are_recomputed(done):
    said = program(done, "bundle", "small")
    assert said.returncode == 0, said.stderr
    with zipfile.ZipFile(done / "small.zip") as packed:
        names = packed.namelist()
        page = packed.read("results/index.html").decode()
    assert "data:image/jpeg" not in page and "data:image/png" not in page
    assert not [name for name in names if name.endswith((".h5", ".safetensors", ".tiff", ".jpg"))]
    found = program(done, "verify", "small.zip", "--cores", "2")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "equal    intervals.csv" in found.stdout
    assert "recomputed tables are equal to those of the bundle" in found.stdout


def test_a_planted_change_of_a_prediction_and_of_a_table_is_found(done, tmp_path):
    program(done, "bundle", "small", "--to", "whole.zip")
    with (
        zipfile.ZipFile(done / "whole.zip") as given,
        zipfile.ZipFile(tmp_path / "planted.zip", "w") as new,
    ):
        for info in given.infolist():
            content = given.read(info)
            if info.filename == CHANGED:
                content = content.replace(b",0.", b",1.", 1)
            new.writestr(info, content)
    found = program(done, "verify", str(tmp_path / "planted.zip"), "--cores", "2")
    assert found.returncode != 0
    assert f"{CHANGED} was altered" in found.stdout
    assert "differs  intervals.csv: line 2" in found.stdout
    assert "what is named was changed. Ask for a new bundle." in found.stdout


def test_a_rerun_adds_nothing_to_the_history_and_a_change_is_compared(done):
    lines = read_history(done / "results")
    assert {line["row"] for line in lines} == {
        f"colour_histogram + {head}" for head in ("linear_probe", "ridge", "knn")
    }
    assert "Nothing to be done" in run(done)
    assert "The page:" in run(done, "--forcerun", "html_report")
    assert len(read_history(done / "results")) == len(lines)
    same = program(done, "compare", "results", "results")
    assert "Nothing changed" in same.stdout, same.stderr


def test_an_unfinished_study_is_not_bundled(done):
    (done / "results/studies/small/table1.csv").rename(done / "table1.csv")
    said = program(done, "bundle", "small")
    (done / "table1.csv").rename(done / "results/studies/small/table1.csv")
    assert said.returncode != 0
    assert "is not finished" in said.stderr + said.stdout and "table1.csv" in said.stderr
