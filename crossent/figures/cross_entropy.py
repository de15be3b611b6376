"""The figure of the chapter on cross-entropy: what it costs to believe the wrong probabilities."""

from typing import Any

import numpy as np

from crossent.figures.style import PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider
from crossent.information import cross_entropy, entropy

_SHAPES = 30
_BITS = 5  # the largest finite cross-entropy of two containers of 30 shapes is log2(30) = 4.9 bits
_TRIANGLE, _CIRCLE, _ENTROPY, _EXCESS = PALETTE


def cross_entropy_bars(truth: int, belief: int) -> VegaLite:
    """Show that entropy and KL divergence add up to the cross-entropy, as lengths in bits.

    Two rows of 30 triangles and circles are the container that is drawn from and the one that is
    believed. Below them, the bar of the cross-entropy is as long as those of the entropy and of
    the divergence together.

    Parameters
    ----------
    truth : int
        How many of the 30 shapes in the container are triangles, at first.
    belief : int
        How many are believed to be triangles, at first.

    Returns
    -------
    VegaLite
        The figure, with a slider for each number.
    """
    p, q = (np.array([n, _SHAPES - n]) / _SHAPES for n in (truth, belief))
    ours, both = entropy(p, base=2), cross_entropy(p, q, base=2)
    return VegaLite(
        {
            "description": (
                "Two rows of 30 triangles and circles, the true container p and the believed one"
                " q, and below them three bars on one scale of bits. The entropy H(p) starts at 0,"
                " the divergence KL starts where the entropy ends, and the cross-entropy H(p, q)"
                f" is as long as both together: at first {ours:.3f} + {both - ours:.3f} ="
                f" {both:.3f} bits. Two sliders set how many of the shapes are triangles."
            ),
            "height": 330,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                slider("truth", "Triangles in p", truth, _SHAPES),
                slider("belief", "Triangles in q", belief, _SHAPES),
            ],
            "data": {"sequence": {"start": 0, "stop": _SHAPES, "as": "shape"}},
            "transform": [
                calculate("entropy", _mean_surprise("truth", "truth")),
                calculate("both", _mean_surprise("truth", "belief")),
                calculate("excess", "datum.both - datum.entropy"),
            ],
            "encoding": {
                "x": {
                    "type": "quantitative",
                    "scale": {"domain": [0, _BITS]},
                    "axis": {"title": "bits", "tickCount": _BITS, "grid": False},
                },
                "y": {"type": "quantitative", "scale": {"domain": [0, 10]}, "axis": None},
            },
            "layer": [
                *_row(9, "truth", "the container: p"),
                *_row(7.2, "belief", "what you believe: q"),
                *_bar(5, "H(p)", "entropy", [("0", "entropy", _ENTROPY)]),
                *_bar(3, "+ KL(p‖q)", "excess", [("entropy", "both", _EXCESS)]),
                *_bar(
                    1,
                    "= H(p, q)",
                    "both",
                    [("0", "entropy", _ENTROPY), ("entropy", "both", _EXCESS)],
                ),
            ],
        }
    )


def _mean_surprise(drawn: str, believed: str) -> str:
    """Write the mean surprise in bits; a shape that is never drawn adds nothing."""
    terms = (
        f"({p} > 0 ? -{p} / {_SHAPES} * log({q} / {_SHAPES}) / LN2 : 0)"
        for p, q in [(drawn, believed), (f"({_SHAPES} - {drawn})", f"({_SHAPES} - {believed})")]
    )
    return " + ".join(terms)


def _text(y: float, text: dict[str, Any], **mark: object) -> dict[str, Any]:
    return {
        "transform": [{"filter": "datum.shape == 0"}],
        "mark": {"type": "text", "align": "left", "baseline": "bottom", **mark},
        "encoding": {"x": {"datum": 0}, "y": {"datum": y}, "text": text},
    }


def _row(y: float, triangles: str, name: str) -> list[dict[str, Any]]:
    """Draw 30 shapes, the triangles first."""

    def some(only: str, shape: str, color: str) -> dict[str, Any]:
        return {
            "transform": [
                {"filter": only},
                calculate("place", f"(datum.shape + 0.5) * {_BITS} / {_SHAPES}"),
            ],
            "mark": {"type": "point", "shape": shape, "filled": True, "size": 65, "opacity": 1}
            | {"color": color},
            "encoding": {"x": {"field": "place"}, "y": {"datum": y}},
        }

    return [
        some(f"datum.shape < {triangles}", "triangle-up", _TRIANGLE),
        some(f"datum.shape >= {triangles}", "circle", _CIRCLE),
        _text(y + 0.35, {"value": name}),
    ]


def _bar(
    y: float, name: str, value: str, pieces: list[tuple[str, str, str]]
) -> list[dict[str, Any]]:
    """Draw a bar made of pieces, from one field to another; above it, its name and length."""
    number = f"isFinite(datum.{value}) ? format(datum.{value}, '.3f') + ' bits' : '∞'"
    marks = [
        {
            "transform": [
                {"filter": "datum.shape == 0"},
                calculate("from", "0" if left == "0" else f"datum.{left}"),
                calculate("to", f"min(datum.{right}, {_BITS})"),
            ],
            "mark": {"type": "bar", "height": 18, "color": color},
            "encoding": {"x": {"field": "from"}, "x2": {"field": "to"}, "y": {"datum": y}},
        }
        for left, right, color in pieces
    ]
    label = _text(y + 0.4, {"field": "text"}, fontWeight="bold")
    label["transform"].append(calculate("text", f"'{name} = ' + ({number})"))
    return [*marks, label]
