"""Facts of a study, gathered from its config and its cards."""

from collections.abc import Iterable

from cryotome.core.cards import Card, distinct_titles, without_notes
from cryotome.study.applications import slide_applications
from cryotome.study.cautions import cautions
from cryotome.study.colorectal import KINDS, PREDEFINED
from cryotome.study.facts import (
    ContextFacts,
    DatasetCard,
    PageFacts,
    RothFacts,
    RowFacts,
    Statistics,
)
from cryotome.study.resolution import nominal_mpp
from cryotome.study.row import LAST, Row
from cryotome.study.schemes import Scheme
from cryotome.study.statistical_unit import is_unknown
from cryotome.study.study import Study
from cryotome.study.styles import row_styles
from cryotome.study.variants import NO_POOLING, crop_of

TRAINED = ("finetuned here", "released")  # weights of an encoder that was trained


def _task(card: Card) -> str:
    negative, positive = (entry["name"] for entry in card["classes"])
    return f"{positive} against {negative}"


def _titles(cards: dict[str, Card]) -> dict[str, str]:
    return distinct_titles({name: card["title"] for name, card in cards.items()})


def _notice(cards: Iterable[Card]) -> str:
    """Return what says that tissue is synthetic; empty where none is."""
    return next((card["synthetic"] for card in cards if "synthetic" in card), "")


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


def _way(study: Study, row: Row) -> str:
    """Return how a row uses its encoder; a control is frozen and was never trained."""
    if study.is_trainable(row.head):
        less = {"lora": "adapted by LoRA", "last_blocks": "last blocks trained"}
        return next((way for key, way in less.items() if key in study.head(row.head)), "trained")
    return "frozen" if _weights(study.model(row.model)) in TRAINED else "control"


def embedded_models(study: Study) -> list[str]:
    """Return the models whose embeddings heads read, in the order of the rows, controls last."""
    rows = [row for row in study.rows if not study.is_trainable(row.head)]
    rows.sort(key=lambda row: _way(study, row) == "control")
    return list(dict.fromkeys(row.model for row in rows))


def row_facts(study: Study) -> RowFacts:
    """Return what tables and figures say of rows and datasets."""
    cards, rows = {name: study.dataset(name) for name in study.datasets}, study.rows
    external = {name: study.dataset(name) for name in study.config["external"]}
    titles = _titles(cards)
    crossed = [(name, Scheme.parse(scheme).domain) for name, scheme in study.cross_domain_blocks]
    matched = [scheme for _, scheme in study.matched_blocks]
    figure2 = [Row(**row).key for row in study.config["figure2"]]
    models = {row.model: study.model(row.model) for row in rows}
    return RowFacts(
        study=study.name,
        datasets={name: f"{titles[name]}: {_task(card)}" for name, card in cards.items()},
        synthetic=[name for name, card in cards.items() if "synthetic" in card],
        notice=_notice(cards.values()),
        unknown_slides=[name for name in cards | external if name in study.unknown_slides],
        rows=rows,
        random=[name for name, card in models.items() if _weights(card) == "random"],
        asked_schemes=study.config["schemes"],
        fractions=[float(share) for share in study.config["fractions"]],
        folds=study.folds,
        published_names={},
        labels={row.key: study.label(row) for row in rows},
        styles=row_styles([(row.model, row.head) for row in rows], study.styles),
        replicates=seed_replicates(study),
        ways={row.key: _way(study, row) for row in rows},
        reference=study.reference,
        figure2=figure2 or [study.reference] * bool(rows),
        multi_head=[row.key for row in study.multi_head_rows],
        external=_titles(external),
        domains={
            name: {domain: entry["title"] for domain, entry in card["domains"].items()}
            for name, card in cards.items()
        },
        scanners={name: cards[name]["scanners"] for name, _ in study.scanner_blocks},
        homes={name: [domain for block, domain in crossed if block == name] for name in cards},
        schemes={scheme: study.scheme(scheme)["title"] for _, scheme in study.blocks},
        rungs={str(Scheme.parse(one).every): study.scheme(one)["title"] for one in matched},
        heads={row.head: study.head(row.head)["title"] for row in rows},
        models={name: card["title"] for name, card in models.items()},
        statistics=Statistics(**study.config["statistics"]),
    )


