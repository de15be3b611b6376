"""The figure of the chapter on categorical cross-entropy."""

import numpy as np

from crossent.activations import softmax
from crossent.figures import texts, vega
from crossent.figures.style import GRAY, ORANGE
from crossent.losses import categorical_cross_entropy_with_logits

_CLASSES = ("cat", "dog", "owl")


def categorical_terms(logits: tuple[float, float, float], label: int = 0) -> vega.VegaLite:
    """Show the terms whose sum is the categorical cross-entropy of one sample.

    A frame is as long as the surprise of its class, the bar in it as long as the target times that
    surprise. Sliders set the logits, at first ``logits``, −3 to 3; how much of the target is spread
    over the classes; and a menu the true class, at first ``label``, 0 to 2.
    """
    target = np.eye(3)[label]
    loss = categorical_cross_entropy_with_logits(np.asarray(logits), target)
    terms = "; ".join(
        f"{name}: {t:.3f} × −log {p:.3f} = {-t * np.log(p):.3f}"
        for name, t, p in zip(_CLASSES, target, softmax(np.asarray(logits)), strict=True)
    )
    line = "{datum.class}:  {datum.target:.3f} × −log {datum.p:.3f} = {datum.term:.3f}"
    band: vega.Json = {"height": {"band": 0.3}}
    return vega.figure(
        "A row for each class. A frame is as long as the surprise, −log p, a bar in it as long as"
        f" the target times the surprise. Above each row stands its term ({terms}), above them all"
        f" the loss, which is their sum, {loss:.3f} nats.",
        210,
        {
            **vega.sliders("logit_", "Logit of ", _CLASSES, logits, -3, 3, 0.1),
            "label": vega.menu("Label", _CLASSES[label], _CLASSES),
            "spread": vega.slider("Spread target", 0, 0, 1, 0.05),
        },
        [
            vega.layer("bar", x="surprise", filled=False, stroke=GRAY, strokeWidth=2, **band),
            vega.layer("bar", x="term", color=ORANGE, **band),
            texts.text(line, 0, "class", dy=-22, fontSize=14),
            texts.heading("loss = sum = {datum.loss:.3f} nats", -18, fontSize=14),
        ],
        fields={
            "power": f"exp({vega.of_row(f'logit_{name}' for name in _CLASSES)})",
            "total": vega.total("power"),
            "p": "datum.power / datum.total",
            "surprise": "-log(datum.p)",
            "target": f"(datum.class === label ? 1 - spread : 0) + spread / {len(_CLASSES)}",
            "term": "datum.target * datum.surprise",
            "loss": vega.total("term"),
        },
        x=vega.axis((0, 7), "nats", values=[*range(7)], grid=True),
        **vega.bands("class", _CLASSES),
    )
