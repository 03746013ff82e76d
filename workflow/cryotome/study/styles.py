"""What a model looks like in every table, figure and page: a colour, a mark, and a dash per head.

The colours keep apart under the three kinds of colour blindness and stand out 3:1 from white and
from near-black, as WCAG 2.2, 1.4.11 asks of graphics. A card may say its model's look; others get
the free ones in the study's order, so that a model added at the end changes no other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product

from cryotome.core.errors import CardError

COLOURS = {
    "blue": "#0061c7",
    "vermilion": "#ff4719",
    "green": "#14aa60",
    "pink": "#d66a9d",
    "brown": "#935431",
    "sky": "#2795ff",
    "olive": "#769e28",
    "grey": "#6e656a",
}
# as Vega names them, to Matplotlib's
MARKS = {
    "circle": "o",
    "square": "s",
    "triangle-up": "^",
    "diamond": "D",
    "cross": "P",
    "triangle-down": "v",
    "triangle-right": ">",
    "triangle-left": "<",
}
DASHES = [[], [6, 2], [2, 2], [8, 2, 2, 2], [10, 4], [1, 3]]  # points drawn and left out


@dataclass(frozen=True)
class Style:
    """How one row is drawn.

    Attributes
    ----------
    colour
        Hexadecimal.
    mark
        Vega's name of a shape.
    dash
        Points drawn and left out in turn; empty for a whole line.
    """

    colour: str
    mark: str
    dash: list[int]

    @property
    def line(self) -> dict:
        """What Matplotlib's `plot` takes."""
        style = (0, tuple(self.dash)) if self.dash else "-"
        return {"color": self.colour, "marker": MARKS[self.mark], "linestyle": style}


def model_styles(models: Iterable[str], said: dict[str, list[str]]) -> dict[str, Style]:
    """Give every model a colour and a mark.

    Parameters
    ----------
    models
        In the study's order.
    said
        Model to colour and mark, of those whose card says them.

    Raises
    ------
    CardError
        Two cards say the same look.

    >>> looks = model_styles(["a", "b", "c"], {"b": ["blue", "circle"]})
    >>> [(look.colour, look.mark) for look in looks.values()][:2]
    [('#ff4719', 'circle'), ('#0061c7', 'circle')]
    """
    models = list(models)
    taken: dict[tuple[str, ...], str] = {}
    for model in models:
        if model in said:
            look = tuple(said[model])
            if look in taken:
                raise CardError(
                    f"Models {taken[look]!r} and {model!r} both look {' '.join(look)!r}. Give one "
                    "of their cards another `style`, or none."
                )
            taken[look] = model
    free = ((c, m) for m, c in product(MARKS, COLOURS) if (c, m) not in taken)
    chosen = {}
    for model in models:
        colour, mark = said[model] if model in said else next(free, ("grey", "circle"))
        chosen[model] = Style(COLOURS[colour], mark, [])
    return chosen


def row_styles(rows: Iterable[tuple[str, str]], models: dict[str, Style]) -> dict[str, Style]:
    """Return `model + head` to its look: the model's, with a dash for each further head.

    >>> looks = row_styles([("a", "linear_probe"), ("a", "endtoend")], model_styles(["a"], {}))
    >>> [look.dash for look in looks.values()]
    [[], [6, 2]]
    """
    rows = list(rows)
    heads = list(dict.fromkeys(head for _, head in rows))
    return {
        f"{model} + {head}": Style(
            models[model].colour, models[model].mark, DASHES[heads.index(head) % len(DASHES)]
        )
        for model, head in rows
    }
