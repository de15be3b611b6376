"""Threads: they change no result, keep the order, raise what goes wrong, and are never needed."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossent
from crossent import (
    _spans,
    binary_cross_entropy_with_logits,
    sparse_categorical_cross_entropy_with_logits,
)

INF, NAN = np.inf, np.nan
LARGE = (_spans.SHARED // 10 + 1, 10)


def test_the_setting_is_kept() -> None:
    before = crossent.get_num_threads()
    assert before >= 1
    crossent.set_num_threads(before + 3)
    assert crossent.get_num_threads() == before + 3
    crossent.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_threads_change_nothing(dtype: Any, reduction: str) -> None:
    random = np.random.default_rng(5)
    z = (random.normal(size=LARGE) * 9).astype(dtype)
    t = random.integers(0, 2, LARGE)
    calls: list[tuple[Any, Any]] = [
        (sparse_categorical_cross_entropy_with_logits, random.integers(0, 10, LARGE[0])),
        (binary_cross_entropy_with_logits, t),
    ]
    before = crossent.get_num_threads()
    for loss, targets in calls:
        results = []
        for threads in (1, 2, 3):
            crossent.set_num_threads(threads)
            results.append(crossent.value_and_grad(loss)(z, targets, reduction=reduction))
        for value, slope in results[1:]:
            np.testing.assert_array_equal(value, results[0][0])
            np.testing.assert_array_equal(slope, results[0][1])
    crossent.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_threads_are_as_quiet_as_the_caller() -> None:
    z = np.zeros(LARGE)
    z[::7, 0], z[1::7, 1] = INF, NAN
    labels = np.zeros(len(z), int)
    result = sparse_categorical_cross_entropy_with_logits(z, labels, reduction="none")
    np.testing.assert_array_equal(np.isnan(result), np.isnan(z).any(axis=1))


def times_ten(job: int) -> int:
    return job * 10


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_thread_is_raised() -> None:
    ours, failed = threading.get_ident(), threading.Event()

    def fail_in_a_helper(job: int) -> int:
        if threading.get_ident() != ours:
            failed.set()
            raise RuntimeError("three")
        assert failed.wait(timeout=10)
        return job

    def fail(_: int) -> int:
        raise RuntimeError("three")

    for begin in (lambda: fail_in_a_helper, lambda: fail):
        with pytest.raises(RuntimeError, match="three"):
            _spans.in_threads(begin, [1, 2, 3], _spans.SHARED + 1)


@pytest.mark.usefixtures("two_threads")
def test_after_an_error_in_a_helper_the_caller_takes_no_other_job() -> None:
    caller, failed = threading.current_thread(), threading.Event()
    helpers: list[threading.Thread] = []
    done: list[int] = []

    def work(job: int) -> None:
        if threading.current_thread() is not caller:
            helpers.append(threading.current_thread())
            failed.set()
            raise RuntimeError("three")
        assert failed.wait(timeout=10)
        helpers[0].join(timeout=10)
        done.append(job)

    with pytest.raises(RuntimeError, match="three"):
        _spans.in_threads(lambda: work, list(range(9)), _spans.SHARED + 1)
    assert len(done) <= 1  # none, where the helper was first


@pytest.mark.usefixtures("two_threads")
def test_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def begin() -> Callable[[int], int]:
        both.wait(timeout=10)
        return times_ten

    assert _spans.in_threads(begin, [1, 2, 3], _spans.SHARED + 1) == [10, 20, 30]


def test_the_caller_does_what_is_not_shared() -> None:
    def work(job: int) -> tuple[int, int]:
        return job, threading.get_ident()

    before = crossent.get_num_threads()
    for threads, size in ((1, _spans.SHARED + 1), (2, _spans.SHARED)):
        crossent.set_num_threads(threads)
        mine = threading.get_ident()
        done = _spans.in_threads(lambda: work, [1, 2, 3], size)
        assert done == [(1, mine), (2, mine), (3, mine)]
    crossent.set_num_threads(before)


# --- where no thread can start, or not for long ---------------------------------------------------

# A process of its own has two threads, and a call that they share.
SCRIPT = """
import atexit, os, signal, sys, threading, time
import numpy as np
import crossent
from crossent import _spans

