"""The figure of the chapter on squared error."""

from typing import Any

import numpy as np

from crossent.activations import sigmoid
from crossent.figures.style import PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider, table

_NAMES = {"ce": "cross-entropy", "se": "squared error"}
_LOSS = {"ce": "log(1 + exp(-{z}))", "se": "pow(1 / (1 + exp({z})), 2)"}
_SLOPE = {"ce": "-1 / (1 + exp({z}))", "se": "-2 * pow(1 / (1 + exp({z})), 2) / (1 + exp(-{z}))"}
_EVERY = 5  # steps between two stops of the slider
_STOPS = 21


def two_losses(start: float) -> VegaLite:
    """Show gradient descent on cross-entropy and on squared error, from the same logit.

    The target is 1 and the learning rate 1. Sliders set the logit at the start and the number of
    steps.

    Parameters
    ----------
    start : float
        The logit at first, from −6 to 6 in steps of ½.

    Returns
    -------
    VegaLite
        The figure.
    """
    starts = np.arange(-6, 6.5, 0.5)
    rows = [{"start": s, **{k: _descend(s, k) for k in _NAMES}} for s in starts.tolist()]
    x = {"title": "logit z", "values": [*range(-6, 9, 2)], "grid": False}
    y = {"title": "loss", "titleAnchor": "start", "values": [*range(7)], "domain": False}
    return VegaLite(
        {
            "description": (
                "Two curves against the logit for target 1: cross-entropy, which rises in a"
                " straight line towards negative logits, and squared error, which becomes flat"
                f" there. A ball on each starts at the logit {start:g}. Sliders set the start and"
                " the number of steps of gradient descent. A table shows the logit, the loss and"
                f" the gradient on each: at first {_slope(start, 'ce'):.3f} and"
                f" {_slope(start, 'se'):.3f}."
            ),
            "height": 360,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("start", "Logit at the start", start, 6, 0.5, -6),
                slider("steps", "Steps", 0, _EVERY * (_STOPS - 1), _EVERY),
            ],
            "data": {"values": rows},
            "transform": [
                {"filter": "datum.start == start"},
                *(calculate(f"z_{k}", f"datum.{k}[steps / {_EVERY}]") for k in _NAMES),
                *(calculate(f"loss_{k}", _LOSS[k].format(z=f"datum.z_{k}")) for k in _NAMES),
                *(calculate(f"slope_{k}", _SLOPE[k].format(z=f"datum.z_{k}")) for k in _NAMES),
            ],
            "encoding": {
                "x": {"type": "quantitative", "axis": x, "scale": {"domain": [-6, 8]}},
                "y": {"type": "quantitative", "axis": y, "scale": {"domain": [0, 9.6]}},
            },
            "layer": [
                *(_curve(k, color) for k, color in zip(_NAMES, PALETTE, strict=False)),
                *(_ball(k, color) for k, color in zip(_NAMES, PALETTE, strict=False)),
                *table(
                    {
                        "logit": ("datum.z_ce", "datum.z_se"),
                        "loss": ("datum.loss_ce", "datum.loss_se"),
                        "gradient": ("datum.slope_ce", "datum.slope_se"),
                    },
                    (-5.8, 2.4, 8),
                    8.5,
                    0.75,
                    [],  # the one row that is left
                ),
                *(
                    _head(name, x, color)
                    for name, x, color in zip(_NAMES.values(), (2.4, 8), PALETTE, strict=False)
                ),
            ],
        }
    )


def _slope(z: float, name: str) -> float:
    """Return the derivative of a loss for target 1."""
    p = float(sigmoid(z))
    return p - 1 if name == "ce" else 2 * (p - 1) * p * (1 - p)


def _descend(z: float, name: str) -> list[float]:
    """Return the logit at each stop of the slider."""
    stops = [z]
    for step in range(1, _EVERY * (_STOPS - 1) + 1):
        z -= _slope(z, name)
        if step % _EVERY == 0:
            stops.append(round(z, 4))
    return stops


def _curve(name: str, color: str) -> dict[str, Any]:
    return {
        "mark": {"type": "line", "strokeWidth": 3, "color": color},
        "data": {"sequence": {"start": -6, "stop": 8.05, "step": 0.1, "as": "z"}},
        "transform": [calculate("loss", _LOSS[name].format(z="datum.z"))],
        "encoding": {"x": {"field": "z"}, "y": {"field": "loss"}},
    }


def _ball(name: str, color: str) -> dict[str, Any]:
    return {
        "mark": {"type": "point", "filled": True, "size": 150, "color": color},
        "encoding": {
            "x": {"field": f"z_{name}"},
            "y": {"field": f"loss_{name}"},
            "opacity": {"value": 1},
        },
    }


def _head(text: str, x: float, color: str) -> dict[str, Any]:
    return {
        "mark": {"type": "text", "align": "right", "fontWeight": "bold", "color": color},
        "data": {"values": [{}]},
        "encoding": {"x": {"datum": x}, "y": {"datum": 9.25}, "text": {"value": text}},
    }
