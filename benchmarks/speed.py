"""Time and memory of the losses beside other libraries: writes speed.json and speed.md beside this.

Run with ``python benchmarks/speed.py``. With ``--only``, ``--peers`` or ``--quick`` only a part is
measured; its tables are printed and no file is written.
"""

import argparse
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from operator import attrgetter
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import crossent  # noqa: E402
from benchmarks import speed_page  # noqa: E402
from benchmarks.speed_page import DEFAULT, LIMITS  # noqa: E402
from benchmarks.speed_peers import PEERS, Answer, Case  # noqa: E402

RESULTS = Path(__file__).with_suffix(".json")
PAGE = Path(__file__).with_suffix(".md")
PACKAGES = ("numpy", "torch", "tensorflow", "scipy", "scikit-learn")

DTYPES = ("float32", "float64")
SHAPES = ((65536, 10), (65536, 100), (8192, 1000), (2048, 32000), (512, 128256))
ELEMENTS = 10_000_000
LINEAR = (2048, 512, 32000)
CACHE_FIELDS = ("level", "type", "size")

FRAMEWORKS = {name for name in PEERS if name.startswith(("torch", "tf"))}
INVITED = {  # the peers of each group; those that lack the loss say so themselves
    "shapes": set(PEERS),
    "two threads": {"crossent", *FRAMEWORKS, *LIMITS} - {DEFAULT},
    "growth in N": {"crossent", "torch eager", "NumPy"},
    "growth in V": {"crossent", "torch eager", "NumPy"},
    "elementwise": set(PEERS),
    "linear": {"crossent", "torch eager", "torch.compile", "NumPy"},
    "small": set(PEERS) - {*LIMITS},
    "memory": set(PEERS) - {DEFAULT, *LIMITS},
}

ROUNDS = 9
FEWEST_ROUNDS = 7  # for slow calls
SLOW = 0.2  # seconds
SAMPLE = 0.03  # seconds: shorter calls are repeated to fill it
MOST_CALLS = 5000
PAUSE = 0.02  # seconds: the threads of the peer before go on spinning for a while
TOLERANCE = 1e-3  # XLA's float32 sum of 10⁷ losses is off by 3e-4, a wrong loss by far more
CLIPPED = ("scikit-learn", "float32")  # log_loss clips at 1.2e-7: it tells no loss above 15.9
# What a peer may read its number of threads from.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Respondent(Protocol):
    """A peer that can be asked: a process, or in tests a Worker of this process."""

    def ask(self, action: str, case: Case | None = None, calls: int = 1) -> Answer:
        """Send a request and wait for the answer."""

    def close(self) -> None:
        """Let it end."""


