"""Repositories of the hub as their small files describe them: config, shapes, licence.

They are read from a folder, from the hub's cache, or fetched: a config, a page and the header of a
safetensors file, never the weights.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import yaml

from cryotome.core.errors import CardError
from cryotome.encoders.checkpoint_file import read_checkpoint

SMALL = ["config.json", "preprocessor_config.json", "README.md"]
WEIGHTS = ["model.safetensors", "pytorch_model.bin", "*.safetensors", "*.pth", "*.pt", "*.bin"]
Shapes = dict[str, tuple[int, ...]]


@dataclass
class HubFolder:
    """What the small files of a repository say; `shapes` are empty where no weights are at hand."""

    hub: str
    config: dict[str, Any]
    preprocessor: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    revision: str = ""
    file: str = ""
    shapes: Shapes = field(default_factory=dict)


def read_hub(place: str) -> HubFolder:
    """Read a repository: a folder with its files, or `owner/name` in the cache or on the network.

    Raises
    ------
    CardError
        It has no config.json, or that is no JSON; or it can neither be found nor fetched.
    WeightsError
        The weights in the folder are broken.
    """
    folder = Path(place)
    if folder.is_dir():
        return _of_folder(folder, hub="")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", place):
        raise CardError(f"{place!r} is neither a folder nor `owner/name` of a hub's repository.")
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(place, SMALL[0])
    return _of_folder(Path(cached).parent, place) if isinstance(cached, str) else _fetched(place)


def _of_folder(folder: Path, hub: str) -> HubFolder:
    found = (path for pattern in WEIGHTS for path in sorted(folder.glob(pattern)))
    weights = next(found, None)
    texts = {name: folder / name for name in SMALL if (folder / name).is_file()}
    read = HubFolder(hub, **_small_files(texts, str(folder)))
    read.revision = folder.name if re.fullmatch("[0-9a-f]{40}", folder.name) else ""
    if weights:
        read.file, read.shapes = weights.name, _shapes(weights)
    return read


def _small_files(texts: dict[str, Path], place: str) -> dict[str, Any]:
    if SMALL[0] not in texts:
        raise CardError(
            f"{place} has no config.json, which says the architecture. Write the card by hand: "
            "docs/guides/add-a-model.md."
        )
    config, preprocessor = (_json(texts[name]) if name in texts else {} for name in SMALL[:2])
    page = texts["README.md"].read_text(encoding="utf-8") if "README.md" in texts else ""
    head = re.match(r"---\n(.*?)\n---", page, re.S)
    licence = re.search(r"^license(?:_name)?:\s*(?!other\b)(\S.*)$", head[1] if head else "", re.M)
    said = yaml.safe_load(licence[1]) if licence else ""
    return {"config": config, "preprocessor": preprocessor, "licence": str(said)}


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CardError(f"{path} is not JSON: {error}.") from None
    if not isinstance(content, dict):
        raise CardError(f"{path} must hold an object, not a {type(content).__name__}.")
    return content


def _shapes(path: Path) -> Shapes:
    """Return the shapes of the parameters of a file; only the header of safetensors is read."""
    if path.suffix != ".safetensors":
        content = read_checkpoint(path, path.parent.name)
        return {k: tuple(v.shape) for k, v in content.items() if hasattr(v, "shape")}
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CardError(f"{path} is broken or cut short ({error}). Fetch it again.") from None


def _fetched(hub: str) -> HubFolder:
    from huggingface_hub import get_safetensors_metadata, hf_hub_download
    from huggingface_hub.errors import NotASafetensorsRepoError, RemoteEntryNotFoundError

    texts = {}
    try:
        for name in SMALL:
            try:
                texts[name] = Path(hf_hub_download(hub, name))
            except RemoteEntryNotFoundError:
                continue
        read = HubFolder(hub, **_small_files(texts, hub))
        read.revision = texts[SMALL[0]].parent.name
        parts = get_safetensors_metadata(hub, revision=read.revision).files_metadata
    except NotASafetensorsRepoError:
        return read
    except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0][:200].rstrip(".")
        raise CardError(
            f"{hub} is not in the hub's cache and did not come from the network "
            f"({type(error).__name__}: {reason}). Give a folder with its config.json and weights, "
            "or set HF_TOKEN where terms must be accepted."
        ) from error
    read.file = next(iter(parts))
    for part in parts.values():
        read.shapes |= {name: tuple(info.shape) for name, info in part.tensors.items()}
    return read
