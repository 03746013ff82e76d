"""Write the generated pages: config/README.md from the schemas, docs/reference/third-party-licences.md from the lock
files, docs/reference/models.md from the cards; from the table of products docs/reference/output-files.md,
results/README.md and the captions of Snakemake's report.

`make docs` writes them; `tests/docs/test_docs.py` fails when they are stale.
"""

import ast
import json
import re
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, files, metadata
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from cryotome.core.cards import Card, load_card, without_notes  # noqa: E402
from cryotome.encoders.network import LOADERS, build_network, on_meta  # noqa: E402
from cryotome.encoders.profile import NETWORK  # noqa: E402
from cryotome.learners.endtoend.lora import count_adapters  # noqa: E402
from cryotome.study.geometry import input_side  # noqa: E402
from cryotome.study.products import PRODUCTS, Product  # noqa: E402

KINDS = {
    "config": "config/config.yaml` and `config/studies/*.yaml",
    "model": "config/models/*.yaml",
    "dataset": "config/datasets/*.yaml",
    "head": "config/heads/*.yaml",
    "scheme": "config/schemes/*.yaml",
    "download": "config/downloads/*.yaml",
    "finetuning": "config/finetunings/*.yaml",
}
# Licences that a package's metadata spells vaguely: read from its source, and accepted.
READ = {
    "docutils": "Public Domain, BSD-2-Clause, PSF (one unused Emacs file is GPL)",
    "nvidia": "NVIDIA proprietary runtime, unmodified",
    "cuda": "NVIDIA proprietary runtime, unmodified",
}
REFUSED = re.compile(r"\bA?GPL|Affero|non-?commercial|CC-BY-NC", re.I)
# unmodified LGPL libraries, and GPL where another licence may be chosen
ALLOWED_ANYWAY = re.compile(r"LGPL[\w.-]*|Lesser|\([^)]*\bOR\b[^)]*\)", re.I)


def _keys(properties: dict, depth: int = 0) -> list[str]:
    lines = []
    for name, entry in properties.items():
        text = entry.get("description", "")
        choices = entry.get("enum") or [o["const"] for o in entry.get("oneOf", []) if "const" in o]
        if choices:
            text += (
                f" One of {', '.join(f'`{c}`' for c in choices)}."
                if not text
                else f" ({', '.join(f'`{c}`' for c in choices)})"
            )
        if "default" in entry:
            text += f" Default: `{json.dumps(entry['default']).replace(chr(34), '')}`."
        lines.append(f"{'  ' * depth}* `{name}`: {text.strip() or entry.get('type', '')}")
        inner = (
            entry.get("items", entry).get("properties")
            if isinstance(entry.get("items", {}), dict)
            else None
        )
        each = entry.get("additionalProperties")  # of a mapping whose keys are names
        inner = inner or (each.get("properties") if isinstance(each, dict) else None)
        lines += _keys(inner or {}, depth + 1)
    return lines


def config_page() -> str:
    """Return config/README.md."""
    parts = [
        "# Configuration\n\n**For** everyone who writes a card or a study.\n\nGenerated from `workflow/schemas/` by `make docs`. A key that is not here is an error, "
        "named with its file.\nA card may say `extends: other_card` and give only what differs.\n"
        "`config/site.yaml` (not in git) may say `data_root`, `weights_dir`, `shards` and `jobs_per_gpu`, and alone\n"
        "`allow_remote_code: true`, which lets models run code of a hub that their cards pin.\n"
    ]
    for schema, where in KINDS.items():
        content = yaml.safe_load(
            (ROOT / "workflow" / "schemas" / f"{schema}.schema.yaml").read_text(encoding="utf-8")
        )
        properties = dict(content.get("properties", {}))
        for choice in content.get("oneOf", []):
            properties |= {
                k: v for k, v in choice["properties"].items() if k not in properties and v
            }
        head = f"## {content['title']}: `{where}`\n\n{content['description']}\n"
        parts.append("\n".join([head, *_keys(properties), ""]))
    return "\n".join(parts)


