"""Foreign bags: bags that other programs wrote, and checks of their attributes."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cryotome.core.cards import Card
from cryotome.core.errors import StoreError, raise_system_error
from cryotome.core.store import UNREADABLE, is_own_store, open_hdf5

LAYOUTS = (("feats", "coords"), ("features", "coords"))  # HistoBistro and STAMP; CLAM and TRIDENT
# fields of the model's name: STAMP's `extractor`, HistoBistro's `model_name`, and likely others
MODEL_FIELDS = {"extractor", "extractor_name", "model_name", "model", "encoder", "encoder_name"}
MODEL_FIELDS |= {"patch_encoder", "feature_extractor"}
MICRONS = ("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers")
UNITS = {**dict.fromkeys(MICRONS, "um"), **dict.fromkeys(("px", "pixel", "pixels"), "px")}
# fields of the side of a tile, and their unit (empty: that of the field `unit`)
SIZE_UNITS = {"tile_size_um": "um", "tile_size_px": "px", "patch_size": "px", "tile_size": ""}
RESOLUTIONS = ("mpp", "resolution_in_mpp", "target_mpp")
MAGNIFICATIONS = ("target_magnification", "magnification")
FIELDS = (*MODEL_FIELDS, "feat_type", "unit", *SIZE_UNITS, *RESOLUTIONS, *MAGNIFICATIONS, "name")
# relative tolerances: rounding; the nominal 20x of scanners is 0.46 to 0.55 µm/px
EXACT, NOMINAL = 0.01, 0.15


def may_be_cryotome_bag(path: Path) -> bool:
    """Whether a file has our provenance, or is unreadable, which `read_bag` then reports."""
    return not h5py.is_hdf5(path) or is_own_store(path)


def read_foreign_bag(path: Path, card: Card) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read a bag that another program wrote, and compare its attributes with the card.

    Parameters
    ----------
    card
        `where`: the dataset's card, for messages. `model`, its `names` and `dim`. `tiling` of the
        dataset (`mpp`, `side`), or None. `says`: attributes that are accepted besides.

    Returns
    -------
    features (n, dim) float32; coords (n, 2) int64 in the unit of its program; attributes

    Raises
    ------
    StoreError
        It is no bag, has another number of features than the model, or its attributes name
        another model or other tiles.
    """
    try:
        with open_hdf5(path) as file:
            names = _find_arrays(path, file)
            features, coords = (_without_first(np.asarray(file[name][()])) for name in names)
            fields = _read_fields(file, names)
    except UNREADABLE as error:
        raise_system_error(error, path)
        raise StoreError(f"{path} cannot be read: {error}.") from error
    _check_arrays(path, names[0], features, coords)
    _check_fields(path, fields, card)
    if features.shape[1] != card["dim"]:
        raise StoreError(
            f"{path}: {names[0]} has {features.shape[1]} features a tile, but the model "
            f"{card['model']}, which {card['where']} names, has {card['dim']}. Name the model that "
            "made them in `bags:` there."
        )
    return features.astype(np.float32), coords[:, -2:].astype(np.int64), fields


def _find_arrays(path: Path, file: h5py.File) -> tuple[str, str]:
    names = next((names for names in LAYOUTS if set(names) <= set(file)), None)
    if names is None:
        raise StoreError(
            f"{path} has no known layout of a bag: it holds {sorted(file)}, where HistoBistro "
            "and STAMP write feats and coords, CLAM and TRIDENT features and coords."
        )
    for name in names:  # before it is read: rows of variable length can unpack to any size
        if getattr(file[name], "dtype", np.dtype(object)).kind not in "iuf":
            raise StoreError(
                f"{path}: {name} holds no plain numbers. Write the file anew with arrays of "
                "numbers."
            )
    return names


def _check_arrays(path: Path, name: str, features: np.ndarray, coords: np.ndarray) -> None:
    if features.ndim != 2 or features.dtype.kind != "f" or not np.isfinite(features).all():
        raise StoreError(f"{path}: {name} is no finite (n, dim), but {features.shape}.")
    shapes = {(len(features), 2), (len(features), 3)}
    if coords.shape not in shapes or coords.dtype.kind not in "iuf":
        raise StoreError(
            f"{path}: coords is {coords.shape} where {name} is {features.shape}; it must be "
            f"(n, 2), x and y, or (n, 3), scene, x and y."
        )


