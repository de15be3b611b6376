"""The hard cases: inputs where textbook formulas lose digits, and what each function makes of them.

A family is a batch of cases of one kind, one case per row. `checks` turns a family into calls that
any library can be asked (the package in test_accuracy.py, its peers in benchmarks/accuracy.py),
each with the true result for the inputs exactly as rounded to the dtype.

Ill-conditioned by nature, and therefore measured against the terms instead of their difference
(`Check.scale`): logsumexp near 0; the gradient of soft or smoothed targets near p = y. The bound of
perplexity and focal loss grows with a quantity (`Check.quantities`).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
from mpmath import mp, mpf
from numpy.typing import DTypeLike, NDArray

import crossent
from tests import truth

Array = NDArray[Any]
Kind = Literal[
    "logits", "soft targets", "batches", "binary logits", "probabilities", "pairs", "binary",
    "pairs of logits",
]  # fmt: skip
FOCUSING = [0.0, 0.5, 1.0, 2.0, 5.0]


@dataclass(frozen=True)
class Family:
    """Cases of one kind: predictions, targets, and the options of the losses."""

    name: str
    kind: Kind
    predictions: Array
    targets: Array
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.predictions.dtype

    def __len__(self) -> int:
        return len(self.predictions)

    def cast(self, dtype: DTypeLike) -> "Family":
        """The cases that the dtype can hold, rounded to it."""
        with np.errstate(over="ignore"):
            predictions = self.predictions.astype(dtype)
            integers = self.targets.dtype.kind == "i"
            targets = self.targets if integers else self.targets.astype(dtype)
        kept = np.isfinite(predictions) == np.isfinite(self.predictions)
        if self.kind == "pairs of logits":
            kept &= np.isfinite(targets) == np.isfinite(self.targets)
        rows = kept.all(axis=tuple(range(1, kept.ndim)))
        options = {
            name: value.astype(dtype) if isinstance(value, np.ndarray) else value
            for name, value in self.options.items()
        }
        return Family(self.name, self.kind, predictions[rows], targets[rows], options)


# --- the families -----------------------------------------------------------------------------

# Where something happens: a loss of one ulp, below eps, below the smallest normal or subnormal of
# float16 (9.7, 17.3), float32 (16.6, 87.3, 104) or float64 (36.7, 708.4, 745.1), and beyond.
MARGINS = [
    *(
        0.0,
        1e-300,
        1e-16,
        1e-8,
        1e-3,
        0.1,
        0.5,
        np.log(2),
        1.0,
        2.0,
        3.7,
        5.0,
        8.3,
        9.7,
        10.0,
        12.0,
    ),
    *(
        15.9,
        16.63,
        17.0,
        17.33,
        20.0,
        30.0,
        36.04,
        36.74,
        37.0,
        40.0,
        60.1,
        80.0,
        87.34,
        88.73,
        95.0,
    ),
    *(100.0, 103.3, 103.97, 104.0, 150.0, 200.0, 300.7, 400.0, 500.3, 600.0, 700.0, 708.4, 709.78),
    *(710.0, 720.0, 740.0, 744.4, 745.13, 745.2, 750.0, 800.0),
]


def _places(classes: int) -> list[int]:
    """First, middle and last class."""
    return sorted({0, classes // 2, classes - 1})


def _logits(name: str, rows: list[Any], labels: list[int], **options: Any) -> Family:
    return Family(name, "logits", np.array(rows, dtype=float), np.array(labels), options)


def _margin_families(random: np.random.Generator) -> Iterator[Family]:
    for classes in (2, 3, 10):
        cases = list(product(MARGINS, (1, -1), _places(classes)))
        plain, noisy, labels = [], [], []
        for margin, sign, label in cases:
            row = np.zeros(classes)
            row[label] = sign * margin
            plain.append(row)
            noise = random.normal(size=classes)
            noisy.append(row + noise)
            labels.append(label)
        yield _logits(f"margins, {classes} classes", plain, labels)
        yield _logits(f"margins between uneven logits, {classes} classes", noisy, labels)


def _logit_families(random: np.random.Generator) -> Iterator[Family]:
    yield from _margin_families(random)

    offsets = [sign * 10.0**power for power in range(7) for sign in (1, -1)]
    rows: list[Any]
    for classes in (2, 3, 10):
        cases = list(product(offsets, (0.3, 3.0, 20.0), _places(classes)))
        rows = [offset + spread * random.normal(size=classes) for offset, spread, _ in cases]
        yield _logits(f"common offset, {classes} classes", rows, [label for *_, label in cases])

    scales = [1.0, 30.0, 100.0, 700.0, 1e3, 1e6]
    for classes in (2, 5, 30):
        cases_of_scale = list(product(scales, range(4), _places(classes)))
        rows = [scale * random.uniform(-1, 1, classes) for scale, *_ in cases_of_scale]
        labels = [label for *_, label in cases_of_scale]
        yield _logits(f"mixed signs, {classes} classes", rows, labels)

    # The target's logit is tiny and the others are not: z_j - z_y is never exact.
    tiny = list(
        product((1e-300, 1e-17, 1e-9, 1e-5, 1e-2), (-1, 1), (9.3, 61.7, 333.3, 701.9), (0, 1))
    )
    rows = [[sign * small, -large, -large / 3] for small, sign, large, _ in tiny]
    rows = [row if first else row[::-1] for row, (*_, first) in zip(rows, tiny, strict=True)]
    yield _logits("inexact differences", rows, [0 if first else 2 for *_, first in tiny])

    for classes in (2, 3, 10, 300):
        ties = list(product((0.0, -3.3, 88.8, 1e4), _places(classes)))
        rows = [np.full(classes, level) for level, _ in ties]
        yield _logits(f"all tied, {classes} classes", rows, [label for _, label in ties])
    pairs = list(product((0.0, 1.0, 40.0, 400.0), (0, 1, 3)))
    rows = [[gap, gap, -gap, 0.0] for gap, _ in pairs]
    yield _logits("two tied at the top", rows, [label for _, label in pairs])
    steps = list(product((0.0, 1.0, -7.7, 300.0), (1, 2, 8), (0, 1)))
    rows = [
        [level, level + step * np.spacing(np.float32(level)), level] for level, step, _ in steps
    ]
    yield _logits("neighbors apart by an ulp", rows, [label for *_, label in steps])

    # The loss is a sum of subnormals, in each dtype in turn.
    for name, low, high in (
        ("float16", 9.7, 17.3),
        ("float32", 87.4, 104),
        ("float64", 708.5, 745),
    ):
        gaps = random.uniform(low, high, (30, 4))
        places = random.integers(0, 5, 30)
        rows = [np.insert(-gap, place, 0.0) for gap, place in zip(gaps, places, strict=True)]
        yield _logits(f"subnormal {name} losses", rows, places.tolist())

    for classes, count in ((100, 30), (1000, 6), (100_000, 1)):
        # Multiples of 1/32, of which there are few: mpmath is asked for each exponential once.
        rows = [
            np.rint(32 * s * random.normal(size=classes)) / 32 for s in np.linspace(4, 1, count)
        ]
        labels = [_places(classes)[i % 3] for i in range(count)]
        yield _logits(f"{classes} classes", rows, labels)
        for row, label in zip(rows, labels, strict=True):
            row[label] = row.max() + 25
        yield _logits(f"{classes} classes, confident", rows, labels)

    infinity = np.inf
    rows = [
        [infinity, 0, 1],
        [-infinity, 0, 1],
        [-infinity, -infinity, 3],
        [infinity, infinity, 0],
        [-infinity, -infinity, -infinity],
        [infinity, -infinity, 0],
        [infinity, -infinity, -infinity],
        [np.nan, 0, 1],
        [np.nan, infinity, -infinity],
        [-infinity, 800, 0],
        [-infinity, 1e4, -1e4],
    ]
    yield _logits("infinities", rows * 3, [label for label in range(3) for _ in rows])

    # The worst of 10⁷ random rows against 64-bit significands.
    rows = [
        [-338.9923900848836, -371.5743038757261, -359.678211222517, -379.75776228927225],
        [-335.64267299762514, 65.38097647550629, 240.9372991628892, 271.26524034569786],
        [846.1940404073084, 825.8539415556685, 875.1887920802641, -np.inf],
        [-463.51133485570034, -468.7930119767871, -470.5492074980046, -np.inf],
        [-718.9157884796125, -713.643861217804, -712.3738046997387, -np.inf],
        [-881.1388542398527, -852.268444453236, -827.1239871141522, -828.4869175859709],
        [994.5755913227697, 999.525324644537, 1002.230935515661, -np.inf],
    ]
    yield _logits("found by search", rows, [0, 3, 2, 0, 2, 2, 2])

    # e^a + e^b = 1 to within rounding, so that the logarithm is near 0.
    parts = random.uniform(0.05, 0.95, 40)
    rows = [[np.log(part), np.log1p(-part)] for part in parts]
    yield _logits("logsumexp near 0", rows, [0] * 40)


def _option_families(random: np.random.Generator) -> Iterator[Family]:
    classes = 4
    cases = list(product([0.0, 0.3, 5.0, 17.0, 40.0, 90.0, 300.0, 730.0], (1, -1), range(classes)))
    labels = [label for *_, label in cases]
    rows = random.normal(size=(len(cases), classes))
    for row, (margin, sign, label) in zip(rows, cases, strict=True):
        row[label] += sign * margin
    weights = np.array([0.1, 3.0, 1000.0, 1.7])
    for smoothing in (1e-20, 1e-6, 0.1, 0.9, 1.0):
        yield _logits(
            f"label smoothing {smoothing:g}", list(rows), labels, label_smoothing=smoothing
        )
    yield _logits("sample weight 1000", list(rows), labels, sample_weight=1000.0)
    yield _logits("class weights", list(rows), labels, class_weight=weights)
    yield _logits(
        "class weights and label smoothing",
        list(rows),
        labels,
        class_weight=weights,
        label_smoothing=0.1,
    )

    targets = random.dirichlet(np.ones(classes), len(cases))
    yield Family("soft targets", "soft targets", rows, targets)
    yield Family("weighted soft targets", "soft targets", rows, targets, {"class_weight": weights})
    peaked = random.normal(size=(40, classes))
    near = np.exp(peaked) / np.exp(peaked).sum(axis=1, keepdims=True)
    yield Family("soft-label gradient near p = y", "soft targets", peaked, near)

    shape = (30, 7, 3)
    spread = random.choice([0.1, 1.0, 10.0, 100.0], (30, 1, 1))
    logits = spread * random.normal(size=shape)
    batch_labels = random.integers(0, 3, shape[:2])
    batch_labels[:, 0] = 0  # so that no batch is ignored altogether
    yield Family("batches", "batches", logits, batch_labels)
    yield Family(
        "weighted batches with ignored labels",
        "batches",
        logits,
        batch_labels,
        {"class_weight": np.array([0.3, 7.0, 100.0]), "ignore_index": 1},
    )


def _binary_families(random: np.random.Generator) -> Iterator[Family]:
    z = np.array([sign * margin for margin in MARGINS for sign in (1, -1)])
    z = np.concatenate([z, random.normal(scale=3, size=40), random.uniform(-745, 745, 40)])
    z = np.concatenate([z, [34.53835898238231, 3.4301095075199206, 28.33951400674359]])
    z = np.concatenate([z, [0.3015394695681338, 0.5055314624872149]])  # found by search
    z = np.concatenate([z, [3.470995679501053, 2.70700282901824, 10.347626743605169]])
    # A third of the way: there (1 - p)² log p is among the subnormals.
    z = np.concatenate([z, [-236.2, 237.0, 240.1, -243.3, 243.3, 245.7, 248.3, -248.4]])
    z = np.concatenate([z, [1e4, -1e4, 1e6, -1e6, np.inf, -np.inf, np.nan]])
    logits, targets = np.repeat(z, 2), np.tile([0.0, 1.0], len(z))
    yield Family("binary", "binary logits", logits, targets)
    for gamma in FOCUSING:
        name = f"focal, gamma {gamma:g}"
        yield Family(name, "binary logits", logits, targets, {"gamma": gamma, "alpha": 0.25})
    weighted = {"gamma": 2.0, "alpha": 0.25, "sample_weight": 1000.0}
    yield Family("focal, weight 1000", "binary logits", logits, targets, weighted)
    yield Family("binary, pos_weight", "binary logits", logits, targets, {"pos_weight": 9.7})
    smooth = {"label_smoothing": 1e-9}
    yield Family("binary, label smoothing", "binary logits", logits, targets, smooth)
    soft = np.tile([1e-30, 0.3, 0.5, 1 - 2**-11], len(z))
    yield Family("binary, soft targets", "binary logits", np.repeat(z, 4), soft)

    probabilities = np.array(
        [
            *(0.0, 2.0**-1074, 2.0**-149, 2.0**-24, 1e-12, 1e-3, 0.1, 0.3, 0.5, 0.7, 0.999),
            *(1 - 2.0**-11, 1 - 2.0**-24, 1 - 2.0**-53, 1.0),
            *random.uniform(0, 1, 30),
        ]
    )
    both = np.tile([0.0, 1.0], len(probabilities))
    yield Family("binary probabilities", "binary", np.repeat(probabilities, 2), both)
    some = np.tile([0.25, 0.5, 1e-7], len(probabilities))
    yield Family("binary probabilities, soft targets", "binary", np.repeat(probabilities, 3), some)
    yield Family(
        "binary probabilities, label smoothing", "binary", np.repeat(probabilities, 2), both, smooth
    )


def _dyadic(random: np.random.Generator, bits: int, classes: int) -> Array:
    """A distribution on the grid of 2^-bits that sums to 1 exactly."""
    cuts = np.sort(random.integers(0, 2**bits, classes - 1, endpoint=True))
    return np.diff(cuts, prepend=0, append=2**bits) / 2.0**bits


def _probability_families(random: np.random.Generator) -> Iterator[Family]:
    rows: list[Any]
    p: Any
    q: Any
    for classes in (2, 3, 10, 1000):
        spreads = (0.1, 1, 10) * (6 if classes < 1000 else 2)
        rows = [random.dirichlet(np.full(classes, spread)) for spread in spreads]
        labels = random.integers(0, classes, len(rows))
        yield Family(f"probabilities, {classes} classes", "probabilities", np.array(rows), labels)
    edges = [[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0], [1 - 2.0**-11, 2.0**-11, 0]]
    edges += [[1 - 2.0**-24, 2.0**-24, 0], [1 - 2.0**-53, 2.0**-53, 0], [1, 2.0**-149, 2.0**-1074]]
    rows = [row for row in edges for _ in range(3)]
    labels = np.tile(np.arange(3), len(edges))
    yield Family("probabilities 0 and 1", "probabilities", np.array(rows), labels)

    for classes in (2, 10, 300):
        spreads = (0.1, 1, 10) * 5
        p = np.array([random.dirichlet(np.full(classes, spread)) for spread in spreads])
        q = np.array([random.dirichlet(np.full(classes, spread)) for spread in spreads])
        yield Family(f"distributions, {classes} classes", "pairs", p, q)
        shares = np.array(
            [0.5, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1e-13, 1e-14, 1e-15, 0, 1, 1e-5]
        )
        mixed = p[:13] + shares[:, None] * (q[:13] - p[:13])
        yield Family(f"nearly equal distributions, {classes} classes", "pairs", p[:13], mixed)
    # On a grid every row sums to 1 exactly: the textbook's Σ p log(p/q) means the same.
    for bits, classes in product((4, 11, 24, 52), (2, 3, 10, 300)):
        if classes > 2**bits:
            continue
        count = 12 if classes < 300 else 4
        p = np.array([_dyadic(random, bits, classes) for _ in range(count)])
        q = np.array([_dyadic(random, bits, classes) for _ in range(count)])
        name = f"distributions on a grid of 2^-{bits}, {classes} classes"
        yield Family(name, "pairs", p, q)

        steps = np.minimum(random.integers(1, 5, len(p)) * 2.0**-bits, p.max(axis=1))
        near = np.array(p)
        near[np.arange(len(p)), p.argmax(axis=1)] -= steps
        near[np.arange(len(p)), p.argmin(axis=1)] += steps
        yield Family(f"nearly equal on a grid of 2^-{bits}, {classes} classes", "pairs", p, near)
        if classes % 2 == 0:
            level = np.full((6, classes), 2.0 ** -np.ceil(np.log2(classes)))
            level[:, -1] += 1 - level.sum(axis=1)
            shift = 2.0 ** -np.arange(bits - 5, bits + 1)[:, None] * np.tile([1, -1], classes // 2)
            kept = (np.abs(shift) < level).all(axis=1)
            name = f"nearly uniform on a grid of 2^-{bits}, {classes} classes"
            if kept.any():
                yield Family(name, "pairs", level[kept], (level + shift)[kept])
    p = [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0.5, 0, 0.5], [1, 0, 0], [0.25, 0.75, 0]]
    q = [[0.25, 0.25, 0.5], [0.5, 0.25, 0.25], [1, 0, 0], [0, 1, 0], [1, 0, 0], [0.25, 0.75, 0]]
    yield Family("probabilities 0 and 1 in pairs", "pairs", np.array(p, float), np.array(q, float))
    tiny = [2.0**-20, 2.0**-24, 2.0**-100, 2.0**-149, 2.0**-600, 2.0**-1022, 2.0**-1074]
    p = [[small, 1.0 - small] for small in tiny] + [[0.5, 0.5]] * len(tiny)
    yield Family("tiny probabilities", "pairs", np.array(p, float), np.array(p[::-1], float))


def _logit_pair_families(random: np.random.Generator) -> Iterator[Family]:
    """Two rows of logits each: first those of p, then those of q."""

    def family(name: str, p: Any, q: Any, temperature: float = 1.0) -> Family:
        arrays = np.array(p, float), np.array(q, float)
        return Family(name, "pairs of logits", *arrays, {"temperature": temperature})

    for classes in (2, 3, 10, 300):
        count = 24 if classes < 300 else 4
        shape = count, classes
        p, q = random.normal(scale=3, size=(2, *shape))
        yield family(f"logits of p and q, {classes} classes", p, q)
        yield family(f"logits of p and q at temperature 3.7, {classes} classes", p, q, 3.7)
        steps = 10.0 ** -np.linspace(0, 15, count)[:, None]
        yield family(f"nearly equal logits, {classes} classes", p, p + steps * q)
        offset = np.resize([1e3, -1e6, 37.3], (count, 1))
        yield family(f"nearly equal logits and an offset, {classes} classes", p, p + offset)
        both = p + offset
        yield family(f"nearly equal logits, both offset, {classes} classes", both, both + steps * q)
        bump = np.array(p)
        bump[np.arange(count), np.arange(count) % classes] += steps[:, 0]
        yield family(f"logits that differ in one class, {classes} classes", p, bump, 0.1)

    # p, or q, or both are certain, up to where a class has no probability left in any dtype.
    cases = list(product(MARGINS[::2], (0.3, -5.0), (1, -1)))
    p = [[margin, 0.0, -1.3] for margin, *_ in cases]
    q = [[sign * (margin + more), 0.0, 2.1] for margin, more, sign in cases]
    yield family("both certain", p, q)
    yield family("both certain, and nearly equal", p, [[m, 1e-4 * s, -1.3] for m, _, s in cases])
    yield family("p certain", p, random.normal(size=(len(cases), 3)))
    yield family("q certain", random.normal(size=(len(cases), 3)), q)
    yield family("q certain, hot", random.normal(size=(len(cases), 3)), q, 20.0)
    scales = np.repeat([30.0, 100.0, 700.0, 1e3, 1e6], 6)[:, None]
    for classes in (2, 5, 30):
        p, q = scales * random.uniform(-1, 1, (2, len(scales), classes))
        yield family(f"far apart, {classes} classes", p, q)

    infinity = np.inf
    rows = [
        [0, 0, 1], [-infinity, 0, 1], [-infinity, -infinity, 0], [infinity, 0, 1],
        [0, infinity, -infinity], [0, 1, -infinity], [0, -800, 1], [np.nan, 0, 1],
        [-infinity, -infinity, -infinity],
    ]  # fmt: skip
    p, q = np.array(list(product(rows, repeat=2))).transpose(1, 0, 2)
    yield family("infinite logits of p and q", p, q)


@cache
def families() -> tuple[Family, ...]:
    """All of them, always the same."""
    random = np.random.default_rng(2718)
    return (
        *_logit_families(random),
        *_option_families(random),
        *_binary_families(random),
        *_probability_families(random),
        *_logit_pair_families(random),
    )


# --- what each function makes of a family ------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One call, or the gradient of one call, and its true result, flat and in C order.

    `scale`, where the result is a difference, is its largest term, which the bound is stated in;
    below half of that the result is ill-conditioned. `quantities` are what the bound depends on,
    by the symbol that the docstring has for it.
    """

    function: str
    gradient: bool
    args: tuple[Array, ...]
    options: dict[str, Any]
    true: truth.Row
    scale: truth.Row | None = None
    quantities: dict[str, float] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"grad({self.function})" if self.gradient else self.function

    @property
    def in_nats(self) -> Array:
        """The true result, if it is information."""
        log_base = mp.log(self.options.get("base", mp.e))
        return np.array([float(value * log_base) for value in self.true])


