"""Weights fetched ahead of a run: `python -m cryotome.cli.weights uni`. Jobs use no network."""

import argparse
import sys
from pathlib import Path

from cryotome.core.cards import load_card, read_yaml
from cryotome.core.errors import CryotomeError
from cryotome.core.redact import without_secrets
from cryotome.encoders.weights import has_weights_file, weights_status
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.study.site import resolve_site
from cryotome.study.study import Study
from cryotome.study.variants import model_of


def chosen_models(names: list[str], config: Path) -> list[str]:
    """Return the models named; those of a study for none, every card for `all`."""
    folder = config.parent
    if names == ["all"]:
        return sorted(path.stem for path in (folder / "models").glob("*.yaml"))
    if names:
        return names
    study = Study(resolve_site(read_yaml(config), folder).study, folder)
    return list(dict.fromkeys(model_of(name) for name in study.models))


def main(names: list[str], config: Path, *, look: bool) -> bool:
    """Print one line per model as soon as it is known, and return whether nothing lacks.

    Parameters
    ----------
    look
        Say what is at hand; fetch nothing.
    """
    weights_dir = resolve_site(read_yaml(config), config.parent).weights_dir
    complete = True
    for name in chosen_models(names, config):
        card = load_card(config.parent, "models", name)
        if has_weights_file(card):
            line = weights_status(card, name, weights_dir, fetch=not look)
        else:
            line = f"none  {name}: needs no file"
        print(without_secrets(line), flush=True)
        complete &= not line.startswith("MISSING")
    return complete


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="cards, or `all`; none: those of the study")
    parser.add_argument("--study", default="demo", help="config/{study}.yaml")
    parser.add_argument("--look", action="store_true", help="say what is at hand, fetch nothing")
    return parser


if __name__ == "__main__":
    restart_in_utf8()
    given = _parser().parse_args()
    study = Path("config") / f"{'config' if given.study == 'demo' else given.study}.yaml"
    try:
        sys.exit(0 if main(given.models, study, look=given.look) else 1)
    except CryotomeError as error:
        sys.exit(str(error))
