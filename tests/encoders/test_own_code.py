from pathlib import Path

import numpy as np
import pytest
import torch
from tests.learners.endtoend.test_kept_network import PLACE
from torch import nn

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError, EncoderError
from cryotome.core.files import sha256
from cryotome.encoders.encoder import build_encoder
from cryotome.encoders.own_code import build_own, locate_code
from cryotome.encoders.profile import profile_encoder
from cryotome.encoders.weights_hash import weights_hash
from cryotome.learners.endtoend.classifier import build_classifier
from cryotome.learners.endtoend.kept_network import write_network
from cryotome.learners.endtoend.training_data import copy_weights
from cryotome.learners.kept import load_kept
from cryotome.runtime.environment import REMOTE_CODE
from cryotome.study.geometry import Geometry

CODE = """
from torch import nn

class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 8, stride=8)
        self.mix = nn.Linear(width, width)

    def forward(self, x):
        return self.mix(self.patch(x).mean(dim=(2, 3)))

def build(width=4):
    return Net(width)
"""
CARD = """
title: Mine (random weights)
source: us
licence: MIT
weights: {random: 0}
loader: python
module: encoders/mine.py:build
arguments: {width: 4}
pooling: built_in
prefix_tokens: 0
dim: 4
parameters: 792
gflops: 0.1
normalise: {mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5]}
"""
SEEN = Geometry(32, "paper")
HUB, COMMIT = "someone/net", "0" * 40
LORA = {"rank": 2, "alpha": 2, "dropout": 0.0, "targets": "mix"}


@pytest.fixture
def config(tmp_path) -> Path:
    """A config folder with a card and the code that it names."""
    for name, text in (("encoders/mine.py", CODE), ("models/mine.yaml", CARD)):
        path = tmp_path / "config" / name
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "config"