def _flat(rows: Iterable[truth.Row]) -> truth.Row:
    return [value for row in rows for value in row]


def _rows(array: Array) -> list[truth.Row]:
    return [truth.exact(row) for row in array]


def _one_hot(labels: Array, classes: int) -> Array:
    return np.equal.outer(labels, np.arange(classes)).astype(int)


def _categorical_checks(family: Family, dense: Array, names: list[str]) -> Iterator[Check]:
    """Value and gradient of the losses over logits, for rows of targets and for labels."""
    weights = family.options.get("class_weight")
    smoothing = family.options.get("label_smoothing", 0)
    mix = None if weights is None else truth.exact(weights), smoothing
    pairs = list(zip(_rows(family.predictions), _rows(dense), strict=True))
    scale = mpf(family.options.get("sample_weight", 1))
    value = [scale * truth.categorical_with_logits(z, target, *mix) for z, target in pairs]
    slopes = _flat(truth.categorical_with_logits_gradient(z, t, *mix) for z, t in pairs)
    gradient = [scale * slope for slope in slopes]
    term = _flat(truth.categorical_with_logits_term(*pair, *mix) for pair in pairs)
    for name in names:
        labels = name.startswith("sparse")
        args = family.predictions, family.targets if labels else dense.astype(family.dtype)
        yield Check(name, False, args, family.options | {"reduction": "none"}, value)
        yield Check(name, True, args, family.options | {"reduction": "sum"}, gradient, term)


