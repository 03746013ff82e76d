import itertools

import numpy as np
import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.core.errors import CardError
from cryotome.study.styles import COLOURS, MARKS, Style, model_styles, row_styles

# Machado, Oliveira and Fernandes 2009, severity 1.0, on linear RGB
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
    "none": np.eye(3),
}  # fmt: skip
NEAR = 15  # CIE76 units below which two areas beside each other are taken for one


def linear(colour: str) -> np.ndarray:
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(matrix @ np.clip(rgb, 0, 1) / np.array([0.9505, 1, 1.089]) + 1e-9)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_are_told_apart(kind):
    seen = {name: lab(np.array(BLINDNESS[kind]) @ linear(c)) for name, c in COLOURS.items()}
    pairs = itertools.combinations(seen, 2)
    near = {p: round(float(np.linalg.norm(seen[p[0]] - seen[p[1]])), 1) for p in pairs}
    assert min(near.values()) >= NEAR, {p: d for p, d in near.items() if d < NEAR}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_stand_out_from_both_grounds(name):
    light = np.array([0.2126, 0.7152, 0.0722]) @ linear(COLOURS[name])
    dark = np.array([0.2126, 0.7152, 0.0722]) @ linear("#14171a")
    assert 1.05 / (light + 0.05) >= 3
    assert (light + 0.05) / (dark + 0.05) >= 3


def test_no_two_cards_look_alike():
    cards = {p.stem: load_card(CONFIG, "models", p.stem) for p in CONFIG.glob("models/*.yaml")}
    said = {name: tuple(card["style"]) for name, card in cards.items() if "style" in card}
    assert len(said) > 20
    assert len(set(said.values())) == len(said)


def test_a_model_added_at_the_end_changes_no_other():
    before = model_styles(["a", "b"], {"b": ["vermilion", "circle"]})
    after = model_styles(["a", "b", "c"], {"b": ["vermilion", "circle"]})
    assert {name: after[name] for name in before} == before
    assert after["c"] == Style(COLOURS["green"], "circle", [])


def test_sixty_four_models_all_look_different():
    looks = model_styles([str(n) for n in range(64)], {})
    assert len({(look.colour, look.mark) for look in looks.values()}) == 64
    assert len(COLOURS) * len(MARKS) == 64


def test_two_cards_with_one_look_are_named():
    with pytest.raises(CardError, match="'a' and 'b' both look 'blue circle'"):
        model_styles(["a", "b"], {key: ["blue", "circle"] for key in "ab"})


def test_heads_of_a_model_share_its_colour():
    looks = row_styles([("a", "x"), ("a", "y"), ("b", "y")], model_styles("ab", {}))
    assert looks["a + x"].colour == looks["a + y"].colour != looks["b + y"].colour
    assert looks["a + x"].dash == []
    assert looks["a + y"].dash == looks["b + y"].dash != []
    assert looks["a + y"].line["linestyle"] == (0, (6, 2))
