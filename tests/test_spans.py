"""Spans and threads: how a batch is cut, that nothing is copied whole, that order is kept."""

import math
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import crossent
from crossent import (
    _spans,
    _sums,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    categorical_cross_entropy_with_logits,
    sparse_categorical_cross_entropy_with_logits,
)
from crossent._kernels import Kernel
from tests import calls

REDO = [Kernel.redo]
INF, NAN = np.inf, np.nan
LARGE = (_spans.SHARED // 10 + 1, 10)
LOSS_OF_LABELS: Any = sparse_categorical_cross_entropy_with_logits


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = crossent.get_num_threads()
    crossent.set_num_threads(2)
    yield
    crossent.set_num_threads(before)


@pytest.mark.parametrize("batch", [(), (0,), (1,), (7,), (3, 4), (0, 5), (5, 0), (2, 3, 4), (9, 2)])
@pytest.mark.parametrize("limit", [1, 2, 5, 8, 1000])
def test_spans_are_the_batch_in_order(batch: tuple[int, ...], limit: int) -> None:
    order = np.arange(math.prod(batch)).reshape(batch)
    cut = list(_spans.spans(batch, limit))
    for index, place in cut:
        assert order[index].size <= limit
        np.testing.assert_array_equal(order[index].ravel(), np.arange(place.start, place.stop))
    assert sum(place.stop - place.start for _, place in cut) == order.size


def test_spans_are_of_about_one_size() -> None:
    lengths = [place.stop - place.start for _, place in _spans.spans((65536,), 20971)]
    assert lengths == [16384] * 4
    assert list(_spans.spans((4, 8), 32)) == [((), slice(0, 32))]


@pytest.mark.parametrize("terms", [1, 2, 10, 127, 1000, 100_000])
def test_row_sums_are_correctly_rounded(terms: int) -> None:
    random = np.random.default_rng(terms)
    rows = np.stack(
        [
            np.full(terms, 0.7),
            np.full(terms, 0.7e-20),
            np.exp(random.normal(size=terms) * 10),
            np.exp(random.uniform(-600, 600, terms)),
            np.zeros(terms),
            np.full(terms, 5e-324),
        ]
    )
    np.testing.assert_array_equal(_sums.row_sums(rows), [math.fsum(row) for row in rows])


def test_row_sums_of_what_is_not_finite() -> None:
    with np.errstate(all="ignore"):
        sums = _sums.row_sums(np.array([[1.0, INF], [NAN, 1.0], [1e308, 1e308]]))
    np.testing.assert_array_equal(sums, [INF, NAN, INF])
    assert _sums.row_sums(np.zeros((2, 0))).tolist() == [0.0, 0.0]


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


@pytest.mark.usefixtures("_two_threads")
def test_threads_are_as_quiet_as_the_caller() -> None:
    z = np.zeros(LARGE)
    z[::7, 0], z[1::7, 1] = INF, NAN
    labels = np.zeros(len(z), int)
    result = sparse_categorical_cross_entropy_with_logits(z, labels, reduction="none")
    np.testing.assert_array_equal(np.isnan(result), np.isnan(z).any(axis=1))


@pytest.mark.usefixtures("_two_threads")
def test_an_error_in_a_thread_is_raised() -> None:
    def work(jobs: list[int]) -> list[int]:
        if 3 in jobs:
            raise RuntimeError("three")
        return jobs

    assert _spans.in_threads(work, [1, 2], _spans.SHARED + 1) == [1, 2]
    with pytest.raises(RuntimeError, match="three"):
        _spans.in_threads(work, [1, 2, 3], _spans.SHARED + 1)


@pytest.mark.usefixtures("_two_threads")
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


def peak(call: Any) -> int:
    """Return the most memory that a call had at once beyond what there was, in bytes."""
    call()  # what is imported and cached once
    tracemalloc.start()
    call()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.usefixtures("_two_threads")
def test_no_temporary_of_the_size_of_the_logits(dtype: Any, axis: int) -> None:
    z = np.ones((2000, 2000) if axis == -1 else (20, 2000, 100), dtype)
    labels = np.zeros((2000,) if axis == -1 else (20, 100), int)
    assert (
        peak(lambda: sparse_categorical_cross_entropy_with_logits(z, labels, axis=axis)) < 4 << 20
    )


@pytest.mark.parametrize("loss", [binary_cross_entropy_with_logits, binary_focal_loss_with_logits])
@pytest.mark.usefixtures("_two_threads")
def test_no_temporary_of_the_size_of_binary_logits(loss: Any) -> None:
    z = np.ones(3_000_000)
    assert peak(lambda: loss(z, np.zeros_like(z))) - z.nbytes < 10 << 20 < z.nbytes


def test_dense_targets_along_another_axis_are_not_copied_whole() -> None:
    z = np.ones((20, 1000, 100))
    targets = np.full(z.shape, 0.001)
    weights = np.ones(1000)

    def dense() -> None:
        categorical_cross_entropy_with_logits(z, targets, axis=1, class_weight=weights)

    assert peak(dense) < z.nbytes / 2


@pytest.mark.parametrize("loss", [binary_cross_entropy_with_logits, binary_focal_loss_with_logits])
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_integer_targets_are_not_copied_whole(loss: Any, reduction: str) -> None:
    z, t = np.ones(3_000_000, np.float32), np.zeros(3_000_000, bool)
    assert peak(lambda: loss(z, t, reduction=reduction)) < z.nbytes


@pytest.mark.parametrize("gamma", [0.3, 1.3, 3.7])
def test_an_exponent_that_float32_cannot_hold(gamma: float) -> None:
    z = np.linspace(-40, 40, 70_001).astype(np.float32)
    for target in (0, 1):
        t = np.full_like(z, target)
        large = binary_focal_loss_with_logits(z, t, gamma=gamma, reduction="none")
        true = binary_focal_loss_with_logits(
            z[::7].astype(float), t[::7], gamma=gamma, reduction="none"
        )
        ulp = np.spacing(true.astype(np.float32))
        assert (np.abs(large[::7] - true) <= (8 + 3 * gamma) * ulp).all()


@pytest.mark.parametrize(
    "options",
    [
        {"pos_weight": 1e39, "sample_weight": 1e-30},
        {"pos_weight": 1e37, "reduction": "weighted_mean"},
    ],
)
def test_weights_beyond_float32(options: dict[str, Any]) -> None:
    z = np.linspace(-3, 3, 70_000).astype(np.float32)
    t = np.ones_like(z)
    ask = crossent.value_and_grad(binary_cross_entropy_with_logits)
    value, slope = ask(z, t, **options)
    true = ask(z.astype(float), t, **options)
    np.testing.assert_allclose(value, true[0], rtol=1e-6)
    np.testing.assert_allclose(slope, true[1], rtol=1e-6)


def test_a_share_beyond_float32() -> None:
    z = np.linspace(-3, 3, 70_000).astype(np.float32)
    t, options = np.ones_like(z), {"alpha": 1e-46, "reduction": "weighted_mean"}
    ask = crossent.value_and_grad(binary_focal_loss_with_logits)
    value, slope = ask(z, t, **options)
    true = ask(z.astype(float), t, **options)
    np.testing.assert_allclose(value, true[0], rtol=2e-6)
    np.testing.assert_allclose(slope, true[1], rtol=2e-6)


@pytest.mark.parametrize("classes", [20, 31, 127, 1000])
@pytest.mark.parametrize("rows", [2, 70_000])
def test_one_high_logit_among_equals(classes: int, rows: int) -> None:
    """The others all round the same way, beside a sum that is much larger or is not."""
    rows = max(2, rows // classes)
    z = np.full((rows, classes), -0.4113262648164623)
    z[:, 3] = np.linspace(0, 20, rows)
    labels = np.full(rows, 5)
    ask = crossent.value_and_grad(LOSS_OF_LABELS)
    value, slope = ask(z, labels, reduction="none")
    # Long double has 11 bits more.
    e = np.exp(z.astype(np.longdouble))
    e[:, 5] = 0
    others, one = e.sum(axis=1), np.exp(z[:, 5].astype(np.longdouble))
    ulps = 10 if z.size > _spans.LARGE else 4
    for got, true in (
        (value, np.log1p(others / one)),
        (slope[:, 3], e[:, 3] / (others + one)),
        (slope[:, 5], -others / (others + one)),
    ):
        assert (np.abs(got - true) <= ulps * np.spacing(np.abs(true).astype(float))).all()


def bound(loss: Any, z: Any) -> float:
    """The error in ulp that the docstring of a loss allows a large array."""
    if z.dtype == np.float16:
        return 1.0
    if loss is binary_focal_loss_with_logits:
        return 8.0 + 3.0 * 2.0
    if loss is sparse_categorical_cross_entropy_with_logits and z.dtype == np.float32:
        return float(8.0 + 2.5 * np.abs(z[np.abs(z) < 83.0]).max())
    return 8.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_large_is_as_its_parts(dtype: Any) -> None:
    """Small arrays are held to the bound of 4 ulp elsewhere; large ones go other ways."""
    random = np.random.default_rng(6)
    z = (random.normal(size=(7000, 30)) * 5).astype(dtype)
    z[:50] *= 30  # beyond what the fast kernels take
    z[50:60, 3], z[60:70, 3], z[70:75, 3] = -INF, INF, NAN
    labels = random.integers(0, 30, 7000)
    weight = random.choice([0.0, 1.0, 3.0], 7000)
    for loss, targets in (
        (sparse_categorical_cross_entropy_with_logits, labels),
        (binary_cross_entropy_with_logits, random.uniform(size=z.shape)),
        (binary_focal_loss_with_logits, random.integers(0, 2, z.shape)),
    ):
        w = weight[:, None] if targets.ndim == 2 else weight
        options: Any = {"sample_weight": w, "reduction": "none"}
        value, slope = crossent.value_and_grad(loss)(z, targets, **options)
        for rows in (slice(0, 100), slice(100, 1100), slice(6000, 7000)):
            options["sample_weight"] = w[rows]
            part = crossent.value_and_grad(loss)(z[rows], targets[rows], **options)
            ulp = np.finfo(dtype).eps * bound(loss, z[rows])
            for whole, expected in zip((value[rows], slope[rows]), part, strict=True):
                scale = np.abs(expected).astype(float)
                if targets.dtype == float and whole.ndim == 2:  # a soft target may cancel
                    scale = scale + w[rows]
                with np.errstate(invalid="ignore"):
                    error = np.abs(whole.astype(float) - expected)
                bad = ~(error <= ulp * scale + np.finfo(dtype).smallest_subnormal)
                bad &= ~((whole == expected) | (np.isnan(whole) & np.isnan(expected)))
                assert not bad.any(), (loss.__name__, np.argwhere(bad)[:3])


def test_rows_longer_than_the_scratch() -> None:
    random = np.random.default_rng(7)
    classes = _spans.SCRATCH // np.dtype(float).itemsize + 1
    z, labels = random.normal(size=(3, classes)), [0, 7, classes - 1]
    ask = crossent.value_and_grad(sparse_categorical_cross_entropy_with_logits)
    value, slope = ask(z, labels, reduction="none")
    for row in range(3):
        one, its_slope = ask(z[row], labels[row], reduction="none")
        assert value[row] == one
        np.testing.assert_array_equal(slope[row], its_slope)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_rows_add_up_without_drift(dtype: Any) -> None:
    # Equal terms, each rounded the same way as it is added: a sum in one go loses most.
    z = np.full((2, 200_001), 0.1, dtype)
    slope = crossent.grad(sparse_categorical_cross_entropy_with_logits)(z, [0, 0], reduction="sum")
    np.testing.assert_allclose(slope[:, 1:], 1 / z.shape[1], rtol=8 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moderate_rows_are_done_once(dtype: Any) -> None:
    z = np.random.default_rng(9).uniform(-25, 25, (7000, 10)).astype(dtype)
    z[:, 0] = abs(z[:, 0])
    weight = np.arange(7000) % 3.0  # a weight of 0 is no reason either
    for loss, targets, weights in (
        (LOSS_OF_LABELS, np.arange(7000) % 10, weight),
        (binary_cross_entropy_with_logits, np.zeros(z.shape), weight[:, None]),
        (binary_focal_loss_with_logits, np.ones(z.shape), weight[:, None]),
    ):
        ask = crossent.value_and_grad(loss)
        again, (value, slope) = calls.count(REDO, ask, z, targets, sample_weight=weights)
        assert again == 0
        assert value > 0
        assert not slope[::3].any()
        assert slope[1::3].all()
        far = np.where(np.arange(z.size).reshape(z.shape) == 15, dtype(2000), z)
        again, _ = calls.count(REDO, ask, far, targets, sample_weight=weights)
        assert again == 1


@pytest.mark.parametrize(
    ("dtype", "offset"),
    [(np.float32, -45.0), (np.float32, 78.0), (np.float64, -330.0), (np.float64, 340.0)],
)
def test_large_logits_far_from_zero(dtype: Any, offset: float) -> None:
    """The exponentials are normal, but a factor of the gradient may be too small or too large."""
    random = np.random.default_rng(8)
    z = random.normal(size=(7000, 10)).astype(dtype)
    z[:, 9] -= 50 if dtype == np.float32 else 400
    z += dtype(offset)
    labels = random.integers(0, 10, 7000)
    value, slope = crossent.value_and_grad(LOSS_OF_LABELS)(z, labels)
    whole = z.astype(float)
    parts = [
        crossent.value_and_grad(LOSS_OF_LABELS)(whole[rows], labels[rows], reduction="sum")
        for rows in (slice(0, 3500), slice(3500, 7000))
    ]
    ulp = np.finfo(dtype).eps * bound(LOSS_OF_LABELS, z)
    np.testing.assert_allclose(value, (parts[0][0] + parts[1][0]) / 7000, rtol=ulp)
    expected = np.concatenate([part[1] for part in parts]) / 7000
    np.testing.assert_allclose(slope, expected, rtol=ulp, atol=np.finfo(dtype).smallest_subnormal)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [-1000.0, 1000.0])
def test_one_far_logit_among_many(far: float, dtype: Any) -> None:
    z = np.zeros(70_000, dtype)
    z[5] = far
    for loss in (binary_cross_entropy_with_logits, binary_focal_loss_with_logits):
        each = loss(z, np.full(len(z), far < 0), reduction="none")
        assert each[5] == 1000.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("classes", [513, 2000])
def test_rows_of_many_classes_in_large_arrays(classes: int, dtype: Any) -> None:
    """A row is summed in blocks, and a tile holds many rows."""
    random = np.random.default_rng(12)
    z = (random.normal(size=(200, classes)) * 3).astype(dtype)
    labels = random.integers(0, classes, 200)
    ask = crossent.value_and_grad(LOSS_OF_LABELS)
    value, slope = ask(z, labels, reduction="none")
    ulp = np.finfo(dtype).eps * bound(LOSS_OF_LABELS, z)
    for row in range(0, 200, 20):
        one, its_slope = ask(z[row].astype(float), labels[row], reduction="none")
        np.testing.assert_allclose(value[row], one, rtol=ulp)
        atol = np.finfo(dtype).smallest_subnormal
        np.testing.assert_allclose(slope[row], its_slope, rtol=ulp, atol=atol)
