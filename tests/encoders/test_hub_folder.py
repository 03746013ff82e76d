import json

import pytest
import torch
from safetensors.torch import save_file

from cryotome.core.errors import CardError
from cryotome.encoders.hub_folder import read_hub

STATE = {"a.weight": torch.zeros(2, 3), "b": torch.zeros(4)}


def folder(at, page: str = "", **config):
    at.mkdir(parents=True, exist_ok=True)
    (at / "config.json").write_text(json.dumps(config), encoding="utf-8")
    if page:
        (at / "README.md").write_text(page, encoding="utf-8")
    return at


def test_shapes_are_those_of_the_header_and_the_licence_is_the_pages(tmp_path):
    at = folder(tmp_path / "x", "---\ntags: [a]\nlicense: apache-2.0\n---\n# X\n", model_type="vit")
    save_file(STATE, at / "model.safetensors")
    hub = read_hub(str(at))
    assert hub.shapes == {"a.weight": (2, 3), "b": (4,)}
    assert (hub.file, hub.licence, hub.hub, hub.revision) == (
        "model.safetensors",
        "apache-2.0",
        "",
        "",
    )
    assert hub.config == {"model_type": "vit"}


def test_a_file_of_torch_will_do_and_a_named_licence_is_taken(tmp_path):
    at = folder(tmp_path / "x", "---\nlicense: other\nlicense_name: a-licence\n---\n")
    torch.save(STATE, at / "pytorch_model.bin")
    hub = read_hub(str(at))
    assert (hub.shapes["a.weight"], hub.licence) == ((2, 3), "a-licence")


def test_without_weights_the_config_is_enough(tmp_path):
    hub = read_hub(str(folder(tmp_path / "x")))
    assert (hub.file, hub.shapes, hub.licence) == ("", {}, "")


def test_the_hubs_cache_is_read_with_its_revision(tmp_path, monkeypatch):
    revision = "0123456789abcdef" * 2 + "01234567"
    home = tmp_path / "models--owner--name"
    at = folder(home / "snapshots" / revision, model_type="vit")
    save_file(STATE, at / "model.safetensors")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(revision, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    hub = read_hub("owner/name")
    assert (hub.hub, hub.revision, hub.shapes["b"]) == ("owner/name", revision, (4,))


def test_what_cannot_be_fetched_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CardError, match=r"owner/name is not in the hub's cache and did not come"):
        read_hub("owner/name")


@pytest.mark.parametrize("place", ["no such folder", "a/b/c"])
def test_what_is_no_repository_is_named(place):
    with pytest.raises(CardError, match="neither a folder nor `owner/name`"):
        read_hub(place)


def test_a_folder_without_config_a_broken_one_and_broken_weights_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CardError, match=r"empty has no config.json, .*add-a-model"):
        read_hub(str(tmp_path / "empty"))
    at = folder(tmp_path / "x")
    (at / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{")
    with pytest.raises(CardError, match="model.safetensors is broken or cut short"):
        read_hub(str(at))
    for text, said in (("{", "is not JSON"), ("[]", "must hold an object, not a list")):
        (at / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(CardError, match=f"config.json {said}"):
            read_hub(str(at))