def context_facts(study: Study) -> ContextFacts:
    """Return what the context study varies: crops of datasets, poolings of models."""
    sources = {name: study.split_source(name) for name in study.datasets}
    models = [row["model"] for row in study.config["rows"]]
    return ContextFacts(
        poolings=study.context["poolings"] if study.context else [],
        crops={name: (base, _side_shown(study, name, base)) for name, base in sources.items()},
        resolutions={
            name: nominal_mpp(study.dataset(name)) or 0.0
            for name in study.datasets
            if study.resolutions
        },
        bases={base: _geometry(study, base) for base in sources.values()},
        models={
            name: (model, study.model(name).get("pooling", NO_POOLING))
            for model in models
            for name in study.poolings_of(model)
        },
        titles={model: study.model(model)["title"] for model in models},
    )


def _side_shown(study: Study, name: str, base: str) -> int:
    """Return the side of a crop in px of the dataset that it is cut from."""
    crop = crop_of(name) if name != base else None
    return crop[1] if crop else study.dataset(name)["patch"]["side"]


def _geometry(study: Study, dataset: str) -> Card:
    """Return what a dataset's card says of its images' place and resolution, and its title."""
    said = ["title", "synthetic", "images", "patch", "mpp", "mpp_overrides_file"]
    said += ["nominal_mpp"] * bool(study.resolutions)
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


def roth_facts(study: Study) -> RothFacts:
    """Return what tables and figures of Roth et al. 2024 say of rows, cohorts and cards."""
    part = study.colorectal
    assert part is not None
    cards = {name: part.dataset(name) for name in part.datasets}
    checkpoints = {m for course in part.figure2_checkpoints.values() for m in course.values()}
    heads = {"patches": part.patch_heads, "slides": part.slide_heads}
    rows = {
        kind: [
            Row(getattr(row, kind), head, part.view) for row in part.rows for head in heads[kind]
        ]
        for kind in KINDS
    }
    synthetic = {
        part.table_columns[kind][name][0] for kind in KINDS for name in part.synthetic[kind]
    }
    return RothFacts(
        study=study.name,
        datasets=_titles(cards),
        synthetic=sorted(synthetic),
        notice=_notice(cards.values()),
        unknown_slides=[name for name, card in cards.items() if is_unknown(card)],
        rows=[row for kind in KINDS for row in rows[kind]],
        random=[name for name in part.models if part.is_random(name)],
        asked_schemes=[PREDEFINED] * bool(part.sets) + [part.scheme] * bool(part.cohorts),
        fractions=[1.0],
        folds=part.folds,
        published_names=part.published_names,
        rows_of=rows,
        titles={name: part.model(name)["title"] for name in sorted({*part.models, *checkpoints})},
        styles=study.styles,
        columns=part.table_columns,
        synthetic_columns=part.synthetic,
        checkpoints=part.figure2_checkpoints,
        finetuned=part.finetuned,
    )


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


def page_facts(study: Study) -> PageFacts:
    """Return what the page says of rows, cards and files."""
    cards = {name: study.dataset(name) for name in study.datasets}
    titles = _titles(cards)
    return PageFacts(
        **vars(row_facts(study)),
        summary=describe(study),
        config=_file(study),
        products=study.products,
        all_datasets=study.all_datasets,
        blocks=study.blocks,
        cards={
            name: DatasetCard(
                title=titles[name],
                task=_task(card),
                domains=[entry["title"] for entry in card["domains"].values()],
                source=card["source"],
                licence=card.get("licence", ""),
                source_dataset=study.split_source(name),
                policies=study.policies(study.split_source(name)),
            )
            for name, card in cards.items()
        },
        cautions=cautions(study),
        weights={row.model: _weights(study.model(row.model)) for row in study.rows},
        model_styles=study.styles,
        attended={of.target: study.dataset(of.target)["title"] for of in slide_applications(study)},
        roth=roth_facts(study) if study.colorectal else None,
    )
