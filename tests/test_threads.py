"""Threads: they change no result, keep the order, and raise what goes wrong in them."""

import threading
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


@pytest.mark.usefixtures("two_threads")
def test_an_error_in_a_thread_is_raised() -> None:
    def work(jobs: list[int]) -> list[int]:
        if 3 in jobs:
            raise RuntimeError("three")
        return jobs

    assert _spans.in_threads(work, [1, 2], _spans.SHARED + 1) == [1, 2]
    with pytest.raises(RuntimeError, match="three"):
        _spans.in_threads(work, [1, 2, 3], _spans.SHARED + 1)


@pytest.mark.usefixtures("two_threads")
def test_threads_work_at_the_same_time() -> None:
    both = threading.Barrier(2)

    def work(jobs: list[int]) -> list[int]:
        both.wait(timeout=10)
        return [job * 10 for job in jobs]

    assert _spans.in_threads(work, [1, 2, 3], _spans.SHARED + 1) == [10, 20, 30]


def test_the_caller_does_what_is_not_shared() -> None:
    def work(jobs: list[int]) -> list[tuple[int, int]]:
        return [(job, threading.get_ident()) for job in jobs]

    before = crossent.get_num_threads()
    for threads, size in ((1, _spans.SHARED + 1), (2, _spans.SHARED)):
        crossent.set_num_threads(threads)
        mine = threading.get_ident()
        assert _spans.in_threads(work, [1, 2, 3], size) == [(1, mine), (2, mine), (3, mine)]
    crossent.set_num_threads(before)
