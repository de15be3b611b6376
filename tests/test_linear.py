"""The loss of a linear layer: that of its logits, in less memory."""

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

import crossent
from crossent import linear, linear_cross_entropy
from crossent import sparse_categorical_cross_entropy_with_logits as of_logits
from crossent._kernels import fast
from tests import calls

N, D, V = 300, 7, 250


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "ROWS", 90)
    monkeypatch.setattr(linear, "LOGITS", 1500)  # the weight, too, is in two pieces


def layer(dtype: Any = np.float64, size: float = 1.0) -> tuple[Any, Any, Any, Any]:
    random = np.random.default_rng(0)
    hidden, weight = random.normal(size=(N, D)), random.normal(size=(V, D)) * size
    labels = random.integers(0, V, N)
    return hidden.astype(dtype), weight.astype(dtype), labels, random.normal(size=V).astype(dtype)


def by_logits(hidden: Any, weight: Any, labels: Any, bias: Any, **options: Any) -> tuple[Any, ...]:
    """The same by the chain rule."""
    logits = hidden @ weight.T + (0.0 if bias is None else bias)
    value, slope = crossent.value_and_grad(of_logits)(logits, labels, **options)
    return value, slope @ weight, slope.T @ hidden, slope.sum(axis=0)


OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"reduction": "none"},
    {"reduction": "weighted_mean", "class_weight": np.linspace(0, 3, V)},
    {"label_smoothing": 0.1},
    {"label_smoothing": 1.0, "class_weight": np.linspace(0, 3, V)},
    {"ignore_index": 3},
    {"class_weight": np.linspace(0, 3, V), "ignore_index": 3, "label_smoothing": 0.3},
    {"class_weight": np.linspace(0.5, 2, V), "label_smoothing": 0.2},
    {"sample_weight": np.linspace(0, 2, N)},
    {"sample_weight": np.arange(N) % 3, "reduction": "weighted_mean", "ignore_index": 3},
    {"sample_weight": np.arange(N) % 3, "reduction": "none", "label_smoothing": 0.1},
    {
        "sample_weight": np.linspace(0, 2, N),
        "class_weight": np.linspace(0, 3, V),
        "label_smoothing": 0.3,
        "ignore_index": 3,
        "reduction": "weighted_mean",
    },
]


@pytest.mark.parametrize("size", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("with_bias", [False, True])
def test_it_is_the_loss_of_the_logits(options: Any, with_bias: bool, size: float) -> None:
    hidden, weight, labels, bias = layer(size=size)
    labels[::3] = 3
    bias = bias if with_bias else None
    expected = by_logits(hidden, weight, labels, bias, **options)
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(
        hidden, weight, labels, bias=bias, **options
    )
    # Matrix products of other shapes add up in another order: some ulp of the largest logit.
    tolerance: Any = {"rtol": 1e-13 * size, "atol": 1e-15 * size * N}
    np.testing.assert_allclose(value, expected[0], **tolerance)
    value = linear_cross_entropy(hidden, weight, labels, bias=bias, **options)
    np.testing.assert_allclose(value, expected[0], **tolerance)
    for got, true in zip(slopes, expected[1:], strict=True):
        if got is not None:
            np.testing.assert_allclose(got, true, rtol=1e-12 * size, atol=1e-14 * size * N)
    assert (slopes.bias is None) is not with_bias


@pytest.mark.parametrize("options", OPTIONS)
def test_moderate_rows_are_done_once(options: Any) -> None:
    hidden, weight, labels, bias = layer()
    ask = crossent.value_and_grad(linear_cross_entropy)
    again, (value, slopes) = calls.count(
        [linear.LinearForm.redo], ask, hidden, weight, labels, bias=bias, **options
    )
    assert again == 0
    assert np.all(value >= 0)
    assert slopes.bias.all()
    hidden[labels == 7] *= 1e4
    again, _ = calls.count(
        [linear.LinearForm.redo], ask, hidden, weight, labels, bias=bias, **options
    )
    assert again >= 1


def test_a_row_longer_than_a_piece_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "LOGITS", V - 1)
    hidden, weight, labels, _ = layer(size=1e4)
    value = linear_cross_entropy(hidden, weight, labels)
    assert value == pytest.approx(by_logits(hidden, weight, labels, None)[0], rel=1e-9)


