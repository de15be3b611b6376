"""The figure of the chapter on entropy."""

import numpy as np

from crossent.figures import bars, vega
from crossent.figures.style import GRAY
from crossent.information import entropy

_OUTCOMES = "ABCD"


def entropy_bars(weights: tuple[int, int, int, int]) -> vega.VegaLite:
    """Show the entropy of four outcomes as an area, with a slider for the weight of each.

    A bar is as wide as its outcome's probability and as high as its surprise in bits; its area
    is what the outcome adds to the entropy. A table above the bars shows the same in numbers. At
    first the sliders stand at ``weights``, 0 to 16; divided by their sum they are probabilities.
    """
    probs = [weight / sum(weights) for weight in weights]
    surprises = [-np.log2(p) if p > 0 else np.inf for p in probs]
    terms = vega.listed(
        f"{name} {p:.3f} × {surprise:.3f} = {p * surprise if p else 0:.3f}"
        for name, p, surprise in zip(_OUTCOMES, probs, surprises, strict=True)
    )
    most = f"at most {np.log2(len(_OUTCOMES)):g}"
    return bars.surprise_bars(
        "A bar for each outcome, as wide as its probability and as high as its surprise in bits;"
        " its area is what the outcome adds to the entropy, which is the height of a dashed line."
        f" A table above lists probability × surprise, {terms}; and the entropy, their sum,"
        f" {entropy(probs, base=2):.3f} bits, {most}.",
        {
            **vega.sliders("weight_", "Weight of ", _OUTCOMES, weights, 0, 16),
            "total": " + ".join(f"weight_{name}" for name in _OUTCOMES),
        },
        {
            name: (f"weight_{name} / max(total, 1)", f"p_{row}")
            for row, name in enumerate(_OUTCOMES)
        },
        [
            (
                f"entropy ({most})",
                "{total > 0 ? format(entropy, '.3f') + ' bits' : 'no weight'}",
            )
        ],
        lines={"entropy": GRAY},
    )
