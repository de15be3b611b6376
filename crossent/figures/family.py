"""The figure of the chapter on the family of losses."""

from functools import partial

import numpy as np

from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GRAY, ORANGE
from crossent.gradients import value_and_grad
from crossent.losses import binary_cross_entropy_with_logits, binary_focal_loss_with_logits

# One vertical axis for both panels: gradients from 0 to 1.4, above them losses at _LIFT + loss / 2,
# above these the table.
_LIFT, _HIGHEST_LOSS = 1.8, 3
_CEILING = _LIFT + _HIGHEST_LOSS / 2

# Each curve with its weight, its focusing exponent and its color.
_CURVES = {
    "cross-entropy": ("1", "0", GRAY),
    "focal y=1": ("alpha", "gamma", ORANGE),
    "focal y=0": ("(1 - alpha)", "gamma", BLUE),
}


def focal_curves(gamma: float = 2.0, alpha: float = 0.25, p_t: float = 0.9) -> vega.VegaLite:
    """Show focal loss and its gradient against the probability of the truth, beside cross-entropy.

    Sliders set γ, 0 to 5; α, the weight of the positive class beside 1 − α of the negative one,
    0 to 1; and the probability at which a table reads off the curves, 0.01 to 0.99. They stand at
    ``gamma``, ``alpha`` and ``p_t`` at first.
    """
    logit = np.log(p_t) - np.log1p(-p_t)
    focal = partial(value_and_grad(binary_focal_loss_with_logits), gamma=gamma, alpha=alpha)
    plain = value_and_grad(binary_cross_entropy_with_logits)(logit, 1)
    read = zip(_CURVES, [plain, focal(logit, 1), focal(-logit, 0)], strict=True)
    readings = "; ".join(
        f"{name} {vega.listed(_said(abs(each)) for each in (loss, slope, slope / plain[1]))}"
        for name, (loss, slope) in read
    )
    label = f"datum.value < {_LIFT} ? datum.value : round(2 * (datum.value - {_LIFT}))"
    ticks = [0, 0.5, 1, *(_LIFT + loss / 2 for loss in range(_HIGHEST_LOSS + 1))]
    reading: vega.Json = {"x": "p", "strokeWidth": 1.5, "color": GRAY}
    shown = "{{format({0}, {0} < 0.001 ? '.1e' : '.4f')}}"
    heads: list[texts.Cell] = [""]
    heads += [
        (name, {"color": tint, "fontWeight": "bold"}) for name, (_, _, tint) in _CURVES.items()
    ]
    lines = [
        [name, *(shown.format(f"{name}_{curve}") for curve in range(len(_CURVES)))]
        for name in ("loss", "gradient", "ratio")
    ]
    caption = {"align": "right", "fontStyle": "italic"}
    return vega.figure(
        "Curves of cross-entropy and of the focal loss of a positive and of a negative sample,"
        " against the probability of the truth: in the upper panel the loss, in the lower one the"
        f" size of its gradient with respect to the logit. A line marks the probability {p_t:.2f},"
        " with a dot on each curve that it meets; a table lists the loss there, the gradient, and"
        f" its ratio to that of cross-entropy: {readings}.",
        430,
        {
            "gamma": vega.slider("Focusing γ", gamma, 0, 5, 0.5),
            "alpha": vega.slider("Weight α", alpha, 0, 1, 0.05),
            "probability": vega.slider("Probability p_t", p_t, 0.01, 0.99, 0.01),
            **{
                f"{name}_{curve}": amount
                for curve, (weight, focus, _) in enumerate(_CURVES.values())
                for name, amount in _amounts(weight, focus, "probability").items()
            },
        },
        [
            vega.layer("rule", vega.ONE, {"p": "probability"}, y=0, y2=1.1, **reading),
            vega.layer("rule", vega.ONE, {"p": "probability"}, y=_LIFT, y2=_CEILING, **reading),
            *(each for curve, look in enumerate(_CURVES.values()) for each in _curve(curve, *look)),
            texts.text("loss in nats", 1, _CEILING + 0.15, **caption),
            texts.text("size of the gradient", 1, 1.25, **caption),
            *texts.table([heads, *lines], (0, 0.48, 0.74, 1), 4.61, -0.28),
        ],
        x=vega.axis((0, 1), "probability of the truth, p_t", **vega.QUARTERS),
        y=vega.axis((0, 4.75), values=ticks, labelExpr=label, domain=False),
    )


def _amounts(weight: str, gamma: str, p: str) -> dict[str, str]:
    """Return the loss and its gradient at ``p``, and the ratio to the gradient without focus."""
    rest = f"(1 - {p})"
    slope = f"pow({rest}, {gamma}) - {gamma} * {p} * pow({rest}, {gamma} - 1) * log({p})"
    return {
        "loss": f"-{weight} * pow({rest}, {gamma}) * log({p})",
        "gradient": f"{weight} * ({slope}) * {rest}",
        "ratio": f"{weight} * ({slope})",
    }


def _said(amount: float) -> str:
    return f"{amount:.1e}" if amount < 0.001 else f"{amount:.4f}"


def _curve(index: int, weight: str, gamma: str, color: str) -> list[vega.Json]:
    """Draw the loss and the gradient of a curve, with a dot at the probability."""
    layers = []
    for name, place in (("loss", f"{_LIFT} + {{}} / 2"), ("gradient", "{}")):
        line = {"place": place.format(_amounts(weight, gamma, "datum.p")[name])}
        dot = {"p": "probability", "place": place.format(f"{name}_{index}")}
        look = {"only": f"datum.place <= {_CEILING}", "x": "p", "y": "place", "color": color}
        dash = {} if index else vega.DASHED
        layers += [
            vega.layer("line", vega.along("p", 0.005, 1, 0.01), line, **look, **dash),
            vega.layer("point", vega.ONE, dot, size=90, **look),
        ]
    return layers