def rewrite(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def mine(config: Path) -> dict:
    """The card as a job gets it."""
    card = load_card(config, "models", "mine")
    return weights_hash(card, "mine", config, cache=config / "cache.json", log=print)


def test_a_function_of_the_users_file_is_an_encoder_like_any_other(config):
    card = mine(config)
    assert card["module_sha256"] == sha256(config / "encoders" / "mine.py")
    encoder, known = build_encoder(card, "mine", config, SEEN)
    assert known.endswith(f", code {card['module_sha256']}")
    again, same = build_encoder(card, "mine", config, SEEN)
    x = torch.rand(2, 3, 32, 32)
    assert same == known, "weights are drawn from the seed"
    assert torch.equal(encoder(x), again(x))
    assert encoder(x).shape == (2, 4)
    counted = profile_encoder(card)
    assert (counted["parameters"], counted["dim"]) == (792, 4)


def test_weights_of_a_file_are_loaded_into_it(config, tmp_path):
    rewrite(config / "models/mine.yaml", ("{random: 0}", "{page: our disk, file: mine.pt}"))
    with torch.random.fork_rng(devices=[]):
        network = build_own(mine(config))
    (tmp_path / "weights" / "mine").mkdir(parents=True)
    torch.save(network.state_dict(), tmp_path / "weights/mine/mine.pt")
    encoder, known = build_encoder(mine(config), "mine", tmp_path / "weights", SEEN)
    assert known.startswith(sha256(tmp_path / "weights/mine/mine.pt"))
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(encoder(x), network(2 * x - 1), atol=1e-6)


@pytest.mark.parametrize("head", [{}, {"lora": LORA}])
def test_heads_that_train_take_it(config, head):
    network, _ = build_classifier(mine(config), "mine", config, side=32, seed=1, head=head)
    loss = network(torch.rand(2, 3, 32, 32)).sum()
    loss.backward()
    trained = [name for name, weight in network.named_parameters() if weight.grad is not None]
    assert any("mix" in name for name in trained)
    assert all("lora" in name or name.startswith("1.") for name in trained) == bool(head)


@pytest.mark.parametrize("head", [{}, {"lora": LORA}])
def test_a_kept_network_finds_the_code_again_from_another_folder(config, head, monkeypatch):
    monkeypatch.chdir(config.parent)
    card = mine(Path("config"))
    assert card["module"] == "config/encoders/mine.py:build"
    network, known = build_classifier(card, "mine", config, side=32, seed=1, head=head)
    about = {"encoder": card, "head_card": head, "weights_sha256": known, "precision": "float32"}
    about |= {"seed": 1, "patch": {"side": 32}, "model": "mine"}
    path = config.parent / "results" / PLACE
    write_network(path, network, copy_weights(network), about)
    patches = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    here = load_kept(path).score(patches)
    monkeypatch.chdir("/")
    assert load_kept(path).score(patches) == pytest.approx(here)
    rewrite(config / "encoders/mine.py", ("Linear(width, width)", "Identity()"))
    with pytest.raises(EncoderError, match=r"mine.py is not the file that the card knows"):
        load_kept(path)


def refusal(config: Path) -> str:
    with pytest.raises((EncoderError, CardError)) as error:
        build_encoder(mine(config), "mine", config, SEEN)
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("def build(", "def make(", "mine.py has no function 'build', only Net, make. Correct"),
        ("return Net(width)", "return [1]", "build() returns a list. It must return a torch.nn.M"),
        ("def build(width", "def build(depth", "mine.py: build() raises TypeError: build() got an"),
        ("    return Net", "    1 / 0\\n    return Net", "line 14: build() raises ZeroDivisionError"),
        ("from torch", "1 / 0\\nfrom torch", "mine.py, line 2: its import raises ZeroDivisionError"),
        ("from torch", "exit('no')\\nfrom torch", "line 2: its import raises SystemExit: no. Corr"),
        ("from torch", "from torhc", "No module named 'torhc'. Correct the code, or `arguments` of "
         "its card. It may import installed packages and files that its card names, no others"),
        ("from torch", "from .other import a\\nfrom torch", "line 2: its import raises ModuleNotFo"),
        ("class Net(", "class Net)", "mine.py, line 4: its import raises SyntaxError"),
        ("self.mix(", "self.mux(", "mine.py, line 11: its network, given two images of 32 px, rai"),
        ("self.mix(self", "(1, self", "The network returns a tuple, and a tensor is needed"),
        (".mean(dim=(2, 3))", ".mean(dim=(0, 2, 3))", "Pooling 'built_in' does not fit an output of shape (4,)"),
    ],
)  # fmt: skip
def test_whatever_is_wrong_with_the_code_is_said(config, old, new, said):
    rewrite(config / "encoders/mine.py", (old, new.replace("\\n", "\n")))
    assert said in refusal(config)


def test_another_length_than_the_cards_is_refused(config):
    rewrite(config / "models/mine.yaml", ("dim: 4", "dim: 5"))
    assert "become embeddings of shape (2, 4), where the card of mine says (2, 5)" in refusal(
        config
    )


def test_a_file_that_is_missing_is_named_before_a_job_starts(config):
    (config / "encoders/mine.py").unlink()
    with pytest.raises(EncoderError, match=r"mine.py does not exist or is no file.*`module:`"):
        mine(config)


def test_a_file_that_is_edited_after_planning_is_not_run(config):
    card = mine(config)
    rewrite(config / "encoders/mine.py", ("Linear(width, width)", "Identity()"))
    with pytest.raises(EncoderError, match=r"mine.py is not the file that the card knows"):
        build_encoder(card, "mine", config, SEEN)
    assert mine(config)["module_sha256"] != card["module_sha256"]


@pytest.mark.parametrize(
    "said", ["../mine.py:build", "/tmp/mine.py:build", "mine.txt:build", "mine.py"]
)
def test_code_lies_below_the_config_folder(config, said):
    rewrite(config / "models/mine.yaml", ("encoders/mine.py:build", said))
    with pytest.raises(CardError, match=r"leads out of|module: .* does not match"):
        load_card(config, "models", "mine")


