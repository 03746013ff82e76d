from pathlib import Path

import pandas as pd
import pytest

from cryotome.core.errors import DataError
from cryotome.data.annotations.class_names import match_classes, name_labels

MITOSIS = [{"name": "look-alike", "id": 2}, {"name": "mitotic figure", "id": 1}]
PATH = Path("a.json")


def match(listed, classes=MITOSIS, **reading):
    return match_classes({"classes": classes, "reading": reading}, listed, PATH, "`categories`")


def named(negative, positive):
    return [{"name": negative[0], "id": negative[1]}, {"name": positive[0], "id": positive[1]}]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("mitotic figure", "not mitotic figure"),
        ("mitotic figure", "hard negative"),
        ("mitotic figure", "hard negative imposter"),
        ("Mitotic Figure", "Look-alike"),
        ("Mitosis", "non-mitosis"),
        ("mitosis", "Nonmitotic cell"),
        ("mitotic figure", "mitotic figure look-alike"),
        ("MF", "NMF"),
        ("1", "2"),
        (None, None),
    ],
)
def test_names_that_agree_with_the_card_pass_and_swapped_ones_stop(one, two):
    assert match([(1, one), (2, two)]).names == {"2": "look-alike", "1": "mitotic figure"}
    if one in (None, "1"):
        return
    with pytest.raises(DataError, match=r"a.json: `categories` calls class \d '.*the dataset's c"):
        match([(1, two), (2, one)])


@pytest.mark.parametrize(
    ("classes", "listed"),
    [
        (MITOSIS, [(1, "eosinophil"), (2, "tumor cell"), (3, "mitotic figure")]),
        (MITOSIS, [(1, "mitotic figure"), (2, "mitosis")]),
        (named(("normal mitotic figure", 1), ("atypical mitotic figure", 2)), [(1, "atypical"), (2, "normal")]),
        (named(("normal", 1), ("atypical", 2)), [(1, "typical"), (2, "not atypical")]),
        (named(("mitosis-like", 0), ("mitosis", 1)), [(0, "mitosis"), (1, "mitosis-like")]),
    ],
)  # fmt: skip
def test_other_contradictions_stop(classes, listed):
    with pytest.raises(DataError, match=r"and the dataset's card calls it .* Correct `id:` in the"):
        match(listed, classes)


@pytest.mark.parametrize(
    ("classes", "listed"),
    [
        (named(("look-alike", 7), ("mitotic figure", 2)), [(1, "eosinophilic granulocyte"), (2, "mitotic figure"), (3, "tumor cell"), (7, "Mitotic-like")]),
        (named(("normal mitotic figure", 1), ("atypical mitotic figure", 2)), [(1, "non-atypical"), (2, "AMF")]),
        (named(("microsatellite unstable", 1), ("microsatellite stable", 2)), [(1, "MSI"), (2, "nonMSI")]),
        (named(("small cell carcinoma", 1), ("non-small cell carcinoma", 2)), [(1, "SCLC"), (2, "Non-small cell carcinoma")]),
    ],
)  # fmt: skip
def test_other_names_for_the_same_pass(classes, listed):
    assert match(listed, classes).names == {str(c["id"]): c["name"] for c in classes}


def test_a_class_may_be_given_by_its_name_in_the_file():
    classes = named(("look-alike", "Not mitotic figure"), ("mitotic figure", "mitotic_figure"))
    found = match(
        [(5, "mitotic figure"), (6, "not mitotic figure"), (7, "odd")], classes, ignore=["odd"]
    )
    assert found.names == {"6": "look-alike", "5": "mitotic figure"}
    assert "7" in found.ignored


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ([(1, "mitotic figure")], r"lists no class 2; it has 1 'mitotic figure'\. Write an id or a"),
        ([(1, "a"), (2, "b"), (1, "c")], r"lists the id 1 twice"),
        ([(1, "mitosis"), (2, "b"), (3, "Mitosis")], r"lists the name 'mitosis' twice, for the ids 1 and 3"),
        ([(1, "mitotic figure"), (2, "b"), (3, "1")], r"`id: 1` of the card fits several classes"),
    ],
)  # fmt: skip
def test_lists_that_are_no_answer_stop(listed, said):
    with pytest.raises(DataError, match=said):
        match(listed)


def test_two_classes_of_the_card_are_never_one_of_the_file():
    with pytest.raises(DataError, match="two `classes:` of the card are class 1"):
        match([(1, "mitosis")], named(("a", "mitosis"), ("b", 1)))
    with pytest.raises(DataError, match="the card names class 1 and ignores it"):
        match([(1, "mitotic figure"), (2, "x")], ignore=["mitotic figure"])


def test_labels_and_folders_that_are_words_are_names():
    swapped = named(("normal mitotic figure", "Atypical"), ("atypical mitotic figure", "Normal"))
    with pytest.raises(DataError, match=r"calls class Atypical 'Atypical', and the dataset's card"):
        match([], swapped)
    assert match([], named(("look-alike", "no"), ("mitotic figure", "yes"))).names
    assert match([], named(("look-alike", "0"), ("mitotic figure", "1"))).names


def test_without_a_list_the_ids_of_the_card_count():
    found = match([])
    labels = pd.Series([1, 2], index=[10, 11])
    assert name_labels(labels, found, PATH, "line").tolist() == ["mitotic figure", "look-alike"]
    with pytest.raises(DataError, match=r"line 10 has label '3' \(1 such labels\)"):
        name_labels(pd.Series([3], index=[10]), found, PATH, "line")
