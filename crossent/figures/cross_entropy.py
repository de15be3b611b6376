"""The figure of the chapter on cross-entropy: what it costs to believe the wrong probabilities."""

import numpy as np

from crossent.figures import bars, vega
from crossent.figures.style import GRAY
from crossent.information import cross_entropy, entropy, kl_divergence

_SHAPES = 30


def cross_entropy_bars(truth: int, belief: int) -> vega.VegaLite:
    """Show the cross-entropy of two containers as an area, of which the excess is the divergence.

    The bars are as wide as the shapes are frequent in the container that is drawn from, and as
    high as they surprise somebody who believes in another container. Sliders set how many of the
    30 shapes are triangles, at first ``truth`` and ``belief``, 0 to 30.
    """
    p, q = (np.array([n, _SHAPES - n]) / _SHAPES for n in (truth, belief))
    with np.errstate(divide="ignore"):
        surprises = -np.log2(q)
    terms = vega.listed(
        f"{name} {p_k:.3f} × {surprise:.3f} = {p_k * surprise if p_k else 0:.3f}"
        for name, p_k, surprise in zip("△○", p, surprises, strict=True)
    )
    return bars.surprise_bars(
        f"Two bars for a container of {truth} triangles and {_SHAPES - truth} circles and a belief"
        f" in {belief} and {_SHAPES - belief}: as wide as a shape is frequent, and as high as it"
        " surprises the believer, in bits. What it would surprise somebody who knows the container"
        " is solid; what it surprises the believer more is pale; what it surprises less is a dashed"
        " box. A dashed line is at the height of the cross-entropy. A table above lists p ×"
        f" surprise, {terms}; the entropy H(p) {entropy(p, base=2):.3f} bits, the excess KL(p‖q)"
        f" {kl_divergence(p, q, base=2):.3f} bits, and the cross-entropy H(p, q), their sum,"
        f" {cross_entropy(p, q, base=2):.3f} bits.",
        {
            "truth": vega.slider("Triangles in p", truth, 0, _SHAPES),
            "belief": vega.slider("Triangles in q", belief, 0, _SHAPES),
        },
        {
            "△": (f"truth / {_SHAPES}", f"belief / {_SHAPES}"),
            "○": (f"1 - truth / {_SHAPES}", f"1 - belief / {_SHAPES}"),
        },
        [
            ("entropy H(p)", bars.number("entropy", "bits")),
            ("+ excess KL(p‖q)", bars.number("divergence", "bits")),
            ("= cross-entropy H(p, q)", bars.number("cross_entropy", "bits")),
        ],
        lines={"cross_entropy": GRAY},
        surprise="−log₂ q",
    )
