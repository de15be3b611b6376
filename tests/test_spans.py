"""Spans: how a batch is cut, and that nothing is copied whole."""

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest

import crossent
from crossent import (
    _spans,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    categorical_cross_entropy_with_logits,
    sparse_categorical_cross_entropy_with_logits,
)


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
@pytest.mark.usefixtures("two_threads")
def test_no_temporary_of_the_size_of_the_logits(dtype: Any, axis: int) -> None:
    z = np.ones((2000, 2000) if axis == -1 else (20, 2000, 100), dtype)
    labels = np.zeros((2000,) if axis == -1 else (20, 100), int)
    assert (
        peak(lambda: sparse_categorical_cross_entropy_with_logits(z, labels, axis=axis)) < 4 << 20
    )


@pytest.mark.parametrize("loss", [binary_cross_entropy_with_logits, binary_focal_loss_with_logits])
@pytest.mark.usefixtures("two_threads")
def test_no_temporary_of_the_size_of_binary_logits(loss: Any) -> None:
    z = np.ones(3_000_000)
    assert peak(lambda: loss(z, np.zeros_like(z))) - z.nbytes < 10 << 20 < z.nbytes


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.usefixtures("one_thread")
def test_dense_targets_along_another_axis_are_not_copied_whole(reduction: Any) -> None:
    z = np.ones((20, 1000, 100))
    targets = np.full(z.shape, 0.001)
    options: dict[str, Any] = {"class_weight": np.ones(1000), "reduction": reduction}

    def dense() -> None:
        categorical_cross_entropy_with_logits(z, targets, axis=1, **options)

    assert peak(dense) < z.nbytes / 2


@pytest.mark.parametrize("loss", [binary_cross_entropy_with_logits, binary_focal_loss_with_logits])
@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
@pytest.mark.usefixtures("one_thread")
def test_integer_targets_are_not_copied_whole(loss: Any, reduction: str) -> None:
    z, t = np.ones(3_000_000, np.float32), np.zeros(3_000_000, bool)
    assert peak(lambda: loss(z, t, reduction=reduction)) < z.nbytes


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


# --- constant memory: less than input and result -------------------------------------------------

FEW = 6 << 20  # bytes
NARROW = (1_000_000, 2)
INFORMATION: list[Any] = [
    crossent.entropy, crossent.cross_entropy, crossent.kl_divergence, crossent.js_divergence,
]  # fmt: skip


def beyond_the_result(call: Any) -> int:
    """Return the peak of a call beyond what it returns, in bytes."""
    return peak(call) - int(np.asarray(call()).nbytes)


@pytest.mark.parametrize("labels", [np.int64, np.uint8])
@pytest.mark.parametrize("options", [{}, {"class_weight": [1.0, 2.0]}, {"label_smoothing": 0.1}])
@pytest.mark.usefixtures("one_thread")
def test_labels_of_narrow_rows_are_not_copied_whole(labels: Any, options: dict[str, Any]) -> None:
    z, y = np.zeros(NARROW, np.float32), np.zeros(NARROW[0], labels)
    y[::3] = 100
    options = {"ignore_index": 100, "reduction": "weighted_mean", **options}
    assert peak(lambda: sparse_categorical_cross_entropy_with_logits(z, y, **options)) < FEW


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.usefixtures("one_thread")
def test_sums_of_narrow_rows_are_not_kept(axis: int) -> None:
    p = np.full(NARROW if axis == -1 else NARROW[::-1], 0.5, np.float32)
    loss = crossent.categorical_cross_entropy
    assert peak(lambda: loss(p, p, axis=axis, class_weight=[1.0, 2.0])) < FEW
    assert beyond_the_result(lambda: crossent.entropy(p, axis=axis)) < FEW


@pytest.mark.parametrize("function", INFORMATION)
@pytest.mark.parametrize("shape", [NARROW, (2_000_000,), (20, 1000, 100)])
@pytest.mark.usefixtures("one_thread")
def test_information_takes_constant_memory(function: Any, shape: Any) -> None:
    axis = 1 if len(shape) == 3 else -1
    p = np.full(shape, 1 / shape[axis], np.float32)
    pair = [p] if function is crossent.entropy else [p, p]
    assert beyond_the_result(lambda: function(*pair, axis=axis)) < FEW


@pytest.mark.usefixtures("one_thread")
def test_what_is_broadcast_takes_constant_memory() -> None:
    p, q = np.full((300, 1, 10), 0.1), np.full((300, 10), 0.1)
    assert beyond_the_result(lambda: crossent.kl_divergence(p, q)) < FEW


@pytest.mark.parametrize("function", [crossent.softmax, crossent.log_softmax, crossent.logsumexp])
@pytest.mark.parametrize("shape", [NARROW, (2_000_000,)])
@pytest.mark.parametrize("top", [0.0, 400.0])
@pytest.mark.usefixtures("one_thread")
def test_activations_take_constant_memory(function: Any, shape: Any, top: float) -> None:
    z = np.zeros(shape, np.float32)
    z[..., 1] = top
    assert beyond_the_result(lambda: function(z)) < FEW
    if function is crossent.logsumexp:
        assert beyond_the_result(lambda: function(z, axis=None)) < FEW


@pytest.mark.parametrize("loss", [
    crossent.categorical_cross_entropy_with_logits,
    crossent.categorical_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
    crossent.sparse_categorical_cross_entropy,
])  # fmt: skip
@pytest.mark.parametrize("smoothed", [False, True])
@pytest.mark.usefixtures("one_thread")
def test_losses_of_one_long_row_take_constant_memory(loss: Any, smoothed: bool) -> None:
    classes = 2_000_000
    p = np.full((1, classes), 1 / classes, np.float32)
    targets = [3] if "sparse" in loss.__name__ else p
    options: dict[str, Any] = {}
    if smoothed:
        options = {"label_smoothing": 0.1, "class_weight": np.ones(classes)}
    assert peak(lambda: loss(p, targets, **options)) < FEW
    gradient = crossent.grad(loss)
    assert beyond_the_result(lambda: gradient(p, targets, **options)) < FEW


@pytest.mark.parametrize("function", [crossent.sigmoid, crossent.log_sigmoid])
@pytest.mark.usefixtures("one_thread")
def test_elementwise_functions_take_constant_memory(function: Any) -> None:
    z = np.zeros(2_000_000, np.float32)
    assert beyond_the_result(lambda: function(z)) < FEW
