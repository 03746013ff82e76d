"""Models of a user's own: code of the guide, and embeddings that are exported and brought back."""

import re
from pathlib import Path

import h5py
import pytest
import yaml
from accidents import checkout
from conftest import ROOT
from small_study import changed, plan, snakemake

from cryotome.cli.export import export
from cryotome.core.files import sha256

GUIDE = ROOT / "docs" / "guides" / "add-a-model.md"
STORES = "results/embeddings/demo_rois/paper-fp32"
HEADS = ["ridge", "knn"]
BROUGHT = {
    "title": "Brought back", "source": "exported by a test", "licence": "none needed",
    "weights": "none", "loader": "embeddings", "embeddings": "brought/{dataset}.npy", "dim": 32,
}  # fmt: skip

pytestmark = pytest.mark.study


def files_of_guide() -> dict[str, str]:
    """Return the files that the guide shows whole: the first line of each says where it belongs."""
    text = GUIDE.read_text(encoding="utf-8")
    return dict(re.findall(r"```\w+\n# (config/\S+)\n(.*?)```", text, re.S))


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A clone with the files of the guide, in which its study has been embedded and scored."""
    folder = checkout(tmp_path_factory.mktemp("own"))
    for name, text in files_of_guide().items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def ask(clone: Path, rows: list[tuple[str, str]]) -> list[str]:
    """Write a study of one scheme and two folds, and return the command for its predictions."""
    study = {
        "study": "own", "datasets": ["demo_rois"], "schemes": ["random"], "folds": 2,
        "fractions": [1.0], "rows": [{"model": model, "head": head} for model, head in rows],
    }  # fmt: skip
    (clone / "config/studies/own.yaml").write_text(yaml.dump(study), encoding="utf-8")
    wanted = [str(path) for row in rows for path in predictions(*row)]
    return ["--configfile", "config/studies/own.yaml", "--cores", "2", "--", *wanted]


def predictions(model: str, head: str) -> list[Path]:
    place = "results/predictions/demo_rois/random/view=paper-fp32"
    return [
        Path(f"{place}/model={model}/head={head}/fraction=1.0/fold={fold}.csv") for fold in (0, 1)
    ]


def test_the_guides_own_code_makes_embeddings_from_an_empty_folder(clone):
    names = files_of_guide()
    assert list(names) == [
        "config/encoders/small_net.py",
        "config/models/small_net_random.yaml",
        "config/studies/small_net.yaml",
    ]
    asked = ["--configfile", "config/studies/small_net.yaml", "--cores", "2"]
    snakemake(clone, *asked, "--", f"{STORES}/small_net_random.h5")
    with h5py.File(clone / STORES / "small_net_random.h5") as file:
        assert file["embedding"].shape[1] == 32
        assert file["embedding"][:].std(axis=0).min() > 0
        digest = sha256(clone / "config/encoders/small_net.py")
        assert f'"module_sha256": "{digest}"' in file.attrs["card"].decode()
        assert file.attrs["weights_sha256"].decode().endswith(f", code {digest}")


def test_an_edit_of_the_code_reruns_that_models_embeddings_and_no_others(clone):
    rows = [("colour_histogram", "ridge"), ("small_net_random", "ridge")]
    snakemake(clone, *ask(clone, rows))
    assert plan(clone, *ask(clone, rows)) == {}
    code = clone / "config/encoders/small_net.py"
    code.touch()
    assert plan(clone, *ask(clone, rows)) == {}
    before = changed(code, "nn.ReLU()", "nn.GELU()")
    assert plan(clone, *ask(clone, rows)) == {"embed": 1, "probe": 1}
    code.write_text(before, encoding="utf-8")
    assert plan(clone, *ask(clone, rows)) == {}
    code.rename(code.with_suffix(".away"))
    said = snakemake(clone, "-n", *ask(clone, rows), check=False)
    assert "small_net.py does not exist or is no file, so its network cannot be built" in said
    code.with_suffix(".away").rename(code)


def test_embeddings_that_are_exported_and_brought_back_give_every_prediction_again(clone):
    theirs = [("small_net_random", head) for head in HEADS]
    snakemake(clone, *ask(clone, theirs))
    export(clone / STORES / "small_net_random.h5", clone / "data" / "brought")
    card = clone / "config" / "models" / "brought.yaml"
    card.write_text(yaml.dump(BROUGHT), encoding="utf-8")
    mine = [("brought", head) for head in HEADS]
    assert plan(clone, *ask(clone, theirs + mine)) == {"embed": 1, "probe": 2}
    snakemake(clone, *ask(clone, theirs + mine))
    for one, other in zip(theirs, mine, strict=True):
        for path, same in zip(predictions(*one), predictions(*other), strict=True):
            assert (clone / path).read_bytes() == (clone / same).read_bytes()
    (clone / "data" / "brought" / "demo_rois.ids.npy").unlink()
    said = snakemake(clone, "-n", *ask(clone, mine), check=False)
    assert "demo_rois.ids.npy does not exist or is no file, so brought has no embeddings" in said