def _logits_checks(family: Family) -> Iterator[Check]:
    z = family.predictions
    names = ["sparse_categorical_cross_entropy_with_logits"]
    wide = z.shape[-1] > 10_000  # mpmath is slow: there the loss of labels speaks for the others
    if not wide:
        names.append("categorical_cross_entropy_with_logits")
    if not family.options and not wide:
        rows = _rows(z)
        top = [max(row) for row in rows]
        rest = [truth.logsumexp([v - t for v in row]) for row, t in zip(rows, top, strict=True)]
        term = [max(abs(t), abs(r)) for t, r in zip(top, rest, strict=True)]
        yield Check("logsumexp", False, (z,), {}, [truth.logsumexp(row) for row in rows], term)
        yield Check("softmax", False, (z,), {}, _flat(truth.softmax(row) for row in rows))
        yield Check("log_softmax", False, (z,), {}, _flat(truth.log_softmax(row) for row in rows))
        in_nats = [truth.entropy_with_logits(row) for row in rows]
        yield Check("entropy_with_logits", False, (z,), {}, in_nats)
    yield from _categorical_checks(family, _one_hot(family.targets, z.shape[-1]), names)


def _soft_checks(family: Family) -> Iterator[Check]:
    names = ["categorical_cross_entropy_with_logits"]
    yield from _categorical_checks(family, family.targets, names)


