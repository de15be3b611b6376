"""The figure of the chapter on likelihood: the likelihood and the loss of a coin."""

from typing import Any

import numpy as np

from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.information import cross_entropy

_HEADS = 0.7  # of the flips in the sample
_LIKELIHOOD, _LOSS = PALETTE[:2]
# Two panels share one vertical axis, in nats of the loss: where each starts and its height for 1.
_LOSS_PANEL, _LIKELIHOOD_PANEL = (0, 1), (5, 3)


def coin_likelihood(bias: float, flips: int) -> VegaLite:
    """Show the likelihood of a coin's bias and the mean loss, for a sample with 70 % heads.

    The upper curve is the likelihood of each bias divided by that of the best one, the lower curve
    the mean loss. A dot on each marks the bias of the slider.

    Parameters
    ----------
    bias : float
        The probability of heads that is tried at first, 0.01 to 0.99.
    flips : int
        The number of flips at first, a multiple of 10 up to 200.

    Returns
    -------
    VegaLite
        The figure, with a slider for each number.
    """
    loss = cross_entropy([_HEADS, 1 - _HEADS], [bias, 1 - bias])
    likelihood = np.exp(-flips * loss)
    return VegaLite(
        {
            "description": (
                "Two curves over the bias q of a coin. The upper one is the likelihood of a sample"
                " with 70 % heads, divided by its largest value: a hill with its top at q = 0.7"
                " that narrows as the flips become more. The lower one is the mean loss, a valley"
                f" whose floor is at 0.7 whatever their number. At first, {flips} flips and"
                f" q = {bias:.2f}: likelihood {likelihood:.2e}, mean loss {loss:.4f} nats. Two"
                " sliders set the bias and the number of flips."
            ),
            "height": 340,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("bias", "Bias q", bias, 0.99, 0.01, 0.01),
                slider("flips", "Flips", flips, 200, 10, 10),
            ],
            "data": {"sequence": {"start": 1, "stop": 100, "as": "percent"}},
            "transform": [
                calculate("q", "datum.percent / 100"),
                calculate(
                    "loss", f"-{_HEADS} * log(datum.q) - {1 - _HEADS:.1f} * log(1 - datum.q)"
                ),
                {"joinaggregate": [{"op": "min", "field": "loss", "as": "floor"}]},
                calculate("ratio", "exp(-flips * (datum.loss - datum.floor))"),
                calculate("tried", "abs(datum.q - bias) < 0.005"),
            ],
            "encoding": {
                "x": {
                    "field": "q",
                    "type": "quantitative",
                    "scale": {"domain": [0, 1]},
                    "axis": {
                        "title": "bias q, the probability of heads",
                        "values": [0, 0.3, 0.5, 0.7, 1],
                        "grid": False,
                    },
                },
                "y": {"type": "quantitative", "scale": {"domain": [0, 9]}, "axis": None},
            },
            "layer": [
                *_panel("ratio", _LIKELIHOOD_PANEL, _LIKELIHOOD),
                _heading(
                    sum(_LIKELIHOOD_PANEL),
                    "'likelihood ' + format(exp(-flips * datum.loss), '.2e')",
                ),
                *_panel("loss", _LOSS_PANEL, _LOSS),
                _heading(3.6, "'mean loss ' + format(datum.loss, '.4f') + ' nats'"),
            ],
        }
    )


def _panel(field: str, panel: tuple[float, float], color: str) -> list[dict[str, Any]]:
    """Draw a curve, its base line, and a dot at the bias that is tried."""
    bottom, height = panel
    place = [calculate("place", f"{bottom} + {height} * datum.{field}")]
    y = {"field": "place"}
    return [
        {
            "mark": {"type": "rule", "color": GRAY, "strokeWidth": 1},
            "transform": [{"filter": "datum.percent == 1"}],
            "encoding": {"x": {"datum": 0}, "x2": {"datum": 1}, "y": {"datum": bottom}},
        },
        {
            "mark": {"type": "line", "color": color, "strokeWidth": 3},
            "transform": place,
            "encoding": {"y": y},
        },
        {
            "mark": {"type": "point", "color": color, "filled": True, "size": 130, "opacity": 1},
            "transform": [{"filter": "datum.tried"}, *place],
            "encoding": {"y": y},
        },
    ]


def _heading(y: float, text: str) -> dict[str, Any]:
    """Write a number above a panel."""
    return {
        "transform": [{"filter": "datum.tried"}, calculate("text", text)],
        "mark": {
            "type": "text",
            "align": "left",
            "baseline": "bottom",
            "dy": -6,
            "fontWeight": "bold",
        },
        "encoding": {"x": {"datum": 0}, "y": {"datum": y}, "text": {"field": "text"}},
    }
