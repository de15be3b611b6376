"""Every public function beside the lines that a user would write: writes everything.json and .md.

Run with ``python benchmarks/everything.py``. With ``--quick`` arrays are smaller and torch is left
out; what is worst is printed and no file is written. With ``--only`` the page of a part is printed.
"""

import argparse
import gc
import json
import math
import os
import re
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, cached_property, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

os.environ["THP_MEM_ALLOC_ENABLE"] = "1"  # torch asks for huge pages, as NumPy does
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no processes of its own

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import crossent  # noqa: E402
from benchmarks import everything_page, speed  # noqa: E402
from benchmarks.everything_numpy import NUMPY  # noqa: E402
from crossent import _spans  # noqa: E402

Array = NDArray[Any]
Shape = tuple[int, ...]
Record = dict[str, Any]
Call = Callable[[], Any]
Clock = Callable[[], float]
Options = tuple[Mapping[str, Any], Mapping[str, str]]  # numbers and words, and names of data

RESULTS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_suffix(".md")

DTYPES = ("float16", "float32", "float64")
WIDER = DTYPES[1:]
SMALL = (32, 10)
SHAPES = (
    *(SMALL, (65536, 10), (10**6, 2), (2048, 1000), (64, 50257), (1, 10**6)),
    (4, 21, 256, 256),
)
QUICK_SHAPES = (
    *(SMALL, (13000, 10), (65000, 2), (130, 1000), (3, 50257), (1, 130_000)),
    (1, 21, 80, 80),
)
CLIFF_SHAPES = ((2048, 1000), (65536, 10))
QUICK_CLIFF_SHAPES = ((130, 1000), (13000, 10))
COMPILED_SHAPE = (2048, 1000)
THREADS_SHAPE = (10_000, 1000)
LAYERS = ((32, 16, 10), (4096, 64, 1000), (256, 256, 32000))  # (N, D, V)

MOST_OF_FLOAT16 = 10**6  # elements; NumPy needs a tenth of a second for these

SAMPLE = 5e-4  # seconds: shorter calls are repeated to fill it
MOST_CALLS = 1000
ROUNDS = (2, 15)  # at least and at most, after a first one
TOLERANCE = {"float16": 0.1, "float32": speed.TOLERANCE, "float64": speed.TOLERANCE}


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

    def record(self, group: str, data: Data) -> Record:
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


# --- calls -------------------------------------------------------------------------------------


def our_call(subject: Subject, data: Data) -> Call:
    """Return the call of crossent."""
    arrays, options = subject.inputs(data)
    function = getattr(crossent, subject.function)
    if subject.gradient:
        function = crossent.value_and_grad(function)
    if subject.function not in (*ELEMENTWISE, "linear_cross_entropy"):
        options["axis"] = 1
    return partial(function, *arrays, **options)


def numpy_call(subject: Subject, data: Data) -> Call:
    """Return the textbook's line."""
    arrays, options = subject.inputs(data)
    if subject.gradient:
        options["gradient"] = True
    return partial(NUMPY[subject.function], *arrays, **options)


def scipy_call(subject: Subject, data: Data) -> Call | None:
    """Return the call of SciPy, which has values without options."""
    from benchmarks.everything_libraries import SCIPY  # noqa: PLC0415 - only if it is asked for

    if subject.function not in SCIPY or subject.gradient or subject.option != "plain":
        return None
    return partial(SCIPY[subject.function], *subject.inputs(data)[0])


def torch_call(subject: Subject, data: Data, function: Call | None = None) -> Call:
    """Return the call of torch, on the same memory."""
    from benchmarks.everything_libraries import TORCH, autograd, tensor  # noqa: PLC0415

    arrays, options = subject.inputs(data)
    tensors = list(map(tensor, arrays))
    given = {key: tensor(value) for key, value in options.items()}
    line = partial(function or TORCH[subject.function], *tensors, **given)
    if not subject.gradient:
        return line
    return partial(autograd, line, [tensors[place] for place in subject.leaves])


def compiled_call(subject: Subject, data: Data) -> Call:
    """Return the call of torch, compiled for this shape."""
    from benchmarks.everything_libraries import compiled  # noqa: PLC0415

    return torch_call(subject, data, compiled(subject.function))


def sums_call(subject: Subject, data: Data) -> Call | None:
    """Return the sum of probabilities of which the textbook's line reads those of the labels."""
    if subject.function != "sparse_categorical_cross_entropy" or "smooth" in subject.option:
        return None
    return partial(np.sum, data.probs)


PEERS: dict[str, Callable[[Subject, Data], Call | None]] = {
    "NumPy": numpy_call,
    "sum": sums_call,
    "SciPy": scipy_call,
    "torch": torch_call,
    "torch.compile": compiled_call,
}


# --- measuring ---------------------------------------------------------------------------------


