"""What everything.py measures: functions with their options, and the data that they get."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.everything_numpy import NUMPY
from crossent import _spans

Array = NDArray[Any]
Shape = tuple[int, ...]
Options = tuple[Mapping[str, Any], Mapping[str, str]]  # numbers and words, and names of data


# --- the inputs --------------------------------------------------------------------------------


class Data:
    """The inputs of one shape and dtype, made when they are asked for; classes are on axis 1."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.classes, self.batch = shape[1], (shape[0], *shape[2:])

    def normal(self, seed: int, scale: float) -> Array:
        """Return normal numbers; float16 ones are rounded from float32."""
        made: Any = np.float64 if self.dtype.itemsize == 8 else np.float32
        x = np.random.default_rng(seed).standard_normal(self.shape, made)
        x *= made(scale)
        return np.asarray(x.astype(self.dtype, copy=False))

    def uniform(self, seed: int, shape: Shape) -> Array:
        """Return numbers from ½ to 1½, as weights are."""
        return (0.5 + np.random.default_rng(seed).random(shape)).astype(self.dtype)

    def distribution(self, seed: int) -> Array:
        """Return probabilities, none of them 0."""
        p = NUMPY["softmax"](self.normal(seed, 1.0).astype(np.float64)).astype(self.dtype)
        return np.asarray(np.maximum(p, np.finfo(self.dtype).smallest_subnormal, out=p))

    @cached_property
    def logits(self) -> Array:
        """Return logits of deviation 3."""
        return self.normal(0, 3.0)

    @cached_property
    def q_logits(self) -> Array:
        """Return those of another distribution."""
        return self.normal(1, 3.0)

    @cached_property
    def probs(self) -> Array:
        """Return distributions over the classes."""
        return self.distribution(2)

    @cached_property
    def q(self) -> Array:
        """Return others."""
        return self.distribution(3)

    @cached_property
    def soft(self) -> Array:
        """Return soft targets."""
        return self.distribution(4)

    @cached_property
    def labels(self) -> Array:
        """Return labels."""
        return np.random.default_rng(5).integers(self.classes, size=self.batch)

    @cached_property
    def ignored(self) -> Array:
        """Return labels of which a fifth do not count."""
        dropped = np.random.default_rng(6).random(self.batch) < 0.2
        return np.where(dropped, -100, self.labels)

    @cached_property
    def one_hot(self) -> Array:
        """Return targets that are labels."""
        targets = np.zeros(self.shape, self.dtype)
        np.put_along_axis(targets, self.labels[:, None], 1.0, axis=1)
        return targets

    @cached_property
    def class_weight(self) -> Array:
        """Return weights of the classes."""
        return self.uniform(7, (self.classes,))

    @cached_property
    def sample_weight(self) -> Array:
        """Return weights of the rows."""
        return self.uniform(8, self.batch)

    @cached_property
    def element_weight(self) -> Array:
        """Return weights of all elements."""
        return self.uniform(9, self.shape)

    @cached_property
    def binary(self) -> Array:
        """Return targets 0 and 1 of all elements."""
        return np.random.default_rng(10).integers(2, size=self.shape).astype(self.dtype)

    @cached_property
    def soft_binary(self) -> Array:
        """Return targets from 0 to 1 of all elements."""
        return np.random.default_rng(11).random(self.shape).astype(self.dtype)

    @cached_property
    def positive(self) -> Array:
        """Return probabilities of the positive class of all elements."""
        return np.asarray(NUMPY["sigmoid"](self.normal(12, 1.0)))

    @cached_property
    def dropped(self) -> Array:
        """Tell which half of the classes is masked: never that of the label."""
        mask = np.random.default_rng(13).random(self.shape) < 0.5
        np.put_along_axis(mask, self.labels[:, None], values=False, axis=1)
        return mask

    def altered(self, **arrays: Array) -> "Data":
        """Return the same data with other arrays."""
        other = Data(self.shape, self.dtype.name)
        vars(other).update(vars(self), **arrays)
        return other


class Layer(Data):
    """The inputs of a linear layer; the shape is (N, D, V)."""

    def __init__(self, shape: Shape, dtype: str) -> None:
        super().__init__(shape, dtype)
        self.classes, self.batch = shape[2], shape[:1]

    @cached_property
    def hidden(self) -> Array:
        """Return the inputs of the layer."""
        return Data(self.shape[:2], self.dtype.name).normal(0, 1.0)

    @cached_property
    def weight(self) -> Array:
        """Return its weights, for logits of deviation 3."""
        transposed = (self.shape[2], self.shape[1])
        return Data(transposed, self.dtype.name).normal(1, 3.0 / self.shape[1] ** 0.5)


