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
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import crossent  # noqa: E402
from benchmarks import everything_page, speed  # noqa: E402
from benchmarks.everything_cases import (  # noqa: E402
    ELEMENTWISE,
    Data,
    Layer,
    Odd,
    Shape,
    Subject,
    border_shapes,
    borders,
    is_meant,
    linear_subjects,
    odd_data,
    on_odd_data,
    plain_subjects,
    subjects,
)
from benchmarks.everything_numpy import NUMPY  # noqa: E402

Record = dict[str, Any]
Call = Callable[[], Any]
Clock = Callable[[], float]

RESULTS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_suffix(".md")

# What libraries read when they are loaded.
ENVIRONMENT = {
    **dict.fromkeys(speed.THREADS, "1"),
    "THP_MEM_ALLOC_ENABLE": "1",  # torch asks for huge pages, as NumPy does
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # torch compiles without processes of its own
}

SAMPLE = 5e-4  # seconds: shorter calls are repeated to fill it
MOST_CALLS = 1000
ROUNDS = (2, 15)  # at least and at most, after a first one
TOLERANCE = {"float16": 0.1, "float32": speed.TOLERANCE, "float64": speed.TOLERANCE}


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


def cliff(subject: Subject, data: Data, make: Callable[[], list[Odd]], budget: float) -> Record:
    """Measure one function on plain and odd data of one shape."""
    odd = {one.name: one.data for one in make() if is_meant(one, subject)}
    calls = {name: our_call(subject, one) for name, one in ({"plain": data} | odd).items()}
    seconds = alternate(calls, budget * len(calls) / 2)
    return {**subject.record("cliff", data), "seconds": seconds}


def border(subject: Subject, name: str, made: Sequence[Data], budget: float) -> Record:
    """Measure one function below, at and above a border."""
    calls = {str(data.shape): our_call(subject, data) for data in made}
    return {
        **subject.record("border", made[1]),
        "border": name,
        "seconds": alternate(calls, budget * len(calls)),
    }


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


def memory(subject: Subject, sizes: Sequence[Data]) -> Record:
    """Measure the peak of what NumPy allocates in one call, in bytes, at each of some sizes."""
    measured = [_memory(subject, data) for data in sizes]
    return {**subject.record("memory", sizes[0]), "bytes": measured}


def _memory(subject: Subject, data: Data) -> dict[str, int]:
    call = our_call(subject, data)
    arrays, options = subject.inputs(data)
    given = [*arrays, *(one for one in options.values() if isinstance(one, np.ndarray))]
    tracemalloc.start()
    result = call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    returned = sum(np.asarray(one).nbytes for one in _flat(result))
    return {"peak": peak, "input": sum(array.nbytes for array in given), "result": returned}


class Plan(NamedTuple):
    """How much is measured, and for how long each."""

    shapes: Sequence[Shape]
    dtypes: Sequence[str]
    peers: Sequence[str]
    layers: Sequence[Shape]  # (N, D, V)
    odd: Sequence[Shape]
    border_dtypes: Sequence[str]
    most_at_borders: int  # predictions
    threads: Sequence[Shape]
    memory: Sequence[Shape]
    compiled: Sequence[Shape]
    budget: float  # seconds for one cell


WIDER = ("float32", "float64")


SHAPES: Sequence[Shape] = (
    *((32, 10), (65536, 10), (10**6, 2), (2048, 1000), (64, 50257), (1, 10**6)),
    (4, 21, 256, 256),
)
FULL = Plan(
    shapes=SHAPES,
    dtypes=("float16", *WIDER),
    peers=("NumPy", "sum", "SciPy", "torch"),
    layers=((32, 16, 10), (4096, 64, 1000), (256, 256, 32000)),
    odd=((2048, 1000), (65536, 10)),
    border_dtypes=WIDER,
    most_at_borders=1 << 22,
    threads=((10_000, 1000),),
    memory=SHAPES[1:],
    compiled=((2048, 1000),),
    budget=0.2,
)
QUICK = Plan(
    shapes=(
        *((32, 10), (13000, 10), (65000, 2), (130, 1000), (3, 50257), (1, 130_000)),
        (1, 21, 80, 80),
    ),
    dtypes=WIDER,
    peers=("NumPy", "sum"),
    layers=((32, 16, 10),),
    odd=((130, 1000), (13000, 10)),
    border_dtypes=("float32",),
    most_at_borders=1 << 18,
    threads=(),
    memory=(),
    compiled=(),
    budget=0.02,
)
MOST_OF_FLOAT16 = 10**6  # elements; NumPy needs a tenth of a second for these


