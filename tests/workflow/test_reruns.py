"""Jobs that a change reruns, in a finished study with one training.

The table in docs/reference/output-files.md describes the same, and names these tests.
"""

import os
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch
import yaml
from accidents import checkout
from conftest import CONFIG, ROOT
from small_study import SMALL, changed, jobs, plan, snakemake

from cryotome.core.cards import load_card
from cryotome.encoders.network import build_network
from cryotome.learners.kept import load_kept

pytestmark = pytest.mark.study

STUDY = SMALL | {
    "datasets": ["demo_slides", "demo_rois"],
    "rows": [{"model": "filed", "head": head} for head in ("ridge", "tiny")],
    "fractions": [1.0],
    "folds": 1,
    "reference": {"model": "filed", "head": "ridge"},
    "figure2": [{"model": "filed", "head": "ridge"}],
}
ASK = ["--configfile", "study.yaml", "--"]
WEIGHTS = Path("weights/files.example/w.pt")


def scores(dataset: str, model: str, head: str) -> str:
    view = "patches" if head == "tiny" else "paper-fp32"
    return f"results/scores/{dataset}/random/view={view}/model={model}/head={head}.csv"


# a training and a probe of one model on slides, a probe of another on regions
EVERY = [
    scores("demo_slides", "filed", "ridge"),
    scores("demo_slides", "filed", "tiny"),
    scores("demo_rois", "colour_histogram", "ridge"),
]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which all targets have been made."""
    folder = checkout(tmp_path_factory.mktemp("done"))
    (folder / "study.yaml").write_text(yaml.dump(STUDY), encoding="utf-8")
    (folder / "config/heads/tiny.yaml").write_text(
        "extends: endtoend_short\ntitle: tiny\nsteps: 2\nevaluate_every: 1\nbatch: 4\n",
        encoding="utf-8",
    )
    (folder / "config/models/filed.yaml").write_text(
        "extends: resnet10t_narrow_random\ntitle: from a file\n"
        "weights: {url: 'https://files.example/w.pt', file: w.pt}\n",
        encoding="utf-8",
    )
    torch.manual_seed(0)
    network = build_network(load_card(CONFIG, "models", "resnet10t_narrow_random"))
    (folder / WEIGHTS).parent.mkdir(parents=True)
    torch.save(network.state_dict(), folder / WEIGHTS)
    snakemake(folder, "--cores", "2", *ASK, *EVERY)
    return folder


def planned(folder: Path, *targets: str, **changes: object) -> dict[str, int]:
    (folder / "study.yaml").write_text(yaml.dump(STUDY | changes), encoding="utf-8")
    return plan(folder, *ASK, *EVERY, *targets)


@pytest.fixture(autouse=True)
def _taken_back(done):
    """Restore the study after every test, so that again nothing is planned."""
    kept = [
        *(done / "config").rglob("*.yaml"),
        *(done / "workflow").rglob("*.py"),
        done / "results/demo/slides/annotations.sqlite",
        done / WEIGHTS,
    ]
    before = {path: (path.read_bytes(), path.stat()) for path in kept}
    yield
    for path, (content, about) in before.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def test_nothing_changed(done):
    assert planned(done) == {}


def test_a_model_is_added(done):
    rows = [*STUDY["rows"], {"model": "colour_histogram", "head": "ridge"}]
    mine = scores("demo_slides", "colour_histogram", "ridge")
    assert planned(done, mine, rows=rows) == {"embed": 1, "probe": 1, "score_row": 1}


def test_a_fold_is_added(done):
    """One split of each dataset; the training of the new fold, and not the finished one."""
    assert planned(done, folds=2) == {
        "split_cells": 2,
        "train_endtoend": 1,
        "probe": 2,
        "score_row": 3,
    }


def test_a_fraction_is_added(done):
    found = planned(done, fractions=[0.5, 1.0])
    smaller = "train_endtoend_smaller"  # its network is not kept
    assert found == {"split_cells": 2, smaller: 1, "probe": 2, "score_row": 3}


def test_a_setting_of_a_probe_is_changed(done):
    with open(done / "config/heads/ridge.yaml", "a", encoding="utf-8") as file:
        file.write("target_sd: 2\n")
    assert planned(done) == {"probe": 2, "score_row": 2}


def test_a_setting_of_a_training_is_changed(done):
    changed(done / "config/heads/tiny.yaml", "batch: 4", "batch: 5")
    assert planned(done) == {"train_endtoend": 1, "score_row": 1}


def test_a_title_is_edited(done):
    for path in (done / "config").rglob("*.yaml"):
        path.write_text(
            re.sub("^title: ", "title: The ", path.read_text(encoding="utf-8"), flags=re.M),
            encoding="utf-8",
        )
    assert planned(done) == {}


def test_a_module_is_edited(done):
    """Cheap rules watch their modules; expensive ones wait for a new step version."""
    modules = ("learners/endtoend/train", "encoders/inference", "data/splits/cells")
    for name in (*modules, "runtime/gpu_lease"):
        with open(done / f"workflow/cryotome/{name}.py", "a", encoding="utf-8") as file:
            file.write("# edited\n")
    assert not {"train_endtoend", "embed", "split_cells"} & set(planned(done))
    changed(done / "workflow/cryotome/core/step_versions.py", "ENDTOEND = ", "ENDTOEND = 1")
    assert planned(done)["train_endtoend"] == 1
    with open(done / "workflow/cryotome/learners/probes/linear.py", "a", encoding="utf-8") as file:
        file.write("# edited\n")
    assert planned(done) == {"train_endtoend": 1, "probe": 2, "score_row": 3}


def test_models_are_deleted(done):
    """Nothing but what applies them asks for them; then they are trained and fitted again."""
    (kept,) = done.glob("results/models/demo_slides/random/view=patches/*/head=tiny/*/*")
    mine = kept.relative_to(done).as_posix()
    assert load_kept(kept).about["encoder"]["weights"]["file"] == "w.pt"
    assert planned(done, mine) == {}
    content = kept.read_bytes()
    kept.unlink()
    assert planned(done) == {}
    assert planned(done, mine) == {"train_endtoend": 1, "score_row": 1}
    assert planned(done, keep=False) == {}
    kept.write_bytes(content)


def test_files_are_touched(done):
    """Code, cards, weights, annotations and tables get a new date and keep their content."""
    kinds = {".py", ".smk", ".yaml", ".csv", ".json", ".sqlite", ".pt"}
    for path in sorted(done.rglob("*"), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        if path.suffix in kinds and ".snakemake" not in path.parts:
            os.utime(path)
    assert planned(done) == {}
    low = plan(done, "--max-checksum-file-size", "1000", *ASK, *EVERY)
    assert low["train_endtoend"] == 1  # the reason for the limit in profiles/default


def test_annotations_are_corrected(done):
    """One label of one dataset: everything of that dataset, and nothing of the other."""
    with sqlite3.connect(done / "results/demo/slides/annotations.sqlite") as base:
        base.execute(
            "UPDATE Annotations SET agreedClass = 9 - agreedClass WHERE uid = "
            "(SELECT min(uid) FROM Annotations WHERE agreedClass IN (2, 7))"
        )
    base.close()
    (done / "study.yaml").write_text(yaml.dump(STUDY), encoding="utf-8")
    said = snakemake(done, "-n", *ASK, *EVERY)
    assert jobs(said) == {
        "read_cells": 1, "cut_patches": 1, "audit": 1, "split_cells": 1, "embed": 1, "train_endtoend": 1, "probe": 1, "score_row": 2,
    }  # fmt: skip
    assert "dataset=demo_slides" in said
    assert "dataset=demo_rois" not in said


def test_weights_are_replaced(done):
    network = torch.load(done / WEIGHTS)
    torch.save({name: value + 1 for name, value in network.items()}, done / WEIGHTS)
    assert planned(done) == {"embed": 1, "train_endtoend": 1, "probe": 1, "score_row": 2}


def test_weights_are_moved_or_deleted(done):
    """The model's own folder wins over that of the source; then no file is left at all."""
    (done / "weights/filed").mkdir()
    shutil.move(done / WEIGHTS, done / "weights/filed/w.pt")
    assert planned(done) == {}
    (done / "weights/filed/w.pt").unlink()
    assert planned(done) == {}


def test_the_docs_list_these_tests_and_no_others():
    page = (ROOT / "docs/reference/output-files.md").read_text(encoding="utf-8")
    listed = re.findall(r"test_reruns\.py::(test_\w+)`", page)
    mine = re.findall(r"^def (test_\w+)\(done\)", Path(__file__).read_text(encoding="utf-8"), re.M)
    assert sorted(listed) == sorted(mine)