def timed(call: Call, repeats: int = 1, clock: Clock = time.process_time) -> tuple[float, Any]:
    """Return the time of a call, and its result."""
    start = clock()
    for _ in range(repeats):
        result = call()
    return (clock() - start) / repeats, result


def alternate(
    calls: Mapping[str, Call],
    budget: float,
    first: Mapping[str, float] | None = None,
    clock: Clock = time.process_time,
) -> dict[str, float]:
    """Return the shortest time of each call: they take turns, for about ``budget`` seconds."""
    best = dict(first or {name: timed(call, clock=clock)[0] for name, call in calls.items()})
    repeats = {
        name: min(MOST_CALLS, math.ceil(SAMPLE / max(seconds, 1e-7)))
        for name, seconds in best.items()
    }
    fewest, most = ROUNDS
    rounds = int(budget / sum(best[name] * repeats[name] for name in calls))
    for _ in range(min(max(rounds, fewest), most)):
        for name, call in calls.items():
            best[name] = min(best[name], timed(call, repeats[name], clock)[0])
    return {name: float(f"{seconds:.4g}") for name, seconds in best.items()}


def difference(ours: Any, theirs: Any) -> float:
    """Return how far two results are apart, relative to their length; the last bit is no matter."""
    return max(map(_apart, _flat(ours), _flat(theirs)))


def _apart(ours: Any, theirs: Any) -> float:
    a, b = np.asarray(ours), np.asarray(theirs)
    last_bit = float(np.finfo(a.dtype).smallest_subnormal) * a.size**0.5
    a, b = (x.ravel().astype(np.float32) if x.itemsize == 2 else x.ravel() for x in (a, b))
    length, apart = np.linalg.norm(a), np.linalg.norm(a - b)
    return float(max(0.0, apart - 2 * last_bit) / max(length, last_bit))


def _flat(results: Any) -> Iterator[Any]:
    """Yield values and gradients that are not None."""
    if isinstance(results, tuple | list):
        for one in results:
            yield from _flat(one)
    elif results is not None:
        yield results.detach() if hasattr(results, "detach") else results


def cell(
    subject: Subject, data: Data, peers: Iterable[str], budget: float, group: str = "cell"
) -> Record:
    """Measure ours beside those of the peers that have the function and give the same."""
    calls: dict[str, Call] = {"crossent": our_call(subject, data)}
    first, missing = {}, {}
    first["crossent"], ours = timed(calls["crossent"])
    for peer in peers:
        try:
            call = PEERS[peer](subject, data)
            if call is None:
                continue
            first[peer], theirs = timed(call)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            if peer == "NumPy":
                raise
            missing[peer] = str(error).splitlines()[0]
            continue
        apart = 0.0 if peer == "sum" else difference(ours, theirs)
        del theirs
        if not apart <= TOLERANCE[data.dtype.name]:
            missing[peer] = f"its result is off by {100 * apart:.3g} %"
            if peer == "NumPy" and data.dtype.itemsize > 2:
                raise ArithmeticError(f"{subject.name} {data.dtype} {data.shape}: {missing[peer]}")
        if peer == "NumPy" or peer not in missing:
            calls[peer] = call
    del ours
    best = alternate(calls, budget, {peer: first[peer] for peer in calls})
    return {**subject.record(group, data), "seconds": best, "missing": missing}


# --- cliffs ------------------------------------------------------------------------------------


