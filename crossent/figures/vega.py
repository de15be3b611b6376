"""Interactive figures as Vega-Lite specifications, and the pieces that their specs share."""

from collections.abc import Mapping
from typing import Any

# Legible on a phone, where the figure is 300 px wide.
CONFIG = {
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
    "text": {"fontSize": 13},
}


class VegaLite:
    """A Vega-Lite figure whose sliders work in a static page, without a kernel.

    What it displays is the specification itself, which the book's site and JupyterLab draw.
    Whatever draws neither shows the description.

    Parameters
    ----------
    spec : dict
        A Vega-Lite v5 specification. Its ``description`` says what the figure shows, for those
        who cannot see it.

    Raises
    ------
    ValueError
        If the specification has no description.
    """

    MIME_TYPE = "application/vnd.vegalite.v5+json"

    def __init__(self, spec: dict[str, Any]) -> None:
        if not spec.get("description"):
            message = "spec has no 'description': say there what the figure shows"
            raise ValueError(message)
        schema = "https://vega.github.io/schema/vega-lite/v5.json"
        self.spec = {"$schema": schema, "width": "container", **spec}

    def __repr__(self) -> str:
        return str(self.spec["description"])

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {self.MIME_TYPE: self.spec, "text/plain": repr(self)}


def slider(
    name: str, label: str, value: float, stop: float, step: float = 1, start: float = 0
) -> dict[str, Any]:
    """Return a parameter that a labeled slider moves from ``start`` to ``stop``."""
    bind = {"input": "range", "min": start, "max": stop, "step": step, "name": label}
    return {"name": name, "value": value, "bind": bind}


def calculate(name: str, expression: str) -> dict[str, Any]:
    """Return a transform that adds the field ``name``."""
    return {"calculate": expression, "as": name}


def table(
    numbers: Mapping[str, tuple[str, ...]],
    columns: tuple[float, ...],
    top: float,
    line: float,
    row: list[dict[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Write a line for each name: the name on the left, its numbers right-aligned beside it.

    ``columns`` are their places along x; the first line is at y = ``top``, the next ones ``line``
    below. The expressions see the parameters, and a row of the data if ``row`` picks one.
    """
    source: dict[str, Any] = {"data": {"values": [{}]}} if row is None else {}
    layers = []
    for index, (name, expressions) in enumerate(numbers.items()):
        values = [f"isFinite({each}) ? format({each}, '.3f') : '–'" for each in expressions]
        for x, align, text in zip(
            columns, ["left", *["right"] * len(values)], [f"'{name}'", *values], strict=True
        ):
            layers.append(
                {
                    **source,
                    "transform": [*(row or []), calculate("text", text)],
                    "mark": {"type": "text", "align": align, "baseline": "middle"},
                    "encoding": {
                        "x": {"datum": x},
                        "y": {"datum": top - index * line},
                        "text": {"field": "text"},
                    },
                }
            )
    return layers