class Process:
    """A peer in a process of its own."""

    def __init__(self, peer: str, threads: int, cache: str) -> None:
        environment = {
            **os.environ,
            **dict.fromkeys(THREADS, str(threads)),
            "CUDA_VISIBLE_DEVICES": "",  # the CPU is compared
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TORCHINDUCTOR_CACHE_DIR": cache,  # empty at first, so that compiling is timed
            "THP_MEM_ALLOC_ENABLE": "0",
            **PEERS[peer].environment,
        }
        self.peer = peer
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.speed_peers", peer, str(threads)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # TensorFlow talks; an error comes back as the answer
            text=True,
        )

    def ask(self, action: str, case: Case | None = None, calls: int = 1) -> Answer:
        """Send a request and wait for the answer."""
        request: dict[str, Any] = {"action": action, "calls": calls}
        if case is not None:
            request["case"] = asdict(case)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.peer} ended, exit code {self.process.wait()}")
        answer: Answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.peer}:\n{answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self.process.communicate()


# --- what is measured --------------------------------------------------------------------------


def all_cases() -> list[Case]:
    """Every case; value and gradient of the same inputs follow each other."""
    cases = [
        Case(group, "sparse", shape, dtype, threads=threads)
        for group, threads in (("shapes", 1), ("two threads", 2))
        for shape in SHAPES
        for dtype in DTYPES
    ]
    for doubling in range(4):
        cases.append(Case("growth in N", "sparse", (1024 << doubling, 1000), "float32"))
        cases.append(Case("growth in V", "sparse", (512, 4000 << doubling), "float32"))
    for dtype in DTYPES:
        cases += (Case("elementwise", loss, (ELEMENTS,), dtype) for loss in ("binary", "focal"))
        cases.append(Case("small", "sparse", (1, 10), dtype))
    cases.append(Case("linear", "linear", LINEAR, "float32"))
    largest = {"sparse": (2048, 32000), "binary": (ELEMENTS,), "linear": LINEAR}
    cases += (Case("memory", loss, shape, "float32") for loss, shape in largest.items())
    return [replace(case, gradient=gradient) for case in cases for gradient in (False, True)]


def guests(case: Case, peers: Iterable[str]) -> list[str]:
    """Those of the peers that take part in a case."""
    invited = INVITED[case.group] & (INVITED["linear"] if case.loss == "linear" else set(PEERS))
    return [peer for peer in peers if peer in invited]


def tiny(case: Case) -> Case:
    """Return the case with 1/64 of the rows, to try the harness."""
    return replace(case, shape=(max(1, case.shape[0] // 64), *case.shape[1:]))


# --- measuring ---------------------------------------------------------------------------------


def measure(case: Case, workers: Mapping[str, Respondent], rounds: int) -> dict[str, Any]:
    """Time one case: the peers take turns, after they agreed on what the result is."""
    answers = {peer: worker.ask("prepare", case) for peer, worker in workers.items()}
    _check_agreement(case, answers)
    ready = {peer: answer for peer, answer in answers.items() if "missing" not in answer}
    planned = {peer: _plan(workers[peer], rounds) for peer in ready}
    samples: dict[str, list[Answer]] = {peer: [] for peer in ready}
    for turn in range(rounds):
        for peer, (peer_rounds, calls) in planned.items():
            if turn < peer_rounds:
                if case.threads > 1:
                    time.sleep(PAUSE)
                samples[peer].append(workers[peer].ask("time", calls=calls))
    for peer, answer in ready.items():
        answer["calls_per_sample"] = planned[peer][1]
        for quantity in samples[peer][0]:
            answer[quantity] = [sample[quantity] for sample in samples[peer]]
    return {"name": case.name, **asdict(case), "peers": answers}


def _plan(worker: Respondent, rounds: int) -> tuple[int, int]:
    """Warm up a second time, and choose the rounds of a peer and the calls in each."""
    seconds = worker.ask("time")["seconds"]
    calls = min(MOST_CALLS, max(1, round(SAMPLE / seconds)))
    return min(rounds, FEWEST_ROUNDS) if seconds > SLOW else rounds, calls


def _check_agreement(case: Case, answers: Mapping[str, Answer]) -> None:
    """Require the same value, gradient length and gradient-input product of all peers."""
    numbers = {
        peer: answer["numbers"]
        for peer, answer in answers.items()
        if answer.get("numbers") and (peer, case.dtype) != CLIPPED
    }
    for column in zip(*numbers.values(), strict=True):
        low, high = min(column), max(column)
        if not high - low <= TOLERANCE * max(abs(low), abs(high)):
            raise ArithmeticError(f"the peers do not agree on {case.name}: {numbers}")


def measure_memory(case: Case, workers: Mapping[str, Respondent]) -> dict[str, Any]:
    """Measure the peak extra memory of one call of each peer; the workers are to be fresh."""
    answers = {peer: worker.ask("memory", case) for peer, worker in workers.items()}
    return {"name": case.name, **asdict(case), "peers": answers}


@contextmanager
def open_workers(
    peers: Iterable[str], threads: int, start: Callable[[str, int], Respondent]
) -> Iterator[dict[str, Respondent]]:
    """Start the peers and wait until all are ready, so that none loads while another is timed."""
    with ExitStack() as stack:
        workers = {peer: stack.enter_context(closing(start(peer, threads))) for peer in peers}
        for worker in workers.values():
            worker.ask("start")
        yield workers


def run(
    cases: Iterable[Case],
    peers: Iterable[str],
    start: Callable[[str, int], Respondent],
    rounds: int = ROUNDS,
) -> Iterator[dict[str, Any]]:
    """Measure the cases: those with the same number of threads share their processes."""
    threads = attrgetter("threads")
    timed = sorted((case for case in cases if case.group != "memory"), key=threads)
    for count, group in itertools.groupby(timed, threads):
        chosen = list(group)
        needed = {peer for case in chosen for peer in guests(case, peers)}
        with open_workers([peer for peer in peers if peer in needed], count, start) as workers:
            for case in chosen:
                yield measure(case, {peer: workers[peer] for peer in guests(case, peers)}, rounds)
    for case in cases:
        if case.group == "memory":
            with open_workers(guests(case, peers), case.threads, start) as workers:
                yield measure_memory(case, workers)


# --- the machine -------------------------------------------------------------------------------


def machine() -> dict[str, str]:
    """Describe the machine, as far as its system tells."""
    caches = [
        " ".join((cache / name).read_text(encoding="ascii").strip() for name in CACHE_FIELDS)
        for cache in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    ]
    memory = _after_colon("/proc/meminfo", "MemTotal")
    pages = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    return {
        "CPU": _after_colon("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": str(os.cpu_count()),
        "cache of a core": ", ".join(f"L{cache}" for cache in caches) or "unknown",
        "memory": f"{int(memory.split()[0]) / 2**20:.1f} GiB" if memory else "unknown",
        "system": f"{platform.system()} {platform.release()}",
        "transparent huge pages": pages.read_text(encoding="ascii").strip()
        if pages.exists()
        else "unknown",
    }


def _after_colon(file: str, name: str) -> str:
    if not Path(file).exists():
        return ""
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")


def versions() -> dict[str, str]:
    """Versions of Python and the peers; a peer that is not installed is left out."""
    found = {"Python": platform.python_version(), "crossent": crossent.__version__}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package).split("+")[0]
    return found


def results(records: Iterable[dict[str, Any]], rounds: int) -> dict[str, Any]:
    """Everything that is written: where, when, with what, and the records."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
        "rounds": rounds,
        "cases": list(records),
    }


def main() -> None:
    """Read the command line, measure, and write or print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="REGEX", help="cases whose name it matches")
    parser.add_argument("--peers", metavar="REGEX", help="peers whose name it matches")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--quick", action="store_true", help="1/64 of the rows: a trial")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    options = parser.parse_args()
    cases = [case for case in all_cases() if re.search(options.only or "", case.name)]
    if options.list:
        print("\n".join(case.name for case in cases))
        return
    if options.quick:
        cases = [tiny(case) for case in cases]
    peers = [peer for peer in PEERS if re.search(options.peers or "", peer)]
    with tempfile.TemporaryDirectory() as cache:
        records = _told(run(cases, peers, partial(Process, cache=cache), options.rounds))
        measured = results(records, options.rounds)
    page = speed_page.page(measured)
    if options.only or options.peers or options.quick:
        print(page)
    else:
        RESULTS.write_text(json.dumps(measured) + "\n", encoding="utf-8")
        PAGE.write_text(page, encoding="utf-8")


def _told(records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Tell on the way what has been measured."""
    start = time.perf_counter()
    for record in records:
        print(f"{time.perf_counter() - start:6.0f} s  {record['name']}", file=sys.stderr)
        yield record


if __name__ == "__main__":
    main()
