import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cryotome.core.errors import StoreError
from cryotome.learners.kept_file import patch_geometry, read_kept, same_run, write_kept

PLACE = "models/d/slide_grouped/view=v/model=m/head=h/fraction=1.0/fold=3.safetensors"
ARRAYS = {
    "weights": np.arange(6.0).reshape(3, 2),
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "bias": np.array(0.5),
    "id": np.array([7, 2**40]),
}


@pytest.fixture
def path(tmp_path) -> Path:
    write_kept(tmp_path / PLACE, ARRAYS, "linear", {"classes": ["a", "ä"], "head_card": {"x": 1}})
    return tmp_path / PLACE


def test_arrays_and_record_come_back_as_they_were(path):
    arrays, about = read_kept(path)
    assert arrays.keys() == ARRAYS.keys()
    for name, value in ARRAYS.items():
        assert (arrays[name].dtype, arrays[name].shape) == (value.dtype, value.shape)
        assert (arrays[name] == value).all()
    assert about["classes"] == ["a", "ä"]
    assert (about["dataset"], about["scheme"], about["model"]) == ("d", "slide_grouped", "m")
    assert (about["head"], about["fraction"], about["fold"]) == ("h", "1.0", 3)
    assert {"numpy", "torch"} < about["versions"].keys()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_file_has_the_same_bytes_wherever_and_whenever_it_is_written(path, tmp_path):
    again = tmp_path / "elsewhere" / PLACE
    write_kept(again, ARRAYS, "linear", {"head_card": {"x": 1}, "classes": ["a", "ä"]})
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("place", [0.5, 0.99])
def test_a_changed_byte_is_refused_by_name(path, place):
    """In the record, and in the numbers, of which safetensors keeps no checksum."""
    content = bytearray(path.read_bytes())
    at = content.index(b"slide_grouped") if place == 0.5 else int(place * len(content))
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"fold=3.safetensors is damaged: .*Delete it and rerun"):
        read_kept(path)


def test_truncated_and_foreign_files_are_refused_by_name(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"fold=3.safetensors holds no model of this workflow"):
        read_kept(path)
    save_file(ARRAYS | {"turned": np.zeros(1)}, path)
    with pytest.raises(StoreError, match=r"fold=3.safetensors holds no model of this workflow"):
        read_kept(path)
    record = {"record": {"format": "cryotome model", "version": 99}, "sha256": ""}
    save_file({"x": np.zeros(1)}, path, metadata={"cryotome": json.dumps(record)})
    with pytest.raises(StoreError, match="'cryotome model', version 99, not 'cryotome model'"):
        read_kept(path)
    path.unlink()
    with pytest.raises(FileNotFoundError, match="No such kept model.*fold=3"):
        read_kept(path)


def test_a_fold_of_predictions_has_one_model_or_none():
    kept = [
        Path("models", *Path(PLACE).parts[1:]).with_name(f"fold={n}.safetensors") for n in (2, 3)
    ]
    predictions = Path("predictions", *Path(PLACE).parts[1:]).with_suffix(".csv")
    assert same_run(predictions, kept) == [kept[1]]
    assert same_run(predictions, kept[:1]) == []
    assert same_run(Path("no path of results.csv"), []) == []


def test_the_geometry_takes_what_was_measured_before_what_a_card_says():
    patch = {"side": 64, "resolution": "native", "border": "black"}
    same = patch | {"channels": "RGB"}
    assert patch_geometry(patch, 0.25, {"mpp": "[0.2, 0.3]"}) == same | {"mpp": [0.2, 0.3]}
    assert patch_geometry(patch, 0.25, {}) == same | {"mpp": [0.25, 0.25]}
    for unknown in (None, "roi_2mm2"):
        assert patch_geometry(patch, unknown, {})["mpp"] is None
    assert patch_geometry(patch | {"resolution": 0.5}, 0.25, {})["mpp"] == [0.5, 0.5]
