"""The figure of the chapter on TensorFlow and Keras."""

import numpy as np

from crossent.figures.style import PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.losses import (
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
)

_READINGS = {"from_logits=True": PALETTE[2], "default": PALETTE[1]}
_EPSILON = 1e-7  # where Keras clips what it takes for a probability


def forgotten_logits(logits: tuple[float, float, float], label: int = 0) -> VegaLite:
    """Show what Keras makes of three logits with ``from_logits=True`` and by default.

    Two bars per class are the probabilities that the two losses use; the gradients of both losses
    stand above them. Sliders set the logits, a menu the label.

    Parameters
    ----------
    logits : tuple of three float
        Where the sliders of the logits stand at first, -2 to 3.
    label : int
        The true class at first, 0 to 2.

    Returns
    -------
    VegaLite
        The figure.
    """
    z = np.asarray(logits, dtype=float)
    clipped = z.clip(_EPSILON, 1 - _EPSILON)
    right = sparse_categorical_cross_entropy_with_logits(z, label)
    wrong = sparse_categorical_cross_entropy(clipped / clipped.sum(), label)
    classes = [f"class {k}" for k in range(3)]
    is_label = "(datum.class === label ? 1 : 0)"
    inside = f"datum.z > {_EPSILON} && datum.z < 1 - {_EPSILON}"
    bar = {"type": "bar", "height": {"band": 0.2}}
    row = {"field": "class", "type": "nominal", "sort": classes, "axis": None}
    domain = list(_READINGS)
    color = {
        "datum": domain[0],
        "type": "nominal",
        "scale": {"domain": domain, "range": list(_READINGS.values())},
        "legend": {"title": None, "orient": "bottom", "labelFontSize": 12, "symbolType": "square"},
    }
    axis = {"title": "probability that the loss uses", "values": [0, 0.5, 1]}
    return VegaLite(
        {
            "description": (
                "Two bars for each of three classes: the probability that the Keras loss uses with"
                " from_logits=True, which is the softmax of the logits, and the one it uses by"
                " default, which is the clipped logit divided by the sum of all three. Above them"
                f" stand the gradients of both losses. At first the logits are"
                f" {', '.join(f'{value:g}' for value in z)}, the label is {label}, and the losses"
                f" are {right:.3f} and {wrong:.3f}. Three sliders set the logits, a menu the label."
            ),
            "height": 240,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                *(slider(f"z{k}", f"Logit {k}", value, 3, 0.1, -2) for k, value in enumerate(z)),
                {
                    "name": "label",
                    "value": classes[label],
                    "bind": {"input": "select", "options": classes, "name": "Label"},
                },
            ],
            "data": {"values": [{"row": k, "class": name} for k, name in enumerate(classes)]},
            "transform": [
                calculate("z", "[z0, z1, z2][datum.row]"),
                calculate("power", "exp(datum.z)"),
                calculate("q", f"clamp(datum.z, {_EPSILON}, 1 - {_EPSILON})"),
                calculate("power_y", f"{is_label} * datum.power"),
                calculate("q_y", f"{is_label} * datum.q"),
                {
                    "joinaggregate": [
                        {"op": "sum", "field": field, "as": f"{field}_sum"}
                        for field in ("power", "q", "power_y", "q_y")
                    ]
                },
                calculate("softmax", "datum.power / datum.power_sum"),
                calculate("share", "datum.q / datum.q_sum"),
                calculate("right", f"datum.softmax - {is_label}"),
                calculate("wrong", f"{inside} ? 1 / datum.q_sum - {is_label} / datum.q : 0"),
                calculate(
                    "text",
                    "datum.class + ':  gradient ' + format(datum.right, '.3f')"
                    " + ', default ' + format(datum.wrong, '.3f')",
                ),
                calculate(
                    "heading",
                    "'loss ' + format(log(datum.power_sum / datum.power_y_sum), '.3f')"
                    " + ', default ' + format(log(datum.q_sum / datum.q_y_sum), '.3f')",
                ),
            ],
            "encoding": {
                "x": {"type": "quantitative", "axis": axis, "scale": {"domain": [0, 1]}},
                "y": row,
            },
            "layer": [
                {
                    "mark": bar | {"yOffset": -2},
                    "encoding": {"x": {"field": "softmax"}, "color": color},
                },
                {
                    "mark": bar | {"yOffset": 14},
                    "encoding": {"x": {"field": "share"}, "color": color | {"datum": domain[1]}},
                },
                {
                    "mark": {"type": "text", "align": "left", "dy": -20},
                    "encoding": {"x": {"datum": 0}, "text": {"field": "text"}},
                },
                {
                    "transform": [{"filter": "datum.row == 0"}],
                    "mark": {"type": "text", "align": "left", "dy": -14, "fontWeight": "bold"},
                    "encoding": {
                        "x": {"datum": 0},
                        "y": {"value": 0},
                        "text": {"field": "heading"},
                    },
                },
            ],
        }
    )