def test_the_pieces_are_small() -> None:
    hidden, weight, labels, _ = layer()
    rows, _ = calls.count([linear.Chunks.sums], linear_cross_entropy, hidden, weight, labels)
    chunks, _ = calls.count([fast.exponentials], linear_cross_entropy, hidden, weight, labels)
    assert (rows, chunks) == (4, 3 * 16 + 5)  # of 90 rows and 16 classes, or 30 and 50


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_torch_agrees(dtype: Any, smoothing: float) -> None:
    hidden, weight, labels, bias = layer(dtype)
    tensors = [torch.tensor(x, requires_grad=True) for x in (hidden, weight, bias)]
    loss = torch.nn.functional.linear_cross_entropy(
        tensors[0], tensors[1], torch.tensor(labels), linear_bias=tensors[2],
        label_smoothing=smoothing,
    )  # fmt: skip
    expected = torch.autograd.grad(loss, tensors)
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(
        hidden, weight, labels, bias=bias, label_smoothing=smoothing
    )
    assert value.dtype == dtype
    eps = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(value, loss.item(), rtol=64 * eps)
    for got, true in zip(slopes, expected, strict=True):
        assert got is not None
        assert got.dtype == dtype
        np.testing.assert_allclose(got, true.numpy(), rtol=64 * eps, atol=4 * eps)


def test_float16_is_computed_in_float32() -> None:
    hidden, weight, labels, bias = layer(np.float16)
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(hidden, weight, labels, bias=bias)
    true = by_logits(hidden.astype(float), weight.astype(float), labels, bias.astype(float))
    assert value == np.float16(true[0])
    for got, expected in zip(slopes, true[1:], strict=True):
        assert got is not None
        assert got.dtype == np.float16
        # The last subnormal, and a float32 sum that falls on the other side of a tie.
        np.testing.assert_allclose(got, expected, rtol=2.0**-10, atol=6e-8)


def test_any_batch() -> None:
    hidden, weight, labels, _ = layer()
    flat = crossent.value_and_grad(linear_cross_entropy)(hidden, weight, labels, reduction="none")
    cube, grid = hidden.reshape(3, 100, D), labels.reshape(3, 100)
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(
        cube, weight, grid, reduction="none"
    )
    np.testing.assert_array_equal(value, flat[0].reshape(3, 100))
    np.testing.assert_array_equal(slopes.hidden, flat[1].hidden.reshape(cube.shape))
    one = linear_cross_entropy(hidden[0], weight, labels[0])
    assert one == pytest.approx(flat[0][0], rel=1e-14, abs=0)
    some: Any = {"ignore_index": labels[7], "reduction": "sum"}
    expected = linear_cross_entropy(hidden, weight, labels, **some)
    assert linear_cross_entropy(cube, weight, grid, **some) == expected
    assert expected == pytest.approx(flat[0][labels != labels[7]].sum(), rel=1e-14, abs=0)


@pytest.mark.parametrize("which", [0, 1])
def test_the_dtype_is_the_common_one(which: int) -> None:
    arrays = list(layer()[:3])
    wide = [array.astype(np.float32).astype(float) for array in arrays[:2]]
    arrays[which] = arrays[which].astype(np.float32)
    arrays[1 - which] = wide[1 - which]
    call: Any = crossent.value_and_grad(linear_cross_entropy)
    value, slopes = call(*arrays)
    expected, true = call(*wide, arrays[2])
    assert value == expected
    for got, other in zip(slopes[:2], true[:2], strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, other)


def test_what_is_ignored_may_be_anything() -> None:
    hidden, weight, labels, bias = layer()
    labels[:50] = -1
    options: Any = {"ignore_index": -1, "bias": bias}
    expected = crossent.value_and_grad(linear_cross_entropy)(hidden, weight, labels, **options)
    hidden[:50] = np.nan
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(hidden, weight, labels, **options)
    assert value == expected[0]
    for got, true in zip(slopes, expected[1], strict=True):
        np.testing.assert_array_equal(got, true)
    assert not slopes.hidden[:50].any()


def test_a_mean_over_nothing_warns() -> None:
    hidden, weight, _, _ = layer()
    labels = np.full(N, -1)
    with pytest.warns(RuntimeWarning, match="mean over nothing") as caught:
        value, slopes = crossent.value_and_grad(linear_cross_entropy)(
            hidden, weight, labels, ignore_index=-1
        )
    assert caught[0].filename == __file__
    assert np.isnan(value)
    assert not slopes.weight.any()
    with pytest.warns(RuntimeWarning, match="mean over nothing") as caught:
        assert np.isnan(linear_cross_entropy(np.zeros((0, D)), weight, np.zeros(0, int)))
    assert caught[0].filename == __file__


def test_nothing_to_divide_by_leaves_no_slope() -> None:
    options: dict[str, Any] = {"class_weight": [0, 1], "label_smoothing": 0.5}
    with pytest.warns(RuntimeWarning, match="mean over nothing"):
        slopes = crossent.grad(linear_cross_entropy)(
            [[1.0]], [[1.0], [0.0]], [0], reduction="weighted_mean", **options
        )
    assert not slopes.hidden.any()
    assert not slopes.weight.any()


