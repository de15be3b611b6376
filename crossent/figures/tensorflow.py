"""The figure of the chapter on TensorFlow and Keras."""

import numpy as np

from crossent.activations import softmax
from crossent.figures import texts, vega
from crossent.figures.style import GREEN, ORANGE
from crossent.losses import (
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
)

_CLASSES = ("class 0", "class 1", "class 2")
_READINGS = {"from_logits=True": GREEN, "default": ORANGE}
_EPSILON = 1e-7  # where Keras clips what it takes for a probability


def forgotten_logits(logits: tuple[float, float, float], label: int = 0) -> vega.VegaLite:
    """Show what Keras makes of three logits with ``from_logits=True`` and by default.

    Two bars per class are the probabilities that the two losses use; the gradients of both losses
    stand above them. Sliders set the logits, at first ``logits``, −2 to 3; a menu sets the true
    class, at first ``label``, 0 to 2.
    """
    z = np.asarray(logits, dtype=float)
    clipped = z.clip(_EPSILON, 1 - _EPSILON)
    share = clipped / clipped.sum()
    right = sparse_categorical_cross_entropy_with_logits(z, label)
    wrong = sparse_categorical_cross_entropy(share, label)
    bars = "; ".join(
        f"{name}: {p:.3f} and {q:.3f}"
        for name, p, q in zip(_CLASSES, softmax(z), share, strict=True)
    )
    scale = {"domain": [*_READINGS], "range": [*_READINGS.values()]}
    legend = {"title": None, "orient": "bottom", "labelFontSize": 12, "symbolType": "square"}
    color = {"type": "nominal", "scale": scale, "legend": legend}
    by_logits, by_default = (color | {"datum": reading} for reading in _READINGS)
    band: vega.Json = {"height": {"band": 0.2}}
    slopes = "{datum.class}:  gradient {datum.right:.3f}, default {datum.wrong:.3f}"
    return vega.figure(
        "Bars for each class: the probability that the Keras loss uses with from_logits=True, the"
        " softmax of the logits, and the one that it uses by default, the clipped logit divided by"
        f" the sum of all: {bars}. Above the bars stand the gradients of both losses, above them"
        f" all the losses, {right:.3f} and by default {wrong:.3f}.",
        240,
        {
            **vega.sliders("z", "Logit ", "012", logits, -2, 3, 0.1),
            "label": vega.menu("Label", _CLASSES[label], _CLASSES),
            "y": f"indexof({[*_CLASSES]}, label)",
            "z": "[z0, z1, z2]",
            "total": "exp(z0) + exp(z1) + exp(z2)",
            "q": f"[{', '.join(f'clamp(z{k}, {_EPSILON}, 1 - {_EPSILON})' for k in range(3))}]",
            "sum": "q[0] + q[1] + q[2]",
            "loss": "log(total) - z[y]",
            "loss_by_default": "log(sum / q[y])",
        },
        [
            vega.layer("bar", x="softmax", color=by_logits, yOffset=-2, **band),
            vega.layer("bar", x="share", color=by_default, yOffset=14, **band),
            texts.text(slopes, 0, "class", dy=-20),
            texts.heading("loss {loss:.3f}, default {loss_by_default:.3f}", -14),
        ],
        fields={
            "z": "z[datum.row]",
            "q": "q[datum.row]",
            "target": "datum.row == y ? 1 : 0",
            "softmax": "exp(datum.z) / total",
            "share": "datum.q / sum",
            "right": "datum.softmax - datum.target",
            "wrong": "datum.z == datum.q ? 1 / sum - datum.target / datum.q : 0",
        },
        x=vega.axis((0, 1), "probability that the loss uses", values=[0, 0.5, 1], grid=True),
        **vega.bands("class", _CLASSES),
    )
