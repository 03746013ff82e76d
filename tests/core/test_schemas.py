import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card, read_yaml
from cryotome.core.errors import CardError
from cryotome.core.schemas import validate
from cryotome.study.load import config_file


@pytest.mark.parametrize(
    "weights",
    [
        "none",
        {"file": "m.pth"},
        {"random": 0, "hub": "x", "file": "y", "gated": False},
        {"url": "x", "page": "y", "file": "z"},
    ],
)
def test_weights_have_exactly_one_source(weights):
    card = load_card(CONFIG, "models", "uni") | {"weights": weights}
    with pytest.raises(CardError, match=r"mine.yaml, weights: "):
        validate(card, "model", "mine.yaml")


def test_a_misspelt_required_key_is_shown_as_it_was_written():
    card = load_card(CONFIG, "datasets", "midog2022")
    card["anotations"] = card.pop("annotations")
    with pytest.raises(CardError, match=r"'annotations' is a required .* You wrote 'anotations'"):
        validate(card, "dataset", "card.yaml")


def test_all_missing_keys_are_named_at_once_and_none_that_is_right_is_called_misspelt():
    card = load_card(CONFIG, "models", "uni")
    for key in ("arguments", "normalise", "gflops"):
        del card[key]
    said = r"top level: 'arguments' is a required property. Missing, too: 'normalise', 'gflops'\.$"
    with pytest.raises(CardError, match=said):
        validate(card, "model", "card.yaml")


@pytest.mark.parametrize(
    ("key", "twice"),
    [
        ("rows", [{"model": "a", "head": "b"}, {"head": "b", "model": "a"}]),
        ("fractions", [1, 0.5, 1.0]),
        ("datasets", ["a", "b", "a"]),
    ],
)
def test_equal_items_are_found_however_they_are_written(key, twice):
    with pytest.raises(CardError, match=rf"x, {key}: .* is listed twice"):
        validate(read_yaml(config_file("ganz2024", CONFIG)) | {key: twice}, "config", "x")
