"""The figures of the chapter on likelihood: what a coin costs, and what three containers cost."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GRAY, GREEN, ORANGE, PINK
from crossent.information import cross_entropy, entropy

_HEADS, _TAILS = 0.7, 0.3  # of the flips in the sample
_PRICE = f"(-{_HEADS} * log({{q}}) - {_TAILS} * log(1 - {{q}})) / LN2"
_CAPTION = {"baseline": "bottom", "dy": -6, "fontWeight": "bold"}


def coin_likelihood(bias: float, flips: int) -> vega.VegaLite:
    """Show the likelihood of a coin's bias and the mean price, for a sample with 70 % heads.

    The upper curve is the likelihood of each bias divided by that of the best one, the lower curve
    the mean price in bits. A dot on each marks the bias of a slider, at first ``bias``, 0.01 to
    0.99. Another one sets the number of flips, at first ``flips``, a multiple of 10 up to 200.
    """
    tried = np.arange(1, 100) / 100
    best = f"q = {tried[np.argmin(_price(tried))]:g}"
    price = _price(bias)
    return vega.figure(
        "Curves over the bias q of a coin. The upper one is the likelihood of a sample divided by"
        f" its largest value, a hill with its top at {best}. The lower one is the mean price of a"
        f" flip, a valley with its lowest point at {best}. A dot on each marks q = {bias:.2f}, with"
        f" likelihood {0.5 ** (flips * price):.2e} and mean price {price:.4f} bits.",
        340,
        {
            "bias": vega.slider("Bias q", bias, 0.01, 0.99, 0.01),
            "flips": vega.slider("Flips", flips, 10, 200, 10),
            "price": _PRICE.format(q="bias"),
            "least": _PRICE.format(q=_HEADS),
            "likelihood": "pow(2, -flips * price)",
        },
        [
            *_panel("pow(2, -flips * ({price} - least))", 5, 3, BLUE),
            texts.text("likelihood {likelihood:.2e}", 0, 8, **_CAPTION),
            *_panel("{price}", 0, 0.7, ORANGE),
            texts.text("mean price of a flip {price:.4f} bits", 0, 3.6, **_CAPTION),
        ],
        x=vega.axis((0, 1), "bias q, the probability of heads", values=[0, _TAILS, 0.5, _HEADS, 1]),
        y=vega.axis((0, 9)),
    )


def _price(bias: float | NDArray[np.float64]) -> Any:
    """Return the mean price of a flip in bits."""
    return -_HEADS * np.log2(bias) - _TAILS * np.log2(1 - bias)


def _panel(amount: str, bottom: float, height: float, color: str) -> list[vega.Json]:
    """Draw a curve, its base line, and a dot at the bias that is tried.

    Two panels share the vertical axis: where each starts, and its height for an amount of 1.
    """
    place = f"{bottom} + {height} * {amount}"
    curve = {"place": place.format(price=_PRICE.format(q="datum.q"))}
    dot = {"q": "bias", "place": place.format(price="price")}
    look: vega.Json = {"x": "q", "y": "place", "color": color}
    return [
        vega.layer("rule", vega.ONE, x=0, x2=1, y=bottom, color=GRAY, strokeWidth=1, aria=False),
        vega.layer("line", vega.along("q", 0.01, 0.995, 0.01), curve, **look),
        vega.layer("point", vega.ONE, dot, size=130, **look),
    ]


_SHAPES = 30
_TRIANGLES = 26, 15, 30  # in each container
_LEAST, _MOST = (10, 5, 10), (29, 25, 30)  # what a slider allows: no price is above 1.6 bits


def expected_loss(beliefs: tuple[int, int, int]) -> vega.VegaLite:
    """Show the expected loss of beliefs about three containers, one of which is drawn by lot.

    A bar for each container is as wide as its probability. Its green part is as high as the entropy
    of its shapes, and the pink one above as high as the divergence of the belief: areas are parts
    of the expected loss. Sliders set how many triangles of 30 you believe in, at first ``beliefs``.
    """
    p, q = (np.stack([n, np.subtract(_SHAPES, n)], -1) / _SHAPES for n in (_TRIANGLES, beliefs))
    own, paid = entropy(p, base=2), cross_entropy(p, q, base=2)
    rows = range(len(_TRIANGLES))
    params: dict[str, str | vega.Json] = {
        f"belief_{row + 1}": vega.slider(
            f"Triangles in {row + 1}", beliefs[row], _LEAST[row], _MOST[row]
        )
        for row in rows
    }
    params |= {f"own_{row + 1}": f"{own[row]:.12f}" for row in rows}
    params |= {f"paid_{row + 1}": _bits(_TRIANGLES[row], f"belief_{row + 1}") for row in rows}
    for name in ("own", "paid"):
        params[name] = f"({' + '.join(f'{name}_{row + 1}' for row in rows)}) / 3"
    bar: vega.Json = {"x": "left", "x2": "right"}
    line: vega.Json = {"x": 0, "x2": 1, "y": "place", "color": GRAY}
    three = [vega.listed(f"{bits:.3f}" for bits in each) for each in (own, paid)]
    return vega.figure(
        "A bar for each of three containers, as wide as its probability, a third. Its green part"
        f" is as high as the entropy of its shapes, {three[0]} bits, and with the pink part on top"
        f" it is as high as what your belief pays there, {three[1]} bits. The green area is the"
        f" floor, {own.mean():.3f} bits, at a dashed line; the pink area is the excess,"
        f" {paid.mean() - own.mean():.3f} bits; a solid line marks their sum, {paid.mean():.3f}"
        " bits.",
        320,
        params,
        [
            vega.layer("rect", y="own", y2=0, color=GREEN, **bar),
            vega.layer("rect", y="paid", y2="own", color=PINK, **bar),
            texts.text("{datum.container}", "middle", 1.7, align="center"),
            vega.layer("rule", vega.ONE, {"place": "own"}, **line, **vega.DASHED),
            vega.layer("rule", vega.ONE, {"place": "paid"}, **line),
            *texts.lines(
                "expected loss {paid:.3f} bits", "= floor {own:.3f} + excess {paid - own:.3f}", x=8
            ),
        ],
        data=vega.rows(
            "container", (f"{k}: {n} ▲ {_SHAPES - n} ●" for k, n in enumerate(_TRIANGLES, 1))
        ),
        fields={
            "own": vega.of_row(f"own_{row + 1}" for row in rows),
            "paid": vega.of_row(f"paid_{row + 1}" for row in rows),
            "left": "datum.row / 3",
            "right": "datum.left + 1 / 3",
            "middle": "datum.left + 1 / 6",
        },
        x=vega.axis((0, 1), "probability of the container", **vega.QUARTERS),
        y=vega.axis((0, 2.2), "bits", values=[0, 0.5, 1, 1.5], **vega.UPRIGHT),
    )


def _bits(triangles: int, belief: str) -> str:
    """Write what a belief pays on average, in bits; a shape that never comes costs nothing."""
    counts = (triangles, belief), (_SHAPES - triangles, f"({_SHAPES} - {belief})")
    terms = (f"-{n / _SHAPES} * log({q} / {_SHAPES}) / LN2" for n, q in counts if n)
    return " + ".join(terms)
