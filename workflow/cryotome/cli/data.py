"""Say what a study needs and where to put it: `python -m cryotome.cli.data ganz2024`."""

import sys
from pathlib import Path

from cryotome.core.cards import read_yaml
from cryotome.core.errors import CryotomeError
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.study.site import settle, shopping_list
from cryotome.study.study import Study


def main(name: str, folder: Path = Path("config")) -> None:
    """Print the shopping list of the study in `config/{name}.yaml`; `demo` is the default."""
    site = settle(read_yaml(folder / f"{'config' if name == 'demo' else name}.yaml"), folder)
    print(shopping_list(Study(site.study, folder), site))


if __name__ == "__main__":
    restart_in_utf8()
    try:
        main(sys.argv[1])
    except CryotomeError as error:
        sys.exit(str(error))
