"""The figure of the chapter on softmax."""

from collections.abc import Collection, Sequence

import numpy as np

from crossent.activations import softmax
from crossent.figures import texts, vega
from crossent.figures.style import BLUE, ORANGE
from crossent.information import entropy


def softmax_bars(
    scores: Sequence[float],
    moved: Collection[int],
    temperature: float = 1.0,
    shift: float = 0.0,
) -> vega.VegaLite:
    """Show the softmax of the scores of digits as bars, and beside each bar its score.

    A tick on each bar marks the probability at temperature 1; the heading tells the entropy.
    Sliders move the scores of the digits in ``moved``, −5 to 5, and set ``shift``, −5 to 5, which
    is added to all scores, and ``temperature``, 0.1 to 5.
    """
    digits = [str(digit) for digit in range(len(scores))]
    shifted = np.add(scores, shift)
    probs = softmax(shifted / temperature)
    shown = vega.listed(
        f"digit {digit}: {z:.2f} → {p:.3f}"
        for digit, z, p in zip(digits, shifted, probs, strict=True)
    )
    names = {"title": None, "domain": False, "ticks": False, "labelPadding": 8, "labelFontSize": 14}
    title = "probability (tick: at temperature 1)"
    most = f"at most {np.log(len(scores)):.3f}"
    sliders = {str(digit): scores[digit] for digit in moved}
    return vega.figure(
        "A bar for each digit, as long as the probability that softmax gives it, and beside the"
        f" bar score → probability: {shown}. A tick marks the probability at temperature 1. Above"
        f" the bars stands the entropy, {entropy(probs):.3f} nats, {most}.",
        260,
        {
            **vega.sliders("score_", "Score of ", sliders, sliders.values(), -5, 5, 0.01),
            "shift": vega.slider("Added to all scores", shift, -5, 5, 0.1),
            "temperature": vega.slider("Temperature", temperature, 0.1, 5, 0.1),
        },
        [
            vega.layer("bar", x="p", height={"band": 0.6}, color=BLUE),
            vega.layer("tick", x="plain", color=ORANGE, thickness=3),
            texts.text("{datum.score:.2f} → {datum.p:.3f}", "right", "digit", dx=8),
            texts.heading(f"entropy {{datum.entropy:.3f}} nats ({most})", -18, fontSize=14),
        ],
        fields={
            "score": vega.of_row(
                f"{f'score_{digit}' if digit in sliders else z} + shift"
                for digit, z in zip(digits, scores, strict=True)
            ),
            "largest": vega.total("score", "max"),
            "power": "exp((datum.score - datum.largest) / temperature)",
            "total": vega.total("power"),
            "p": "datum.power / datum.total",
            "plain_power": "exp(datum.score - datum.largest)",
            "plain_total": vega.total("plain_power"),
            "plain": "datum.plain_power / datum.plain_total",
            "right": "max(datum.p, datum.plain)",
            "share": "datum.p > 0 ? -datum.p * log(datum.p) : 0",
            "entropy": vega.total("share"),
        },
        x=vega.axis((0, 1.5), title, grid=True, **vega.QUARTERS),
        **vega.bands("digit", digits, names),
    )
