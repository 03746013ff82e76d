"""Facts of a study that tables, figures and the page need, as JSON."""

import json

from cryotome.core.cards import Card, distinct_titles, without_notes
from cryotome.study.colorectal import KINDS, PREDEFINED, Colorectal
from cryotome.study.row import LAST
from cryotome.study.schemes import Scheme
from cryotome.study.statistical_unit import is_unknown
from cryotome.study.study import Study
from cryotome.study.styles import row_styles
from cryotome.study.variants import NO_POOLING

MEANING = {  # of the audit's findings, for people
    "broken": "cells on images that cannot be read",
    "outside": "centres outside their image",
    "border": "windows across the border",
    "duplicate": "exact duplicates",
    "conflict": "exact duplicates with another label",
    "near": "near pairs",
    "enlarged": "patches enlarged from a coarser image",
}


def _task(card: Card) -> str:
    negative, positive = (entry["name"] for entry in card["classes"])
    return f"{card['title']}: {positive} against {negative}"


def encoder_facts(study: Study) -> str:
    """The model cards of the rows as JSON, in table order."""
    return json.dumps({row.model: study.model(row.model) for row in study.rows})


def seed_replicates(study: Study) -> dict[str, list[str]]:
    """Row to the rows that differ from it in the training seed alone, itself included.

    Empty for heads without a seed: their optimum is unique.
    """
    kinds = {
        row.key: (
            row.model,
            row.head.endswith(LAST),
            without_notes({k: v for k, v in study.head(row.head).items() if k != "seed"}),
        )
        for row in study.rows
    }
    trained = {row.key for row in study.rows if study.is_trainable(row.head)}
    return {
        name: [other for other in kinds if kinds[other] == kind] if name in trained else []
        for name, kind in kinds.items()
    }


def table_facts(study: Study) -> str:
    """What tables and figures say of rows and datasets, as JSON."""
    datasets = {name: study.dataset(name) for name in study.datasets}
    titles = distinct_titles({name: card["title"] for name, card in datasets.items()})
    about = {
        "order": [(row.model, row.head) for row in study.rows],
        "labels": {row.key: study.label(row) for row in study.rows},
        "datasets": {n: _task(card | {"title": titles[n]}) for n, card in datasets.items()},
        "domains": {
            name: {domain: entry["title"] for domain, entry in card["domains"].items()}
            for name, card in datasets.items()
        },
        "homes": {  # domains trained on one at a time
            name: [
                Scheme.parse(scheme).domain
                for block, scheme in study.cross_domain_blocks
                if block == name
            ]
            for name in datasets
        },
        "synthetic": [name for name, card in datasets.items() if "synthetic" in card],
        "notice": next((c["synthetic"] for c in datasets.values() if "synthetic" in c), ""),
        "schemes": {scheme: study.scheme(scheme)["title"] for _, scheme in study.blocks},
        "fractions": [float(share) for share in study.config["fractions"]],
        "folds": study.folds,
        "reference": study.reference,
        "figure2": [
            *((row["model"], row["head"]) for row in study.config["figure2"]),
            *([study.reference] if study.rows and not study.config["figure2"] else []),
        ],
        "rungs": {
            str(Scheme.parse(scheme).every): study.scheme(scheme)["title"]
            for _, scheme in study.matched_blocks
        },
        "probed": [(row.model, row.head) for row in study.multi_head_rows],
        "heads": {row.head: study.head(row.head)["title"] for row in study.rows},
        "looks": {
            name: vars(look)
            for name, look in row_styles(
                ((row.model, row.head) for row in study.rows), study.styles
            ).items()
        },
        "models": {row.model: study.model(row.model)["title"] for row in study.rows},
        "families": seed_replicates(study),
        "statistics": study.config["statistics"],
    }
    unknown = [name for name in datasets if name in study.unknown_slides]
    return json.dumps(about | ({"unknown_slides": unknown} if unknown else {}))


def context_facts(study: Study) -> str:
    """What the context study varies, as JSON: crops of datasets, poolings of models."""
    crop = {name: study.dataset(name)["patch"]["side"] for name in study.datasets}
    about = {
        "poolings": study.context["poolings"] if study.context else [],
        "crops": {name: (study.split_source(name), side) for name, side in crop.items()},
        "bases": {base: _geometry(study, base) for base in map(study.split_source, crop)},
        "models": {
            name: (row["model"], study.model(name).get("pooling", NO_POOLING))
            for row in study.config["rows"]
            for name in study.poolings_of(row["model"])
        },
        "titles": {
            row["model"]: study.model(row["model"])["title"] for row in study.config["rows"]
        },
    }
    return json.dumps(about)


def _geometry(study: Study, dataset: str) -> Card:
    """Return what a dataset's card says of its images' place and resolution, and its title."""
    said = ("title", "synthetic", "images", "patch", "mpp", "mpp_overrides_file")
    return {key: value for key, value in study.dataset(dataset).items() if key in said}


