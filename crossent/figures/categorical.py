"""The figure of the chapter on categorical cross-entropy."""

import numpy as np

from crossent.activations import softmax
from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import VegaLite, calculate, slider
from crossent.losses import categorical_cross_entropy_with_logits

_CLASSES = ("cat", "dog", "owl")


def categorical_terms(logits: tuple[float, float, float], label: int = 0) -> VegaLite:
    """Show the terms whose sum is the categorical cross-entropy of one sample.

    A frame is as long as the surprise of its class, the bar in it as long as the target times that
    surprise. Sliders set the logits and how much of the target is spread over the classes.

    Parameters
    ----------
    logits : tuple of three float
        Where the sliders of the logits stand at first, -3 to 3.
    label : int
        The true class at first, 0 to 2.

    Returns
    -------
    VegaLite
        The figure.
    """
    probs = softmax(np.asarray(logits))
    loss = categorical_cross_entropy_with_logits(np.asarray(logits), np.eye(3)[label])
    logit_of_row = f"[{', '.join(f'logit_{name}' for name in _CLASSES)}][datum.row]"
    shown = ", ".join(f"{name} {p:.3f}" for name, p in zip(_CLASSES, probs, strict=True))
    axis = {
        "title": "nats",
        "values": [*range(7)],
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
    }
    row = {"field": "class", "type": "nominal", "sort": list(_CLASSES), "axis": None}
    return VegaLite(
        {
            "description": (
                "One row for each of the classes cat, dog and owl. A frame is as long as the"
                " surprise, minus the logarithm of the predicted probability; a bar in it as long"
                " as the target times the surprise. The sum of the bars is the loss. At first the"
                f" probabilities are {shown}, the target is {_CLASSES[label]} alone, and the loss"
                f" is {loss:.3f} nats. Three sliders set the logits, a menu the label, a fourth"
                " slider the share of the target that is spread over all classes."
            ),
            "height": 210,
            "view": {"stroke": None},
            "config": {"text": {"fontSize": 14}},
            "params": [
                *(
                    slider(f"logit_{name}", f"Logit of {name}", logit, 3, 0.1, -3)
                    for name, logit in zip(_CLASSES, logits, strict=True)
                ),
                {
                    "name": "label",
                    "value": _CLASSES[label],
                    "bind": {"input": "select", "options": [*_CLASSES], "name": "Label"},
                },
                slider("spread", "Spread target", 0, 1, 0.05),
            ],
            "data": {"values": [{"row": i, "class": name} for i, name in enumerate(_CLASSES)]},
            "transform": [
                calculate("power", f"exp({logit_of_row})"),
                {"joinaggregate": [{"op": "sum", "field": "power", "as": "total"}]},
                calculate("surprise", "log(datum.total / datum.power)"),
                calculate("target", "(datum.class === label ? 1 - spread : 0) + spread / 3"),
                calculate("term", "datum.target * datum.surprise"),
                {"joinaggregate": [{"op": "sum", "field": "term", "as": "loss"}]},
                calculate(
                    "text",
                    "datum.class + ':  ' + format(datum.target, '.3f') + ' × −log '"
                    " + format(datum.power / datum.total, '.3f')"
                    " + ' = ' + format(datum.term, '.3f')",
                ),
                calculate("heading", "'loss = sum = ' + format(datum.loss, '.3f') + ' nats'"),
            ],
            "encoding": {
                "x": {"type": "quantitative", "axis": axis, "scale": {"domain": [0, 7]}},
                "y": row,
            },
            "layer": [
                {
                    "mark": {
                        "type": "bar",
                        "height": {"band": 0.3},
                        "filled": False,
                        "stroke": GRAY,
                        "strokeWidth": 2,
                    },
                    "encoding": {"x": {"field": "surprise"}},
                },
                {
                    "mark": {"type": "bar", "height": {"band": 0.3}, "color": PALETTE[1]},
                    "encoding": {"x": {"field": "term"}},
                },
                {
                    "mark": {"type": "text", "align": "left", "dy": -22},
                    "encoding": {"x": {"datum": 0}, "text": {"field": "text"}},
                },
                {
                    "transform": [{"filter": "datum.row == 0"}],
                    "mark": {"type": "text", "align": "left", "dy": -18, "fontWeight": "bold"},
                    "encoding": {
                        "x": {"datum": 0},
                        "y": {"value": 0},
                        "text": {"field": "heading"},
                    },
                },
            ],
        }
    )
