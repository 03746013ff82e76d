import json

import numpy as np
import pytest
from PIL import Image

from cryotome.data.images import open_image
from cryotome.encoders.bag_store import Bag
from cryotome.learners.mil.apply_slides import ScoredSlide
from cryotome.report.atlas.attention import (
    COLUMNS,
    TILE_SIDE,
    heat_map,
    most_attended,
    slide_line,
    write_slides,
)

ABOUT = {"dataset": "there", "row": "m + h", "classes": ["MSS", "MSI"], "trained_on": "d, s"}
ABOUT |= {"folds": 2, "notice": "synthetic demo cohort"}
COORDS = np.array([[0, 0], [64, 0], [0, 64]])


def slide(name="one", attention=(0.6, 0.3, 0.1), scores=(0.7, 0.9), **said):
    about = {"status": "ok", "reason": "", "mpp": 0.5, "level0_side": 64.0} | said
    n = len(attention)
    bag = Bag(np.zeros((n, 4), "f4"), COORDS[:n], about)
    return ScoredSlide(name, bag, np.array(scores), np.array(attention))


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "one.png"
    Image.new("RGB", (128, 128), "white").save(path)
    return path


def test_a_slide_has_a_line_with_mean_and_spread_or_why_it_has_none():
    line = slide_line(slide())
    assert list(line) == COLUMNS
    assert (line["score"], line["score_sd"]) == pytest.approx((0.8, 0.1))
    assert (line["tiles"], line["tiles_of_half"]) == (3, 1)
    line = slide_line(slide(attention=(), scores=(), status="broken", reason="Fetch it again."))
    assert np.isnan(line["score"]) and (line["tiles"], line["reason"]) == (0, "Fetch it again.")


def test_tiles_lie_where_they_are_with_their_attention_and_its_rank(tmp_path, image):
    none = slide("none", (), (), status="broken")
    table = write_slides([slide(), none], {"one": image, "none": image}, tmp_path / "out", ABOUT)
    assert table["slide"].tolist() == ["one", "none"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.geojson", "one.png"]
    said = json.loads((tmp_path / "out/one.geojson").read_text(encoding="utf-8"))
    assert (said["slide"], said["notice"], said["score"]) == ("one", ABOUT["notice"], 0.8)
    second = said["features"][1]
    assert second["geometry"]["coordinates"][0][0] == [64, 0]
    assert second["geometry"]["coordinates"][0][2] == [128, 64]
    assert second["properties"]["objectType"] == "tile"
    measured = second["properties"]["measurements"]
    assert measured == pytest.approx({"attention": 0.3, "rank of attention": 2 / 3})


def test_the_tile_of_most_attention_is_yellow_and_no_tile_is_white(image):
    picture = heat_map(slide(), image, slide_line(slide()), ABOUT)
    left = (picture.width - 128) // 2  # of the slide, whose tiles have 64 px here
    places = [(left + 32, 32), (left + 32, 96), (left + 96, 96)]
    most, least, none = (np.array(picture.getpixel(place)) for place in places)
    assert most[0] > most[2] + 60 and most[1] > most[2] + 60  # yellow
    assert least[2] > least[1]  # violet
    assert none.tolist() == [255, 255, 255]


def test_a_file_of_another_table_is_not_touched_by_the_order_of_slides(tmp_path, image):
    images = {"a/1": image, "a_1": image}
    slides = [slide("a/1"), slide("a_1")]
    write_slides(slides, images, tmp_path / "first", ABOUT)
    write_slides(slides[::-1], images, tmp_path / "then", ABOUT)
    names = [sorted(p.name for p in (tmp_path / which).iterdir()) for which in ("first", "then")]
    assert names[0] == names[1] and len(names[0]) == 4
    for name in names[0]:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "then" / name).read_bytes()


def test_the_tiles_of_most_attention_stand_below_the_first_at_the_left(tmp_path):
    path = tmp_path / "grey.png"
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:64, 64:], picture[64:, :64] = 100, 200
    Image.fromarray(picture).save(path)
    seen = slide(attention=(0.1, 0.3, 0.6))
    strip = most_attended(seen, open_image(path))
    middles = [strip.getpixel((TILE_SIDE // 2 + n * (strip.width // 3), TILE_SIDE // 2))[0] for n in range(3)]  # fmt: skip
    assert middles == [200, 100, 0]
    assert heat_map(seen, path, slide_line(seen), ABOUT).height > strip.height + 128