def describe(study: Study) -> str:
    """What it is, in words: rows and datasets, encoders and cohorts."""
    said, part = [], study.colorectal
    if study.rows:
        datasets = (f"{name} ({len(study.schemes(name))} schemes)" for name in study.datasets)
        said.append(
            f"{len(study.rows)} rows x {', '.join(datasets)}: {study.runs} row-runs, "
            f"{study.trainings} of them trainings"
        )
    if part:
        said.append(
            f"{len(part.rows)} encoders, {len(part.finetunings)} finetunings, on "
            + " and ".join(
                f"{what} ({', '.join(names)})"
                for what, names in (("patches", part.sets), ("slides", part.cohorts))
                if names
            )
        )
    return "; ".join(said)


def protocol_facts(study: Study) -> str:
    """What decides whether a number of this study may be held against a published one, as JSON.

    `schemes` are those of the config, where `from_*` stands for all domains.
    """
    models = {row.model: study.model(row.model)["weights"] for row in study.rows}
    about = {
        "study": study.name,
        "datasets": study.datasets,
        "synthetic": [name for name in study.datasets if "synthetic" in study.dataset(name)],
        "random": [m for m, w in models.items() if isinstance(w, dict) and "random" in w],
        "rows": [(row.model, row.head, row.view) for row in study.rows],
        "schemes": study.config["schemes"],
        "fractions": [float(share) for share in study.config["fractions"]],
        "folds": study.config["folds"],
    }
    return json.dumps(about)


def colorectal_facts(part: Colorectal) -> str:
    """What tables and figures say of rows, cohorts and cards, as JSON."""
    cards = {name: part.dataset(name) for name in part.datasets}
    checkpoints = {m for course in part.figure2_checkpoints.values() for m in course.values()}
    heads = {"patches": part.patch_heads, "slides": part.slide_heads}
    order = {
        kind: [(getattr(row, kind), head) for row in part.rows for head in heads[kind]]
        for kind in KINDS
    }
    about = {
        "study": part.study,
        "order": order,
        "rows": [(*pair, part.view) for kind in KINDS for pair in order[kind]],
        "titles": {
            name: part.model(name)["title"] for name in sorted({*part.models, *checkpoints})
        },
        "datasets": distinct_titles({name: card["title"] for name, card in cards.items()}),
        "synthetic": sorted(
            {part.table_columns[kind][name][0] for kind in KINDS for name in part.synthetic[kind]}
        ),
        "synthetic_columns": part.synthetic,
        "notice": next((c["synthetic"] for c in cards.values() if "synthetic" in c), ""),
        "random": [name for name in part.models if part.is_random(name)],
        "schemes": [*([PREDEFINED] if part.sets else []), *([part.scheme] if part.cohorts else [])],
        "fractions": [1.0],
        "folds": len(part.folds),
        "printed_as": part.published_names,
        "courses": part.figure2_checkpoints,
        "looks": {name: vars(look) for name, look in part.looks().items()},
        "columns": part.table_columns,
        "finetuned": {
            name: part.model(name)["weights"]["finetune"]
            for name in part.models
            if "finetune" in part.model(name)["weights"]
        },
    }
    unknown = [name for name, card in cards.items() if is_unknown(card)]
    return json.dumps(about | ({"unknown_slides": unknown} if unknown else {}))


def _weights(card: Card) -> str:
    """Return how a model got its weights: `random`, `none`, `finetuned here` or `released`."""
    weights = card["weights"]
    if not isinstance(weights, dict):
        return "none"
    if "finetune" in weights:
        return "finetuned here"
    return "random" if "random" in weights else "released"


def _file(study: Study) -> str:
    """Return the config that a command names: none for the demo. Where it lies reruns nothing."""
    if study.name == "demo":
        return ""
    path = study.folder / "studies" / f"{study.name}.yaml"
    return f"config/studies/{path.name}" if path.exists() else f"THE_CONFIG_OF_{study.name}.yaml"


def page_about(study: Study) -> str:
    """Return what the page says of rows, cards and files, as JSON.

    Returns
    -------
    `table_facts`, and study, summary, file (config), products, all_datasets, blocks,
    findings (of an audit, for people), atlases (datasets), cards (datasets: title, task, domains,
    source, licence, home of the audit, policies; models: weights),
    model_looks, colorectal (None, or `colorectal_facts`)
    """
    datasets = {name: study.dataset(name) for name in study.datasets}
    titles = distinct_titles({name: card["title"] for name, card in datasets.items()})
    about = json.loads(table_facts(study)) | {
        "study": study.name,
        "summary": describe(study),
        "file": _file(study),
        "products": study.products,
        "all_datasets": study.all_datasets,
        "blocks": study.blocks,
        "findings": MEANING,
        "atlases": sorted({dataset for dataset, _ in study.blocks}),
        "cards": {
            "datasets": {
                name: {
                    "title": titles[name],
                    "task": f"{card['classes'][1]['name']} against {card['classes'][0]['name']}",
                    "domains": [entry["title"] for entry in card["domains"].values()],
                    "source": card["source"],
                    "licence": card.get("licence", ""),
                    "home": study.split_source(name),
                    "policies": study.policies(study.split_source(name)),
                }
                for name, card in datasets.items()
            },
            "models": {
                row.model: {"weights": _weights(study.model(row.model))} for row in study.rows
            },
        },
        "model_looks": {name: vars(look) for name, look in study.styles.items()},
        "colorectal": json.loads(colorectal_facts(study.colorectal)) if study.colorectal else None,
    }
    return json.dumps(about)
