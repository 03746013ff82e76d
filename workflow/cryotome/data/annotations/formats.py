"""Foreign annotation formats become one table of cells: which reader reads which."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from cryotome.core.cards import Card
from cryotome.data.annotations.class_folders import read_class_folders
from cryotome.data.annotations.midog import read_midog_json
from cryotome.data.annotations.sliderunner import read_sliderunner
from cryotome.data.annotations.table import read_table

# A reader takes the annotation file, the image folder and the dataset card, and returns one row
# per cell in the order of the file: `image` (path below the image folder), `slide` where the
# files name any, `x`, `y` (centre, level-0 px), `class` (name from the card), whatever columns
# the card's domains ask for; those in OF_IMAGES also `width`, `height` of the image (level-0 px)
# where the file says them. It ends with one line to the log: found, read, passed over by reason.
Reader = Callable[[Path, Path, Card], pd.DataFrame]
READERS: dict[str, Reader] = {
    "midog_json": read_midog_json,
    "sliderunner_sqlite": read_sliderunner,
    "table": read_table,
    "class_folders": read_class_folders,  # type: ignore[dict-item]  # whose CSV may be absent
}
OF_IMAGES = ("midog_json", "sliderunner_sqlite")  # those whose `width`, `height` are the images'
