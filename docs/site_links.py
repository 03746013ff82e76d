"""MkDocs's hooks: links that leave `docs/` work on GitHub; on the site they have no page to go to.

`config/README.md` becomes a page of the site, and any other such link the words of it.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.structure.files import File, Files

KEYS, KEYS_PAGE = "../config/README.md", "reference/configuration.md"


def on_files(files: Files, config: dict) -> Files:
    """Add the page of all keys, which lies beside the cards that it explains."""
    keys = Path(config["docs_dir"], KEYS).read_text(encoding="utf-8")
    files.append(File.generated(config, KEYS_PAGE, content=keys))
    return files


def on_page_markdown(markdown: str, page: object, **_: object) -> str:
    """Lead links to the keys to their page, and keep the words of others."""
    here = PurePosixPath(page.file.src_uri).parent

    def inside(link: re.Match) -> str:
        target, _, anchor = link["target"].partition("#")
        path = os.path.normpath(here / target)
        if path == KEYS:
            where = os.path.relpath(KEYS_PAGE, here)
            return f"[{link['words']}]({where}{'#' * bool(anchor)}{anchor})"
        return link["words"] if path.startswith("..") else link[0]

    return re.sub(r"(?<!!)\[(?P<words>[^]]+)\]\((?P<target>\.\.?/[^)]+)\)", inside, markdown)
