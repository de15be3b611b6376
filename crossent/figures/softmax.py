"""The figure of the chapter on softmax."""

import numpy as np

from crossent.activations import softmax
from crossent.figures import texts, vega
from crossent.figures.style import BLUE, ORANGE
from crossent.information import entropy

_CLASSES = ("cat", "dog", "owl", "fox")


def softmax_bars(
    logits: tuple[float, float, float, float], temperature: float = 1.0
) -> vega.VegaLite:
    """Show the softmax of four logits as bars, with a slider for each and for the temperature.

    A tick on each bar marks the probability at temperature 1; the heading tells the entropy. At
    first the sliders stand at ``logits``, −5 to 5, and at ``temperature``, 0.1 to 5.
    """
    probs = softmax(np.divide(logits, temperature))
    shown = vega.listed(f"{name} {p:.3f}" for name, p in zip(_CLASSES, probs, strict=True))
    names = {"title": None, "domain": False, "ticks": False, "labelPadding": 8, "labelFontSize": 14}
    title = "probability (tick: at temperature 1)"
    most = f"at most {np.log(len(_CLASSES)):.3f}"
    return vega.figure(
        f"A bar for each class, as long as the probability that softmax gives it, {shown}; a tick"
        " marks what it would be at temperature 1. Above the bars stands the entropy,"
        f" {entropy(probs):.3f} nats, {most}.",
        190,
        {
            **vega.sliders("logit_", "Logit of ", _CLASSES, logits, -5, 5, 0.1),
            "temperature": vega.slider("Temperature", temperature, 0.1, 5, 0.1),
        },
        [
            vega.layer("bar", x="p", height={"band": 0.6}, color=BLUE),
            vega.layer("tick", x="plain", color=ORANGE, thickness=3),
            texts.text("{datum.p:.3f}", "right", "class", dx=8, fontSize=14),
            texts.heading(f"entropy {{datum.entropy:.3f}} nats ({most})", -18, fontSize=14),
        ],
        fields={
            "logit": vega.of_row(f"logit_{name}" for name in _CLASSES),
            "largest": vega.total("logit", "max"),
            "power": "exp((datum.logit - datum.largest) / temperature)",
            "total": vega.total("power"),
            "p": "datum.power / datum.total",
            "plain_power": "exp(datum.logit - datum.largest)",
            "plain_total": vega.total("plain_power"),
            "plain": "datum.plain_power / datum.plain_total",
            "right": "max(datum.p, datum.plain)",
            "share": "datum.p > 0 ? -datum.p * log(datum.p) : 0",
            "entropy": vega.total("share"),
        },
        x=vega.axis((0, 1.15), title, grid=True, **vega.QUARTERS),
        **vega.bands("class", _CLASSES, names),
    )
