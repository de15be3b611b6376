"""The bars of width p and height −log q, and the chapters on entropy and cross-entropy."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import crossent
from crossent import figures
from crossent.figures import VegaLite
from crossent.figures.style import GRAY, PALETTE
from tests.drawing import Drawing
from tests.figures.positions import Array, Position, Seen, Text, numbers, numbers_in

HIGHEST = 6  # a bar that is higher ends there


@dataclass
class SurpriseBars(Position):
    """Bars as wide as p and as high as −log q: the same in all chapters."""

    unit = 2.0  # the base of the logarithm

    def __post_init__(self) -> None:
        self.p, self.q = self.pair()
        with np.errstate(divide="ignore"):
            self.own, self.surprise = (
                -np.log(each) / np.log(self.unit) for each in (self.p, self.q)
            )

    @abstractmethod
    def pair(self) -> tuple[Array, Array]:
        """Return the true and the believed probabilities."""

    def table(self) -> Iterable[Text]:
        for p, surprise in zip(self.p, self.surprise, strict=True):
            yield from numbers(p, surprise, p * surprise if p else 0)

    def bars(self, drawing: Drawing) -> Iterable[Seen]:
        """Return where the solid, the pale and the empty bars are."""
        right = np.cumsum(self.p)
        own, high = (np.minimum(each, HIGHEST) for each in (self.own, self.surprise))
        rects = [
            (mark.look.get("fill-opacity", "1"), rect)
            for color in [*PALETTE, GRAY]
            for mark, rect in zip(
                drawing.of("rect", color), drawing.seen("rect", color), strict=True
            )
        ]
        kinds = (("1", 0 * own, np.minimum(own, high)), ("0.4", own, high), ("0", high, own))
        for opacity, low, top in kinds:
            wanted = [
                [[right[k] - self.p[k], low[k]], [right[k], top[k]]]
                for k in np.flatnonzero(self.p)
                if opacity == "1" or top[k] > low[k]
            ]
            found = [np.sort(rect, axis=0) for kind, rect in rects if kind == opacity]
            found = [rect for rect in found if np.diff(rect[:, 0]) > 1e-9]  # others are not seen
            found.sort(key=lambda rect: rect[0, 0])  # from the left
            yield (
                f"bars of opacity {opacity}",
                np.reshape(found, (-1, 4)),
                np.reshape(wanted, (-1, 4)),
            )


@dataclass
class EntropyBars(SurpriseBars):
    """A bar for each outcome, as wide as its probability and as high as its surprise in bits;
    its area is what the outcome adds to the entropy, which is the height of a dashed line. A
    table above lists probability × surprise, A … × … = …, B … × … = …, C … × … = … and D … ×
    … = …; and the entropy, their sum, … bits, at most ….
    """

    weight_A: int
    weight_B: int
    weight_C: int
    weight_D: int
    also = ({"weight_A": 0, "weight_B": 0, "weight_C": 0, "weight_D": 0},)

    def pair(self) -> tuple[Array, Array]:
        self.weights = (self.weight_A, self.weight_B, self.weight_C, self.weight_D)
        p = np.divide(self.weights, max(sum(self.weights), 1))
        return p, p

    def figure(self) -> VegaLite:
        return figures.entropy_bars(self.weights)

    def texts(self) -> Iterable[Text]:
        yield from self.table()
        yield "entropy (at most 2)"
        if any(self.weights):
            yield "{:.3f} bits", crossent.entropy(self.p, base=2)

    def told(self) -> Iterable[Text]:
        *terms, _, bits = self.texts()
        return [*terms, *numbers_in(bits), "2"]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield from self.bars(drawing)
        for rule in drawing.seen("rule", GRAY):
            yield "entropy", rule[:, 1], crossent.entropy(self.p, base=2) if self.p.any() else 0
        yield "no weight", "no weight" in drawing.texts, not any(self.weights)


@dataclass
class CrossEntropyBars(SurpriseBars):
    """Two bars for a container of … triangles and … circles and a belief in … and …: as wide as
    a shape is frequent, and as high as it surprises the believer, in bits. What it would surprise
    somebody who knows the container is solid; what it surprises the believer more is pale; what it
    surprises less is a dashed box. A dashed line is at the height of the cross-entropy. A table
    above lists p × surprise, △ … × … = … and ○ … × … = …; the entropy H(p) … bits, the excess
    KL(p‖q) … bits, and the cross-entropy H(p, q), their sum, … bits.
    """

    truth: int
    belief: int

    def pair(self) -> tuple[Array, Array]:
        p, q = (np.array([n, 30 - n]) / 30 for n in (self.truth, self.belief))
        functions = (crossent.kl_divergence, crossent.cross_entropy)
        self.bits = [crossent.entropy(p, base=2), *(each(p, q, base=2) for each in functions)]
        return p, q

    def figure(self) -> VegaLite:
        return figures.cross_entropy_bars(self.truth, self.belief)

    def texts(self) -> Iterable[Text]:
        yield from self.table()
        for bits in self.bits:
            yield f"{{:.3f}}{' bits' if np.isfinite(bits) else ''}", bits

    def told(self) -> Iterable[Text]:
        counts = (self.truth, 30 - self.truth, self.belief, 30 - self.belief)
        return [*map(str, counts), *self.table(), *numbers_in(*[*self.texts()][-3:])]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield from self.bars(drawing)
        heights = [rule[0, 1] for rule in drawing.seen("rule", GRAY)]
        yield "cross-entropy", heights, [self.bits[2]] if np.isfinite(self.bits[2]) else []


@dataclass
class SmoothingBars(SurpriseBars):
    """Three bars for a picture labeled cat: as wide as the share of a class in the smoothed
    target, and as high as the class surprises the model, in nats. What it would surprise a model
    that believes the target is solid; what it surprises this model more is pale; what it surprises
    less is a dashed box. A dashed line is at the height of the loss. A table above lists share ×
    surprise, cat … × … = …, dog … × … = … and owl … × … = …; the floor, the entropy of the target,
    … nats, the excess … nats, and the loss, their sum, … nats.
    """

    smoothing: float
    margin: float
    unit = np.e

    def pair(self) -> tuple[Array, Array]:
        z, onehot = np.array([self.margin, 0, 0]), np.eye(3)[0]
        target = (1 - self.smoothing) * onehot + self.smoothing / 3
        floor = crossent.entropy(target)
        loss = crossent.sparse_categorical_cross_entropy_with_logits(
            z[None], [0], label_smoothing=self.smoothing
        )
        self.nats = floor, loss - floor, loss
        return target, crossent.softmax(z)

    def figure(self) -> VegaLite:
        return figures.smoothing_bars(self.smoothing, self.margin)

    def texts(self) -> Iterable[Text]:
        yield from self.table()
        yield from (("{:.3f} nats", nats) for nats in self.nats)

    def told(self) -> Iterable[Text]:
        return [*self.table(), *numbers_in(*[*self.texts()][-3:])]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield from self.bars(drawing)
        heights = [rule[0, 1] for rule in drawing.seen("rule", GRAY)]
        yield "loss", heights, [self.nats[2]]


BARS: list[tuple[Position, Position]] = [
    (EntropyBars(8, 4, 2, 2), EntropyBars(1, 0, 5, 16)),
    (CrossEntropyBars(26, 10), CrossEntropyBars(26, 30)),
    (SmoothingBars(0.2, 2), SmoothingBars(0.0, 5)),
]
