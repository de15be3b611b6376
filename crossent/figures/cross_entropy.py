"""The figure of the chapter on cross-entropy: what it costs to believe the wrong probabilities."""

import numpy as np

from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GREEN, ORANGE, PINK
from crossent.information import cross_entropy, kl_divergence

_SHAPES = 30
_BITS = 5  # the largest finite cross-entropy of two containers of 30 shapes is log2(30) = 4.9 bits


def cross_entropy_bars(truth: int, belief: int) -> vega.VegaLite:
    """Show that entropy and KL divergence add up to the cross-entropy, as lengths in bits.

    Two rows of 30 triangles and circles are the container that is drawn from and the one that is
    believed. Below them, the bar of the cross-entropy is as long as those of the entropy and of
    the divergence together. Sliders set how many shapes are triangles, at first ``truth`` and
    ``belief``, 0 to 30.
    """
    p, q = (np.array([n, _SHAPES - n]) / _SHAPES for n in (truth, belief))
    own, both = (f"{cross_entropy(p, each, base=2):.3f} bits" for each in (p, q))
    excess = f"{kl_divergence(p, q, base=2):.3f} bits"
    first, second = ("0", "entropy", GREEN), ("entropy", "cross_entropy", PINK)
    return vega.figure(
        f"A row of {truth} triangles and {_SHAPES - truth} circles is the container p, a row of"
        f" {belief} and {_SHAPES - belief} is what you believe, q. Below them are bars on a scale"
        f" of bits: the entropy H(p), {own}, from the start; the divergence KL(p‖q), {excess}, from"
        f" where that ends; and the cross-entropy H(p, q), as long as both together, {both}.",
        330,
        {
            "truth": vega.slider("Triangles in p", truth, 0, _SHAPES),
            "belief": vega.slider("Triangles in q", belief, 0, _SHAPES),
            "entropy": _mean_surprise("truth", "truth"),
            "cross_entropy": _mean_surprise("truth", "belief"),
            "divergence": "cross_entropy - entropy",
        },
        [
            *_row(9, "truth", "the container: p"),
            *_row(7.2, "belief", "what you believe: q"),
            *_bar(5, "H(p)", "entropy", first),
            *_bar(3, "+ KL(p‖q)", "divergence", second),
            *_bar(1, "= H(p, q)", "cross_entropy", first, second),
        ],
        x=vega.axis((0, _BITS), "bits", tickCount=_BITS),
        y=vega.axis((0, 10)),
    )


def _mean_surprise(drawn: str, believed: str) -> str:
    """Write the mean surprise in bits; a shape that is never drawn adds nothing."""
    terms = (
        f"({p} > 0 ? -{p} / {_SHAPES} * log({q} / {_SHAPES}) / LN2 : 0)"
        for p, q in [(drawn, believed), (f"({_SHAPES} - {drawn})", f"({_SHAPES} - {believed})")]
    )
    return " + ".join(terms)


def _row(y: float, triangles: str, name: str) -> list[vega.Json]:
    """Draw 30 shapes, the triangles first."""
    first = f"datum.shape < {triangles}"
    place = {"place": f"(datum.shape + 0.5) * {_BITS} / {_SHAPES}"}
    look: vega.Json = {"shape": vega.either(first, "triangle-up", "circle"), "size": 65}
    look |= {"color": vega.either(first, BLUE, ORANGE), "x": "place", "y": y}
    return [
        vega.layer("point", vega.along("shape", 0, _SHAPES), place, **look),
        texts.text(name, 0, y + 0.35, baseline="bottom"),
    ]


def _bar(y: float, name: str, bits: str, *pieces: tuple[str, str, str]) -> list[vega.Json]:
    """Draw a bar of pieces, each from here to there in a color; above it its name and length."""
    length = f"{{isFinite({bits}) ? format({bits}, '.3f') + ' bits' : '∞'}}"
    place: vega.Json = {"x": "from", "x2": "to", "y": y, "height": 18}
    ends = [
        ({"from": left, "to": f"min({right}, {_BITS})"}, color) for left, right, color in pieces
    ]
    return [
        *(vega.layer("bar", vega.ONE, each, color=color, **place) for each, color in ends),
        texts.text(f"{name} = {length}", 0, y + 0.4, baseline="bottom", fontWeight="bold"),
    ]
