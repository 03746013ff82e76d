import pytest
from conftest import CONFIG

from cryotome.core.cards import load_card
from cryotome.study.geometry import Geometry, geometry_of


def test_policies_differ_where_paper_and_authors_do():
    dinov2 = load_card(CONFIG, "models", "dinov2_vits14")
    assert geometry_of(dinov2, "paper-fp32", 256).seen == 252
    assert geometry_of(dinov2, "card-fp32", 256).seen == 224
    assert geometry_of(dinov2, "patches", 256) == Geometry(256)


@pytest.mark.parametrize(
    ("geometry", "seen"),
    [
        (Geometry(64), 64),
        (Geometry(64, "card", 256), 256),
        (Geometry(64, "card", [224, 224]), 224),
        (Geometry(64, "card", 256, "bicubic", 224), 224),
    ],
)
def test_the_network_sees_the_crop_or_what_is_resized_or_the_patch(geometry, seen):
    assert geometry.seen == seen
