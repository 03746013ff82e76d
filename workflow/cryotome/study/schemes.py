"""Schemes: the grammar of their names, and the order in which they are strict.

`random`, `slide_grouped` and other plain names pool all domains. `from_{domain}` trains on one
domain, `except_{domain}` on all others, and `*` stands for every domain. `from_scanner_{name}` and
`except_scanner_{name}` do so by the scanners of the dataset's card. `_matched` at the end asks for
the training size that all steps of the leakage ladder share.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

MATCHED = "_matched"
FROM, EXCEPT = "from_", "except_"
SCANNER = "scanner_"  # before a scanner's name where it stands in place of a domain
FOLDS = 5  # folds that determine the size of `…_matched`, whatever a study asks for
# the leakage ladder, from the least strict: schemes that have a `_matched` form
LADDER = ["random", "no_overlap", "slide_grouped", "except_*"]
# for rules: schemes that know the fraction 1.0 only, and those that know a study's fractions
WHOLE = rf"({FROM}|{EXCEPT})[a-z0-9_]+|[a-z0-9_]+{MATCHED}"
SHARED = rf"(?!{FROM}|{EXCEPT})[a-z0-9_]+(?<!{MATCHED})"
OTHER = "other"  # a pooled scheme that is not named below
STRICT = ["slide_grouped", "no_overlap", OTHER, "random", EXCEPT, FROM]  # the strictest first


@dataclass(frozen=True)
class Scheme:
    """A scheme's name, taken apart.

    Attributes
    ----------
    kind
        `from_`, `except_`, or the whole name of a scheme that pools all domains.
    domain
        The domain of the first two, or `*`; `scanner_{name}` or `scanner_*` where they split by
        scanner; nothing of the others.
    matched
        Whether it trains on the ladder's common number of cells.

    >>> Scheme.parse("except_lung_matched")
    Scheme(kind='except_', domain='lung', matched=True)
    >>> str(Scheme.parse("from_lung")), str(Scheme.parse("random_matched").base)
    ('from_lung', 'random')
    """

    kind: str
    domain: str = ""
    matched: bool = False

    @classmethod
    @lru_cache(1024)
    def parse(cls, name: str) -> "Scheme":
        """Take a name apart; every name is one."""
        base = name.removesuffix(MATCHED)
        for prefix in (FROM, EXCEPT):
            if base.startswith(prefix):
                return cls(prefix, base.removeprefix(prefix), base != name)
        return cls(base, "", base != name)

    def __str__(self) -> str:
        return f"{self.kind}{self.domain}{MATCHED * self.matched}"

    @property
    def is_pooled(self) -> bool:
        """Whether cells of all domains train."""
        return not self.domain

    @property
    def is_by_scanner(self) -> bool:
        """Whether scanners stand in place of domains."""
        return self.domain.startswith(SCANNER)

    @property
    def is_from_one(self) -> bool:
        """Whether one domain, or one scanner, trains and the others test."""
        return self.kind == FROM

    @property
    def is_cross_domain(self) -> bool:
        """Whether one domain trains and the others test: Table 2 and Figure 2."""
        return self.is_from_one and not self.is_by_scanner

    @property
    def is_whole(self) -> bool:
        """Whether it knows no training fraction but 1.0."""
        return bool(self.domain) or self.matched

    @property
    def base(self) -> "Scheme":
        """The same without the common size."""
        return replace(self, matched=False)

    @property
    def every(self) -> "Scheme":
        """What it has in common with the schemes of the other domains, such as `from_*`.

        >>> [str(Scheme.parse(name).every) for name in ("from_lung", "from_scanner_a", "random")]
        ['from_*', 'from_scanner_*', 'random']
        """
        return replace(self, domain=SCANNER * self.is_by_scanner + "*") if self.domain else self

    @property
    def trained(self) -> str:
        """What trains, as tables name it: a domain or scanner, `except_{domain}`, or `all`.

        >>> [Scheme.parse(name).trained for name in ("random", "from_lung", "except_lung_matched")]
        ['all', 'lung', 'except_lung']
        """
        if self.is_pooled:
            return "all"
        return self.domain if self.kind == FROM else str(self.base)

    @property
    def card(self) -> str:
        """The name of its card.

        >>> [Scheme.parse(name).card for name in ("from_lung", "from_scanner_a", "random_matched")]
        ['from_domain', 'from_scanner', 'random']
        """
        if self.is_pooled:
            return self.kind
        return self.kind + ("scanner" if self.is_by_scanner else "domain")

    def trains_on(self, domain: str) -> bool:
        """Whether cells of a domain train."""
        return self.is_pooled or (self.domain == domain) == (self.kind == FROM)

    def relation(self, domain: str) -> str:
        """Return `in` where a test domain is one that trained, else `out`.

        >>> [Scheme.parse(name).relation("lung") for name in ("random", "from_lung", "except_lung")]
        ['in', 'in', 'out']
        """
        return "in" if self.trains_on(domain) else "out"

    def of(self, domains: list[str], scanners: list[str]) -> list["Scheme"]:
        """Return it for each of a dataset's domains where it has `*`; none where one is left.

        Alone, a domain leaves nothing to test on, or to train on. Likewise of scanners, whose
        list is empty where they cannot be parted from domains.
        """
        known = [SCANNER + name for name in scanners] if self.is_by_scanner else domains
        if not self.domain.endswith("*"):
            return [self] if self.is_pooled or self.domain in known else []
        return [replace(self, domain=one) for one in known] if len(known) > 1 else []


def _strictness(name: str) -> tuple[bool, int]:
    scheme = Scheme.parse(name)
    kind = scheme.kind if scheme.kind in STRICT else OTHER
    return scheme.matched, STRICT.index(kind)


def strictest_scheme(schemes: list[str]) -> list[str]:
    """Return the strictest of a dataset's schemes; all of them where there is one per domain.

    Those at the ladder's common size come after all others.

    Parameters
    ----------
    schemes
        At least one, spelt out, as `Study.schemes` gives them.

    >>> strictest_scheme(["random", "from_lung", "from_breast", "slide_grouped"])
    ['slide_grouped']
    >>> strictest_scheme(["random_matched", "from_lung", "from_breast"])
    ['from_lung', 'from_breast']
    """
    best = Scheme.parse(min(schemes, key=_strictness)).every
    return [scheme for scheme in schemes if Scheme.parse(scheme).every == best]
