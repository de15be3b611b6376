"""The figure of the chapter on categorical cross-entropy: the bars that grow, with a label."""

import numpy as np

from crossent.activations import softmax
from crossent.figures import bars, vega
from crossent.figures.style import GRAY
from crossent.losses import categorical_cross_entropy_with_logits

_CLASSES = ("cat", "dog", "owl")


def categorical_terms(logits: tuple[float, float, float], label: int = 0) -> vega.VegaLite:
    """Show the categorical cross-entropy of one sample as an area, to which a label gives one bar.

    The bars are as wide as the target and as high as the surprise −log ŷ. Sliders set the logits,
    at first ``logits``, −3 to 3; how much of the target is spread over the classes; and a menu the
    true class, at first ``label``, 0 to 2.
    """
    target = np.eye(len(_CLASSES))[label]
    surprises = -np.log(softmax(np.asarray(logits)))
    loss = categorical_cross_entropy_with_logits(np.asarray(logits), target)
    terms = vega.listed(
        f"{name} {t:.3f} × {surprise:.3f} = {t * surprise:.3f}"
        for name, t, surprise in zip(_CLASSES, target, surprises, strict=True)
    )
    total = " + ".join(f"exp(logit_{name})" for name in _CLASSES)
    share = f"spread / {len(_CLASSES)}"
    return bars.surprise_bars(
        "A bar for each class, as wide as its target and as high as the surprise −log ŷ in nats. At"
        " least −log of the target has to be paid, and is solid; what is paid more is pale; where"
        " less is paid, a dashed box is left. A dashed line is at the height of the loss. A table"
        f" above lists p × surprise, {terms}; the entropy of the target {0:.3f} nats, and the loss"
        f" {loss:.3f} nats.",
        {
            **vega.sliders("logit_", "Logit of ", _CLASSES, logits, -3, 3, 0.1),
            "label": vega.menu("Label", _CLASSES[label], _CLASSES),
            "spread": vega.slider("Spread target", 0, 0, 1, 0.05),
        },
        {
            name: (
                f"(label === '{name}' ? 1 - spread : 0) + {share}",
                f"exp(logit_{name}) / ({total})",
            )
            for name in _CLASSES
        },
        [
            ("entropy of the target", bars.number("entropy", "nats")),
            ("loss", bars.number("cross_entropy", "nats")),
        ],
        lines={"cross_entropy": GRAY},
        unit="nats",
        surprise="−log ŷ",
    )
