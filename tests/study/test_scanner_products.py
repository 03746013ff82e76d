import pytest
from tests.study.test_study import study

from cryotome.core.errors import CardError
from cryotome.study.products import PRODUCTS
from cryotome.study.scanner_products import SCANNER_PRODUCTS


def test_each_is_made_where_the_study_asks_for_it():
    stems = [product.stem for product in SCANNER_PRODUCTS]
    assert all(product in PRODUCTS for product in SCANNER_PRODUCTS)
    asked = study("ganz2024", schemes=["random", "from_scanner_*"], variance_split=True)
    assert {f"{stem}.{end}" for stem in stems for end in ("csv", "pdf", "png")} <= set(
        asked.products
    )
    assert not [name for name in study("ganz2024").products if name.partition(".")[0] in stems]


def test_a_split_needs_a_scheme_that_trains_on_all_domains():
    with pytest.raises(CardError, match=r"variance_split: none of .* trains on all domains"):
        study("ganz2024", schemes=["from_*"], variance_split=True)