def _batches_checks(family: Family) -> Iterator[Check]:
    """Reductions and perplexity: each batch is one call and one case."""
    weights, ignored = family.options.get("class_weight"), family.options.get("ignore_index")
    for z, labels in zip(family.predictions, family.targets, strict=True):
        kept = labels != ignored
        weight = np.ones(len(labels)) if weights is None else weights[labels]
        hot = _rows(_one_hot(labels, z.shape[-1]))
        counted = truth.exact(weight * kept)
        rows = _rows(z)
        losses = [truth.categorical_with_logits(*pair) for pair in zip(rows, hot, strict=True)]
        slopes = [
            truth.categorical_with_logits_gradient(*pair) for pair in zip(rows, hot, strict=True)
        ]
        total = mp.fsum(w * loss for w, loss in zip(counted, losses, strict=True))
        by = {"sum": mpf(1), "mean": mpf(int(kept.sum())), "weighted_mean": mp.fsum(counted)}
        for reduction, divisor in by.items():
            options = family.options | {"reduction": reduction}
            slope = [
                w * entry / divisor for w, row in zip(counted, slopes, strict=True) for entry in row
            ]
            name = "sparse_categorical_cross_entropy_with_logits"
            yield Check(name, False, (z, labels), options, [total / divisor])
            yield Check(name, True, (z, labels), options, slope)
        if weights is None:
            mean = total / by["mean"]
            quantities = {"log PP": float(mean)}
            yield Check("perplexity", False, (z, labels), {}, [mp.exp(mean)], None, quantities)
            given = {"sample_weight": np.arange(1.0, len(labels) + 1).astype(z.dtype)}
            parts = truth.exact(given["sample_weight"])
            mean = mp.fsum(w * loss for w, loss in zip(parts, losses, strict=True)) / mp.fsum(parts)
            quantities = {"log PP": float(mean)}
            yield Check("perplexity", False, (z, labels), given, [mp.exp(mean)], None, quantities)


