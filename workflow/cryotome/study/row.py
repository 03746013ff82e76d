"""Rows: a line of a table is a model and a head, seen through a view."""

from dataclasses import dataclass

LAST = "_last"  # `endtoend_last` is the last checkpoint of the training that makes `endtoend`


@dataclass(frozen=True)
class Row:
    """One line of a table: a model card and a head card, and how patches become its input."""

    model: str
    head: str
    view: str = ""

    @property
    def key(self) -> str:
        """Its name in tables.

        >>> Row("uni", "linear_probe").key
        'uni + linear_probe'
        """
        return f"{self.model} + {self.head}"

    @classmethod
    def parse(cls, key: str) -> "Row":
        """Return the row of a name in tables, without its view.

        >>> Row.parse("uni + linear_probe")
        Row(model='uni', head='linear_probe', view='')
        """
        model, head = key.split(" + ")
        return cls(model, head)
