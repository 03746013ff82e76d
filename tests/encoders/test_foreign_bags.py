import json
import tracemalloc

import h5py
import numpy as np
import pytest

from cryotome.core.errors import StoreError
from cryotome.encoders.bag_store import BagFolders, read_any_bag, read_bag
from cryotome.encoders.foreign_bags import read_foreign_bag

CARD = {"where": "the card of ca", "model": "uni", "names": ["uni", "MahmoodLab/UNI"], "dim": 3,
        "tiling": {"mpp": 0.5, "side": 512}, "says": {}}  # fmt: skip
HOW = {"model": "uni", "view": "paper-fp32"}


def foreign(path, *, file_attrs=None, feature_attrs=None, coord_attrs=None, **arrays):
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.attrs.update(file_attrs or {})
        for attrs, names in ((feature_attrs, ("feats", "features")), (coord_attrs, ("coords",))):
            for name in set(names) & set(file):
                file[name].attrs.update(attrs or {})
    return path


X = np.arange(12).reshape(4, 3) / 7
XY = np.array([[0, 0], [256, 0], [0, 256], [256, 256]])
LAYOUTS = {
    "HistoBistro": {
        "feats": X,
        "coords": np.c_[np.zeros(4), XY].astype(float),
        "model_name": "uni",
    },
    "CLAM": {"features": X[None].astype("f4"), "coords": XY},
    "TRIDENT": {"features": X.astype("f2"), "coords": XY[None]},
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_bags_of_other_programs_are_read_where_a_card_gives_them(kind, tmp_path):
    path = foreign(tmp_path / "f.h5", **LAYOUTS[kind])
    bag = read_any_bag(path, CARD, **HOW)
    assert bag.features.dtype == np.float32 and np.allclose(bag.features, X, atol=1e-3)
    assert bag.coords.tolist() == XY.tolist()
    assert bag.attributes == ({"model_name": "uni"} if kind == "HistoBistro" else {})
    with pytest.raises(StoreError, match=r"f.h5 has format None"):
        read_bag(path, **HOW)


@pytest.mark.parametrize(
    ("arrays", "why"),
    [
        ({"embedding": X}, r"f.h5 has no known layout of a bag: it holds \['embedding'\]"),
        ({"features": X}, r"no known layout of a bag"),
        ({"features": X[0], "coords": XY}, r"features is no finite \(n, dim\), but \(3,\)"),
        ({"feats": X * np.nan, "coords": XY}, r"feats is no finite"),
        ({"feats": XY, "coords": XY}, r"feats is no finite"),
        ({"feats": X, "coords": XY[:3]}, r"coords is \(3, 2\) where feats is \(4, 3\)"),
        ({"feats": np.stack([X, X]), "coords": XY}, r"feats is no finite"),
        ({"feats": X, "coords": np.ones((4, 4))}, r"it must be \(n, 2\), x and y, or \(n, 3\)"),
    ],
)
def test_what_is_no_bag_says_what_is_wrong(arrays, why, tmp_path):
    with pytest.raises(StoreError, match=why):
        read_any_bag(foreign(tmp_path / "f.h5", **arrays), CARD, **HOW)


STAMP = {"extractor": "uni", "unit": "um", "tile_size_um": 256.0, "tile_size_px": 512,
         "stamp_version": "2.2.0", "feat_type": "tile"}  # fmt: skip
ARGS = json.dumps({"patch_size": 512, "resolution_in_mpp": 0, "save_path": "x"})
AGREE = {
    "stamp": {"file_attrs": STAMP},
    "bytes": {"file_attrs": {"extractor": np.bytes_(b"UNI"), "unit": np.bytes_("um")}},
    "arrays": {"file_attrs": {"extractor": np.array([b"uni"]), "tile_size_um": np.array([256.0])}},
    "hub": {"feature_attrs": {"name": "mahmoodlab/uni"}},
    "trident": {"feature_attrs": {"name": "uni"}, "coord_attrs": {
        "name": "slide_1", "patch_size": 512, "target_magnification": 20, "patch_size_level0": 9}},
    "histobistro": {"model_name": "uni", "args": ARGS},
    "older stamp": {"file_attrs": {"tile_size": 256, "unit": "um"}},
    "no unit": {"file_attrs": {"tile_size": 512}},
    "nothing": {},
}  # fmt: skip
DIFFER = {
    "model": ({"file_attrs": STAMP | {"extractor": "virchow2"}}, "extractor 'virchow2'"),
    "part of a name": ({"file_attrs": {"extractor": "chief-uni"}}, "extractor 'chief-uni'"),
    "model as bytes": ({"model_name": b"ctranspath"}, "model_name 'ctranspath'"),
    "model in an array": ({"file_attrs": {"extractor": np.array([b"uni2"])}}, "extractor 'uni2'"),
    "model on the features": ({"feature_attrs": {"encoder": "uni2"}}, "encoder 'uni2'"),
    "trident's": ({"feature_attrs": {"name": "uni_v2"}}, "name 'uni_v2'"),
    "microns": ({"file_attrs": STAMP | {"tile_size_um": 224.0}}, "tile_size_um 224.0"),
    "pixels": ({"file_attrs": STAMP | {"tile_size_px": 224}}, "tile_size_px 224"),
    "unit": ({"file_attrs": {"unit": "inch"}}, "unit 'inch'"),
    "px, not um": ({"file_attrs": {"tile_size": 256, "unit": "px"}}, "tile_size 256"),
    "patch": ({"coord_attrs": {"patch_size": 256}}, "patch_size 256"),
    "power": ({"coord_attrs": {"target_magnification": 40}}, "target_magnification 40"),
    "resolution": ({"args": ARGS.replace(": 0", ": 1.0")}, "resolution_in_mpp 1.0"),
    "slide": ({"file_attrs": {"feat_type": "slide"}}, "feat_type 'slide'"),
}


@pytest.mark.parametrize("kind", AGREE)
def test_what_a_bag_says_of_itself_agrees_with_the_card(kind, tmp_path):
    path = foreign(tmp_path / "f.h5", feats=X, coords=XY, **AGREE[kind])
    assert read_any_bag(path, CARD, **HOW).features.shape == (4, 3)


@pytest.mark.parametrize("kind", DIFFER)
def test_a_bag_that_contradicts_the_card_is_refused_unless_the_card_says_so(kind, tmp_path):
    attrs, said = DIFFER[kind]
    path = foreign(tmp_path / "f.h5", feats=X, coords=XY, **attrs)
    with pytest.raises(StoreError, match=f"f.h5 has {said}, but the card of ca says.*`says: "):
        read_any_bag(path, CARD, **HOW)
    name, value = said.split(" ", 1)
    says = {name: value.strip("'") if "'" in value else float(value)}
    assert len(read_any_bag(path, CARD | {"says": says}, **HOW).coords) == 4


def test_another_number_of_features_than_the_models_is_refused(tmp_path):
    path = foreign(tmp_path / "f.h5", feats=X, coords=XY)
    with pytest.raises(StoreError, match="feats has 3 features a tile, but the model uni, which"):
        read_any_bag(path, CARD | {"dim": 1024}, **HOW)


def test_equal_slide_names_of_two_cohorts_are_two_bags(tmp_path):
    """And a slide without a given bag is counted, not read from the other cohort."""
    for value, cohort in enumerate(("ca", "cb")):
        (tmp_path / cohort).mkdir()
        foreign(tmp_path / cohort / "001.h5", feats=X * 0 + value, coords=XY)
    foreign(tmp_path / "cb" / "002.svs.h5", feats=X, coords=XY, file_attrs=STAMP)
    folders = {c: {"folder": str(tmp_path / c), "given": CARD} for c in ("ca", "cb")}
    bags = BagFolders(folders, sorted(tmp_path.glob("*/*.h5")), **HOW)
    assert [bags.read(f"{cohort}:001")[0, 0] for cohort in ("ca", "cb")] == [0, 1]
    assert bags.read("ca:002").shape == (0, 3)
    assert bags.read("cb:002").shape == (4, 3)
    first, second = bags.summary()
    assert "ca: 1 bags of uni" in first and "1 slides have no bag there: 002" in first
    assert "their attributes: none; or extractor uni, feat_type tile" in second


def test_rows_that_all_point_at_one_object_are_not_read(tmp_path):
    """4 MB become 8 GB: each of 2,000 rows of variable length says that it is the same 4 MB."""
    path, rows = tmp_path / "s.h5", 2000
    with h5py.File(path, "w") as file:
        file["coords"] = np.zeros((rows, 2), int)
        feats = file.create_dataset("feats", (rows,), dtype=h5py.vlen_dtype(np.uint8))
        feats[:] = [np.zeros(1, np.uint8)] * rows
        feats[0] = np.zeros(4_000_000, np.uint8)
        start = feats.id.get_offset()
    content = bytearray(path.read_bytes())
    content[start : start + 16 * rows] = content[start : start + 16] * rows
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(StoreError, match="feats holds no plain numbers"):
        read_foreign_bag(path, CARD)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()
