"""What the interactive figures write."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from crossent.figures import vega

# A template, or one with its own look; empty if nothing is to be written.
Cell: TypeAlias = str | tuple[str, vega.Json]
Numbers: TypeAlias = Mapping[str, Sequence[tuple[str, float]]]  # name: expressions, values at first


def text(
    template: str, x: float | str | vega.Json, y: float | str | vega.Json, **look: Any
) -> vega.Json:
    """Return a layer that writes a template, on the left unless told otherwise.

    In braces stand expressions, a number with its format: ``{loss:.3f} nats``.
    """
    data, only = look.pop("data", None), look.pop("only", None)
    fields, place = {"text": _expression(template)}, {"x": x, "y": y, "text": "text"}
    return vega.layer("text", data, fields, only=only, **place, **{"align": "left"} | look)


def _expression(template: str) -> str:
    pieces = re.split(
        r"\{(.*?)(?::(\.\d[fe%]))?\}", template
    )  # words, expression, format, words, ...
    terms = []
    for words, expression, form in zip(
        pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True
    ):
        terms += [repr(words)] if words else []
        if expression:
            terms.append(f"format({expression}, '{form}')" if form else f"({expression})")
    return " + ".join(terms)


def heading(template: str, dy: float, **look: Any) -> vega.Json:
    """Return a layer that writes above the bands what all rows have in common."""
    once = {"only": "datum.row == 0", "dy": dy, "fontWeight": "bold"}
    return text(template, 0, {"value": 0}, **once, **look)


def table(
    lines: Iterable[Iterable[Cell]],
    columns: Sequence[float | vega.Json],
    first: float,
    step: float,
    **look: Any,
) -> list[vega.Json]:
    """Write lines of cells, of which the first is left-aligned, the others right-aligned.

    ``columns`` are the places along x; the first line is at y = ``first``, each next one a ``step``
    on. If the columns are not on an axis, then both are in pixels, from above.
    """
    layers = []
    for line, cells in enumerate(lines):
        y = first + line * step
        for column, (x, cell) in enumerate(zip(columns, cells, strict=True)):
            template, own = (cell, {}) if isinstance(cell, str) else cell
            place = {"x": x, "y": {"value": y} if isinstance(x, dict) else y}
            side = {"align": "right" if column else "left"}
            if template:
                layers.append(text(template, **place, **side | look | own))
    return layers


def lines(
    *cells: Cell, x: float = 0, first: float = 10, step: float = 22, **look: Any
) -> list[vega.Json]:
    """Write bold lines, one below the other, in pixels."""
    look = {"data": vega.ONE, "fontWeight": "bold"} | look
    return table([[cell] for cell in cells], [{"value": x}], first, step, **look)


def lines_of(numbers: Numbers) -> list[list[Cell]]:
    """Return lines for a table: a name and its numbers."""
    return [
        [name, *(f"{{isFinite({each}) ? format({each}, '.3f') : '–'}}" for each, _ in pairs)]
        for name, pairs in numbers.items()
    ]


def told(numbers: Numbers) -> str:
    """Write a table for the description."""
    lines = ((name, vega.listed(f"{x:.3f}" for _, x in pairs)) for name, pairs in numbers.items())
    return "; ".join(f"{name} {values.replace('nan', '–')}" for name, values in lines)
