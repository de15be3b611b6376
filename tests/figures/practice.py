"""The figures of the chapters on variants of the losses and on practice."""

import functools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

import crossent
from crossent import figures
from crossent.figures import VegaLite
from crossent.figures.style import BLUE, GRAY, GREEN, ORANGE, PALETTE, PINK
from tests.drawing import Drawing
from tests.figures.positions import (
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


def smoothed(classes: int, smoothing: float) -> Array:
    """Return the target that label smoothing makes of the first class."""
    return np.asarray((1 - smoothing) * np.eye(classes)[0] + smoothing / classes)


@dataclass
class SmoothingFloor(Position):
    """The loss with label smoothing against the margin, the logit of the labeled class above
    all others. A dot marks the loss …, a dashed line the floor, the entropy of the smoothed
    target, …; the curve comes down to it at the best margin, …. A gray curve is the loss
    without smoothing.
    """

    classes: int
    smoothing: float
    margin: float

    def at(self, margin: float, smoothing: float) -> float:
        """Return the loss of the first class, whose logit is the margin."""
        loss = sparse(margin * np.eye(self.classes)[:1], [0], label_smoothing=smoothing)
        return float(loss)

    def figure(self) -> VegaLite:
        return figures.smoothing_floor(self.classes, self.smoothing, self.margin)

    def texts(self) -> Iterable[Text]:
        target = smoothed(self.classes, self.smoothing)
        yield "loss {:.4f}", self.at(self.margin, self.smoothing)
        yield "floor H(target) {:.4f}", crossent.entropy(target)
        best = np.log(target[0] / target[1]) if self.smoothing else np.inf
        yield "best margin {:.2f}", best

    def told(self) -> Iterable[Text]:
        return numbers_in(*self.texts())

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        ((dot,),) = drawing.seen("symbol", BLUE)
        yield "dot", dot, (self.margin, self.at(self.margin, self.smoothing))
        (rule,) = drawing.seen("rule", ORANGE)
        yield "floor", rule[:, 1], crossent.entropy(smoothed(self.classes, self.smoothing))
        for color, smoothing in ((GRAY, 0.0), (BLUE, self.smoothing)):
            (curve,) = drawing.seen("line", color)
            yield "curve", curve[::20, 1], [self.at(x, smoothing) for x in curve[::20, 0]]


@dataclass
class LossRuler(Position):
    """A ruler of losses in nats with marks: your loss …; floor of smoothing …; floor after a
    second softmax …; guessing: log K …. Above it stands the geometric mean of p(truth), ….
    """

    loss: float
    classes: int
    smoothing: float

    def __post_init__(self) -> None:
        right = np.eye(self.classes)[:1]  # the best that probabilities can do as logits
        self.floor = crossent.entropy(smoothed(self.classes, self.smoothing))
        self.guess = sparse(0 * right, [0])
        self.names = {
            "your loss": self.loss,
            "floor of smoothing": self.floor,
            "floor after a second softmax": sparse(right, [0]),
            "guessing: log K": self.guess,
        }

    def figure(self) -> VegaLite:
        return figures.loss_ruler(self.loss, self.classes, self.smoothing)

    def texts(self) -> Iterable[Text]:
        for name, value in self.names.items():
            yield name + " {:.3f}", value
        yield "geometric mean of p(truth) {:.3f}", np.exp(-self.loss)
        if self.verdict().startswith("better"):
            yield "better than guessing by {:.0%}", 1 - self.loss / self.guess

    def verdict(self) -> str:
        if self.loss < self.floor - 0.00005:
            return "below the floor: another smoothing, or a wrong loss"
        return "worse than guessing" if self.loss > self.guess else "better"

    def told(self) -> Iterable[Text]:
        return numbers_in(*[*self.texts()][:5])

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        for color, (name, value) in zip(PALETTE, self.names.items(), strict=True):
            yield name, drawing.seen("symbol", color, y="")[0][0, 0], value
        yield "verdict", drawing.texts[-1].startswith(self.verdict()), True


@dataclass
class WeightedMeans(Position):
    """A bar for each sample, as wide as its weight and as high as its loss: … of class A,
    with loss … and weight …; … of class B, with loss … and weight …. Dashed boxes have the
    area of all bars together, the sum of weight times loss, …. One is as wide as the number
    of samples, …, and as high as the mean, …; the other as wide as the sum of the weights, …,
    and as high as the weighted mean, ….
    """

    samples_A: int
    samples_B: int
    weight_A: float
    weight_B: float

    also = (
        {"samples_A": 0, "samples_B": 0, "weight_A": 1, "weight_B": 3},
        {"samples_A": 2, "samples_B": 0, "weight_A": 0, "weight_B": 3},
    )

    def __post_init__(self) -> None:
        self.samples = (self.samples_A, self.samples_B)
        self.weights = (self.weight_A, self.weight_B)
        # What the figure takes as given: a sample of class A has loss 0.5, one of class B loss 2.
        each = np.repeat(np.exp([-0.5, -2.0]), self.samples)
        probs, labels = np.stack([each, 1 - each], axis=-1), np.zeros(len(each), int)
        mean_of = functools.partial(crossent.sparse_categorical_cross_entropy, probs, labels)
        weight = np.repeat(self.weights, self.samples)
        with warnings.catch_warnings():  # of a mean over nothing, which is nan
            warnings.simplefilter("ignore")
            self.total, self.mean, self.weighted = (
                mean_of(sample_weight=weight, reduction=reduction)
                for reduction in ("sum", "mean", "weighted_mean")
            )
        mass = float(np.dot(self.samples, self.weights))
        self.boxes = (sum(self.samples), self.mean), (mass, self.weighted)

    def figure(self) -> VegaLite:
        return figures.weighted_means(self.samples, self.weights)

    def texts(self) -> Iterable[Text]:
        yield "sum of weight × loss = {:.2f}", self.total
        for name, box in zip(("mean", "weighted mean"), self.boxes, strict=True):
            yield name + " {:.2f} / {:g} = {:.3f}", self.total, *box

    def told(self) -> Iterable[Text]:
        for count, weight, loss in zip(self.samples, self.weights, (0.5, 2), strict=True):
            yield from numbers(count, loss, weight, form="g")
        yield "{:.2f}", self.total
        for width, height in self.boxes:
            yield from [("{:g}", width), ("{:.3f}", height)]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        if not any(self.samples):
            return  # nothing but an empty scale
        for color, box in zip((GREEN, PINK), self.boxes, strict=True):
            yield "box", np.ptp(drawing.seen("rect", color)[0], axis=0), np.nan_to_num(box)
        for color, count, weight in zip((BLUE, ORANGE), self.samples, self.weights, strict=True):
            bars = ends(drawing.seen("rect", color))
            yield "bars", np.ptp(bars, axis=1), [weight] * count + [0] * (8 - count)


@dataclass
class FocalCurves(Position):
    """Curves of cross-entropy and of the focal loss of a positive and of a negative sample,
    against the probability of the truth: in the upper panel the loss, in the lower one the
    size of its gradient with respect to the logit. A line marks the probability …, with a dot
    on each curve that it meets; a table lists the loss there, the gradient, and its ratio to
    that of cross-entropy: cross-entropy …, … and …; focal y=… …, … and …; focal y=… …, … and
    ….
    """

    gamma: float
    alpha: float
    probability: float

    def __post_init__(self) -> None:
        logit = np.log(self.probability / (1 - self.probability))
        loss = crossent.value_and_grad(crossent.binary_focal_loss_with_logits)
        focal = functools.partial(loss, gamma=self.gamma, alpha=self.alpha)
        pairs = [crossent.value_and_grad(binary)(logit, 1), focal(logit, 1), focal(-logit, 0)]
        self.losses, slopes = np.transpose(pairs)
        self.gradients = np.abs(slopes)

    def figure(self) -> VegaLite:
        return figures.focal_curves(self.gamma, self.alpha, self.probability)

    def texts(self) -> Iterable[Text]:
        yield from ["focal y=1", "focal y=0"]
        for row in (self.losses, self.gradients, self.gradients / self.gradients[0]):
            yield from (("{:.1e}" if x < 0.001 else "{:.4f}", x) for x in row)

    def told(self) -> Iterable[Text]:
        _, _, *cells = self.texts()
        yield "{:.2f}", self.probability
        yield from [*cells[::3], "1", *cells[1::3], "0", *cells[2::3]]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        x = drawing.scale("X-axis")
        loss, gradient = (drawing.scale("Y-axis", labels) for labels in (slice(3, 7), slice(3)))
        for rule in drawing.of("rule", GRAY):
            yield "reading", x(rule.places[:, 0]), self.probability
        for k, color in enumerate((GRAY, ORANGE, BLUE)):
            dots = np.concatenate([mark.places for mark in drawing.of("symbol", color)])
            yield "dots", x(dots[:, 0]), self.probability
            yield "gradient", gradient(dots[-1, 1]), self.gradients[k]
            if self.losses[k] <= 3:
                yield "loss", loss(dots[0, 1]), self.losses[k]


@dataclass
class ForgottenLogits(Position):
    """Bars for each class: the probability that the Keras loss uses with from_logits=True,
    the softmax of the logits, and the one that it uses by default, the clipped logit divided
    by the sum of all: class …: … and …; class …: … and …; class …: … and …. Above the bars
    stand the gradients of both losses, above them all the losses, … and by default ….
    """

    z0: float
    z1: float
    z2: float
    label: str = "class 0"

    def __post_init__(self) -> None:
        self.z, self.k = np.array([self.z0, self.z1, self.z2], dtype=float), int(self.label[-1])
        self.loss, self.gradient = crossent.value_and_grad(sparse)(self.z, self.k)

    @staticmethod
    def share(z: Array) -> Array:
        """Return what Keras makes of logits that it takes for probabilities."""
        return np.asarray(z.clip(1e-7, 1 - 1e-7) / z.clip(1e-7, 1 - 1e-7).sum())

    def by_default(self, z: Array) -> float:
        return float(crossent.sparse_categorical_cross_entropy(self.share(z), self.k))

    def figure(self) -> VegaLite:
        return figures.forgotten_logits((self.z0, self.z1, self.z2), self.k)

    def texts(self) -> Iterable[Text]:
        for k, (z, right) in enumerate(zip(self.z, self.gradient, strict=True)):
            step = 1e-6 * np.eye(3)[k]
            difference = (self.by_default(self.z + step) - self.by_default(self.z - step)) / 2e-6
            # At 0 and 1 the clip has a corner just inside; the gradient is that of the flat side.
            wrong = difference if 0 < z < 1 else 0
            yield f"class {k}:  gradient {{:.3f}}, default {{:.3f}}", right, wrong
        yield "loss {:.3f}, default {:.3f}", self.loss, self.by_default(self.z)

    def told(self) -> Iterable[Text]:
        for k, pair in enumerate(zip(crossent.softmax(self.z), self.share(self.z), strict=True)):
            yield from [str(k), *numbers(*pair)]
        yield from numbers(self.loss, self.by_default(self.z))

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        yield "softmax", ends(drawing.seen("rect", GREEN, y=""))[:, 1], crossent.softmax(self.z)
        yield "shares", ends(drawing.seen("rect", ORANGE, y=""))[:, 1], self.share(self.z)


EPOCHS = range(5, 31, 5)
TRAIN_LOSS = np.linspace(0.9, 0.1, 6)
LABELS = np.arange(40) % 3
# The logits of the labels grow with the epochs, except for the last four samples.
STRENGTH = np.outer(np.arange(1, 7), np.where(np.arange(40) < 36, 0.8, -1.1))
LOGITS = STRENGTH[..., None] * np.eye(3)[LABELS] + np.array([0.1, 0.0, -0.2])


@dataclass
class TrainingEpochs(Position):
    """Curves of the training loss and the validation loss against the epoch, from … to …,
    with dots at epoch …: training loss …, validation loss …; … are named right, the others
    make … of that loss. Below are bars along the probability that the model gives to the true
    class, as high as what the samples there add to the validation loss, in one color for
    those named right and in another for those named wrong.
    """

    epoch: int

    def __post_init__(self) -> None:
        logits = LOGITS[self.epoch // 5 - 1]
        self.train = TRAIN_LOSS[self.epoch // 5 - 1]
        self.each = sparse(logits, LABELS, reduction="none")
        self.wrong = logits.argmax(axis=-1) != LABELS

    def figure(self) -> VegaLite:
        return figures.training_epochs(EPOCHS, TRAIN_LOSS, LOGITS, LABELS, self.epoch)

    def texts(self) -> Iterable[Text]:
        yield f"epoch {self.epoch}"
        yield "training loss {:.3f}", self.train
        yield "validation loss {:.3f}", self.each.mean()
        yield "{:.1%} are named right", 1 - self.wrong.mean()
        share = self.each[self.wrong].sum() / self.each.sum()
        yield "the others make {:.0%} of that loss", share

    def told(self) -> Iterable[Text]:
        return ["5", "30", str(self.epoch), *numbers_in(*self.texts())]

    def marks(self, drawing: Drawing) -> Iterable[Seen]:
        top = {"x": "X-axis titled 'epoch'", "y": "Y-axis titled 'loss'"}
        for color, loss in ((BLUE, self.train), (ORANGE, self.each.mean())):
            yield "dot", drawing.seen("symbol", color, **top)[0], [(self.epoch, loss)]
            (curve,) = drawing.seen("line", color, **top)
            yield "curve", curve[self.epoch // 5 - 1], (self.epoch, loss)
        low = {"x": "X-axis titled 'prob", "y": "Y-axis titled 'adds"}
        bins = (np.exp(-self.each) * 20).astype(int)
        for color, members in ((GREEN, ~self.wrong), (PINK, self.wrong)):
            bars = drawing.seen("rect", color, **low)
            yield "bars", ends(bars)[:, 0], np.unique(bins[members]) / 20
            sums = np.bincount(bins[members], self.each[members])[np.unique(bins[members])] / 40
            yield "heights", [np.ptp(bar[:, 1]) for bar in bars], sums


PRACTICE: list[tuple[Position, Position]] = [
    (SmoothingFloor(10, 0.1, 3), SmoothingFloor(27, 0, 4.5)),
    (LossRuler(0.65, 10, 0.1), LossRuler(6.5, 1000, 0.2)),
    (WeightedMeans(6, 2, 1, 3), WeightedMeans(5, 0, 0, 2.5)),
    (FocalCurves(2, 0.25, 0.9), FocalCurves(3, 0.4, 0.6)),
    (ForgottenLogits(2, 1, 0), ForgottenLogits(0.5, 0.2, -1, "class 1")),
    (TrainingEpochs(20), TrainingEpochs(5)),
]