# --- what is measured --------------------------------------------------------------------------


class Subject(NamedTuple):
    """A public function with an option."""

    function: str
    option: str
    arguments: tuple[str, ...]  # names of data
    options: Mapping[str, Any]
    weights: Mapping[str, str]  # options that are data: their names
    gradient: bool = False

    @property
    def name(self) -> str:
        """What ``--only`` is matched with, along with dtype and shape."""
        return f"{self.function}/{self.option}/{'value+gradient' if self.gradient else 'value'}"

    @property
    def leaves(self) -> tuple[int, ...]:
        """Which arguments the gradient is for."""
        return {"kl_divergence_with_logits": (1,), "linear_cross_entropy": (0, 1)}.get(
            self.function, (0,)
        )

    def inputs(self, data: Data) -> tuple[list[Array], dict[str, Any]]:
        """Return its arguments and options."""
        weights = {keyword: getattr(data, name) for keyword, name in self.weights.items()}
        return [getattr(data, name) for name in self.arguments], {**self.options, **weights}

    def record(self, group: str, data: Data) -> dict[str, Any]:
        """Return the beginning of a record."""
        return {
            "group": group,
            "function": self.function,
            "option": self.option,
            "gradient": self.gradient,
            "dtype": data.dtype.name,
            "shape": list(data.shape),
        }


ELEMENTWISE = (
    *("sigmoid", "log_sigmoid", "binary_cross_entropy", "binary_cross_entropy_with_logits"),
    "binary_focal_loss_with_logits",
)
WITHOUT_LOSS = {
    "softmax": ("logits",),
    "log_softmax": ("logits",),
    "logsumexp": ("logits",),
    "sigmoid": ("logits",),
    "log_sigmoid": ("logits",),
    "entropy": ("probs",),
    "cross_entropy": ("probs", "q"),
    "kl_divergence": ("probs", "q"),
    "js_divergence": ("probs", "q"),
    "entropy_with_logits": ("logits",),
    "perplexity": ("logits", "labels"),
}
PLAIN: Options = {}, {}
SMOOTHING = {"label_smoothing": 0.1}
NONE = {"reduction": "none"}
CLASSES = {"class_weight": "class_weight"}
SAMPLES = {"sample_weight": "sample_weight"}
ELEMENTS = {"sample_weight": "element_weight"}
OVER_CLASSES: dict[str, Options] = {
    "plain": PLAIN,
    "label_smoothing": (SMOOTHING, {}),
    "class_weight": ({}, CLASSES),
    "smoothed, class_weight": (SMOOTHING, CLASSES),
    "sample_weight": ({}, SAMPLES),
    "reduction none": (NONE, {}),
}
BINARY: dict[str, Options] = {
    "plain": PLAIN,
    "label_smoothing": (SMOOTHING, {}),
    "sample_weight": ({}, ELEMENTS),
    "reduction none": (NONE, {}),
}
POSITIVE = {"pos_weight": 3.0}
FOCAL: dict[str, Options] = {
    "plain": PLAIN,
    "gamma 1.5": ({"gamma": 1.5}, {}),
    "alpha": ({"alpha": 0.25}, {}),
    "sample_weight": ({}, ELEMENTS),
    "reduction none": (NONE, {}),
}
IGNORING: dict[str, Options] = {"ignore_index": ({"ignore_index": -100}, {})}
WEIGHTED: dict[str, Options] = {
    "pos_weight": (POSITIVE, {}),
    "smoothed, pos_weight": ({**SMOOTHING, **POSITIVE}, {}),
}


def subjects() -> Iterator[Subject]:
    """Every function with every option; value and gradient follow each other."""
    for function, arguments in WITHOUT_LOSS.items():
        yield Subject(function, "plain", arguments, *PLAIN)
    yield Subject("perplexity", "sample_weight", ("logits", "labels"), {}, SAMPLES)
    yield Subject("perplexity", "ignore_index", ("logits", "ignored"), *IGNORING["ignore_index"])
    losses: list[tuple[str, tuple[str, ...], Mapping[str, Options]]] = [
        ("kl_divergence_with_logits", ("logits", "q_logits"), {"plain": PLAIN})
    ]
    for predictions, suffix in (("logits", "_with_logits"), ("probs", "")):
        sparse, dense = (f"{kind}categorical_cross_entropy{suffix}" for kind in ("sparse_", ""))
        losses += (
            (sparse, (predictions, "labels"), OVER_CLASSES),
            (sparse, (predictions, "ignored"), IGNORING),
            (dense, (predictions, "soft"), OVER_CLASSES),
            (dense, (predictions, "one_hot"), {"one-hot": PLAIN}),
        )
    binary = "binary_cross_entropy"
    losses += (
        (f"{binary}_with_logits", ("logits", "binary"), BINARY | WEIGHTED),
        (f"{binary}_with_logits", ("logits", "soft_binary"), {"soft": PLAIN}),
        (binary, ("positive", "binary"), BINARY),
        (binary, ("positive", "soft_binary"), {"soft": PLAIN}),
        ("binary_focal_loss_with_logits", ("logits", "binary"), FOCAL),
    )
    for function, arguments, options in losses:
        yield from _both(function, arguments, options)


