"""The figure of the chapter on likelihood: the likelihood and the loss of a coin."""

import numpy as np

from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GRAY, ORANGE
from crossent.losses import binary_cross_entropy

_HEADS, _TAILS = 0.7, 0.3  # of the flips in the sample
_LOSS = f"-{_HEADS} * log({{q}}) - {_TAILS} * log(1 - {{q}})"
_CAPTION = {"baseline": "bottom", "dy": -6, "fontWeight": "bold"}


def coin_likelihood(bias: float, flips: int) -> vega.VegaLite:
    """Show the likelihood of a coin's bias and the mean loss, for a sample with 70 % heads.

    The upper curve is the likelihood of each bias divided by that of the best one, the lower curve
    the mean loss. A dot on each marks the bias of a slider, at first ``bias``, 0.01 to 0.99.
    Another one sets the number of flips, at first ``flips``, a multiple of 10 up to 200.
    """
    tried = np.arange(1, 100) / 100
    losses = binary_cross_entropy(tried, np.full_like(tried, _HEADS), reduction="none")
    best = f"q = {tried[np.argmin(losses)]:g}"
    loss = binary_cross_entropy(bias, _HEADS)
    return vega.figure(
        "Curves over the bias q of a coin. The upper one is the likelihood of a sample divided by"
        f" its largest value, a hill with its top at {best}. The lower one is the mean loss, a"
        f" valley with its floor at {best}. A dot on each marks q = {bias:.2f}, with likelihood"
        f" {np.exp(-flips * loss):.2e} and mean loss {loss:.4f} nats.",
        340,
        {
            "bias": vega.slider("Bias q", bias, 0.01, 0.99, 0.01),
            "flips": vega.slider("Flips", flips, 10, 200, 10),
            "loss": _LOSS.format(q="bias"),
            "floor": _LOSS.format(q=_HEADS),
            "likelihood": "exp(-flips * loss)",
        },
        [
            *_panel("exp(-flips * ({loss} - floor))", 5, 3, BLUE),
            texts.text("likelihood {likelihood:.2e}", 0, 8, **_CAPTION),
            *_panel("{loss}", 0, 1, ORANGE),
            texts.text("mean loss {loss:.4f} nats", 0, 3.6, **_CAPTION),
        ],
        x=vega.axis((0, 1), "bias q, the probability of heads", values=[0, _TAILS, 0.5, _HEADS, 1]),
        y=vega.axis((0, 9)),
    )


def _panel(amount: str, bottom: float, height: float, color: str) -> list[vega.Json]:
    """Draw a curve, its base line, and a dot at the bias that is tried.

    Two panels share the vertical axis: where each starts, and its height for an amount of 1.
    """
    place = f"{bottom} + {height} * {amount}"
    curve = {"place": place.format(loss=f"({_LOSS.format(q='datum.q')})")}
    dot = {"q": "bias", "place": place.format(loss="loss")}
    look: vega.Json = {"x": "q", "y": "place", "color": color}
    return [
        vega.layer("rule", vega.ONE, x=0, x2=1, y=bottom, color=GRAY, strokeWidth=1, aria=False),
        vega.layer("line", vega.along("q", 0.01, 0.995, 0.01), curve, **look),
        vega.layer("point", vega.ONE, dot, size=130, **look),
    ]
