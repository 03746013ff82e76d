"""Readers of annotation formats, by the name that a dataset's card gives."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cryotome.core.cards import Card
from cryotome.data.annotations.class_folders import read_class_folders
from cryotome.data.annotations.midog import read_midog_json
from cryotome.data.annotations.sliderunner import read_sliderunner
from cryotome.data.annotations.table import read_cell_table

# A reader takes the annotation file, the image folder and the dataset card, and returns one row
# per cell in the order of the file: `image` (path below the image folder), `slide` if the files
# name slides, `x`, `y` (centre, level-0 px), `class` (name from the card), and columns for the
# card's domains; those in READERS_WITH_SIZES also `width`, `height` of the image (level-0 px).
# It ends with one log line: entries found, read, and passed over by reason.
Reader = Callable[[Path, Path, Card], pd.DataFrame]
READERS: dict[str, Reader] = {
    "midog_json": read_midog_json,
    "sliderunner_sqlite": read_sliderunner,
    "table": read_cell_table,
    "class_folders": read_class_folders,  # type: ignore[dict-item]  # whose CSV may be absent
}
# readers whose `width`, `height` are those of the images
READERS_WITH_SIZES = ("midog_json", "sliderunner_sqlite")
