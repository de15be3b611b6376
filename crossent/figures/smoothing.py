"""The figures of the chapter on smoothing."""

from typing import Any

import numpy as np

from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.information import entropy
from crossent.losses import sparse_categorical_cross_entropy_with_logits

# Of the smoothed target: the probability of the labeled class, and of each other class.
_TRUE, _OTHER = "(1 - smoothing + smoothing / classes)", "(smoothing / classes)"
_FLOOR = f"(smoothing > 0 ? -{_TRUE} * log({_TRUE}) - (classes - 1) * {_OTHER} * log({_OTHER}) : 0)"


def smoothing_floor(classes: int, smoothing: float, margin: float) -> VegaLite:
    """Show the loss with label smoothing against the margin, with its lowest point.

    The labeled class has the margin as its logit, all others have 0. A gray curve shows the loss
    without smoothing.

    Parameters
    ----------
    classes : int
        The number of classes at first, 2 to 100.
    smoothing : float
        The label smoothing at first, 0 to 0.5 in steps of 0.01.
    margin : float
        The margin at first, -2 to 12 in steps of 0.1.

    Returns
    -------
    VegaLite
        The figure.
    """
    logits = np.zeros((1, classes))
    logits[0, 0] = margin
    target = np.full(classes, smoothing / classes)
    target[0] += 1 - smoothing
    loss = sparse_categorical_cross_entropy_with_logits(logits, [0], label_smoothing=smoothing)
    best = f", at the margin {np.log(target[0] / target[1]):.2f}" if smoothing else ""

    def at(margin: str, amount: str) -> str:
        true = f"(1 - {amount} + {amount} / classes)"
        return f"log(exp({margin}) + classes - 1) - {true} * ({margin})"

    x = {"title": "margin", "tickCount": 7, "grid": False}
    y = {"title": "loss", "tickCount": 5, "domain": False}
    floor = {"transform": [calculate("floor", _FLOOR)], "data": {"values": [{}]}}
    dashed = {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2, "color": PALETTE[1]}
    return VegaLite(
        {
            "description": (
                "The loss with label smoothing against the margin, the logit of the labeled class"
                " above all others. The curve falls to a lowest point and rises again; a dashed"
                " line marks the floor, the entropy of the smoothed target:"
                f" at first {entropy(target):.4f}{best}. A dot on the curve shows the loss at the"
                f" chosen margin, at first {loss:.4f}; a gray curve the loss without smoothing,"
                " which falls towards 0. Sliders set the smoothing, the number of classes and the"
                " margin."
            ),
            "height": 340,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("smoothing", "Smoothing ε", smoothing, 0.5, 0.01),
                slider("classes", "Classes K", classes, 100, start=2),
                slider("margin", "Margin", margin, 12, 0.1, -2),
            ],
            "layer": [
                {
                    "encoding": {
                        "x": {"type": "quantitative", "axis": x},
                        "y": {"type": "quantitative", "axis": y, "scale": {"range": [340, 90]}},
                    },
                    "layer": [
                        _curve(at("datum.x", "0"), GRAY, 1.5),
                        _curve(at("datum.x", "smoothing"), PALETTE[0], 3),
                        {**floor, "mark": dashed, "encoding": {"y": {"field": "floor"}}},
                        {
                            "data": {"values": [{}]},
                            "transform": [
                                calculate("x", "margin"),
                                calculate("y", at("margin", "smoothing")),
                            ],
                            "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1},
                            "encoding": {
                                "x": {"field": "x"},
                                "y": {"field": "y"},
                                "color": {"value": PALETTE[0]},
                            },
                        },
                    ],
                },
                *_lines(
                    f"'loss ' + format({at('margin', 'smoothing')}, '.4f')",
                    f"'floor H(target) ' + format({_FLOOR}, '.4f')",
                    f"'best margin ' + (smoothing > 0 ? format(log({_TRUE} / {_OTHER}), '.2f')"
                    " : '∞')",
                ),
            ],
        }
    )


def _curve(loss: str, color: str, width: float) -> dict[str, Any]:
    """Draw a loss, an expression of ``datum.x``, over all margins."""
    return {
        "data": {"sequence": {"start": -2, "stop": 12.01, "step": 0.1, "as": "x"}},
        "transform": [calculate("y", loss)],
        "mark": {"type": "line", "color": color, "strokeWidth": width},
        "encoding": {"x": {"field": "x"}, "y": {"field": "y"}},
    }


