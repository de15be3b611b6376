"""The figures of the chapters on the losses and their gradients."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import crossent
from crossent import figures
from crossent.figures import VegaLite
from crossent.figures.style import BLUE, GRAY, ORANGE
from tests.drawing import Drawing
from tests.figures.bars import SurpriseBars
from tests.figures.positions import (
    CLASSES,
    Array,
    Position,
    Seen,
    Text,
    binary,
    ends,
    numbers,
    numbers_in,
    sparse,
)


@dataclass
class BinaryLoss(Position):
    """A curve of binary cross-entropy against the logit z, from … to …. A dot on it marks the
    loss at one logit, a line through the dot the gradient there, a dashed line the lowest
    loss. Above stand probability σ(z) …; loss …; lowest loss for this target …; gradient σ(z)
    − y ….
    """

    logit: float
    target: float

    def __post_init__(self) -> None:
        self.loss, self.slope = crossent.value_and_grad(binary)(self.logit, self.target)
        self.floor = crossent.entropy([self.target, 1 - self.target])

    def figure(self) -> VegaLite:
        return figures.binary_loss(self.logit, self.target)

    def texts(self) -> Iterable[Text]:
        return numbers(crossent.sigmoid(self.logit), self.loss, self.floor, self.slope)

    def told(self) -> Iterable[Text]:
        return ["−6", "6", *self.texts()]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        ((dot,),) = drawing.seen("symbol", ORANGE)
        yield "dot", dot, (self.logit, self.loss)
        (tangent,) = drawing.seen("line", ORANGE)
        run, rise = tangent[1] - tangent[0]
        yield "slope of the tangent", rise / run, self.slope
        yield "middle of the tangent", tangent.mean(axis=0), dot
        (floor,) = drawing.seen("rule", GRAY)
        yield "floor", floor[:, 1], self.floor
        (curve,) = drawing.seen("line", BLUE)
        yield "curve", curve[::20, 1], [binary(z, self.target) for z in curve[::20, 0]]


PROBS = np.array([0.02, 0.34, 0.36, 0.58, 0.77, 0.93, 0.98])
TRUTH = np.array([0, 0, 1, 0, 1, 1, 1])


@dataclass
class DecisionThreshold(Position):
    """Bars count forecasts by their probability, upwards where the truth is malignant and
    downwards where it is benign. A bar is full where the decision is right and pale where it
    is wrong. A line marks the threshold …, a dashed line the threshold that the costs ask
    for, …. Above stand accuracy …; precision …; recall …; cost (a false alarm is …) …; log
    loss ….
    """

    threshold: float
    miss: float

    def figure(self) -> VegaLite:
        return figures.decision_threshold(PROBS, TRUTH, names=("benign", "malignant"))

    def texts(self) -> Iterable[Text]:
        acts, yes = self.threshold <= PROBS, TRUTH == 1
        yield from numbers((acts == yes).mean())
        yield from numbers(yes[acts].mean()) if acts.any() else ["–"]
        yield from numbers(acts[yes].mean())
        yield "cost (a false alarm is 1)"
        yield from numbers(np.where(yes, self.miss * ~acts, acts).mean())
        yield from numbers(crossent.binary_cross_entropy(PROBS, TRUTH))

    def told(self) -> Iterable[Text]:
        accuracy, precision, recall, _, cost, loss = self.texts()
        return ["0.5", "0.5", accuracy, precision, recall, "1", cost, loss]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield "names", {"benign ↓", "malignant ↑"} <= {*drawing.texts}, True
        chosen, asked = drawing.seen("rule", GRAY, y="")
        yield "threshold", chosen[:, 0], self.threshold
        yield "threshold that the costs ask for", asked[:, 0], 1 / (1 + self.miss)
        for label, color in ((0, BLUE), (1, ORANGE)):
            bins, counts = np.unique((PROBS[label == TRUTH] * 20).astype(int), return_counts=True)
            bars = drawing.seen("rect", color, y="")
            yield "bars", ends(bars)[:, 0], (bins + 0.1) / 20
            heights = np.array([np.ptp(bar[:, 1]) for bar in bars])
            yield "counts", heights / heights[0], counts / counts[0]
            pale = [float(bar.look["fill-opacity"]) for bar in drawing.of("rect", color)]
            right = (bins / 20 >= self.threshold - 1e-9) == label
            yield "pale where wrong", pale, np.where(right, 1, 0.2)


@dataclass
class CategoricalTerms(SurpriseBars):
    """A bar for each class, as wide as its target and as high as the surprise −log ŷ in nats. At
    least −log of the target has to be paid, and is solid; what is paid more is pale; where less is
    paid, a dashed box is left. A dashed line is at the height of the loss. A table above lists p ×
    surprise, cat … × … = …, dog … × … = … and owl … × … = …; the entropy of the target … nats, and
    the loss … nats.
    """

    logit_cat: float
    logit_dog: float
    logit_owl: float
    label: str = "cat"
    spread: float = 0

    def __post_init__(self) -> None:
        self.z = np.array([self.logit_cat, self.logit_dog, self.logit_owl], dtype=float)
        self.k = CLASSES.index(self.label)
        super().__post_init__()
        self.own, self.surprise = self.own * np.log(2), -crossent.log_softmax(self.z)
        self.floor = crossent.entropy(self.p)
        self.loss = crossent.categorical_cross_entropy_with_logits(self.z, self.p)

    def pair(self) -> tuple[Array, Array]:
        target = (1 - self.spread) * np.eye(3)[self.k] + self.spread / 3
        return target, crossent.softmax(self.z)

    def figure(self) -> VegaLite:
        return figures.categorical_terms((self.logit_cat, self.logit_dog, self.logit_owl), self.k)

    def texts(self) -> Iterable[Text]:
        yield from self.table()
        yield from [("{:.3f} nats", each) for each in (self.floor, self.loss)]

    def told(self) -> Iterable[Text]:
        return numbers_in(*self.texts())

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield from self.bars(drawing)
        (line,) = drawing.seen("rule", GRAY)
        yield "loss", line[:, 1], self.loss


@dataclass
class SimplexGradient(Position):
    """A triangle with the classes zero, three and nine at its corners; each point in it is a
    prediction. A dashed arrow, the negative gradient, runs straight from a dot to the corner
    of the label, {truth}. A curve shows the way of the prediction as the logits follow the
    gradient, to the same corner; small arrows show its direction elsewhere. A table has the
    columns p, y and p − y: zero …, …, …; three …, …, …; nine …, …, …. Below it stand the loss …
    and the length of the gradient, ….
    """

    logit_zero: float
    logit_three: float
    logit_nine: float
    label: str = "nine"

    def __post_init__(self) -> None:
        self.z = np.array([self.logit_zero, self.logit_three, self.logit_nine], dtype=float)
        self.k = ("zero", "three", "nine").index(self.label)
        self.p, self.y = crossent.softmax(self.z), np.eye(3)[self.k]
        self.loss, self.gradient = crossent.value_and_grad(sparse)(self.z, self.k)

    def figure(self) -> VegaLite:
        logits = self.logit_zero, self.logit_three, self.logit_nine
        return figures.simplex_gradient(logits, self.k)

    def texts(self) -> Iterable[Text]:
        for p, y, slope in zip(self.p, self.y, self.gradient, strict=True):
            yield from [("{:.3f}", p), ("{:.0f}", y), ("{:.3f}", slope)]
        yield "loss {:.3f}, length {:.3f}", self.loss, np.linalg.norm(self.gradient)

    def told(self) -> Iterable[Text]:
        return numbers_in(*self.texts())

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        (arrow,) = drawing.of("rule", ORANGE)
        yield "arrow", predictions(drawing, arrow.places), [self.p, self.y]
        (way,) = drawing.of("line", BLUE)
        yield "way", predictions(drawing, way.places)[[0, -1]], [self.p, self.y]
        dot = drawing.of("symbol", ORANGE)[-1]
        yield "dot", predictions(drawing, dot.places), [self.p]


def predictions(drawing: Drawing, places: Array) -> Array:
    """Return what the places in the triangle are as probabilities, one prediction a row."""
    (triangle,) = drawing.of("line", GRAY)
    corners = np.insert(triangle.places[:3], 2, 1, axis=1)  # of zero, three and nine
    return np.asarray(np.linalg.solve(corners.T, np.insert(places, 2, 1, axis=1).T).T, float)


@dataclass
class TwoLosses(Position):
    """Curves of cross-entropy and squared error against the logit of the true class. At the
    left end their slopes are: cross-entropy … and squared error …. A ball on each marks where
    gradient descent on it stands; of both a table lists the logit … and …; loss … and …;
    gradient … and ….
    """

    start: float
    steps: int = 0

    def __post_init__(self) -> None:
        self.logits = [self.start, self.start]
        for _ in range(self.steps):
            self.logits = [z - slope for z, slope in zip(self.logits, self.slopes(), strict=True)]

    def losses(self, *logits: float) -> list[float]:
        """Return both losses of target 1, each at its logit."""
        z, other = logits or self.logits
        return [float(binary(z, 1)), float(crossent.sigmoid(-other) ** 2)]

    def slopes(self, *logits: float) -> list[float]:
        z, other = logits or self.logits
        square = -2 * crossent.sigmoid(-other) ** 2 * crossent.sigmoid(other)
        return [float(crossent.grad(binary)(z, 1)), float(square)]

    def figure(self) -> VegaLite:
        return figures.two_losses(self.start)

    def texts(self) -> Iterable[Text]:
        return numbers(*self.logits, *self.losses(), *self.slopes())

    def told(self) -> Iterable[Text]:
        return [*numbers(*self.slopes(-6.0, -6.0)), *self.texts()]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        for k, color in enumerate((BLUE, ORANGE)):
            yield "ball", drawing.seen("symbol", color)[0], [(self.logits[k], self.losses()[k])]
            (curve,) = drawing.seen("line", color)
            yield "curve", curve[::20, 1], [self.losses(z, z)[k] for z in curve[::20, 0]]


LOSSES: list[tuple[Position, Position]] = [
    (BinaryLoss(-2, 1), BinaryLoss(1.5, 0.7)),
    (DecisionThreshold(0.5, 1), DecisionThreshold(0.5, 1)),
    (CategoricalTerms(2, 1, 0), CategoricalTerms(-1.5, 1, 2.5, "dog")),
    (SimplexGradient(1.3, 2.7, 2.7), SimplexGradient(2, 1, -1, "three")),
    (TwoLosses(-4), TwoLosses(2.5)),
]
