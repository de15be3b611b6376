"""The figures of the book: one matplotlib style, and figures that a static page recomputes.

Needs the extra: ``pip install "crossent[book]"``.
"""

from __future__ import annotations

from typing import Any

import matplotlib.style
import numpy as np
from cycler import cycler
from IPython.core.getipython import get_ipython
from matplotlib_inline.backend_inline import set_matplotlib_formats

from crossent import entropy

__all__ = ["PALETTE", "VegaLite", "entropy_bars", "use_style"]

# Four of the eight colors of Okabe and Ito (2008), "Color Universal Design": those that stand out
# by at least 3:1 from a white page and from a dark one.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_GRAY = "#767676"  # for lines that must show on both

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": _GRAY,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",  # a card of its own, so that labels stay legible on a dark page
    "figure.figsize": (5.0, 3.0),
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same drawing on every machine
    "font.size": 12,  # more than 10 px on a phone, where a figure shrinks to 70 %
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
    "lines.linewidth": 2.5,
    "svg.hashsalt": "crossent",  # ids that do not change from run to run
}


def use_style() -> None:
    """Draw matplotlib figures as the book does: SVG, one palette, the same bytes at every run.

    Call it once, before the first plot. Outside of a notebook it sets the style alone.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> use_style()
    >>> plt.rcParams["font.size"]
    12.0
    """
    matplotlib.style.use(_STYLE)
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})  # type: ignore[no-untyped-call]


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


def entropy_bars(weights: tuple[int, int, int, int]) -> VegaLite:
    """Show the entropy of four outcomes as an area, with a slider for the weight of each.

    A bar is as wide as its outcome's probability and as high as its surprise in bits; its area
    is what the outcome adds to the entropy. A table above the bars shows the same in numbers.

    Parameters
    ----------
    weights : tuple of four int
        Where the sliders stand at first, 0 to 16. Divided by their sum, they are probabilities.

    Returns
    -------
    VegaLite
        The figure.
    """
    outcomes = "ABCD"
    bits = entropy(np.divide(weights, sum(weights)), base=2)
    weight_of_row = f"[{', '.join(f'weight_{outcome}' for outcome in outcomes)}][datum.row]"
    x = {"title": "probability", "values": [0, 0.25, 0.5, 0.75, 1], "format": ".2f", "grid": False}
    y = {
        "title": "surprise in bits",
        "titleAnchor": "start",
        "values": [*range(7)],
        "domain": False,
    }
    return VegaLite(
        {
            "description": (
                "Four bars, one for each of the outcomes A to D. A bar is as wide as the outcome's"
                " probability and as high as its surprise in bits; its area is what the outcome"
                " adds to the entropy. A table lists these numbers and their sum, the entropy:"
                f" at first {bits:.3f} bits, and never above 2. Four sliders set the weights."
            ),
            "height": 380,
            "view": {"stroke": None},
            "config": {
                "axis": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
                "text": {"fontSize": 13},
            },
            "params": [
                _slider(f"weight_{outcome}", f"Weight of {outcome}", weight, 16)
                for outcome, weight in zip(outcomes, weights, strict=True)
            ],
            "data": {"values": [{"row": row, "outcome": o} for row, o in enumerate(outcomes)]},
            "transform": [
                _calculate("weight", weight_of_row),
                {"joinaggregate": [{"op": "sum", "field": "weight", "as": "total"}]},
                _calculate("p", "datum.weight / max(datum.total, 1)"),
                _calculate("surprise", "-log(datum.p) / LN2"),
                _calculate("share", "datum.p > 0 ? datum.p * datum.surprise : 0"),
                {"joinaggregate": [{"op": "sum", "field": "share", "as": "entropy"}]},
                {"window": [{"op": "sum", "field": "p", "as": "right"}]},
                _calculate("left", "datum.right - datum.p"),
                _calculate("middle", "datum.right - datum.p / 2"),
            ],
            "encoding": {
                "x": {"type": "quantitative", "axis": x, "scale": {"domain": [0, 1]}},
                "y": {"type": "quantitative", "axis": y, "scale": {"domain": [0, _TOP]}},
            },
            "layer": [*_bars(outcomes), *_table()],
        }
    )


# The bars take the values 0 to 6 of the vertical axis, the lines of the table those above.
_TOP = 10
_LINE = 0.65


def _slider(name: str, label: str, value: float, stop: float, step: float = 1) -> dict[str, Any]:
    bind = {"input": "range", "min": 0, "max": stop, "step": step, "name": label}
    return {"name": name, "value": value, "bind": bind}


def _calculate(name: str, expression: str) -> dict[str, Any]:
    return {"calculate": expression, "as": name}


def _bars(outcomes: str) -> list[dict[str, Any]]:
    """Draw the bars, their names, and a dashed line at the entropy."""
    drawn = [{"filter": "datum.p > 0"}]
    bar = {"x": {"field": "left"}, "x2": {"field": "right"}, "y": {"field": "surprise"}}
    name = {"x": {"field": "middle"}, "y": {"field": "surprise"}, "text": {"field": "outcome"}}
    line = {"x": {"datum": 0}, "x2": {"datum": 1}, "y": {"field": "entropy"}}
    color = {
        "field": "outcome",
        "scale": {"domain": list(outcomes), "range": list(PALETTE)},
        "legend": None,
    }
    return [
        {
            "transform": drawn,
            "mark": "rect",
            "encoding": {**bar, "y2": {"datum": 0}, "color": color},
        },
        {
            "transform": drawn,
            "mark": {"type": "text", "dy": -9, "fontWeight": "bold"},
            "encoding": name,
        },
        {
            "transform": [{"filter": "datum.row == 0 && datum.total > 0"}],
            "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2, "color": _GRAY},
            "encoding": line,
        },
    ]


def _table() -> list[dict[str, Any]]:
    """Write a line of numbers for each outcome, and their sum."""

    def text(x: float, line: str, content: str, only: str, **mark: object) -> dict[str, Any]:
        height = _calculate("height", f"{_TOP} - {_LINE} * ({line} + 0.5)")
        return {
            "transform": [{"filter": only}, height, _calculate("text", content)],
            "mark": {"type": "text", "align": "right", "baseline": "middle", **mark},
            "encoding": {"x": {"datum": x}, "y": {"field": "height"}, "text": {"field": "text"}},
        }

    left: dict[str, object] = {"align": "left"}
    columns: list[tuple[float, str, str, dict[str, object]]] = [
        (0.02, "outcome", "datum.outcome", left),
        (0.38, "p", "format(datum.p, '.3f')", {}),
        (0.64, "surprise", "datum.p > 0 ? format(datum.surprise, '.3f') : '∞'", {}),
        (1.00, "p × surprise", "format(datum.share, '.3f')", {}),
    ]
    once = "datum.row == 0"
    bits = "datum.total > 0 ? format(datum.entropy, '.3f') + ' bits' : 'no weight'"
    return [
        *(text(x, "0", f"'{head}'", once, **mark) for x, head, _, mark in columns),
        *(text(x, "datum.row + 1", content, "true", **mark) for x, _, content, mark in columns),
        text(0.02, "5", "'entropy (at most 2)'", once, fontWeight="bold", **left),
        text(1.00, "5", bits, once, fontWeight="bold"),
    ]