def _lines(*contents: str) -> list[dict[str, Any]]:
    """Write lines of text, given as expressions, above the drawing."""
    return [
        {
            "data": {"values": [{}]},
            "transform": [calculate("text", content)],
            "mark": {"type": "text", "align": "left", "fontWeight": "bold"},
            "encoding": {
                "x": {"value": 0},
                "y": {"value": 10 + 22 * row},
                "text": {"field": "text"},
            },
        }
        for row, content in enumerate(contents)
    ]


def loss_ruler(loss: float, classes: int, smoothing: float) -> VegaLite:
    """Show where a loss stands between the floors and the loss of a guess.

    A ruler carries four marks: the loss, the floor of label smoothing, the least loss after
    a softmax too many, and log K, the loss of equal probabilities.

    Parameters
    ----------
    loss : float
        Your loss at first, 0 to 8 in steps of 0.01.
    classes : int
        The number of classes at first, 2 to 1000.
    smoothing : float
        The label smoothing at first, 0 to 0.5 in steps of 0.01.

    Returns
    -------
    VegaLite
        The figure.
    """
    target = np.full(classes, smoothing / classes)
    target[0] += 1 - smoothing
    gain = "format(1 - loss / log(classes), '.0%')"
    verdict = (
        f"loss < {_FLOOR} - 0.00005 ? 'below the floor: another smoothing, or a wrong loss'"
        f" : loss > log(classes) ? 'worse than guessing' : 'better than guessing by ' + {gain}"
    )
    marks = [
        ("your loss", "loss"),
        ("floor of smoothing", _FLOOR),
        ("floor after a second softmax", "log(E + classes - 1) - 1"),
        ("guessing: log K", "log(classes)"),
    ]
    x = {"title": "loss in nats", "tickCount": 8, "grid": False}
    color = {
        "field": "row",
        "type": "ordinal",
        "scale": {"domain": [0, 1, 2, 3], "range": list(PALETTE)},
        "legend": None,
    }
    return VegaLite(
        {
            "description": (
                "A ruler of losses with four marks: your loss, at first"
                f" {loss:.3f}; the floor of label smoothing, {entropy(target):.3f}; the floor"
                f" after a second softmax, {np.log(np.e + classes - 1) - 1:.3f}; and the loss of"
                f" guessing, log K, {np.log(classes):.3f}. Sliders set the loss, the number of"
                " classes K and the smoothing."
            ),
            "height": 230,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("loss", "Your loss", loss, 8, 0.01),
                slider("classes", "Classes K", classes, 1000, start=2),
                slider("smoothing", "Smoothing ε", smoothing, 0.5, 0.01),
            ],
            "layer": [
                {
                    "data": {
                        "values": [{"row": row, "name": n} for row, (n, _) in enumerate(marks)]
                    },
                    "transform": [
                        calculate("at", f"[{', '.join(value for _, value in marks)}][datum.row]"),
                        calculate("text", "datum.name + ' ' + format(datum.at, '.3f')"),
                        calculate("right", "datum.at <= 4 ? datum.text : ''"),
                        calculate("left", "datum.at > 4 ? datum.text : ''"),
                    ],
                    "encoding": {
                        "x": {
                            "field": "at",
                            "type": "quantitative",
                            "axis": x,
                            "scale": {"domain": [0, 8]},
                        },
                        "y": {
                            "field": "row",
                            "type": "ordinal",
                            "axis": None,
                            "scale": {"type": "point", "range": [80, 200]},
                        },
                    },
                    "layer": [
                        {
                            "mark": {"type": "point", "filled": True, "size": 130, "opacity": 1},
                            "encoding": {"color": color},
                        },
                        _name("right", "left", 10),
                        _name("left", "right", -10),
                    ],
                },
                *_lines("'geometric mean of p(truth) ' + format(exp(-loss), '.3f')", verdict),
            ],
        }
    )


def _name(field: str, align: str, dx: int) -> dict[str, Any]:
    """Write the name of a mark and its number beside it."""
    mark = {"type": "text", "align": align, "dx": dx, "baseline": "middle"}
    return {"mark": mark, "encoding": {"text": {"field": field}}}
