import re

import pytest
import yaml
from conftest import CONFIG

from cryotome.core.cards import KINDS, load_card
from cryotome.core.errors import CardError
from cryotome.core.renamed import RENAMED_CARDS, RENAMED_KEYS, RENAMED_VALUES
from cryotome.core.schemas import SCHEMAS, validate


def nested(keys, value):
    """Return a card with one value at the end of a path of keys; `*` is a name."""
    for key in reversed(keys):
        value = {key: value}
    return value


def properties(schema, keys):
    """Return the keys that a schema allows at a path of keys."""
    at = yaml.safe_load((SCHEMAS / f"{schema}.schema.yaml").read_text(encoding="utf-8"))
    for key in keys:
        each = at.get("items") or at.get("additionalProperties")
        at = each if key == "*" else at["properties"][key]
    return at["properties"]


@pytest.mark.parametrize("place", RENAMED_KEYS)
def test_an_old_key_is_refused_with_the_new_one_named(place):
    schema, *keys = place.split(".")
    new = RENAMED_KEYS[place]
    for of in KINDS.values() if schema == "*" else [schema]:
        with pytest.raises(
            CardError, match=rf"mine.yaml: `.*{keys[-1]}` is now `{re.escape(new)}`"
        ):
            validate(nested(keys, 1), of, "mine.yaml")


@pytest.mark.parametrize("place", [place for place in RENAMED_KEYS if place != "*.like"])
def test_a_new_key_is_one_of_the_schema_and_an_old_one_is_not(place):
    schema, *parents, old = place.split(".")
    new = RENAMED_KEYS[place].split(":")[0].split(".")
    assert old not in properties(schema, parents)
    assert new[-1] in properties(schema, [*parents, *new[:-1]])


@pytest.mark.parametrize(
    ("place", "old"), [(place, old) for place, values in RENAMED_VALUES.items() for old in values]
)
def test_an_old_value_is_refused_with_the_new_one_named(place, old):
    schema, *keys = place.split(".")
    new = RENAMED_VALUES[place][old]
    with pytest.raises(CardError, match=f"mine.yaml: `.*: {old}` is now `{new}`"):
        validate(nested(keys, old), schema, "mine.yaml")


@pytest.mark.parametrize(
    ("kind", "old"), [(kind, old) for kind, names in RENAMED_CARDS.items() for old in names]
)
def test_an_old_card_is_refused_with_the_new_one_named(kind, old):
    new = RENAMED_CARDS[kind][old]
    with pytest.raises(
        CardError, match=f"{old}.yaml does not exist: the card '{old}' is now '{new}'"
    ):
        load_card(CONFIG, kind, old)
    assert load_card(CONFIG, kind, new)
