import json

import pytest
import torch
import yaml
from conftest import CONFIG

from cryotome.cards import KINDS, check, facts, load_card
from cryotome.encoders import LOADERS
from cryotome.errors import CardError
from cryotome.study import Study

CARDS = [(kind, path.stem) for kind in KINDS for path in sorted((CONFIG / kind).glob("*.yaml"))]
STUDIES = sorted(path.name for path in CONFIG.glob("*.yaml") if path.stem != "site")
NETWORKS = [n for k, n in CARDS if k == "models" and load_card(CONFIG, k, n)["loader"] in LOADERS]


@pytest.mark.parametrize(("kind", "name"), CARDS)
def test_every_card_fits_its_schema_and_names_its_source(kind, name):
    assert load_card(CONFIG, kind, name)["source"]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_has_the_parameters_and_dimension_of_its_card(name):
    card = load_card(CONFIG, "models", name)
    with torch.device("meta"):
        network = LOADERS[card["loader"]](card)
    assert sum(p.numel() for p in network.parameters()) == card["parameters"]
    width = card["dim"] // (2 if card["pooling"] == "class+mean" else 1)
    hidden = getattr(network, "num_features", None) or getattr(network, "config", None)
    hidden = getattr(hidden, "hidden_size", hidden) or 2048  # torchvision's ResNet50 does not say
    assert hidden == width
    assert getattr(network, "num_prefix_tokens", card["prefix_tokens"]) == card["prefix_tokens"]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_names_cards_that_exist(name):
    study = Study(yaml.safe_load((CONFIG / name).read_text()), CONFIG)
    assert study.runs > 0


def test_random_weights_are_labelled_random():
    for kind, name in CARDS:
        if kind == "models":
            card = load_card(CONFIG, kind, name)
            random = isinstance(card["weights"], dict) and "random" in card["weights"]
            assert random == ("random weights" in card["title"]) == name.endswith("_random")


def test_a_misspelt_key_is_named_with_its_file(tmp_path):
    (tmp_path / "models").mkdir()
    card = yaml.safe_load((CONFIG / "models" / "uni.yaml").read_text())
    (tmp_path / "models" / "wide.yaml").write_text(yaml.dump(card | {"dmi": 5}))
    with pytest.raises(CardError, match=r"models/wide.yaml, top level: .*'dmi' was unexpected"):
        load_card(tmp_path, "models", "wide")


@pytest.mark.parametrize(
    ("kind", "name", "change", "said"),
    [
        ("heads", "e2e", {"stepz": 5}, "'stepz' was unexpected"),
        ("heads", "probe", {"neighbours": 5}, "learner: 'knn' was expected"),
        (
            "models",
            "uni",
            {"weights": {"hbu": "x", "file": "y", "gated": True}},
            "weights: .*'hbu' was unexpected",
        ),
        (
            "models",
            "uni",
            {"weights": {"hub": "x", "file": "y"}},
            "weights: 'gated' is a dependency of 'hub'",
        ),
        ("datasets", "midogpp", {"reading": {}}, "reading: 'box' is a required property"),
        ("schemes", "random", {"test": 2}, "test: 2 is greater than or equal to the maximum of 1"),
    ],
)
def test_whatever_is_wrong_in_a_card_is_named(kind, name, change, said):
    card = load_card(CONFIG, kind, name) | change
    with pytest.raises(CardError, match=said):
        check(card, KINDS[kind], f"{name}.yaml")


def test_a_missing_card_names_those_that_exist():
    with pytest.raises(
        CardError, match=r"unii.yaml does not exist. Its folder has: .*uni, virchow"
    ):
        load_card(CONFIG, "models", "unii")


def test_swiglu_without_its_gate_is_refused():
    card = load_card(CONFIG, "models", "virchow2")
    card["arguments"].pop("act_layer")
    with pytest.raises(CardError, match="'act_layer' is a required property"):
        check(card, "model", "virchow2.yaml")


def test_like_takes_a_card_and_changes_some_keys(tmp_path):
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "a.yaml").write_text(
        (CONFIG / "datasets" / "midog2022.yaml").read_text()
    )
    (tmp_path / "datasets" / "b.yaml").write_text("like: a\npatch: {side: 64}\n")
    a, b = (load_card(tmp_path, "datasets", name) for name in "ab")
    assert b["patch"] == {"side": 64, "resolution": "native", "border": "black"}
    assert {k: v for k, v in a.items() if k != "patch"} == {
        k: v for k, v in b.items() if k != "patch"
    }


def test_facts_leave_prose_out_and_do_not_depend_on_order():
    card = load_card(CONFIG, "models", "uni")
    reworded = dict(reversed((card | {"title": "another", "notes": "other"}).items()))
    assert facts(card) == facts(reworded)
    assert facts(card | {"dim": 5}) != facts(card)
    assert "source" not in json.loads(facts(card))
    midog = load_card(CONFIG, "datasets", "midog2022")
    assert "expect" in json.loads(facts(midog)), "the rule that reads cells must know the counts"
    assert "human breast cancer" not in facts(midog), "a domain's title is prose"


def test_a_misspelt_required_key_is_shown_as_it_was_written():
    card = load_card(CONFIG, "datasets", "midog2022")
    card["anotations"] = card.pop("annotations")
    with pytest.raises(CardError, match=r"'annotations' is a required .* You wrote 'anotations'"):
        check(card, "dataset", "card.yaml")
