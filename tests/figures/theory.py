"""The figures of the chapter on softmax and on the first page."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import crossent
from crossent import figures
from crossent.figures import VegaLite
from crossent.figures.style import BLUE, ORANGE
from tests.drawing import ROOT, Drawing
from tests.figures.positions import (
    CLASSES,
    Position,
    Seen,
    Text,
    ends,
    numbers,
    numbers_in,
    sparse,
)


@dataclass
class SoftmaxBars(Position):
    """A bar for each digit, as long as the probability that softmax gives it, and beside the
    bar score → probability: digit …: … → …, digit …: … → …, digit …: … → …, digit …: … → …,
    digit …: … → …, digit …: … → …, digit …: … → …, digit …: … → …, digit …: … → … and digit …:
    … → …. A tick marks the probability at temperature …. Above the bars stands the entropy, …
    nats, at most ….
    """

    score_3: float
    score_9: float
    shift: float
    temperature: float

    def __post_init__(self) -> None:
        three, nine = self.score_3, self.score_9
        self.scores = [1.25, -0.45, 0.49, three, -2.28, -0.84, -2.03, -0.78, -0.79, nine]
        self.z = np.add(self.scores, self.shift)
        self.p = crossent.softmax(self.z / self.temperature)

    def figure(self) -> VegaLite:
        return figures.softmax_bars(self.scores, (3, 9), self.temperature, self.shift)

    def texts(self) -> Iterable[Text]:
        for z, p in zip(self.z, self.p, strict=True):
            yield "{:.2f} → {:.3f}", z, p
        entropies = crossent.entropy(self.p), crossent.entropy(np.full(10, 0.1))
        yield "entropy {:.3f} nats (at most {:.3f})", *entropies

    def told(self) -> Iterable[Text]:
        *bars, entropies = self.texts()
        for digit, bar in enumerate(bars):
            yield from [str(digit), *numbers_in(bar)]
        yield from ["1", *numbers_in(entropies)]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield "bars", ends(drawing.seen("rect", BLUE, y=""))[:, 1], self.p
        ticks = ends(drawing.seen("rect", ORANGE, y="")).mean(axis=1)
        yield "ticks", ticks, crossent.softmax(self.z)


@dataclass
class FirstPage(Position):
    """Three horizontal bars: the probabilities that softmax gives to cat, dog and owl. Three
    sliders set the scores, a menu sets the true class. The heading tells the loss, minus the
    logarithm of the true class's probability.
    """

    cat: float
    dog: float
    owl: float
    truth: str = "cat"

    def __post_init__(self) -> None:
        self.z, self.k = np.array([self.cat, self.dog, self.owl]), CLASSES.index(self.truth)

    def figure(self) -> VegaLite:
        spec = json.loads((ROOT / "book" / "index_figure.json").read_text(encoding="utf-8"))
        return VegaLite(spec)

    def texts(self) -> Iterable[Text]:
        loss = sparse(self.z, self.k)
        yield "loss = −log {:.3f} = {:.3f} nats", np.exp(-loss), loss
        yield from numbers(*crossent.softmax(self.z))

    def told(self) -> Iterable[Text]:
        return []

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        bars = [mark.places for mark in drawing.marks if mark.kind == "rect"]
        yield "bars", drawing.scale("X-axis")(ends(bars)[:, 1]), crossent.softmax(self.z)


THEORY: list[tuple[Position, Position]] = [
    (SoftmaxBars(2.69, 2.74, 0, 1), SoftmaxBars(-1.5, 3, 2.5, 0.5)),
    (FirstPage(2, 1, 0), FirstPage(2, 1, 0)),
]
