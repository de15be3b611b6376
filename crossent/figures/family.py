"""The figure of the chapter on the family of losses."""

from typing import Any

import numpy as np

from crossent.figures.style import GRAY, PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.gradients import value_and_grad
from crossent.losses import binary_cross_entropy_with_logits, binary_focal_loss_with_logits

# One vertical axis for both panels: gradients from 0 to 1.4, above them losses at _LIFT + loss / 2,
# above these the table.
_LIFT = 1.8
_HIGHEST_LOSS = 3
_TOP = 4.75
_LINE = 0.28

# Each curve with its weight and its focusing exponent.
_CURVES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("cross-entropy", "1", "0", {"color": GRAY, "strokeDash": [6, 4]}),
    ("focal y=1", "alpha", "gamma", {"color": PALETTE[1]}),
    ("focal y=0", "(1 - alpha)", "gamma", {"color": PALETTE[0]}),
]


def focal_curves(gamma: float = 2.0, alpha: float = 0.25, p_t: float = 0.9) -> VegaLite:
    """Show focal loss and its gradient against the probability of the truth, beside cross-entropy.

    Sliders set γ, α and a probability at which a table reads off the curves.

    Parameters
    ----------
    gamma : float
        Where the slider of the focusing exponent stands at first, 0 to 5.
    alpha : float
        Where that of the weight of the positive class does, 0 to 1; the negative one has 1 - alpha.
    p_t : float
        Where that of the probability of the true class does, 0.01 to 0.99.

    Returns
    -------
    VegaLite
        The figure.
    """
    logit = np.log(p_t) - np.log1p(-p_t)
    plain = value_and_grad(binary_cross_entropy_with_logits)(logit, 1.0)
    focal = value_and_grad(binary_focal_loss_with_logits)(logit, 1.0, gamma=gamma, alpha=alpha)
    x = {"title": "probability of the truth, p_t", "values": [0, 0.25, 0.5, 0.75, 1]}
    y = {
        "title": None,
        "domain": False,
        "values": [0, 0.5, 1, *(_LIFT + loss / 2 for loss in range(_HIGHEST_LOSS + 1))],
        "labelExpr": f"datum.value < {_LIFT} ? datum.value : round(2 * (datum.value - {_LIFT}))",
    }
    return VegaLite(
        {
            "description": (
                "Two panels of curves against the probability of the true class: above the loss,"
                " below the size of its gradient with respect to the logit, for cross-entropy and"
                " for the focal loss of a positive and of a negative sample. Three sliders set"
                f" gamma, alpha and a probability, where a table reads the curves. At first, for a"
                f" positive sample at {p_t:.2f}: cross-entropy {plain[0]:.4f} with gradient"
                f" {-plain[1]:.4f}, focal loss {focal[0]:.4f} with gradient {-focal[1]:.4f}."
            ),
            "height": 430,
            "view": {"stroke": None},
            "config": CONFIG | {"text": {"fontSize": 13, "baseline": "middle"}},
            "params": [
                slider("gamma", "Focusing γ", gamma, 5, 0.5),
                slider("alpha", "Weight α", alpha, 1, 0.05),
                slider("probability", "Probability p_t", p_t, 0.99, 0.01, 0.01),
            ],
            "encoding": {
                "x": {
                    "type": "quantitative",
                    "axis": {**x, "format": ".2f", "grid": False},
                    "scale": {"domain": [0, 1]},
                },
                "y": {"type": "quantitative", "axis": y, "scale": {"domain": [0, _TOP]}},
            },
            "layer": [*_reading(), *_curves(), *_captions(), *_table()],
        }
    )


def _amounts(weight: str, gamma: str, p: str) -> list[dict[str, Any]]:
    """Return transforms that add the loss and the gradient at ``p``, and the latter's ratio."""
    rest = f"(1 - {p})"
    slope = f"pow({rest}, {gamma}) - {gamma} * {p} * pow({rest}, {gamma} - 1) * log({p})"
    return [
        calculate("loss", f"-{weight} * pow({rest}, {gamma}) * log({p})"),
        calculate("ratio", f"{weight} * ({slope})"),
        calculate("gradient", f"datum.ratio * {rest}"),
        calculate("lifted", f"{_LIFT} + datum.loss / 2"),
    ]


def _curves() -> list[dict[str, Any]]:
    """Draw the loss and the gradient of each curve, with a dot at the probability."""
    along = {"sequence": {"start": 0.005, "stop": 1, "step": 0.01, "as": "p"}}
    here: dict[str, Any] = {"values": [{}]}
    line = {"type": "line", "strokeWidth": 3}
    dot = {"type": "point", "filled": True, "size": 90, "opacity": 1}
    return [
        {
            "data": data,
            "transform": [
                calculate("p", p),
                *_amounts(weight, gamma, "datum.p"),
                {"filter": f"datum.loss <= {_HIGHEST_LOSS} || '{height}' == 'gradient'"},
            ],
            "mark": {**mark, **look},
            "encoding": {"x": {"field": "p"}, "y": {"field": height}},
        }
        for _, weight, gamma, look in _CURVES
        for height in ("lifted", "gradient")
        for data, p, mark in ((along, "datum.p", line), (here, "probability", dot))
    ]


def _reading() -> list[dict[str, Any]]:
    """Draw the vertical line at which the table reads the curves, once in each panel."""
    return [
        {
            "data": {"values": [{}]},
            "transform": [calculate("p", "probability")],
            "mark": {"type": "rule", "strokeWidth": 1.5, "color": GRAY},
            "encoding": {"x": {"field": "p"}, "y": {"datum": bottom}, "y2": {"datum": top}},
        }
        for bottom, top in ((0, 1.1), (_LIFT, _LIFT + _HIGHEST_LOSS / 2))
    ]


def _text(x: float, y: float, content: str, **mark: object) -> dict[str, Any]:
    """Write the value of an expression."""
    return {
        "data": {"values": [{}]},
        "transform": [calculate("text", content)],
        "mark": {"type": "text", "align": "right", **mark},
        "encoding": {"x": {"datum": x}, "y": {"datum": y}, "text": {"field": "text"}},
    }


def _captions() -> list[dict[str, Any]]:
    """Name the two panels."""
    return [
        _text(1, _LIFT + _HIGHEST_LOSS / 2 + 0.15, "'loss in nats'", fontStyle="italic"),
        _text(1, 1.25, "'size of the gradient'", fontStyle="italic"),
    ]


def _table() -> list[dict[str, Any]]:
    """Write what the curves read at the probability."""
    rows = ["loss", "gradient", "ratio"]
    layers = [
        _text(0, _TOP - (line + 0.5) * _LINE, f"'{name}'", align="left")
        for line, name in enumerate(rows, start=1)
    ]
    for column, (name, weight, gamma, look) in enumerate(_CURVES):
        x = 0.48 + 0.26 * column
        layers.append(
            _text(x, _TOP - _LINE / 2, f"'{name}'", color=look["color"], fontWeight="bold")
        )
        for line, field in enumerate(rows, start=1):
            digits = f"datum.{field} < 0.001 ? '.1e' : '.4f'"
            number = _text(x, _TOP - (line + 0.5) * _LINE, f"format(datum.{field}, {digits})")
            number["transform"] = [*_amounts(weight, gamma, "probability"), *number["transform"]]
            layers.append(number)
    return layers
