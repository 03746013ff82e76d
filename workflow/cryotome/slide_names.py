"""What a slide is called: its file's name without the suffix."""

from pathlib import Path

# of slides and of bags; a name may hold other dots, as TCGA's do
SUFFIXES = {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".scn", ".bif", ".svslide", ".vms", ".vmu"}
SUFFIXES |= {".czi", ".dcm", ".h5"}


def slide_of(name: str) -> str:
    """Return a slide's name without its suffix, where it has one.

    >>> slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923.svs"), slide_of("TCGA-3L-AA1B-01Z-00-DX1.8923")
    ('TCGA-3L-AA1B-01Z-00-DX1.8923', 'TCGA-3L-AA1B-01Z-00-DX1.8923')
    """
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in SUFFIXES else name
