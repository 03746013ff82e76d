import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import ROOT

from cryotome.core.errors import CryotomeError
from cryotome.core.files import sha256
from cryotome.runtime.job import run_script

LOG = "results/logs/split/d.log"


def job(tmp_path, **changes):
    parts = {"input": {"cells": "a.csv"}, "output": {}, "params": {"scheme": "random"}}
    return SimpleNamespace(
        rule="split",
        threads=2,
        resources={},
        log=[tmp_path / LOG],
        wildcards={"dataset": "d"},
        **(parts | changes),
    )


def call(main, snakemake):
    main.__globals__["snakemake"] = snakemake
    try:
        run_script(main)
    finally:
        del main.__globals__["snakemake"]


def test_a_rule_and_a_script_that_disagree_are_told_both_lists(tmp_path):
    def main(cells: Path, schema: str) -> None:
        raise AssertionError

    with pytest.raises(SystemExit):
        call(main, job(tmp_path))
    said = (tmp_path / LOG).read_text(encoding="utf-8")
    assert "only in the rule: ['scheme'], only in the script: ['schema']" in said


def test_names_are_cast_by_annotation(tmp_path):
    seen = []

    def main(cells: Path, scheme: str, threads: int) -> None:
        seen.extend([cells, scheme, threads])

    call(main, job(tmp_path))
    assert seen == [Path("a.csv"), "random", 2]


def test_a_users_error_is_one_sentence_in_the_log(tmp_path, capsys):
    def main(cells: Path, scheme: str) -> None:
        raise CryotomeError("the way out is here")

    with pytest.raises(SystemExit):
        call(main, job(tmp_path))
    assert (tmp_path / LOG).read_text(
        encoding="utf-8"
    ).strip() == "CryotomeError: the way out is here"


def test_a_script_runs_by_hand(tmp_path):
    (tmp_path / "cells.csv").write_text(
        "id,slide,domain\n0,s,a\n1,s,a\n2,s,a\n3,s,a\n", encoding="utf-8"
    )
    fold = tmp_path / "predictions/d/random/view=v/model=m/head=h/fraction=1.0/fold=0.csv"
    fold.parent.mkdir(parents=True)
    fold.write_text(
        "id,role,label,score\n0,test,0,.1\n1,test,1,.9\n2,test,0,.4\n3,test,1,.4\n",
        encoding="utf-8",
    )
    hashes = {"csv_sha256": fold, "cells_sha256": tmp_path / "cells.csv", "split_sha256": fold}
    about = {name: sha256(path) for name, path in hashes.items()}
    fold.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
    command = [
        sys.executable,
        ROOT / "workflow/scripts/score_row.py",
        "--cells",
        tmp_path / "cells.csv",
    ]
    command += ["--predictions", fold, "--scores", tmp_path / "out.csv", "--scheme", "random"]
    command += ["--scanners", "{}"]
    subprocess.run(command, check=True, env={"PYTHONPATH": str(ROOT / "workflow")})
    assert (tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()[
        1
    ] == "1.0,0,all,all,2,2,auroc,0.875"


@pytest.mark.parametrize("error", [CryotomeError, RuntimeError])
def test_a_token_in_an_error_reaches_neither_log_nor_record_nor_terminal(
    tmp_path, monkeypatch, capsys, error
):
    monkeypatch.setenv("HF_TOKEN", "hf_SECRETsecret17")

    def main(cells: str, scheme: str) -> None:
        print("asking with hf_SECRETsecret17", file=sys.stderr)
        raise error("the server said: Authorization: Bearer hf_SECRETsecret17")

    with pytest.raises((SystemExit, RuntimeError)):
        call(main, job(tmp_path))
    written = "".join(
        path.read_text(encoding="utf-8") for path in tmp_path.rglob("*") if path.is_file()
    )
    assert "the server said" in written
    assert "SECRET" not in written + "".join(capsys.readouterr())


UNFORESEEN = """
from pathlib import Path
from types import SimpleNamespace
from cryotome.runtime.job import run_script

def main() -> None:
    try:
        raise ValueError("https://host/x?sig=SECRETsecret17")
    except ValueError as error:
        raise RuntimeError("Authorization: Basic SECRETsecret17") from error

none = {"input": {}, "output": {}, "params": {}, "wildcards": {}, "resources": {}}
snakemake = SimpleNamespace(rule="split", threads=1, log=["results/logs/split/d.log"], **none)
run_script(main)
"""


def test_an_unforeseen_error_shows_its_traceback_without_secrets_on_the_terminal_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", UNFORESEEN],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "workflow")},
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 1
    for said in (done.stderr, (tmp_path / LOG).read_text(encoding="utf-8")):
        assert "RuntimeError: Authorization: Basic ***" in said
        assert "ValueError: https://host/x?sig=***" in said
        assert "SECRET" not in said


def test_the_log_of_a_failed_attempt_is_kept_until_one_succeeds(tmp_path):
    said = ["first", "second", "third"]

    def main(cells: Path, scheme: str) -> None:
        print(said[0], file=sys.stderr)
        if said.pop(0) != "third":
            raise CryotomeError("no")

    for _ in range(2):
        with pytest.raises(SystemExit):
            call(main, job(tmp_path))
        log = (tmp_path / LOG).read_text(encoding="utf-8")
        (tmp_path / LOG).unlink()  # as Snakemake does before a retry
    assert log.index("first") < log.index("-- another attempt --") < log.index("second")
    call(main, job(tmp_path))
    assert (tmp_path / LOG).read_text(encoding="utf-8").endswith("-- another attempt --\nthird\n")
    assert [path.name for path in (tmp_path / LOG).parent.iterdir()] == ["d.log"]
    said.append("third")
    call(main, job(tmp_path))
    assert (tmp_path / LOG).read_text(encoding="utf-8") == "third\n"