def locked() -> dict[str, str]:
    """Return package to version of the lock files."""
    texts = (
        (ROOT / name).read_text(encoding="utf-8")
        for name in ("requirements.txt", "requirements-dev.txt", "requirements-lite.txt")
    )
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", "\n".join(texts), re.M))


def licence(package: str) -> str:
    """Return one line about the licence of an installed package."""
    for prefix, said in READ.items():
        if package.startswith(prefix):
            return said
    about = metadata(package)
    expression = about.get("License-Expression")
    classifiers = [
        c.split(" :: ")[-1] for c in about.get_all("Classifier") or [] if c.startswith("License")
    ]
    stated = about.get("License", "UNKNOWN").removeprefix("UNKNOWN")
    first = (stated or _licence_file(package)).strip().splitlines()[:1]
    return expression or ", ".join(classifiers) or "".join(first)[:60] or "not stated"


def _licence_file(package: str) -> str:
    named = [file for file in files(package) or [] if file.name.upper().startswith("LICEN")]
    return named[0].read_text(encoding="utf-8") if named else ""


def licences() -> dict[str, str]:
    """Return package to licence, for every locked package that this platform installs."""
    found = {}
    for package in sorted(locked()):
        try:
            found[package] = licence(package)
        except PackageNotFoundError:  # for another platform or Python
            continue
    return found


def refused(found: dict[str, str]) -> dict[str, str]:
    """Return the packages whose licence this project does not accept."""
    return {
        name: said
        for name, said in found.items()
        if (REFUSED.search(ALLOWED_ANYWAY.sub("", said)) and name not in READ)
        or said == "not stated"
    }


def licence_page() -> str:
    """Return docs/reference/third-party-licences.md."""
    lines = [
        "# Third-party licences\n",
        "**For** those who pass cryotome on, or must know what it depends on.\n",
        "Generated by `make docs` from the packages' own metadata.\n",
    ]
    lines += ["| package | licence |", "| --- | --- |"]
    lines += [f"| {name} | {said.replace('|', '/')} |" for name, said in licences().items()]
    return "\n".join(lines) + "\n"


def _weights(weights: dict | str) -> str:
    if isinstance(weights, str):
        return "none"
    if "random" in weights:
        return "random, drawn here"
    if "finetune" in weights:
        return f"made here: `config/finetunings/{weights['finetune']}.yaml`"
    if "package" in weights:
        return f"package `{weights['package'].replace('_', '-')}`, sha256 known"
    where = weights.get("hub") or weights.get("url") or weights["page"]
    address = f"https://huggingface.co/{where}" if "hub" in weights else where
    gate = {True: ", gated", None: ", gate not known"}.get(weights.get("gated", False), "")
    known = ", sha256 known" if "sha256" in weights else ""
    return f"[{where.rsplit('/', 1)[-1]}]({address}){gate}{known}"


def _geometry(geometry: dict | None) -> str:
    if not geometry:
        return "as is"
    side, crop = geometry["resize"], geometry["crop"]
    said = f"{side if isinstance(side, int) else ' x '.join(map(str, side))} {geometry['interpolation']}"
    return (
        said
        + (f", centre {crop}" if crop else "")
        + (", / 255 twice" if "divide" in geometry else "")
    )


def _million(parameters: int | None) -> str:
    return f"{parameters / 1e6:,.2f} M" if parameters else "none"


@cache
def _adapters(network: str, settings: str) -> int:
    """Count the parameters of the adapters of a network, which several cards may share."""
    card = json.loads(network)
    with on_meta():
        bare = build_network(card)
    return count_adapters(bare, json.loads(settings), name=card["architecture"])


def trained_by_lora(card: Card, settings: Card) -> int | None:
    """Return what a head with `lora` trains: adapters and one logit; None without a network.

    Also of own code, which no page builds.
    """
    if "architecture" not in card:
        return None
    return _adapters(without_notes(card, *NETWORK), without_notes(settings)) + card["dim"] + 1