def run(plan: Plan, only: str = "") -> Iterator[Record]:
    """Measure everything whose name matches."""
    crossent.set_num_threads(1)
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
    yield from named("threads", threads_jobs(plan))
    yield from named("memory", memory_jobs(plan))
    yield from named("compiled", compiled_jobs(plan))


Jobs = Iterator[tuple[Subject, Data, Callable[[], Record]]]


def named(group: str, some: Jobs) -> Iterator[tuple[str, Callable[[], Record]]]:
    """Give jobs their names."""
    for subject, data, measure in some:
        yield f"{group}/{subject.name}/{data.dtype}/{data.shape}", measure


def made(shapes: Iterable[Shape], dtypes: Iterable[str]) -> Iterator[Data]:
    """Yield data; what they hold is made when it is asked for."""
    return (Data(shape, dtype) for dtype, shape in product(dtypes, shapes))


def cell_jobs(plan: Plan) -> Jobs:
    """Yield functions beside their peers."""
    for data in made(plan.shapes, plan.dtypes):
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
    for data in made(plan.odd, WIDER):
        make = cache(lambda data=data: list(odd_data(data)))
        for subject in on_odd_data():
            yield subject, data, partial(cliff, subject, data, make, plan.budget)


def border_jobs(plan: Plan) -> Jobs:
    """Yield functions around borders of at most so many predictions."""
    for dtype, (name, (size, is_rows)), elementwise in product(
        plan.border_dtypes, borders().items(), (False, True)
    ):
        if size > plan.most_at_borders:
            continue
        for shapes in border_shapes(size, is_rows=is_rows, elementwise=elementwise):
            around = list(made(shapes, [dtype]))
            for subject in plain_subjects():
                if (subject.function in ELEMENTWISE) == elementwise:
                    yield subject, around[1], partial(border, subject, name, around, plan.budget)


def threads_jobs(plan: Plan) -> Jobs:
    """Yield functions with one thread and two."""
    for data in made(plan.threads, WIDER):
        for subject in plain_subjects():
            yield subject, data, partial(threads, subject, data, plan.budget)


def memory_jobs(plan: Plan) -> Jobs:
    """Yield functions whose memory is measured, at shapes and at those of twice the size."""
    for rows, classes, *others in plan.memory:
        double = (2 * rows, classes) if rows > 1 else (rows, 2 * classes)
        sizes = list(made(((rows, classes, *others), (*double, *others)), ["float32"]))
        for subject in subjects():
            yield subject, sizes[0], partial(memory, subject, sizes)


def compiled_jobs(plan: Plan) -> Jobs:
    """Yield functions beside compiled torch, which needs seconds to compile each."""
    for data in made(plan.compiled, ["float32"]):
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
    parser.add_argument("--json", metavar="FILE", type=Path, help="where the results go, too")
    options = parser.parse_args()
    gc.disable()  # as timeit does
    measured = results(told(run(QUICK if options.quick else FULL, options.only)))
    text = json.dumps(measured) + "\n"
    if options.json:
        options.json.write_text(text, encoding="utf-8")
    if options.only:
        print(everything_page.page(measured))
    elif options.quick:
        print(everything_page.summary(measured))
    else:
        RESULTS.write_text(text, encoding="utf-8")
        PAGE.write_text(everything_page.page(measured), encoding="utf-8")


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
    if not ENVIRONMENT.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)  # noqa: S606
    main()
