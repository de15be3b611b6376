"""The figures of the chapter on likelihood."""

from collections.abc import Iterable
from dataclasses import dataclass

import mpmath
import numpy as np

import crossent
from crossent import figures
from crossent.figures import VegaLite
from crossent.figures.style import BLUE, GRAY, GREEN, ORANGE, PINK
from tests.drawing import Drawing
from tests.figures.positions import Position, Seen, Text, numbers_in


@dataclass
class CoinLikelihood(Position):
    """Curves over the bias q of a coin. The upper one is the likelihood of a sample divided
    by its largest value, a hill with its top at q = …. The lower one is the mean price of a
    flip, a valley with its lowest point at q = …. A dot on each marks q = …, with likelihood …
    and mean price … bits.
    """

    bias: float
    flips: int

    def __post_init__(self) -> None:
        self.price = crossent.cross_entropy([0.7, 0.3], [self.bias, 1 - self.bias], base=2)
        self.likelihood, self.best = self.of(self.bias), self.of(0.7)

    def of(self, bias: float) -> mpmath.mpf:
        """Return the likelihood of a bias, for 70 % heads."""
        heads = 7 * self.flips // 10
        return mpmath.mpf(bias) ** heads * (1 - mpmath.mpf(bias)) ** (self.flips - heads)

    def figure(self) -> VegaLite:
        return figures.coin_likelihood(self.bias, self.flips)

    def texts(self) -> Iterable[Text]:
        yield "likelihood {:.2e}", float(self.likelihood)
        yield "mean price of a flip {:.4f} bits", self.price

    def told(self) -> Iterable[Text]:
        return ["0.7", "0.7", ("{:.2f}", self.bias), *numbers_in(*self.texts())]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        # No panel has an axis: heights are in units of that of the best bias, hill or valley.
        relative = float(self.likelihood / self.best)
        times_the_least = self.price / crossent.entropy([0.7, 0.3], base=2)
        amounts = (BLUE, relative, np.max), (ORANGE, times_the_least, np.min)
        bases = [rule[0, 1] for rule in drawing.seen("rule", GRAY, y="")]
        for base, (color, amount, best) in zip(bases, amounts, strict=True):
            (curve,), ((dot,),) = (drawing.seen(kind, color, y="") for kind in ("line", "symbol"))
            heights = base - curve[:, 1]
            unit = heights[np.argmin(np.abs(curve[:, 0] - 0.7))]
            yield "dot", (dot[0], (base - dot[1]) / unit), (self.bias, amount)
            yield "best bias", best(heights), unit


@dataclass
class ExpectedLoss(Position):
    """A bar for each of three containers, as wide as its probability, a third. Its green part is
    as high as the entropy of its shapes, …, … and … bits, and with the pink part on top it is as
    high as what your belief pays there, …, … and … bits. The green area is the floor, … bits, at
    a dashed line; the pink area is the excess, … bits; a solid line marks their sum, … bits.
    """

    belief_1: int
    belief_2: int
    belief_3: int

    def __post_init__(self) -> None:
        p = np.array([[26, 4], [15, 15], [30, 0]]) / 30
        believed = (self.belief_1, self.belief_2, self.belief_3)
        q = np.array([[n, 30 - n] for n in believed]) / 30
        self.own, self.paid = (crossent.cross_entropy(p, each, base=2) for each in (p, q))
        self.excess = crossent.kl_divergence(p, q, base=2).mean()

    def figure(self) -> VegaLite:
        return figures.expected_loss((self.belief_1, self.belief_2, self.belief_3))

    def texts(self) -> Iterable[Text]:
        yield from ("1: 26 ▲ 4 ●", "2: 15 ▲ 15 ●", "3: 30 ▲ 0 ●")
        yield "expected loss {:.3f} bits", self.paid.mean()
        yield "= floor {:.3f} + excess {:.3f}", self.own.mean(), self.excess

    def told(self) -> Iterable[Text]:
        heights = [("{:.3f}", bits) for bits in (*self.own, *self.paid)]
        return [
            *heights,
            *(("{:.3f}", bits) for bits in (self.own.mean(), self.excess, self.paid.mean())),
        ]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        sides = np.arange(4) / 3
        for color, low, high in ((GREEN, 0 * self.own, self.own), (PINK, self.own, self.paid)):
            bars = sorted(drawing.seen("rect", color), key=lambda bar: float(bar[:, 0].min()))
            for k, bar in enumerate(bars):
                corners = [[sides[k], low[k]], [sides[k + 1], high[k]]]
                yield f"bar {k}", np.sort(bar, axis=0), corners
            yield "bars", len(bars), 3
        for rule, height in zip(
            drawing.seen("rule", GRAY), (self.own.mean(), self.paid.mean()), strict=True
        ):
            yield "line", rule[:, 1], height


LIKELIHOOD: list[tuple[Position, Position]] = [
    (CoinLikelihood(0.5, 10), CoinLikelihood(0.29, 30)),
    (ExpectedLoss(18, 22, 24), ExpectedLoss(26, 15, 30)),
]