@pytest.mark.parametrize(
    "change",
    [
        ("loader: python", "loader: timm\narchitecture: resnet10t"),
        ("module: encoders/mine.py:build\n", ""),
        ("module:", "architecture: resnet10t\nmodule:"),
        ("{random: 0}", "{finetune: dinov2_s_nct}"),
        ("module:", "code: {hub: a/b, revision: main, files: {mine.py: 00}}\nmodule:"),
    ],
)
def test_a_card_has_either_own_code_or_an_architecture(config, change):
    rewrite(config / "models/mine.yaml", change)
    with pytest.raises(CardError, match=r"mine.yaml"):
        load_card(config, "models", "mine")


@pytest.fixture
def from_hub(config, tmp_path) -> tuple[dict, Path]:
    """A card with code of a hub in two files, and local copies of these."""
    folder = tmp_path / "weights" / f"{HUB}@{COMMIT}"
    (folder / "parts").mkdir(parents=True)
    net = CODE.replace("from torch import nn", "from torch import nn\nfrom .parts.mix import mix")
    net = net.replace("nn.Linear(width, width)", "mix(width)")
    (folder / "net.py").write_text(net, encoding="utf-8")
    part = "from torch import nn\n\ndef mix(width):\n    return nn.Linear(width, width)\n"
    (folder / "parts" / "mix.py").write_text(part, encoding="utf-8")
    files = {name: sha256(folder / name) for name in ("net.py", "parts/mix.py")}
    text = (config / "models/mine.yaml").read_text(encoding="utf-8")
    text = text.replace("encoders/mine.py:build", "net.py:build")
    pinned = f"code:\n  hub: {HUB}\n  revision: '{COMMIT}'\n  files:\n"
    pinned += "".join(f"    {name}: {digest}\n" for name, digest in files.items())
    (config / "models/mine.yaml").write_text(text + pinned, encoding="utf-8")
    return mine(config), folder


def test_code_of_a_hub_runs_only_where_the_site_allows_it(from_hub, config, tmp_path, monkeypatch):
    card, folder = from_hub
    assert card["module"] == "net.py:build"
    monkeypatch.delenv(REMOTE_CODE, raising=False)
    for said in (None, ""):
        if said is not None:
            monkeypatch.setenv(REMOTE_CODE, said)
        with pytest.raises(
            EncoderError, match=r"mine runs code of someone/net, which this site doe"
        ):
            build_encoder(card, "mine", tmp_path / "weights", SEEN)
    monkeypatch.setenv(REMOTE_CODE, "true")
    encoder, known = build_encoder(card, "mine", tmp_path / "weights", SEEN)
    assert encoder(torch.rand(2, 3, 32, 32)).shape == (2, 4)
    assert isinstance(encoder.network.mix, nn.Linear), "of the other file"
    assert ", code " in known
    (folder / "parts/mix.py").write_text("def mix(width):\n    return None\n", encoding="utf-8")
    with pytest.raises(EncoderError, match=r"parts/mix.py is not the file that the card knows"):
        build_encoder(card, "mine", tmp_path / "weights", SEEN)
    (folder / "parts/mix.py").unlink()
    with pytest.raises(EncoderError, match=rf"parts/mix.py does not exist.*{HUB}/tree/{COMMIT}"):
        build_encoder(card, "mine", tmp_path / "weights", SEEN)


def test_a_file_of_a_hub_that_is_not_pinned_is_not_imported(from_hub, tmp_path, monkeypatch):
    card, _ = from_hub
    monkeypatch.setenv(REMOTE_CODE, "true")
    card["code"]["files"].pop("parts/mix.py")
    with pytest.raises(EncoderError, match=r"net.py, line 3: its import raises ModuleNotFoundErro"):
        build_own(locate_code(card, "mine", tmp_path / "weights"))