def cliffs(data: Data) -> dict[str, Data]:
    """Return data that may be slow, by what is odd about them."""
    found = {"plain": data}
    kept = halved_rows(data.soft, data)
    for value in (-np.inf, -1e9, -100.0, -95.0):
        masked = {
            name: np.where(data.dropped, data.dtype.type(value), getattr(data, name))
            for name in ("logits", "q_logits")
        }
        named = "−∞" if value == -np.inf else f"{value:.3g}".replace("-", "−").replace("e+0", "e")
        binary = np.where(data.dropped, 0, data.binary).astype(data.dtype)
        found[f"half {named}"] = data.altered(**masked, soft=kept, binary=binary)
    for offset in (200, 2000):
        moved = {name: getattr(data, name) + offset for name in ("logits", "q_logits")}
        found[f"offset {offset}"] = data.altered(**moved)
    wide = {name: getattr(data, name) * (100 / 3) for name in ("logits", "q_logits")}
    found["deviation 100"] = data.altered(**wide)
    one = data.logits.copy()
    one.flat[one.size // 2] = 150
    found["one 150"] = data.altered(logits=one)
    return found


def halved_rows(p: Array, data: Data) -> Array:
    """Return distributions in which half of the classes have no probability."""
    p = np.where(data.dropped, 0, p)
    p /= p.sum(axis=1, keepdims=True)
    return p


def finite_cliffs(data: Data) -> dict[str, Data]:
    """Return those of smoothed targets, whose loss a mask of −∞ makes infinite."""
    return {name: odd for name, odd in cliffs(data).items() if name != "half −∞"}


def soft_cliffs(data: Data) -> dict[str, Data]:
    """Return those of soft targets."""
    return {**cliffs(data), "one-hot": data.altered(soft=data.one_hot)}


def zeros(data: Data) -> dict[str, Data]:
    """Return probabilities half of which are 0."""
    positive = np.where(data.dropped, 0, data.positive)
    binary = np.where(data.dropped, 0, data.binary)
    halved = {name: halved_rows(getattr(data, name), data) for name in ("probs", "q", "soft")}
    return {
        "plain": data,
        "half 0": data.altered(**halved, positive=positive, binary=binary),
        "one-hot": data.altered(soft=data.one_hot),
    }


def cliff_subjects() -> Iterator[tuple[Subject, Callable[[Data], dict[str, Data]]]]:
    """Return what is tried on odd data, and on which."""
    for subject in subjects():
        dense = "soft" in subject.arguments
        if subject.option == "plain":
            if {"probs", "positive"} & set(subject.arguments):
                yield subject, zeros
            else:
                yield subject, soft_cliffs if dense else cliffs
        elif subject.option == "label_smoothing" and "logits" in subject.arguments and not dense:
            yield subject, finite_cliffs


def cliff(subject: Subject, make: Callable[[], Mapping[str, Data]], budget: float) -> Record:
    """Measure one function on plain and odd data of one shape."""
    odd = make()
    calls = {name: our_call(subject, data) for name, data in odd.items()}
    for call in calls.values():
        call()
    seconds = alternate(calls, budget * len(calls) / 2)
    return {**subject.record("cliff", odd["plain"]), "seconds": seconds}


# --- borders -----------------------------------------------------------------------------------


def borders() -> dict[str, tuple[int, bool]]:
    """Return the borders inside the package: how many, and whether they are rows."""
    found: dict[str, tuple[int, bool]] = {}
    for name, value in vars(_spans).items():
        if name.isupper() and isinstance(value, int):
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


def border_record(subject: Subject, border: str, made: Sequence[Data], budget: float) -> Record:
    """Measure one function below, at and above a border."""
    calls = {str(data.shape): our_call(subject, data) for data in made}
    for call in calls.values():
        call()
    seconds = alternate(calls, budget)
    return {**subject.record("border", made[1]), "border": border, "seconds": seconds}


# --- threads and memory ------------------------------------------------------------------------


def threads(subject: Subject, data: Data, budget: float) -> Record:
    """Measure one thread and two."""
    call = our_call(subject, data)

    def with_threads(number: int) -> None:
        crossent.set_num_threads(number)
        call()

    try:
        calls = {str(number): partial(with_threads, number) for number in (1, 2)}
        seconds = alternate(calls, budget, clock=time.perf_counter)
    finally:
        crossent.set_num_threads(1)
    return {**subject.record("threads", data), "seconds": seconds}


def memory(subject: Subject, data: Data) -> Record:
    """Measure the peak of what NumPy allocates in one call, in bytes."""
    call = our_call(subject, data)
    arrays, options = subject.inputs(data)
    given = [*arrays, *(one for one in options.values() if isinstance(one, np.ndarray))]
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    sizes = {
        "input": sum(array.nbytes for array in given),
        "result": sum(np.asarray(one).nbytes for one in _flat(result)),
    }
    return {**subject.record("memory", data), "peak": peak, **sizes}


# --- all of it ---------------------------------------------------------------------------------


class Plan(NamedTuple):
    """How much is measured, and for how long each."""

    shapes: Mapping[str, Sequence[Shape]]  # by dtype
    cliff_shapes: Sequence[Shape]
    layers: Sequence[Shape]
    border_dtypes: Sequence[str]
    most: int  # predictions at a border
    peers: Sequence[str]
    rest: bool  # threads, memory and compiled torch
    budget: float  # seconds for one cell


FULL = Plan(
    dict.fromkeys(DTYPES, SHAPES),
    CLIFF_SHAPES,
    LAYERS,
    WIDER,
    1 << 22,
    ("NumPy", "sum", "SciPy", "torch"),
    True,
    0.2,
)
QUICK = Plan(
    {"float32": QUICK_SHAPES, "float64": QUICK_SHAPES},
    QUICK_CLIFF_SHAPES,
    LAYERS[:1],
    ("float32",),
    1 << 18,
    ("NumPy", "sum"),
    False,
    0.02,
)


def run(plan: Plan, only: str = "") -> Iterator[Record]:
    """Measure everything whose name matches."""
    crossent.set_num_threads(1)
    gc.disable()  # as timeit does
    with np.errstate(all="ignore"):
        for name, measure in jobs(plan):
            if re.search(only, name):
                yield measure()


def jobs(plan: Plan) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Yield what is to be measured: a name, and what measures it."""
    yield from named("cell", cell_jobs(plan))
    yield from named("linear", linear_jobs(plan))
    yield from named("cliff", cliff_jobs(plan))
    yield from named("border", border_jobs(plan))
    if plan.rest:
        yield from named("threads", threads_jobs(plan))
        yield from named("memory", memory_jobs())
        yield from named("compiled", compiled_jobs(plan))


Jobs = Iterator[tuple[Subject, Data, Callable[[], Record]]]


def named(group: str, some: Jobs) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Give jobs their names."""
    for subject, data, measure in some:
        yield f"{group}/{subject.name}/{data.dtype}/{data.shape}", measure


def cell_jobs(plan: Plan) -> Jobs:
    """Yield functions beside their peers."""
    for dtype, shapes in plan.shapes.items():
        for data in (Data(shape, dtype) for shape in shapes):
            for subject in subjects():
                if subject.option == "plain" or not is_slow(data):
                    yield subject, data, partial(cell, subject, data, plan.peers, plan.budget)


def is_slow(data: Data) -> bool:
    """Tell whether NumPy's lines take so long that only those without options are measured."""
    return data.dtype.itemsize == 2 and math.prod(data.shape) > MOST_OF_FLOAT16


def linear_jobs(plan: Plan) -> Jobs:
    """Yield the linear layer beside its peers."""
    for data in (Layer(shape, dtype) for shape in plan.layers for dtype in WIDER):
        for subject in linear_subjects():
            yield subject, data, partial(cell, subject, data, plan.peers, plan.budget, "linear")


def cliff_jobs(plan: Plan) -> Jobs:
    """Yield functions on odd data."""
    for data in (Data(shape, dtype) for shape in plan.cliff_shapes for dtype in WIDER):
        made = cache(lambda odd, data=data: odd(data))
        for subject, odd in cliff_subjects():
            yield subject, data, partial(cliff, subject, partial(made, odd), plan.budget)


def border_jobs(plan: Plan) -> Jobs:
    """Yield functions around borders of at most so many predictions."""
    for dtype, (border, (size, is_rows)), elementwise in product(
        plan.border_dtypes, borders().items(), (False, True)
    ):
        if size > plan.most:
            continue
        for shapes in border_shapes(size, is_rows=is_rows, elementwise=elementwise):
            made = [Data(shape, dtype) for shape in shapes]
            for subject in plain_subjects():
                if (subject.function in ELEMENTWISE) == elementwise:
                    measure = partial(border_record, subject, border, made, plan.budget)
                    yield subject, made[1], measure


def threads_jobs(plan: Plan) -> Jobs:
    """Yield functions with one thread and two."""
    for data in (Data(THREADS_SHAPE, dtype) for dtype in WIDER):
        for subject in plain_subjects():
            yield subject, data, partial(threads, subject, data, plan.budget)


def memory_jobs() -> Jobs:
    """Yield functions whose memory is measured, at shapes and at twice as many rows."""
    for shape in SHAPES[1:]:
        for data in (Data(some, "float32") for some in (shape, (2 * shape[0], *shape[1:]))):
            for subject in subjects():
                yield subject, data, partial(memory, subject, data)


def compiled_jobs(plan: Plan) -> Jobs:
    """Yield functions beside compiled torch: at one shape, since each is compiled for seconds."""
    data = Data(COMPILED_SHAPE, "float32")
    for subject in plain_subjects():
        peers = ("torch", "torch.compile")
        yield subject, data, partial(cell, subject, data, peers, plan.budget, "compiled")


def results(records: Iterable[Record]) -> dict[str, Any]:
    """Everything that is written: where, when, with what, and the records."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": speed.machine(),
        "versions": speed.versions(),
        "cases": list(records),
    }


def main() -> None:
    """Read the command line, measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="REGEX", default="", help="what matches it")
    parser.add_argument("--quick", action="store_true", help="smaller arrays, without torch")
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    measured = results(told(run(plan, options.only)))
    if options.only:
        print(everything_page.page(measured))
        return
    if options.quick:
        print(everything_page.summary(measured))
        return
    options.json.write_text(json.dumps(measured) + "\n", encoding="utf-8")
    options.page.write_text(everything_page.page(measured), encoding="utf-8")


def told(records: Iterable[Record]) -> Iterator[Record]:
    """Tell on the way what is being measured."""
    start, before = time.perf_counter(), None
    for record in records:
        now = record["group"], record["dtype"], record["shape"]
        if now != before:
            place = f"{record['group']} {record['dtype']} {tuple(record['shape'])}"
            print(f"{time.perf_counter() - start:6.0f} s  {place}", file=sys.stderr)
        before = now
        yield record


if __name__ == "__main__":
    main()