def _binary_logits_checks(family: Family) -> Iterator[Check]:
    z, targets, options = family.predictions, family.targets, family.options
    pairs = list(zip(truth.exact(z), truth.exact(targets), strict=True))
    term = None
    if "gamma" in options:
        function, mix = "binary_focal_loss_with_logits", (options["gamma"], options["alpha"])
        scale = mpf(options.get("sample_weight", 1))
        value = [scale * truth.focal(*pair, *mix) for pair in pairs]
        gradient = [scale * truth.focal_gradient(*pair, *mix) for pair in pairs]
    else:
        if family.name == "binary":
            yield Check("sigmoid", False, (z,), {}, [truth.sigmoid(v) for v, _ in pairs])
            yield Check("log_sigmoid", False, (z,), {}, [truth.log_sigmoid(v) for v, _ in pairs])
        function = "binary_cross_entropy_with_logits"
        mix = options.get("pos_weight", 1), options.get("label_smoothing", 0)
        value = [truth.binary_with_logits(*pair, *mix) for pair in pairs]
        gradient = [truth.binary_with_logits_gradient(*pair, *mix) for pair in pairs]
        term = [truth.binary_with_logits_term(*pair, *mix) for pair in pairs]
    args = z, targets
    focus = {"γ": options["gamma"]} if "gamma" in options else {}
    yield Check(function, False, args, options | {"reduction": "none"}, value, None, focus)
    yield Check(function, True, args, options | {"reduction": "sum"}, gradient, term, focus)