crossent.set_num_threads(2)
z = np.zeros((_spans.SHARED // 2 + 1, 2), np.float32)
labels = np.zeros(len(z), int)

def compute():
    loss = crossent.sparse_categorical_cross_entropy_with_logits(z, labels)
    assert abs(loss - np.log(2)) < 1e-6
    print("computed", flush=True)
"""


def run(script: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + script],
        cwd=Path(__file__).parents[1],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_thread_that_outlives_the_main_one_computes() -> None:
    script = """
def later():
    threading.main_thread().join()
    compute()

threading.Thread(target=later).start()
"""
    assert run(script) == "computed\n"


def test_an_exit_handler_computes() -> None:
    assert run("atexit.register(compute)") == "computed\n"


def test_where_no_thread_can_start_the_caller_computes() -> None:
    script = """
def refuse(self):
    raise RuntimeError("can't start new thread")

threading.Thread.start = refuse
compute()
"""
    assert run(script) == "computed\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_computes_that_was_forked_while_threads_were_at_work() -> None:
    script = """
import warnings
warnings.simplefilter("ignore")  # newer Pythons warn of any fork beside threads
at_work, forked = threading.Event(), threading.Event()

def begin():
    at_work.set()
    forked.wait()
    return abs

caller = threading.Thread(target=_spans.in_threads, args=(begin, [1, 2], z.size))
caller.start()
at_work.wait()
child = os.fork()
if child == 0:
    signal.alarm(20)
    both = threading.Barrier(2)  # the child has a helper, too

    def meet():
        both.wait(10)
        return abs

    assert _spans.in_threads(meet, [1, 2], z.size) == [1, 2]
    compute()
    os._exit(0)
_, status = os.waitpid(child, 0)
forked.set()
caller.join()
sys.exit(status)
"""
    assert run(script) == "computed\n"


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot interrupt itself alone")
def test_an_interrupt_ends_a_call_within_a_tile() -> None:
    script = """
tiles = []

def work(job):
    time.sleep(0.02)
    tiles.append(job)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
began = time.perf_counter()
try:
    _spans.in_threads(lambda: work, list(range(1000)), z.size)
except KeyboardInterrupt:
    assert time.perf_counter() - began < 5.0  # of 10 seconds of work, however busy the machine
    done = len(tiles)
    time.sleep(0.2)
    assert len(tiles) == done  # no thread works on
    assert threading.active_count() == 1
    compute()
"""
    assert run(script) == "computed\n"


@pytest.mark.usefixtures("two_threads")
def test_calls_at_the_same_time_share_the_threads() -> None:
    started, most = threading.Barrier(16), []

    def work(job: int) -> int:
        time.sleep(0.001)
        most.append(threading.active_count())
        return job

    def call() -> None:
        started.wait(timeout=10)
        done = _spans.in_threads(lambda: work, list(range(20)), _spans.SHARED + 1)
        assert done == list(range(20))

    others = threading.active_count()
    crossent.set_num_threads(5)  # the fixture sets it back
    callers = [threading.Thread(target=call) for _ in range(16)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert max(most) <= others + 16 + 4


# --- how many -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "threads"),
    [("3", 3), (" 5 ", 5), ("4,2,1", 4), ("", 64), ("0", 64), ("-2", 64), ("all", 64)],
)
def test_the_environment_says_how_many(
    setting: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "process_cpu_count", lambda: 64, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", setting)
    assert _spans.default_num_threads() == threads


def test_processors_are_those_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delattr(os, "process_cpu_count", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 8}, raising=False)
    assert _spans.default_num_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    assert _spans.default_num_threads() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert _spans.default_num_threads() == 1
    monkeypatch.setattr(os, "process_cpu_count", lambda: 2, raising=False)
    assert _spans.default_num_threads() == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be pinned here")
def test_a_process_that_is_pinned_to_one_processor_has_one_thread() -> None:
    script = """
import subprocess
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
subprocess.run([sys.executable, "-c", "import crossent; print(crossent.get_num_threads())"])
"""
    assert run(script, OMP_NUM_THREADS="") == "1\n"
