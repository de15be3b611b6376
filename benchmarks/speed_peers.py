"""The peers of speed.py, each in a process of its own: a request in, an answer out, lines of JSON.

Run by speed.py as ``python -m benchmarks.speed_peers PEER THREADS``.
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import shutil
import sys
import time
import traceback
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

import crossent

Array = NDArray[Any]
Result = tuple[Any, tuple[Any, ...]]  # the loss and its gradients
Answer = dict[str, Any]

TILE = 65536  # elements; fits the second-level cache with its result
LOSSES = {
    "sparse": "sparse_categorical_cross_entropy_with_logits",
    "binary": "binary_cross_entropy_with_logits",
    "focal": "binary_focal_loss_with_logits",
    "linear": "linear_cross_entropy",
}


@dataclass(frozen=True)
class Case:
    """What is timed: a loss at one size, with or without its gradient.

    The shape is (N, V) for "sparse", (N, D, V) for "linear", (N,) for the elementwise losses.
    """

    group: str
    loss: str
    shape: tuple[int, ...]
    dtype: str
    gradient: bool = False
    threads: int = 1

    @property
    def name(self) -> str:
        """What ``--only`` is matched with."""
        shape = "x".join(map(str, self.shape))
        what = "value+gradient" if self.gradient else "value"
        return f"{self.group}/{self.loss}/{shape}/{self.dtype}/{what}/{self.threads}"

    @property
    def differentiated(self) -> int:
        """How many of the inputs have a gradient."""
        return 2 if self.loss == "linear" else 1

    def inputs(self) -> list[Array]:
        """Make the inputs, the same in every process."""
        rng = np.random.default_rng(0)
        dtype: Any = np.dtype(self.dtype)

        def normal(*shape: int, scale: float = 3.0) -> Array:
            result = rng.standard_normal(shape, dtype=dtype)
            result *= dtype.type(scale)
            return result

        if self.loss == "linear":
            rows, width, classes = self.shape
            arrays = [normal(rows, width, scale=1.0), normal(classes, width, scale=3 / width**0.5)]
            return [*arrays, rng.integers(classes, size=rows)]
        if self.loss == "sparse":
            return [normal(*self.shape), rng.integers(self.shape[1], size=self.shape[0])]
        return [normal(*self.shape), rng.integers(2, size=self.shape).astype(dtype)]


class MissingError(Exception):
    """A peer has no such loss, or cannot run here; the message says why."""


class Library(Protocol):
    """How a peer is asked."""

    calls_before_memory: int

    def put(self, array: Array) -> Any:
        """Bring an input to where the library computes."""

    def get(self, result: Any) -> Array:
        """Bring a result back."""

    def prepare(self, case: Case, inputs: list[Any]) -> Callable[[], Result]:
        """Return the call to be timed; it drops nothing but what it makes itself."""

    def offers(self, case: Case) -> bool:
        """Whether the library has the loss."""


# --- NumPy-made --------------------------------------------------------------------------------


def _slope(probs: Array, labels: Array) -> Array:
    """Turn probabilities into the gradient of the mean, in place."""
    probs[np.arange(len(labels)), labels] -= 1
    probs /= len(labels)
    return probs


def _numpy_sparse(logits: Array, labels: Array, *, gradient: bool) -> Result:
    shifted = logits - logits.max(axis=1, keepdims=True)
    picked = shifted[np.arange(len(labels)), labels]
    exps = np.exp(shifted, out=shifted)
    sums = exps.sum(axis=1)
    value = np.mean(np.log(sums) - picked)
    if not gradient:
        return value, ()
    exps /= sums[:, None]
    return value, (_slope(exps, labels),)


def _numpy_binary(logits: Array, targets: Array, *, gradient: bool) -> Result:
    exps = np.exp(-np.abs(logits))
    value = np.mean(np.maximum(logits, 0) - logits * targets + np.log1p(exps))
    if not gradient:
        return value, ()
    slope = np.where(logits >= 0, 1, exps) / (1 + exps)
    slope -= targets
    slope /= len(logits)
    return value, (slope,)


def _numpy_linear(hidden: Array, weight: Array, labels: Array, *, gradient: bool) -> Result:
    value, slopes = _numpy_sparse(hidden @ weight.T, labels, gradient=gradient)
    return value, tuple(part for g in slopes for part in (g @ weight, g.T @ hidden))


def _crossent(name: str) -> Callable[..., Result]:
    loss = getattr(crossent, LOSSES[name])

    def call(*inputs: Array, gradient: bool) -> Result:
        if not gradient:
            return loss(*inputs), ()
        value, slopes = crossent.value_and_grad(loss)(*inputs)
        slopes = slopes if isinstance(slopes, tuple) else (slopes,)
        return value, tuple(slope for slope in slopes if slope is not None)

    return call


@dataclass
class Arrays:
    """A library that takes and returns NumPy arrays: a function for each loss it has."""

    functions: dict[str, Callable[..., Result]]
    values_only: bool = False
    calls_before_memory: int = 0

    def put(self, array: Array) -> Array:
        """Take it as it is."""
        return array

    def get(self, result: Any) -> Array:
        """Take it as it is."""
        return np.asarray(result)

    def offers(self, case: Case) -> bool:
        """Whether there is a function, and a gradient where one is asked for."""
        return case.loss in self.functions and not (case.gradient and self.values_only)

    def prepare(self, case: Case, inputs: list[Array]) -> Callable[[], Result]:
        """Bind the function to its inputs."""
        return partial(self.functions[case.loss], *inputs, gradient=case.gradient)


def _open_crossent(threads: int) -> Library:
    crossent.set_num_threads(threads)
    return Arrays({name: _crossent(name) for name in LOSSES if hasattr(crossent, LOSSES[name])})


def _open_numpy(_threads: int) -> Library:
    return Arrays({"sparse": _numpy_sparse, "binary": _numpy_binary, "linear": _numpy_linear})


def _open_scipy(_threads: int) -> Library:
    special = importlib.import_module("scipy.special")

    def sparse(logits: Array, labels: Array, *, gradient: bool) -> Result:
        log_p = special.log_softmax(logits, axis=1)
        value = -np.mean(log_p[np.arange(len(labels)), labels])
        return value, (_slope(np.exp(log_p, out=log_p), labels),) if gradient else ()

    return Arrays({"sparse": sparse})


def _open_sklearn(_threads: int) -> Library:
    metrics = importlib.import_module("sklearn.metrics")
    extmath = importlib.import_module("sklearn.utils.extmath")

    def sparse(logits: Array, labels: Array, **_: bool) -> Result:
        classes = np.arange(logits.shape[1])
        return metrics.log_loss(labels, extmath.softmax(logits), labels=classes), ()

    return Arrays({"sparse": sparse}, values_only=True)


# --- the limits --------------------------------------------------------------------------------


def _read(part: Array) -> None:
    np.max(part)


def _exp(part: Array) -> None:
    tile = part[:TILE]
    out = np.empty_like(tile)
    for start in range(0, len(part), TILE):
        np.exp(tile[: len(part) - start], out=out[: len(part) - start])


def _open_limit(work: Callable[[Array], None], threads: int) -> Library:
    pool = ThreadPoolExecutor(threads)
    spread: Callable[..., Any] = map if threads == 1 else pool.map

    def limit(logits: Array, _targets: Array, **_: bool) -> Result:
        list(spread(work, np.array_split(logits.reshape(-1), threads)))
        return None, ()

    return Arrays(dict.fromkeys(("sparse", "binary", "focal"), limit))


# --- torch -------------------------------------------------------------------------------------


class Torch:
    """torch, eager or compiled."""

    def __init__(self, threads: int, *, compiled: bool) -> None:
        if compiled and not any(map(shutil.which, (os.environ.get("CXX", "g++"), "clang++"))):
            raise MissingError("no C++ compiler")
        self.torch = importlib.import_module("torch")
        self.torch.set_num_threads(threads)
        self.compiled = compiled
        self.calls_before_memory = int(compiled)  # compiling takes memory of its own
        functional = self.torch.nn.functional
        self.losses: dict[str, Callable[..., Any]] = {
            "sparse": functional.cross_entropy,
            "binary": functional.binary_cross_entropy_with_logits,
            "focal": self._focal,
            "linear": lambda hidden, weight, y: functional.cross_entropy(hidden @ weight.T, y),
        }

    def _focal(self, logits: Any, targets: Any) -> Any:
        plain = self.torch.nn.functional.binary_cross_entropy_with_logits(
            logits, targets, reduction="none"
        )
        p = self.torch.sigmoid(logits)
        return (plain * (p + targets - 2 * p * targets) ** 2).mean()

    def put(self, array: Array) -> Any:
        """Copy it into memory that torch allocates."""
        return self.torch.tensor(array)

    def get(self, result: Any) -> Array:
        """View it as an array."""
        return np.asarray(result.detach().numpy())

    def offers(self, case: Case) -> bool:
        """Whether the loss is there."""
        return case.loss in self.losses

    def prepare(self, case: Case, inputs: list[Any]) -> Callable[[], Result]:
        """Bind the loss, and autograd where the gradient is asked for, to its inputs."""
        loss = self.losses[case.loss]
        if self.compiled:
            self.torch.compiler.reset()  # every shape is compiled for itself
            loss = self.torch.compile(loss, fullgraph=True, dynamic=False)
        leaves = [leaf.requires_grad_(case.gradient) for leaf in inputs[: case.differentiated]]

        def value() -> Result:
            return loss(*inputs), ()

        def both() -> Result:
            result = loss(*inputs)
            return result, self.torch.autograd.grad(result, leaves)

        return both if case.gradient else value


# --- TensorFlow --------------------------------------------------------------------------------


class TensorFlow:
    """tf.nn: eager, as a tf.function, or compiled by XLA."""

    # It keeps the memory that it has freed, so only the first call shows what a call needs.
    calls_before_memory = 0

    def __init__(self, threads: int, *, graph: bool = False, xla: bool = False) -> None:
        self.tf = importlib.import_module("tensorflow")
        self.tf.config.threading.set_intra_op_parallelism_threads(threads)
        self.tf.config.threading.set_inter_op_parallelism_threads(threads)
        self.graph, self.xla = graph, xla
        self.losses: dict[str, Callable[..., Any]] = {
            "sparse": self.tf.nn.sparse_softmax_cross_entropy_with_logits,
            "binary": self.tf.nn.sigmoid_cross_entropy_with_logits,
        }

    def put(self, array: Array) -> Any:
        """Copy it into a tensor."""
        return self.tf.constant(array)

    def get(self, result: Any) -> Array:
        """Copy it into an array."""
        return np.asarray(result.numpy())

    def offers(self, case: Case) -> bool:
        """Whether the loss is there."""
        return case.loss in self.losses

    def prepare(self, case: Case, inputs: list[Any]) -> Callable[[], Result]:
        """Bind the loss, and a gradient tape where the gradient is asked for, to its inputs."""
        loss = self.losses[case.loss]

        def value(logits: Any, targets: Any) -> Any:
            return self.tf.reduce_mean(loss(labels=targets, logits=logits)), ()

        def both(logits: Any, targets: Any) -> Any:
            with self.tf.GradientTape() as tape:
                tape.watch(logits)
                result, _ = value(logits, targets)
            return result, (tape.gradient(result, logits),)

        chosen = both if case.gradient else value
        function = self.tf.function(chosen, jit_compile=self.xla) if self.graph else chosen

        def run() -> Result:
            result, gradients = function(*inputs)
            return result.numpy(), gradients  # asking for the number waits for the work

        return run


# --- the process -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Peer:
    """A name in the tables: how to open the library, and its environment."""

    open: Callable[[int], Library]
    environment: dict[str, str] = field(default_factory=dict)
    traced: bool = True  # whether tracemalloc sees its arrays


_HUGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}
PEERS = {
    "crossent": Peer(_open_crossent),
    "torch eager": Peer(partial(Torch, compiled=False), _HUGE_PAGES, traced=False),
    "torch.compile": Peer(partial(Torch, compiled=True), _HUGE_PAGES, traced=False),
    "torch eager, default environment": Peer(partial(Torch, compiled=False), traced=False),
    "tf.nn eager": Peer(TensorFlow, traced=False),
    "tf.function": Peer(partial(TensorFlow, graph=True), traced=False),
    "tf.function, XLA": Peer(partial(TensorFlow, graph=True, xla=True), traced=False),
    "SciPy": Peer(_open_scipy),
    "scikit-learn": Peer(_open_sklearn),
    "NumPy": Peer(_open_numpy),
    "limit: one read": Peer(partial(_open_limit, _read)),
    "limit: exp": Peer(partial(_open_limit, _exp)),
}


class Worker:
    """Answers the requests for one peer."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = PEERS[peer]
        self.threads = threads
        self.made: tuple[Case, list[Any]] | None = None  # inputs, kept for the next case
        self.absent: Answer = {}

    def ask(self, action: str, case: Case | None = None, calls: int = 1) -> Answer:
        """Start the library, prepare a case, time some calls, or measure the memory of one."""
        if action == "start":
            return self._start()
        if action == "time":
            return self._time(calls)
        assert case is not None
        try:
            return self.absent or (self._prepare if action == "prepare" else self._memory)(case)
        except MissingError as error:
            return {"missing": str(error)}

    def close(self) -> None:
        """Free the inputs."""
        self.made = None

    def _start(self) -> Answer:
        try:
            self.library = self.peer.open(self.threads)
        except (MissingError, ImportError) as error:
            self.absent = {"missing": str(error)}
        return self.absent

    def _call(self, case: Case) -> Callable[[], Result]:
        if not self.library.offers(case):
            self.made = None
            raise MissingError("no such function")
        key = replace(case, group="", gradient=False)
        if self.made is None or self.made[0] != key:
            self.made = None  # frees the old inputs before new ones are made
            self.made = key, [self.library.put(array) for array in case.inputs()]
        return self.library.prepare(case, self.made[1])

    def _prepare(self, case: Case) -> Answer:
        """Make the inputs, call once and tell what came out, for comparison with the others."""
        self.run = self._call(case)
        start = time.perf_counter()
        value, gradients = self.run()
        seconds = time.perf_counter() - start
        assert self.made is not None
        numbers = [] if value is None else [float(value)]
        for gradient, leaf in zip(gradients, self.made[1], strict=False):
            numbers += _checksums(self.library.get(gradient), self.library.get(leaf))
        return {"first_call": _rounded(seconds), "numbers": numbers}

    def _time(self, calls: int) -> Answer:
        faults, cpu, start = _page_faults(), time.process_time(), time.perf_counter()
        for _ in range(calls):
            self.run()
        end = time.perf_counter(), time.process_time(), _page_faults()
        seconds, cpu_seconds, page_faults = (
            _rounded((b - a) / calls) for a, b in zip((start, cpu, faults), end, strict=True)
        )
        return {"seconds": seconds, "cpu_seconds": cpu_seconds, "page_faults": page_faults}

    def _memory(self, case: Case) -> Answer:
        """Peak memory of one call beyond what was there before, in bytes."""
        self._call(replace(case, shape=(1, *case.shape[1:])))()  # loads code, starts threads
        run = self._call(case)
        for _ in range(self.library.calls_before_memory):
            run()
        _give_back_free_memory()
        if self.peer.traced:
            tracemalloc.start()
        before = _peak_resident()
        _, gradients = run()
        resident = None if before is None else (_peak_resident(reset=False) or 0) - before
        traced = tracemalloc.get_traced_memory()[1] if self.peer.traced else None
        tracemalloc.stop()
        returned = sum(self.library.get(gradient).nbytes for gradient in gradients)
        return {"traced": traced, "resident": resident, "returned": returned}