def _binary_checks(family: Family) -> Iterator[Check]:
    q, targets, options = family.predictions, family.targets, family.options
    smoothing = options.get("label_smoothing", 0)
    pairs = list(zip(truth.exact(q), truth.exact(targets), strict=True))
    value = [truth.binary(*pair, smoothing) for pair in pairs]
    gradient = [truth.binary_gradient(*pair, smoothing) for pair in pairs]
    term = [truth.binary_term(*pair, smoothing) for pair in pairs] if smoothing else None
    args = q, targets
    function = "binary_cross_entropy"
    yield Check(function, False, args, options | {"reduction": "none"}, value)
    yield Check(function, True, args, options | {"reduction": "sum"}, gradient, term)


def _probabilities_checks(family: Family) -> Iterator[Check]:
    q, labels = family.predictions, family.targets
    dense = _one_hot(labels, q.shape[-1])
    yield Check("entropy", False, (q,), {}, [truth.entropy(row) for row in _rows(q)])
    in_bits = [truth.entropy(row) / mp.log(2) for row in _rows(q)]
    yield Check("entropy", False, (q,), {"base": 2}, in_bits)
    pairs = list(zip(_rows(q), _rows(dense), strict=True))
    value = [truth.categorical(*pair) for pair in pairs]
    gradient = _flat(truth.categorical_gradient(*pair) for pair in pairs)
    name = "categorical_cross_entropy"
    for function, targets in ((name, dense.astype(q.dtype)), (f"sparse_{name}", labels)):
        yield Check(function, False, (q, targets), {"reduction": "none"}, value)
        yield Check(function, True, (q, targets), {"reduction": "sum"}, gradient)