def test_an_infinite_row_has_its_limit() -> None:
    arrays = np.array([[np.inf], [1.0]]), np.array([[1.0], [-1.0]])
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(*arrays, [1, 0], reduction="sum")
    assert value == np.inf
    np.testing.assert_array_equal(slopes.weight, [[np.inf], [-np.inf]])


def test_a_row_without_a_limit_is_alone() -> None:
    hidden, weight, labels, _ = layer()
    hidden[5, 2] = np.nan
    each = linear_cross_entropy(hidden, weight, labels, reduction="none")
    assert np.flatnonzero(np.isnan(each)).tolist() == [5]


def test_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    rows, units, classes = 1024, 128, 20_000
    hidden, weight = np.ones((rows, units), np.float32), np.zeros((classes, units), np.float32)
    labels = np.zeros(rows, int)
    gradients = hidden.nbytes + weight.nbytes
    for ask, own in (
        (linear_cross_entropy, 0),
        (crossent.value_and_grad(linear_cross_entropy), gradients),
    ):
        tracemalloc.start()
        ask(hidden, weight, labels)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        # There is room for a piece of the logits, but not for a copy of the weight.
        assert most - own < 0.8 * weight.nbytes < rows * classes * 4 / 5


def test_an_impossible_class_without_weight() -> None:
    bias, weights = np.array([0.0, 0.0, -np.inf]), np.array([1.0, 1.0, 0.0])
    arrays = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    options: Any = {"class_weight": weights, "label_smoothing": 0.1}
    value = linear_cross_entropy(*arrays, [0, 1], bias=bias, **options)
    assert value == of_logits(arrays[0] @ arrays[1].T + bias, [0, 1], **options)


# With mpmath: `truth.categorical_with_logits(exact(z), one_hot(y), exact(weights), 0.1)`, and its
# gradient with respect to the last logit.
LOPSIDED: list[tuple[Any, list[float], int, float, float]] = [
    (np.float64, [0.0, 40.0], 1, 4.0359365425270095e-18, -4.0359365425270095e-18),
    (np.float64, [0.0, 20.0], 0, 1.0305768101571904e-10, -1.0305768090951019e-10),
    (np.float32, [0.0, 36.0], 0, 1.1597615141217846e-17, -1.1597615141217845e-17),
    (np.float32, [0.0, 20.0], 1, 1.9580959392986617e-09, -1.9580959372806934e-09),
]


@pytest.mark.parametrize(("dtype", "z", "label", "loss", "slope"), LOPSIDED)
@pytest.mark.parametrize("bias", [None, [0.0, 0.0]])
def test_a_class_with_all_the_weight_and_the_probability(
    dtype: Any, z: Any, label: int, loss: float, slope: float, bias: Any
) -> None:
    """What the other class adds is all there is, and the sums over both leave nothing of it."""
    arrays = np.ones((1, 1), dtype), np.array(z, dtype)[:, None], [label]
    options: Any = {"class_weight": [0.0, 1.0], "label_smoothing": 0.1}
    if bias is not None:
        bias = np.array(bias, dtype)
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(*arrays, bias=bias, **options)
    rtol = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(value, loss, rtol=rtol)
    np.testing.assert_allclose(slopes.weight.ravel(), [-slope, slope], rtol=rtol)


def test_a_label_without_weight_hides_what_is_not_finite() -> None:
    hidden = np.array([[1.0, np.nan], [0.0, 1.0]])
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(
        hidden, np.ones((3, 2)), [0, 1], class_weight=[0.0, 1.0, 1.0]
    )
    assert value == pytest.approx(np.log(3) / 2)
    assert np.isfinite(slopes.weight).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_sample_without_weight_may_be_anything(smoothing: float) -> None:
    hidden, weight, labels, bias = layer()
    sample = np.linspace(0, 2, N)
    sample[:50] = 0.0
    options: Any = {"bias": bias, "label_smoothing": smoothing, "reduction": "sum"}
    expected = crossent.value_and_grad(linear_cross_entropy)(
        hidden[50:], weight, labels[50:], sample_weight=sample[50:], **options
    )
    hidden[:50] = np.nan
    value, slopes = crossent.value_and_grad(linear_cross_entropy)(
        hidden, weight, labels, sample_weight=sample, **options
    )
    assert value == pytest.approx(expected[0], rel=1e-14, abs=0)
    np.testing.assert_allclose(slopes.weight, expected[1].weight, rtol=0, atol=1e-13)
    np.testing.assert_allclose(slopes.bias, expected[1].bias, rtol=0, atol=1e-13)
    assert not slopes.hidden[:50].any()


