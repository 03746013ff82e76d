"""Weights of encoders, downloaded before a run: `python -m cryotome.cli.weights uni`.

Jobs use no network.
"""

import argparse
from pathlib import Path

from cryotome.core.cards import load_card
from cryotome.core.redact import without_secrets
from cryotome.encoders.weights import has_weights_file, weights_status
from cryotome.runtime.interpreter import run_program
from cryotome.study.load import CONFIG, load_site, load_study
from cryotome.study.variants import model_of


def chosen_models(names: list[str], study: str, folder: Path = CONFIG) -> list[str]:
    """Return the models named; those of a study for none, every card for `all`."""
    if names == ["all"]:
        return sorted(path.stem for path in (folder / "models").glob("*.yaml"))
    return names or list(dict.fromkeys(map(model_of, load_study(study, folder)[0].models)))


def main(names: list[str], study: str, folder: Path = CONFIG, *, fetch: bool) -> bool:
    """Print a line per model as soon as it is known, and return whether none is missing.

    Parameters
    ----------
    study
        Its models, where `names` is empty, and its folder of weights.
    fetch
        Whether to download what is missing.
    """
    weights_dir = load_site(study, folder).weights_dir
    complete = True
    for name in chosen_models(names, study, folder):
        card = load_card(folder, "models", name)
        if has_weights_file(card):
            line = weights_status(card, name, weights_dir, fetch=fetch)
        else:
            line = f"none     {name}: needs no file"
        print(without_secrets(line), flush=True)
        complete &= not line.startswith("MISSING")
    return complete


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="cards, or `all`; none: those of the study")
    parser.add_argument("--study", default="demo", help="config/{study}.yaml")
    parser.add_argument("--look", action="store_true", help="only report what is there")
    return parser


if __name__ == "__main__":
    given = _parser().parse_args()
    run_program(lambda: main(given.models, given.study, fetch=not given.look))