def _pairs_checks(family: Family) -> Iterator[Check]:
    args = family.predictions, family.targets
    pairs = list(zip(*map(_rows, args), strict=True))
    for function in (truth.cross_entropy, truth.kl_divergence, truth.js_divergence):
        in_nats = [function(p, q) for p, q in pairs]
        yield Check(function.__name__, False, args, {}, in_nats)
        in_bits = [value / mp.log(2) for value in in_nats]
        yield Check(function.__name__, False, args, {"base": 2}, in_bits)


def _logit_pairs_checks(family: Family) -> Iterator[Check]:
    args = family.predictions, family.targets
    temperature = mpf(float(family.options["temperature"]))
    rows = [(p, q, temperature) for p, q in zip(*map(_rows, args), strict=True)]
    name = "kl_divergence_with_logits"
    in_nats = [truth.kl_divergence_with_logits(*row) for row in rows]
    yield Check(name, False, args, family.options, in_nats)
    in_bits = [value / mp.log(2) for value in in_nats]
    yield Check(name, False, args, family.options | {"base": 2}, in_bits)
    gradient = _flat(truth.kl_divergence_with_logits_gradient(*row) for row in rows)
    term = _flat(truth.kl_divergence_with_logits_term(*row) for row in rows)
    yield Check(name, True, args, family.options, gradient, term)


