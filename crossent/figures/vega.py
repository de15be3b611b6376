"""Interactive figures as Vega-Lite specifications, and the pieces that they are built from.

A figure is layers of marks on shared axes. What both a mark and a text show is one parameter or
field with a name, so that they cannot drift apart.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
Fields: TypeAlias = Mapping[str, str | Json]  # name: expression, or what total or so_far returns

ONE: Json = {"values": [{}]}  # the data of a mark that the parameters alone place
DASHED: Json = {"strokeDash": [6, 4]}
UPRIGHT: Json = {"grid": True, "domain": False, "titleAnchor": "start"}  # a vertical axis
QUARTERS: Json = {"values": [0, 0.25, 0.5, 0.75, 1], "format": ".2f"}  # ticks of a probability

# Legible on a phone, where the figure is 300 px wide.
_CONFIG: Json = {
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
    "text": {"fontSize": 13},
    "line": {"strokeWidth": 3},
    "point": {"filled": True, "opacity": 1},
    "rule": {"strokeWidth": 2},
}


class VegaLite:
    """A Vega-Lite figure whose sliders work in a static page, without a kernel.

    What it displays is the specification itself, which the book's site and JupyterLab draw.
    Whatever draws neither shows the description, so a specification without one is refused.
    """

    MIME_TYPE = "application/vnd.vegalite.v5+json"

    def __init__(self, spec: Json) -> None:
        if not spec.get("description"):
            message = "spec has no 'description': say there what the figure shows"
            raise ValueError(message)
        schema = "https://vega.github.io/schema/vega-lite/v5.json"
        self.spec = {"$schema": schema, "width": "container", **spec}

    def __repr__(self) -> str:
        return str(self.spec["description"])

    def _repr_mimebundle_(self, **_: object) -> Json:
        return {self.MIME_TYPE: self.spec, "text/plain": repr(self)}


def figure(
    description: str,
    height: int,
    params: Mapping[str, str | Json],
    layers: Iterable[Json],
    *,
    data: Json = ONE,
    fields: Fields | None = None,
    only: str | None = None,
    x: Json | None = None,
    y: Json | None = None,
    **parts: Json,
) -> VegaLite:
    """Return a figure of layers, which share the data, its fields and the axes.

    A parameter is a control or an expression. The description ends with where the controls stand.
    """
    controls = [each for each in params.values() if isinstance(each, dict)]
    settings = listed(f"{each['bind']['name']} to {_plain(each['value'])}" for each in controls)
    return VegaLite(
        {
            "description": _typeset(f"{description} Controls set {settings}."),
            "height": height,
            "view": {"stroke": None},
            "config": _CONFIG,
            "params": [
                {"name": name} | ({"expr": each} if isinstance(each, str) else each)
                for name, each in params.items()
            ],
            "data": data,
            "transform": _transforms(fields, only),
            "encoding": {name: place for name, place in (("x", x), ("y", y)) if place},
            "layer": [*layers],
            **parts,
        }
    )


def axis(
    domain: Sequence[float] | None,
    title: str | None = None,
    /,
    *,
    pixels: Sequence[float] | None = None,
    **options: Any,
) -> Json:
    """Return the encoding of numbers by their place; without title or options its axis is hidden.

    A vertical axis may use some ``pixels`` of the height alone.
    """
    scale: Json = {"domain": [*domain]} if domain else {}
    return {
        "type": "quantitative",
        "scale": scale | ({"range": [*pixels], "nice": True} if pixels else {}),
        "axis": {"title": title, "grid": False} | options if title or options else None,
    }


def as_is(field: str) -> Json:
    """Return the encoding of a field that is in pixels, or in degrees."""
    return {"field": field, "type": "quantitative", "scale": None}


def colors(field: str, palette: Mapping[Any, str]) -> Json:
    """Return the encoding of a field by color, without a legend."""
    scale = {"domain": [*palette], "range": [*palette.values()]}
    return {"field": field, "type": "nominal", "scale": scale, "legend": None}


def either(test: str, value: object, other: object) -> Json:
    """Return the encoding that depends on a condition."""
    return {"condition": {"test": test, "value": value}, "value": other}


def layer(
    kind: str,
    data: Json | None = None,
    fields: Fields | None = None,
    *,
    only: str | None = None,
    **look: Any,
) -> Json:
    """Return a layer of marks, one for each row of its own data or of the figure's.

    ``only`` is a condition for a row to have one. As a place, a string is a field and a number
    a value on the axis.
    """
    encoding: Json = {}
    mark: Json = {"type": kind}
    for name, each in look.items():
        if isinstance(each, dict) and not {"band", "expr"} & {*each}:
            encoding[name] = each
        elif name in {"x", "x2", "y", "y2", "text", "order"}:
            encoding[name] = {"field" if isinstance(each, str) else "datum": each}
        else:
            mark[name] = each
    transform = _transforms(fields, only)
    parts = {"data": data, "transform": transform, "mark": mark, "encoding": encoding}
    return {name: part for name, part in parts.items() if part}


def _transforms(fields: Fields | None, only: str | None) -> list[Json]:
    steps: list[Json] = [
        {"calculate": each, "as": name}
        if isinstance(each, str)
        else {kind: [{**step, "as": name}] for kind, step in each.items()}
        for name, each in (fields or {}).items()
    ]
    return [*steps, {"filter": only}] if only else steps


def total(field: str, op: str = "sum") -> Json:
    """Return a field that is the sum of another over all rows, or what ``op`` says instead."""
    return {"joinaggregate": {"op": op, "field": field}}


def so_far(field: str) -> Json:
    """Return a field that is the sum of another over all rows up to this one."""
    return {"window": {"op": "sum", "field": field}}


def of_row(expressions: Iterable[str]) -> str:
    """Return the expression that is one of several, by the number of the row."""
    return f"[{', '.join(expressions)}][datum.row]"


def along(name: str, start: float, stop: float, step: float = 1) -> Json:
    """Return data of the numbers from ``start`` to before ``stop``."""
    return {"sequence": {"start": start, "stop": stop, "step": step, "as": name}}


def rows(name: str, values: Iterable[str]) -> Json:
    """Return data of a row for each value; the field ``row`` is its number."""
    return {"values": [{"row": row, name: value} for row, value in enumerate(values)]}


def bands(name: str, values: Sequence[str], axis: Json | None = None) -> Json:
    """Return data of a row for each value, and the encoding that puts one below the other."""
    y = {"field": name, "type": "nominal", "sort": [*values], "axis": axis}
    return {"data": rows(name, values), "y": y}


def slider(label: str, value: float, start: float, stop: float, step: float = 1) -> Json:
    """Return a parameter that a labeled slider moves from ``start`` to ``stop``."""
    bind = {"input": "range", "min": start, "max": stop, "step": step, "name": label}
    return {"value": value, "bind": bind}


def sliders(
    name: str, label: str, each: Iterable[str], values: Iterable[float], *span: float
) -> dict[str, Json]:
    """Return a slider for each of several; which one it is completes the name and the label."""
    pairs = zip(each, values, strict=True)
    return {name + one: slider(label + one, value, *span) for one, value in pairs}


def menu(label: str, value: str, options: Sequence[str]) -> Json:
    """Return a parameter that a labeled menu sets."""
    return {"value": value, "bind": {"input": "select", "options": [*options], "name": label}}


def listed(items: Iterable[str]) -> str:
    """Join what a sentence lists."""
    *most, last = items
    return f"{', '.join(most)} and {last}" if most else last


def _plain(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _typeset(description: str) -> str:
    """Write numbers as the drawing does: with a true minus, ∞, and neither −0 nor e-04."""
    description = re.sub(r"-(0(\.0+)?)(?![.\d])|(?<=e)([+-])0(?=\d)", r"\1\3", description)
    return re.sub(r"\binf\b", "∞", re.sub(r"(?<!\w)-(?=\d|inf)", "−", description))
