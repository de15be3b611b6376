"""The figures of the chapter on binary cross-entropy."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider, table
from crossent.gradients import value_and_grad
from crossent.losses import binary_cross_entropy, binary_cross_entropy_with_logits

_STABLE = "max({z}, 0) - target * {z} + log(1 + exp(-abs({z})))"
_ENTROPY = "-target * log(target) - (1 - target) * log(1 - target)"


def binary_loss(logit: float, target: float) -> VegaLite:
    """Show binary cross-entropy against the logit, with sliders for the logit and the target.

    The tangent at the logit has the slope σ(z) − y. A dashed line marks the lowest loss that the
    target allows, its entropy.

    Parameters
    ----------
    logit : float
        Where the first slider stands at first, −6 to 6.
    target : float
        Where the second one does, 0 to 1.

    Returns
    -------
    VegaLite
        The figure.
    """
    loss, slope = value_and_grad(binary_cross_entropy_with_logits)(logit, target)
    floor = binary_cross_entropy(target, target)
    layers = [
        {
            "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2, "color": GRAY},
            "data": {"values": [{}]},
            "transform": [calculate("loss", "floor")],
            "encoding": {"y": {"field": "loss"}, "x": {"datum": -6}, "x2": {"datum": 6}},
        },
        {
            "mark": {"type": "line", "strokeWidth": 3, "color": PALETTE[0]},
            "data": {"sequence": {"start": -6, "stop": 6.05, "step": 0.1, "as": "z"}},
            "transform": [calculate("loss", _STABLE.format(z="datum.z"))],
            "encoding": {"x": {"field": "z"}, "y": {"field": "loss"}},
        },
        {
            "mark": {"type": "line", "strokeWidth": 2.5, "color": PALETTE[1], "clip": True},
            "data": {"values": [{"side": -1.5}, {"side": 1.5}]},
            "transform": [
                calculate("z", "logit + datum.side"),
                calculate("loss", "loss_here + datum.side * slope"),
            ],
            "encoding": {"x": {"field": "z"}, "y": {"field": "loss"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 120, "color": PALETTE[1]},
            "data": {"values": [{}]},
            "transform": [calculate("z", "logit"), calculate("loss", "loss_here")],
            "encoding": {"x": {"field": "z"}, "y": {"field": "loss"}, "opacity": {"value": 1}},
        },
    ]
    numbers = {
        "probability σ(z)": ("probability",),
        "loss": ("loss_here",),
        "lowest loss for this target": ("floor",),
        "gradient σ(z) − y": ("slope",),
    }
    x = {"title": "logit z", "values": [*range(-6, 7, 2)], "grid": False}
    y = {"title": "loss in nats", "titleAnchor": "start", "values": [*range(7)], "domain": False}
    return VegaLite(
        {
            "description": (
                "A curve of binary cross-entropy against the logit from −6 to 6 for a target,"
                " with its tangent at a logit. Above it: the probability, the loss"
                f" (at first {loss:.3f}), the lowest loss for the target (at first {floor:.3f}),"
                f" and the gradient, the slope of the tangent (at first {slope:.3f})."
                " Two sliders set the logit and the target."
            ),
            "height": 360,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("logit", "Logit z", logit, 6, 0.1, -6),
                slider("target", "Target y", target, 1, 0.1),
                {"name": "probability", "expr": "1 / (1 + exp(-logit))"},
                {"name": "slope", "expr": "probability - target"},
                {"name": "loss_here", "expr": _STABLE.format(z="logit")},
                {"name": "floor", "expr": f"target > 0 && target < 1 ? {_ENTROPY} : 0"},
            ],
            "encoding": {
                "x": {"type": "quantitative", "axis": x, "scale": {"domain": [-6, 6]}},
                "y": {"type": "quantitative", "axis": y, "scale": {"domain": [0, 9.6]}},
            },
            "layer": [*layers, *table(numbers, (-5.8, 4.5), 9.3, 0.75)],
        }
    )


def decision_threshold(
    probs: ArrayLike, labels: ArrayLike, names: tuple[str, str] = ("no", "yes")
) -> VegaLite:
    """Show what a decision threshold changes and what not, with a slider for it.

    Forecasts are counted in 20 bins, upwards where the label is 1 and downwards where it is 0.
    A second slider sets what a miss costs; a dashed line marks the threshold that this asks for.

    Parameters
    ----------
    probs : array_like
        Forecast probability of label 1, of shape (N,).
    labels : array_like
        Integers 0 or 1, of shape (N,).
    names : tuple of two str
        What the labels 0 and 1 mean.

    Returns
    -------
    VegaLite
        The figure.
    """
    probs, labels = np.asarray(probs), np.asarray(labels)
    loss = binary_cross_entropy(probs, labels)
    counts = [np.histogram(probs[labels == k], _BINS, (0, 1))[0] for k in (0, 1)]
    bars = [
        {"label": k, "bin": b, "count": int(n)} for k in (0, 1) for b, n in enumerate(counts[k])
    ]
    low, high = -1.05 * counts[0].max(), 1.05 * counts[1].max()
    line = 0.075 * (high - low)
    top = high + 6 * line
    wrong = np.mean((probs >= 0.5) != labels)
    x = {"title": "forecast probability", "values": [0, 0.25, 0.5, 0.75, 1], "format": ".2f"}
    return VegaLite(
        {
            "description": (
                f"Bars count {labels.size} forecasts by their probability, above a line where the"
                f" truth is {names[1]}, below it where it is {names[0]}. A bar is full where the"
                " decision is right and pale where it is wrong. Above them: accuracy (at first"
                f" {1 - wrong:.3f}), precision, recall, the mean cost if a false alarm costs 1, and"
                f" the log loss, which is {loss:.3f} at every threshold. Two sliders set the"
                " threshold and the cost of a miss; a dashed line marks the threshold that the cost"
                " asks for."
            ),
            "height": 400,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("threshold", "Threshold", 0.5, 1, 1 / _BINS),
                slider("miss", "Cost of a miss", 1, 20, 1, 1),
            ],
            "data": {"values": bars},
            "transform": [
                calculate("yes", f"datum.bin >= round(threshold * {_BINS})"),
                calculate("right", "datum.yes == (datum.label == 1)"),
                *(
                    calculate(
                        name, f"datum.yes == {yes} && datum.label == {label} ? datum.count : 0"
                    )
                    for name, yes, label in _CELLS
                ),
                {
                    "joinaggregate": [
                        {"op": "sum", "field": name, "as": name} for name, _, _ in _CELLS
                    ]
                },
            ],
            "encoding": {
                "x": {
                    "type": "quantitative",
                    "axis": {**x, "grid": False},
                    "scale": {"domain": [0, 1]},
                },
                "y": {"type": "quantitative", "axis": None, "scale": {"domain": [low, top]}},
            },
            "layer": [
                *_bars(names, low, high),
                *_rules(low, high),
                *table(
                    {
                        "accuracy": (f"(datum.hits + datum.passes) / {labels.size}",),
                        "precision": ("datum.hits / (datum.hits + datum.alarms)",),
                        "recall": ("datum.hits / (datum.hits + datum.misses)",),
                        "cost (a false alarm is 1)": (
                            f"(datum.alarms + miss * datum.misses) / {labels.size}",
                        ),
                        "log loss": (f"{loss:.6f}",),
                    },
                    (0.01, 0.75),
                    top - line / 2,
                    line,
                    [{"filter": "datum.bin == 0 && datum.label == 0"}],
                ),
            ],
        }
    )


_BINS = 20
_CELLS = [
    ("hits", "true", 1),
    ("misses", "false", 1),
    ("alarms", "true", 0),
    ("passes", "false", 0),
]


def _bars(names: tuple[str, str], low: float, high: float) -> list[dict[str, Any]]:
    """Draw the counts and what they count."""
    color = {
        "type": "nominal",
        "field": "label",
        "scale": {"domain": [0, 1], "range": list(PALETTE[:2])},
        "legend": None,
    }
    ends = [
        calculate("left", f"(datum.bin + 0.1) / {_BINS}"),
        calculate("right_end", f"(datum.bin + 0.9) / {_BINS}"),
        calculate("height", "datum.label == 1 ? datum.count : -datum.count"),
    ]
    pale = {"condition": {"test": "datum.right", "value": 1}, "value": 0.2}
    captions = [
        (0.01, "left", 0.8 * high, f"{names[1]} ↑", PALETTE[1]),
        (1.0, "right", 0.8 * low, f"{names[0]} ↓", PALETTE[0]),
    ]
    return [
        {
            "mark": {"type": "rect", "strokeWidth": 1.5},
            "transform": [{"filter": "datum.count > 0"}, *ends],
            "encoding": {
                "x": {"field": "left"},
                "x2": {"field": "right_end"},
                "y": {"field": "height"},
                "y2": {"datum": 0},
                "fill": color,
                "stroke": color,
                "fillOpacity": pale,
            },
        },
        *(
            {
                "mark": {"type": "text", "align": align, "fontWeight": "bold", "color": tint},
                "data": {"values": [{}]},
                "encoding": {"x": {"datum": x}, "y": {"datum": y}, "text": {"value": text}},
            }
            for x, align, y, text, tint in captions
        ),
    ]


def _rules(low: float, high: float) -> list[dict[str, Any]]:
    """Draw the threshold, and the one that the costs ask for."""
    marks: list[tuple[str, dict[str, Any]]] = [
        ("threshold", {"strokeWidth": 2.5}),
        ("1 / (1 + miss)", {"strokeDash": [6, 4]}),
    ]
    return [
        {
            "mark": {"type": "rule", "strokeWidth": 2, "color": GRAY, **mark},
            "data": {"values": [{}]},
            "transform": [calculate("place", place)],
            "encoding": {"x": {"field": "place"}, "y": {"datum": low}, "y2": {"datum": high}},
        }
        for place, mark in marks
    ]