_CHECKS: dict[Kind, Callable[[Family], Iterator[Check]]] = {
    "logits": _logits_checks,
    "soft targets": _soft_checks,
    "batches": _batches_checks,
    "binary logits": _binary_logits_checks,
    "probabilities": _probabilities_checks,
    "pairs": _pairs_checks,
    "binary": _binary_checks,
    "pairs of logits": _logit_pairs_checks,
}


def checks(family: Family, dtype: DTypeLike) -> Iterator[Check]:
    """Everything the public functions can be asked about the family's cases in that dtype."""
    held = family.cast(dtype)
    return _CHECKS[family.kind](held) if len(held) else iter(())


def ask(check: Check) -> Array:
    """What the package answers, flat."""
    function = getattr(crossent, check.function)
    if check.gradient:
        function = crossent.grad(function)
    return np.ravel(function(*check.args, **check.options))


# --- errors ------------------------------------------------------------------------------------


def is_ill_conditioned(check: Check) -> Array:
    """Where the result is less than half of the terms that it is the difference of."""
    if check.scale is None:
        return np.zeros(len(check.true), dtype=bool)
    true, scale = (np.array(values, dtype=float) for values in (check.true, check.scale))
    small: Array = np.abs(true) < scale / 2
    return small


@np.errstate(all="ignore")
def rounded(values: truth.Row, dtype: DTypeLike) -> Array:
    """The true values in the dtype; infinite where they overflow."""
    result: Array = np.array([float(value) for value in values]).astype(dtype)
    return result


def has_no_digit(check: Check, got: Array) -> Array:
    """Where the relative error is 1 or more, as it is when the result is 0.0, infinite or nan.

    One ulp does not count: the last subnormal has a single digit.
    """
    expected = rounded(check.true, got.dtype).astype(float)
    errors = errors_in_ulp(check, got)
    size = np.abs(expected) / np.spacing(np.abs(expected).astype(got.dtype)).astype(float)
    lost: Array = ~(errors < size) & (errors > 1)
    return lost


@np.errstate(all="ignore")
def errors_in_ulp(check: Check, got: Array, *, of_terms: bool = False) -> Array:
    """Distances from the truth in units of the last place of the truth as rounded to the dtype.

    Below the smallest normal number the unit is the spacing of the subnormals. With `of_terms` it
    is the unit of the larger term wherever the result is a difference.
    """
    dtype = got.dtype
    near = np.array([float(true) for true in check.true])
    rest = np.zeros_like(near)
    if dtype == np.float64:  # what the truth has beyond 53 bits
        pairs = zip(check.true, near.tolist(), strict=True)
        rest = np.nan_to_num([float(true - mpf(value)) for true, value in pairs])
    expected = near.astype(dtype)
    unit = np.abs(expected)
    if of_terms and check.scale is not None:
        unit = np.fmax(unit, rounded(check.scale, dtype))
    spacing = np.spacing(np.minimum(unit, np.finfo(dtype).max)).astype(float)
    errors = np.abs((got.astype(float) - near) - rest) / spacing
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    finite = np.isfinite(got) & np.isfinite(expected)
    result: Array = np.where(finite, errors, np.where(same, 0.0, math.inf))
    return result