def _checksums(gradient: Array, leaf: Array) -> list[float]:
    """Length of the gradient, and its product with the input, summed in blocks against rounding."""
    blocks = max(1, gradient.size // TILE)
    pairs = [
        (float(np.vdot(g, g)), float(np.vdot(g, x)))
        for g, x in zip(
            np.array_split(gradient.ravel(), blocks),
            np.array_split(leaf.ravel(), blocks),
            strict=True,
        )
    ]
    square, product = (sum(column) for column in zip(*pairs, strict=True))
    return [float(square**0.5), float(product)]


def _rounded(number: float) -> float:
    """Round to five digits: more would only fill the file."""
    return float(f"{number:.5g}")


def _page_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def _give_back_free_memory() -> None:
    """Make glibc return what is free, so that a call cannot hide in memory freed before."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _peak_resident(*, reset: bool = True) -> int | None:
    """Peak resident memory since the last reset; None where the system does not tell (Linux)."""
    marker, status = Path("/proc/self/clear_refs"), Path("/proc/self/status")
    if not marker.exists():
        return None
    if reset:
        marker.write_text("5", encoding="ascii")
    fields = dict(line.split(":", 1) for line in status.read_text(encoding="ascii").splitlines())
    return 1024 * int(fields["VmHWM"].split()[0])


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    worker = Worker(sys.argv[1], int(sys.argv[2]))
    gc.disable()  # as timeit does
    for line in sys.stdin:
        request = json.loads(line)
        if "case" in request:
            gc.collect()  # frees what the case before has left
            case = request["case"]
            request["case"] = Case(**{**case, "shape": tuple(case["shape"])})
        try:
            answer = worker.ask(**request)
        except Exception:  # whatever it is, speed.py raises it
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