def _named_in_tests(*patterns: str) -> set[str]:
    """Return all strings of the tests of encoders, among them the names of the cards they try."""
    paths = [path for one in patterns for path in (ROOT / "tests" / "encoders").glob(one)]
    nodes = [n for path in paths for n in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def _layout(card: Card) -> str:
    """Return what decides how the parameters of a file become those of a card's network."""
    said = without_notes(card, "loader", "checkpoint", "pooling", "views", "unit_length")
    return said if "checkpoint" in card else said + _built_of(card)


def _built_of(card: Card) -> str:
    """Return architecture and names of arguments, which decide the names of parameters."""
    return f"{card.get('architecture')} {sorted(card.get('arguments', {}))}"


def checked(cards: dict[str, Card]) -> dict[str, str]:
    """Return what has been checked of each card: read from tests and cards, said nowhere else."""
    tried = {_layout(cards[name]) for name in _named_in_tests("test_convert*.py") & set(cards)}
    loaded = _named_in_tests("test_weights.py", "test_encoder.py")
    found = {}
    for name, card in cards.items():
        weights = card["weights"]
        if card["loader"] not in LOADERS or "code" in card:
            found[name] = "-"
            continue
        said = ["counted"] + ["converter tested"] * (_layout(card) in tried)
        if "package" in weights and name in loaded:
            said.append("real weights loaded here")
        elif "random" in weights or "finetune" in weights:
            said.append("weights made here")
        else:
            said.append("never with real weights")
        found[name] = ", ".join(said)
    return found


NOT_HERE = {
    "RudolfV-2, three sizes": "gated; how its rotary positions are laid out stands in code of the hub that was not read. Who has "
    "access may write a card of `loader: python` ([Add a model](../guides/add-a-model.md#code-of-a-hub)).",
    "METTLE": "H-optimus-0 with a head that refines the class token; no pooler here does that.",
    "DINOv3 ViT-7B/16": "its weights lie in several files, 27 GB in fp32.",
    "EXAONEPath": "version 1.0 normalises stains before the network, 2.0 is a slide encoder whose code was not read; 2.5 is here.",
    "CRISP": "Virchow2 with LoRA factors, which would have to be merged when they are loaded.",
    "iSight": "the mean of all tokens before the last LayerNorm, then a projection.",
    "Prost40M": "its config, statistics and licence were not read.",
    "Atlas 2, PLUTO-4, Virchow2G, H-optimus-2, UNI2-g": "no public weights were found by November 2026.",
}


def models_page() -> str:
    """Return docs/reference/models.md, from the cards."""
    folder = ROOT / "config"
    names = sorted(path.stem for path in (folder / "models").glob("*.yaml"))
    cards = {name: load_card(folder, "models", name) for name in names}
    settings = load_card(folder, "heads", "lora")["lora"]
    what = checked(cards)
    lines = [
        "# Models\n",
        "**For** those who choose an encoder, or ask what is known of one.\n",
        "Generated by `make docs` from `config/models/`. Parameters, dimension, prefix tokens and GFLOP are measured: the",
        "tests build every architecture, count, run it once and compare (`tests/core/test_cards.py`). No checkpoint was opened",
        "for this page. The last column says what was checked of each card. *Counted*: that comparison. *Converter tested*: a file of the",
        "published layout with random weights gives the same embeddings as another implementation (`tests/encoders/test_convert*.py`).",
        "*Real weights loaded here*: the published file itself was loaded and run. Licences are those of the weights; none is part of cryotome.\n",
        f"Trained by LoRA: what the head `lora` trains of it, adapters of rank {settings['rank']} and a linear layer to one logit.\n",
        "| model | weights | licence | loader | pooling (prefix tokens) | dim | published size: authors; Ganz et al. 2024; Roth et al. 2024 | parameters | trained by LoRA | input px | GFLOP | checked |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, card in cards.items():
        published = card.get("published", {})
        printed = published.get("sizes", {})
        ganz = published.get("table1", {}).get("size") or printed.get("ganz2024", "-")
        said = "; ".join([printed.get("authors", "-"), ganz, printed.get("roth2024", "-")])
        built = card.get("architecture") or card.get("module")
        loader = f"{card['loader']}: {built}" if built else card["loader"]
        pooling = f"{card['pooling']} ({card['prefix_tokens']})" if "pooling" in card else "-"
        columns = [
            f"`{name}`<br>{card['title']}",
            _weights(card["weights"]),
            card["licence"],
            loader,
        ]
        columns += [pooling, card["dim"], said, _million(card.get("parameters"))]
        columns += [_million(trained_by_lora(card, settings)), input_side(card)]
        lines.append(_row([*columns, card.get("gflops", "-"), what[name]]))
    lines += [
        "\n## Transforms\n",
        "Before normalising. A view `paper-*` does what the paper's code did (Ganz et al. 2024: nothing), a view `card-*` what the",
        "authors of the model say, a view `fit-*` resizes the whole patch to the model's `input`.\n",
        "| model | paper | card | mean | SD | trained at, µm/px |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, card in cards.items():
        if "normalise" in card:
            policies = card.get("transform", {})
            mean, std = (
                " ".join(f"{v:.4g}" for v in card["normalise"][k]) for k in ("mean", "std")
            )
            shown = [_geometry(policies.get(policy)) for policy in ("paper", "card")]
            at = ", ".join(map(str, card.get("trained_mpp", []))) or "-"
            lines.append(_row([f"`{name}`", *shown, mean, std, at]))
    lines += ["\n## What to know of each\n"]
    for name, card in cards.items():
        lines.append(f"* `{name}`: {card['source']}. {card.get('notes', '')}".rstrip())
    lines += ["\n## Not here, and why\n", *(f"* {name}: {why}" for name, why in NOT_HERE.items())]
    return "\n".join(lines) + "\n"


def _row(columns: list) -> str:
    return "| " + " | ".join(str(column).replace("|", "/") for column in columns) + " |"


def _files(product: Product) -> str:
    first, *more = product.files
    return ", ".join([f"`{first}`", *(f"`{Path(name).suffix}`" for name in more)])


def _rules(product: Product) -> str:
    return ", ".join(f"`{rule}`" for rule in dict.fromkeys(product.files.values()))


def files_page() -> str:
    """Return docs/reference/output-files.md, whose table of products is made here."""
    page = (ROOT / "docs/reference/output-files.md").read_text(encoding="utf-8")
    lines = ["| file | rule | of studies with | content |", "| --- | --- | --- | --- |"]
    for product in PRODUCTS:
        content = product.caption + f" Columns: {product.columns}" * bool(product.columns)
        lines.append(_row([_files(product), _rules(product), product.when.said, content]))
    begin, end = "products.py -->\n", "<!-- end of products -->"
    before, rest = page.split(begin)
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n\n{end}" + rest.split(end)[1]


def results_page() -> str:
    """Return results/README.md: the files and rules of docs/reference/output-files.md."""
    table, *_ = files_page().split("\n## ")
    listed = [line.split(" | ")[:2] for line in table.splitlines() if line.startswith("| `")]
    listed += [
        [f"| {_rules(one)}", _files(one).replace("`", "`results/studies/{study}/", 1)]
        for one in PRODUCTS
    ]
    lines = [
        "# Map of the files\n",
        "Generated by `make docs`. A path names every setting that changes its numbers. See",
        "`docs/reference/output-files.md` for columns and attributes.\n",
        "| path | rule |",
        "| --- | --- |",
    ]
    lines += [_row([file.replace("`results/", "`"), rule[2:]]) for rule, file in listed]
    return "\n".join(lines) + "\n"


def captions() -> dict[str, str]:
    """Return the captions of Snakemake's report, by file."""
    return {
        f"workflow/report/{product.stem}.rst": product.caption.replace("`", "``") + "\n"
        for product in PRODUCTS
    }


PAGES = {
    "config/README.md": config_page,
    "docs/reference/third-party-licences.md": licence_page,
    "docs/reference/models.md": models_page,
    "docs/reference/output-files.md": files_page,
    "results/README.md": results_page,
    **{name: lambda text=text: text for name, text in captions().items()},
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")
    bad = refused(licences())
    if bad:
        raise SystemExit(f"Not acceptable: {bad}")