def _both(
    function: str,
    arguments: tuple[str, ...],
    options: Mapping[str, Options],
) -> Iterator[Subject]:
    for option, given in options.items():
        for gradient in (False, True):
            yield Subject(function, option, arguments, *given, gradient)


def linear_subjects() -> Iterator[Subject]:
    """Return those of the linear layer."""
    options = {name: OVER_CLASSES[name] for name in ("plain", "smoothed, class_weight")}
    yield from _both("linear_cross_entropy", ("hidden", "weight", "labels"), options)


def plain_subjects() -> list[Subject]:
    """Return every function without options."""
    return [subject for subject in subjects() if subject.option == "plain"]


# --- odd data ----------------------------------------------------------------------------------


class Odd(NamedTuple):
    """Data that may be slow."""

    name: str
    of: tuple[str, ...]  # what is odd: of interest to the functions that take it
    data: Data


def odd_data(data: Data) -> Iterator[Odd]:
    """Yield the same data with something odd about them."""
    pair = ("logits", "q_logits")
    soft = _halved(data.soft, data)
    binary = np.where(data.dropped, 0, data.binary)
    for name, mask in (("−∞", -np.inf), ("−1e9", -1e9), ("−100", -100), ("−95", -95)):
        value = data.dtype.type(mask)
        masked = {each: np.where(data.dropped, value, getattr(data, each)) for each in pair}
        yield Odd(f"half {name}", pair, data.altered(**masked, soft=soft, binary=binary))
    for offset in (200, 2000):
        moved = {each: getattr(data, each) + offset for each in pair}
        yield Odd(f"offset {offset}", pair, data.altered(**moved))
    wide = {each: getattr(data, each) * (100 / 3) for each in pair}
    yield Odd("deviation 100", pair, data.altered(**wide))
    one = data.logits.copy()
    one.flat[one.size // 2] = 150
    yield Odd("one 150", pair, data.altered(logits=one))
    yield Odd("one-hot", ("soft",), data.altered(soft=data.one_hot))
    halved = {each: _halved(getattr(data, each), data) for each in ("probs", "q")}
    positive = np.where(data.dropped, 0, data.positive)
    zeros = data.altered(**halved, soft=soft, positive=positive, binary=binary)
    yield Odd("half 0", ("probs", "positive"), zeros)


def _halved(p: Array, data: Data) -> Array:
    """Return distributions in which half of the classes have no probability."""
    p = np.where(data.dropped, 0, p)
    p /= p.sum(axis=1, keepdims=True)
    return p


def on_odd_data() -> list[Subject]:
    """Return what is measured on odd data: functions without options, and smoothed ones."""
    logits = "sparse_categorical_cross_entropy_with_logits"
    smoothed = [
        subject
        for subject in subjects()
        if subject.function == logits and "smooth" in subject.option
    ]
    return [*plain_subjects(), *smoothed]


def is_meant(odd: Odd, subject: Subject) -> bool:
    """Tell whether odd data are for a function; smoothed, a mask of −∞ makes a loss infinite."""
    is_infinite = odd.name == "half −∞" and "smooth" in subject.option
    return not is_infinite and not set(odd.of).isdisjoint(subject.arguments)


# --- borders -----------------------------------------------------------------------------------


def borders() -> dict[str, tuple[int, bool]]:
    """Return the borders inside the package: how many, and whether they are rows."""
    found: dict[str, tuple[int, bool]] = {}
    for name, value in vars(_spans).items():
        if name.isupper() and isinstance(value, int) and name != "ROOMS":
            if name == "SCRATCH":  # in bytes
                found |= {f"SCRATCH / {size}": (value // size, False) for size in (4, 8)}
            else:
                found[name] = value, name == "ROWS"
    return found


def border_shapes(border: int, *, is_rows: bool, elementwise: bool) -> list[list[Shape]]:
    """Return shapes that lie below, at and above a border."""
    if is_rows:
        return [[(border + step, 2) for step in (-1, 0, 1)]]
    single: list[Shape] = [(1, border + step) for step in (-1, 0, 1)]
    if elementwise:
        return [single]
    return [single, [(border // 10 + step, 10) for step in (-1, 0, 1)]]
