"""What the page knows of a study from its cards alone."""

import json

from cryotome.core.cards import Card, distinct_titles
from cryotome.study.study import MEANING, Study


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
    path = study.folder / f"{study.name}.yaml"
    return f"config/{path.name}" if path.exists() else f"THE_CONFIG_OF_{study.name}.yaml"


def page_about(study: Study) -> str:
    """Return what the page says of rows, cards and files, as JSON.

    Returns
    -------
    `Study.table_rows`, and study, summary, file (config), products, all_datasets, blocks,
    findings (of an audit, for people), atlases (datasets), cards (datasets: title, task, domains,
    source, licence, home of the audit, policies; models: weights),
    model_looks, colorectal (None, or `Colorectal.about`)
    """
    datasets = {name: study.dataset(name) for name in study.datasets}
    titles = distinct_titles({name: card["title"] for name, card in datasets.items()})
    about = json.loads(study.table_rows) | {
        "study": study.name,
        "summary": study.summary,
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
                    "home": study.home(name),
                    "policies": study.policies(study.home(name)),
                }
                for name, card in datasets.items()
            },
            "models": {
                row.model: {"weights": _weights(study.model(row.model))} for row in study.rows
            },
        },
        "model_looks": {name: vars(look) for name, look in study.looks.items()},
        "colorectal": json.loads(study.colorectal.about) if study.colorectal else None,
    }
    return json.dumps(about)
