"""Say what a study needs and where to put it: `python -m cryotome.data ganz2024`."""

import sys
from pathlib import Path

from cryotome.cards import read_yaml
from cryotome.errors import CryotomeError
from cryotome.interpreter import restart_in_utf8
from cryotome.site import settle, shopping_list
from cryotome.study import Study


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