def _without_first(values: np.ndarray) -> np.ndarray:
    """Drop a leading dimension of one, which CLAM and TRIDENT may write."""
    return values[0] if values.ndim == 3 and len(values) == 1 else values


def _plain(value: Any) -> Any:
    """Return an attribute as text or number; equal values count as one, no value as None."""
    if value is None or isinstance(value, h5py.Empty):
        return None
    values = list(dict.fromkeys(np.asarray(value).ravel().tolist()))
    texts = [v.decode(errors="replace") if isinstance(v, bytes) else v for v in values]
    return None if not texts else texts[0] if len(texts) == 1 else str(texts)


def _read_fields(file: h5py.File, names: tuple[str, str]) -> dict[str, Any]:
    """Return the known fields of a bag: attributes of file and datasets, and scalar datasets."""
    found: dict[str, Any] = {}
    scalars = {
        key: file[key][()]
        for key in file
        if key not in names and isinstance(file[key], h5py.Dataset) and file[key].size == 1
    }
    features, coords = (file[name].attrs for name in names)
    args = _plain(scalars.pop("args", file.attrs.get("args")))
    # `name` is the encoder on TRIDENT's features, and the slide anywhere else
    for source in (_histobistro_arguments(args), scalars, file.attrs, coords, features):
        found |= {
            key.lower(): _plain(source[key])
            for key in source
            if key.lower() in FIELDS and (key.lower() != "name" or source is features)
        }
    return {key: value for key, value in found.items() if value not in (None, "")}


def _histobistro_arguments(text: Any) -> dict[str, Any]:
    """Return the arguments that HistoBistro saves as JSON; a resolution of 0 means unknown."""
    try:
        args = json.loads(text)
        kept = {key: args[key] for key in ("patch_size", *RESOLUTIONS) if args.get(key)}
    except (TypeError, ValueError, AttributeError):
        return {}
    return kept


def _check_fields(path: Path, fields: dict[str, Any], card: Card) -> None:
    for name, value in fields.items():
        accepted = card.get("says", {}).get(name)
        if accepted is not None and (str(accepted) == str(value) or _near(value, accepted, 1e-9)):
            continue
        expected = _expected_instead(name, value, fields, card)
        if expected:
            raise StoreError(
                f"{path} has {name} {value!r}, but {card['where']} says {expected}. "
                f"Correct `bags:` or `tiles:` there; if both mean the same, add `says: "
                f"{{{name}: {value}}}` to the "
                f"entry {card['model']} of `bags:`."
            )


def _expected_instead(name: str, value: Any, fields: dict[str, Any], card: Card) -> str:
    """Return what the card has instead of a value; empty where it agrees or has nothing."""
    tiling = card.get("tiling") or {}
    if name in {*MODEL_FIELDS, "name"}:
        known = {_normalised_name(one) for one in card["names"]}
        return "" if _normalised_name(value) in known else f"that these are bags of {card['model']}"
    if name == "feat_type":
        tile = str(value).lower() in ("tile", "patch")
        return "" if tile else "that these are bags, with features of each tile"
    if name == "unit":
        return "" if str(value).lower() in UNITS else "sizes in µm and px alone"
    if not tiling:
        return ""
    mpp, side = tiling["mpp"], tiling["side"]
    sizes, shown = {"um": mpp * side, "px": side}, f"tiles of {side} px at {mpp} µm/px"
    if name in SIZE_UNITS:
        unit = SIZE_UNITS[name] or UNITS.get(str(fields.get("unit", "")).lower(), "")
        expected = [sizes[unit]] if unit else list(sizes.values())
        agrees = any(_near(value, size, EXACT) for size in expected)
        return "" if agrees else f"{shown}, {mpp * side:g} µm"
    number, tolerance = (mpp, EXACT) if name in RESOLUTIONS else (10 / mpp, NOMINAL)
    return "" if _near(value, number, tolerance) else f"{shown}, about {10 / mpp:g}x"


def _near(value: Any, expected: Any, tolerance: float) -> bool:
    try:
        return abs(float(str(value).strip().rstrip("xX")) / float(expected) - 1) <= tolerance
    except (ValueError, ZeroDivisionError):
        return False


def _normalised_name(name: Any) -> str:
    """Return a model's name without case and punctuation: `UNI2-h` and `uni2_h` are one."""
    return "".join(letter for letter in str(name).lower() if letter.isalnum())
