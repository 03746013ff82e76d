import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cryotome.core.errors import WeightsError
from cryotome.encoders.checkpoint_file import read_checkpoint


def test_a_disk_that_fails_does_not_advise_to_delete_the_file(tmp_path):
    """The memory of this process gives EIO at its first byte."""
    (tmp_path / "w.pt").symlink_to("/proc/self/mem")
    with pytest.raises(OSError, match="Input/output error"):
        read_checkpoint(tmp_path / "w.pt", "uni")


@pytest.mark.parametrize("suffix", ["bin", "pth", "safetensors"])
@pytest.mark.parametrize("save", [save_file, torch.save])
def test_a_checkpoint_is_read_whatever_its_suffix(tmp_path, suffix, save):
    save({"a": torch.ones(3)}, tmp_path / f"w.{suffix}")
    assert read_checkpoint(tmp_path / f"w.{suffix}", "uni")["a"].tolist() == [1, 1, 1]


def zipped(name: str) -> bytes:
    with zipfile.ZipFile(content := io.BytesIO(), "w") as archive:
        archive.writestr(name, "")
    return content.getvalue()


@pytest.mark.parametrize("suffix", ["bin", "safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git-LFS pointer; `git lfs",
        ),
        (
            b"\n<!DOCTYPE html><html>Sign in",
            "a page of HTML or XML in place of the file, '<!doctype",
        ),
        (b'{"error": "Access denied"}', "JSON in place of the file"),
        (b"\xef\xbb\xbf{}", "JSON in place of the file"),
        (b"", "an empty file"),
        (b"\x93NUMPY\x01\x00", "a NumPy array"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "packed with gzip: unpack it"),
        (b"\x08\x07\x12\x07pytorch", "an ONNX network"),
        (b"Entry not found", "text: 'entry not found'"),
        (zipped("arr_0.npy"), "NumPy arrays"),
        (zipped("w/readme.txt"), "a zip archive"),
    ],
)
def test_what_is_no_checkpoint_is_named(tmp_path, suffix, content, said):
    (tmp_path / f"w.{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match=re.escape(f"no checkpoint (it is {said}")):
        read_checkpoint(tmp_path / f"w.{suffix}", "uni")


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_that_would_run_code_is_called_that(tmp_path, legacy, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Harmful()}, "w.bin", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match=r"\(posix.system\) .* because they could run code"):
        read_checkpoint(Path("w.bin"), "uni")
    Path("p.bin").write_bytes(pickle.dumps({"a": 1}, protocol=4))
    with pytest.raises(
        WeightsError, match="a Python pickle, which is not loaded because it could run"
    ):
        read_checkpoint(Path("p.bin"), "uni")
    assert not Path("harmed").exists()


def test_a_checkpoint_that_unpacks_to_more_than_it_is_is_not_read(tmp_path):
    """1 MB took 1,690 MB."""
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "plain.pt")
    packed = zipfile.ZipFile(tmp_path / "w.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, packed:
        for entry in plain.namelist():
            packed.writestr(entry, plain.read(entry))
    with pytest.raises(WeightsError, match="it is a packed archive, where torch packs nothing"):
        read_checkpoint(tmp_path / "w.pt", "uni")
