"""The figure of the chapter on entropy."""

from typing import Any

import numpy as np

from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.information import entropy


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
            "config": CONFIG,
            "params": [
                slider(f"weight_{outcome}", f"Weight of {outcome}", weight, 16)
                for outcome, weight in zip(outcomes, weights, strict=True)
            ],
            "data": {"values": [{"row": row, "outcome": o} for row, o in enumerate(outcomes)]},
            "transform": [
                calculate("weight", weight_of_row),
                {"joinaggregate": [{"op": "sum", "field": "weight", "as": "total"}]},
                calculate("p", "datum.weight / max(datum.total, 1)"),
                calculate("surprise", "-log(datum.p) / LN2"),
                calculate("share", "datum.p > 0 ? datum.p * datum.surprise : 0"),
                {"joinaggregate": [{"op": "sum", "field": "share", "as": "entropy"}]},
                {"window": [{"op": "sum", "field": "p", "as": "right"}]},
                calculate("left", "datum.right - datum.p"),
                calculate("middle", "datum.right - datum.p / 2"),
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
            "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2, "color": GRAY},
            "encoding": line,
        },
    ]


def _table() -> list[dict[str, Any]]:
    """Write a line of numbers for each outcome, and their sum."""

    def text(x: float, line: str, content: str, only: str, **mark: object) -> dict[str, Any]:
        height = calculate("height", f"{_TOP} - {_LINE} * ({line} + 0.5)")
        return {
            "transform": [{"filter": only}, height, calculate("text", content)],
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
