"""Which of a study's schemes the error atlas judges the rows by: the strictest that it has."""

from cryotome.core.cards import MATCHED

OTHER = "other"  # a pooled scheme that is not named below
# from the strictest; schemes at the ladder's common training size come after all others
ORDER = ["slide_grouped", "no_overlap", OTHER, "random", "except_", "from_"]


def scheme_kind(scheme: str) -> str:
    """Return what schemes that differ in a domain alone have in common, as `from_*`.

    >>> kind("from_lung"), kind("except_lung_matched"), scheme_kind("slide_grouped")
    ('from_*', 'except_*_matched', 'slide_grouped')
    """
    for prefix in ("from_", "except_"):
        if scheme.startswith(prefix):
            return f"{prefix}*{MATCHED * scheme.endswith(MATCHED)}"
    return scheme


def _rank(scheme: str) -> tuple[bool, int]:
    base = scheme_kind(scheme).removesuffix(MATCHED).removesuffix("*")
    place = ORDER.index(base) if base in ORDER else ORDER.index(OTHER)
    return scheme.endswith(MATCHED), place


def strictest_scheme(schemes: list[str]) -> list[str]:
    """Return the strictest of a dataset's schemes; all of them where there is one per domain.

    Parameters
    ----------
    schemes
        At least one, spelt out, as `Study.schemes` gives them.

    >>> strictest_scheme(["random", "from_lung", "from_breast", "slide_grouped"])
    ['slide_grouped']
    >>> strictest_scheme(["random_matched", "from_lung", "from_breast"])
    ['from_lung', 'from_breast']
    """
    best = scheme_kind(min(schemes, key=_rank))
    return [scheme for scheme in schemes if scheme_kind(scheme) == best]