def test_a_weight_broadcasts_to_the_batch() -> None:
    hidden, weight, labels, _ = layer(np.float32)
    cube, grid = hidden.reshape(3, 100, D), labels.reshape(3, 100)
    ask = crossent.value_and_grad(linear_cross_entropy)
    value, slopes = ask(cube, weight, grid, sample_weight=[[1], [0], [4]], reduction="none")
    each, all_slopes = ask(cube, weight, grid, reduction="none")
    # Matrix products of other shapes add up in another order.
    np.testing.assert_allclose(value, each * np.array([[1], [0], [4]]), rtol=1e-6)
    np.testing.assert_array_equal(slopes.hidden[1], 0.0 * all_slopes.hidden[1])
    np.testing.assert_allclose(slopes.hidden[2], 4.0 * all_slopes.hidden[2], rtol=1e-5, atol=1e-6)
    same, same_slopes = ask(cube, weight, grid, sample_weight=1.0, reduction="none")
    np.testing.assert_array_equal(same, each)
    np.testing.assert_array_equal(same_slopes.weight, all_slopes.weight)
    one = linear_cross_entropy(hidden[0], weight, labels[0], sample_weight=2.0)
    assert one == pytest.approx(2.0 * each[0, 0], rel=1e-6, abs=0)


def test_no_hidden_units() -> None:
    assert linear_cross_entropy(np.ones((2, 0)), np.ones((4, 0)), [0, 1]) == pytest.approx(
        np.log(4)
    )


WEIGHT = "weight has shape (4, 3) and hidden has shape (2, 5): it needs a row for each class and a "
MALFORMED: list[tuple[Any, dict[str, Any], str]] = [
    ((np.ones((2, 5)), np.ones((4, 3)), [0, 1]), {}, WEIGHT + "column for each hidden unit"),
    (
        (np.ones((2, 4)), np.ones((4, 3)), [0, 1]),
        {},
        WEIGHT.replace("5", "4") + "column for each hidden unit; use weight.T",
    ),
    (
        (np.ones((2, 3)), np.ones((1, 3)), [0, 0]),
        {},
        "weight has shape (1, 3): it needs two or more rows, one for each class",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1]),
        {"bias": [1.0]},
        "bias has shape (1,) and weight has shape (4, 3): bias needs shape (4,)",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1]),
        {"class_weight": np.ones((2, 4))},
        "class_weight has shape (2, 4): it needs shape (4,)",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1]),
        {"class_weight": [0, 1, -1, 1]},
        "class_weight[2] is -1.0: weights are finite and not negative",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1]),
        {"sample_weight": [1, 2, 3]},
        "sample_weight has shape (3,): it needs a shape that broadcasts to (2,)",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1]),
        {"sample_weight": [1, np.inf]},
        "sample_weight[1] is inf: weights are finite and not negative",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1]),
        {"label_smoothing": 2},
        "label_smoothing is 2: it must be from 0 to 1",
    ),
    (
        (np.ones((2, 3)), np.ones((4, 3)), [0, 1, 2]),
        {},
        "labels has shape (3,) and hidden @ weight.T has shape (2, 4): labels needs shape (2,)",
    ),
]


@pytest.mark.parametrize(("arrays", "options", "message"), MALFORMED)
def test_malformed_call(arrays: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        linear_cross_entropy(*arrays, **options)


def test_a_label_out_of_range() -> None:
    with pytest.raises(IndexError, match=r"labels\[1\] is 4: the labels of 4 classes are 0 to 3"):
        linear_cross_entropy(np.ones((2, 3)), np.ones((4, 3)), [0, 4])


def test_check_grad_is_for_losses_of_one_array() -> None:
    check: Any = crossent.check_grad  # a type checker refuses this, too
    with pytest.raises(
        ValueError,
        match=r"^linear_cross_entropy is the loss of two arrays: check the loss of its logits$",
    ):
        check(linear_cross_entropy, np.ones((2, 3)), np.ones((4, 3)))


@pytest.mark.parametrize("name", ["hidden", "weight", "bias", "class_weight", "sample_weight"])
def test_what_is_not_a_number_is_named(name: str) -> None:
    arrays: Any = {"hidden": np.ones((2, 3)), "weight": np.ones((4, 3))}
    arrays[name] = np.array([["a"]])
    with pytest.raises(TypeError, match=rf"^{name} has dtype"):
        linear_cross_entropy(labels=[0, 1], **arrays)


@pytest.mark.parametrize("hidden", [np.float64(1.0), np.ones(4), np.ones((2, 5, 4))])
def test_hidden_that_does_not_fit(hidden: Any) -> None:
    with pytest.raises(ValueError, match=r"^weight has shape \(4, 3\) and hidden has shape"):
        linear_cross_entropy(hidden, np.ones((4, 3)), [0, 1])
