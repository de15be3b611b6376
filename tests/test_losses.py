"""The losses: semantics by hand, limits, and the numbers of mpmath."""

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import crossent
from crossent import (
    _spans,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    categorical_cross_entropy,
    categorical_cross_entropy_with_logits,
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
)
from tests import bounds

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
BOUND = bounds.ulp("sparse_categorical_cross_entropy_with_logits", np.float64)
INF, NAN = np.inf, np.nan
OVER_CLASSES: Any = [
    (categorical_cross_entropy, categorical_cross_entropy_with_logits),
    (sparse_categorical_cross_entropy, sparse_categorical_cross_entropy_with_logits),
]

# Three rows of probabilities whose logarithms are whole numbers of bits.
P = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75], [0.25, 0.5, 0.25]])
LABELS = np.array([0, 1, 0])
ONE_HOT = np.eye(3)[LABELS]
BITS = np.array([1.0, 3.0, 2.0])  # of each label
LN2 = float(np.log(2))


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(400):  # e^-800 is 10^-347
        yield


def four_ways(**options: Any) -> list[Any]:
    """The same loss from probabilities or logits and from labels or one-hot targets."""
    return [
        categorical_cross_entropy(P, ONE_HOT, **options),
        categorical_cross_entropy_with_logits(np.log(P), ONE_HOT, **options),
        sparse_categorical_cross_entropy(P, LABELS, **options),
        sparse_categorical_cross_entropy_with_logits(np.log(P), LABELS, **options),
    ]


def assert_four_ways(expected: Any, **options: Any) -> None:
    for result in four_ways(**options):
        np.testing.assert_allclose(result, expected, rtol=8 * ULP)


# --- reductions, weights, smoothing -------------------------------------------------------------


def test_reductions() -> None:
    assert_four_ways(BITS * LN2, reduction="none")
    assert_four_ways(6 * LN2, reduction="sum")
    assert_four_ways(2 * LN2, reduction="mean")
    assert_four_ways(2 * LN2)
    assert_four_ways(2 * LN2, reduction="weighted_mean")


def test_class_weights() -> None:
    options: dict[str, Any] = {"class_weight": [1.0, 2.0, 10.0]}
    assert_four_ways([1 * LN2, 6 * LN2, 2 * LN2], reduction="none", **options)
    assert_four_ways(9 * LN2 / 3, reduction="mean", **options)
    assert_four_ways(9 * LN2 / 4, reduction="weighted_mean", **options)


def test_class_weights_of_each_row() -> None:
    options: dict[str, Any] = {"class_weight": [[1, 0, 0], [0, 4, 0], [5, 1, 1]]}
    assert_four_ways([1 * LN2, 12 * LN2, 10 * LN2], reduction="none", **options)
    assert_four_ways(23 * LN2 / 10, reduction="weighted_mean", **options)
    assert_four_ways([2 * LN2, 6 * LN2, 4 * LN2], reduction="none", class_weight=2.0)
    assert_four_ways([LN2, 9 * LN2, 4 * LN2], reduction="none", class_weight=[[1], [3], [2]])


def test_sample_weights() -> None:
    options: dict[str, Any] = {"sample_weight": [1.0, 0.0, 3.0]}
    assert_four_ways([LN2, 0, 6 * LN2], reduction="none", **options)
    assert_four_ways(7 * LN2 / 3, reduction="mean", **options)
    assert_four_ways(7 * LN2 / 4, reduction="weighted_mean", **options)
    assert_four_ways(3 * LN2, sample_weight=1.5)


def test_weights_multiply() -> None:
    options: dict[str, Any] = {"sample_weight": [1.0, 0.5, 3.0], "class_weight": [1, 2, 10]}
    assert_four_ways(10 * LN2, reduction="sum", **options)
    assert_four_ways(10 * LN2 / 5, reduction="weighted_mean", **options)


def test_label_smoothing_mixes_with_the_uniform_distribution() -> None:
    uniform = np.array([5.0, 6.0 - np.log2(3) + 2, 5.0]) / 3  # −log2 0.75 = 2 − log2 3
    assert_four_ways((0.7 * BITS + 0.3 * uniform) * LN2, label_smoothing=0.3, reduction="none")
    assert_four_ways(uniform * LN2, label_smoothing=1, reduction="none")


def test_smoothing_and_class_weights() -> None:
    # The weights multiply the smoothed target, but divide as if it were not smoothed.
    w, epsilon = np.array([1.0, 2.0, 10.0]), 0.3
    smooth = (1 - epsilon) * ONE_HOT + epsilon / 3
    terms = -(w * smooth * np.log(P)).sum(axis=1)
    options: dict[str, Any] = {"class_weight": w, "label_smoothing": epsilon}
    assert_four_ways(terms, reduction="none", **options)
    assert_four_ways(terms.sum() / 4, reduction="weighted_mean", **options)


def test_soft_targets() -> None:
    targets = np.array([[0.5, 0.5, 0], [0, 1, 0], [0.25, 0.25, 0.5]])
    w = [1, 2, 10]
    for loss, predictions in zip(OVER_CLASSES[0], (P, np.log(P)), strict=True):
        result = loss(predictions, targets, reduction="none")
        np.testing.assert_allclose(result, [1.5 * LN2, 3 * LN2, 1.75 * LN2], rtol=8 * ULP)
        result = loss(predictions, targets, class_weight=w, reduction="weighted_mean")
        assert result == pytest.approx((2.5 + 6 + 11) * LN2 / (1.5 + 2 + 5.75), rel=8 * ULP, abs=0)


def test_ignored_labels_do_not_count() -> None:
    for loss, predictions in zip(OVER_CLASSES[1], (P, np.log(P)), strict=True):
        for ignored in (-100, 255, 1):
            labels = np.array([0, ignored, 0])
            options: dict[str, Any] = {"ignore_index": ignored, "class_weight": [3, 1, 1]}
            expected = [3 * LN2, 0, 6 * LN2]
            result = loss(predictions, labels, reduction="none", **options)
            np.testing.assert_allclose(result, expected, rtol=8 * ULP)
            for reduction, value in (("sum", 9), ("mean", 4.5), ("weighted_mean", 1.5)):
                result = loss(predictions, labels, reduction=reduction, **options)
                assert result == pytest.approx(value * LN2, rel=8 * ULP, abs=0)
            smooth = loss(predictions, labels, label_smoothing=1, ignore_index=ignored)
            assert smooth == pytest.approx(10 / 6 * LN2, rel=8 * ULP, abs=0)


def test_every_label_counts_by_default() -> None:
    with pytest.raises(IndexError):
        sparse_categorical_cross_entropy(P, [0, -100, 0])


# --- binary losses --------------------------------------------------------------------------------

Q = np.array([0.5, 0.25, 0.125])
Q_LOGITS = np.log(Q / (1 - Q))


def binary_two_ways(targets: Any, **options: Any) -> list[Any]:
    return [
        binary_cross_entropy(Q, targets, **options),
        binary_cross_entropy_with_logits(Q_LOGITS, targets, **options),
    ]


def test_binary_cross_entropy() -> None:
    for result in binary_two_ways([1, 1, 0], reduction="none"):
        np.testing.assert_allclose(result, [LN2, 2 * LN2, -np.log(0.875)], rtol=8 * ULP)
    for result in binary_two_ways([1, 1, 1]):
        assert result == pytest.approx(2 * LN2, rel=8 * ULP, abs=0)
    soft = -0.75 * np.log(Q) - 0.25 * np.log1p(-Q)
    for result in binary_two_ways([0.75, 0.75, 0.75], reduction="none"):
        np.testing.assert_allclose(result, soft, rtol=8 * ULP)


def test_binary_smoothing_pulls_towards_one_half() -> None:
    smooth = -0.9 * np.log(Q) - 0.1 * np.log1p(-Q)
    for result in binary_two_ways([1, 1, 1], label_smoothing=0.2, reduction="none"):
        np.testing.assert_allclose(result, smooth, rtol=8 * ULP)


def test_binary_sample_weights() -> None:
    options: dict[str, Any] = {"sample_weight": [1, 2, 0]}
    for result in binary_two_ways([1, 1, 1], **options):
        assert result == pytest.approx(5 * LN2 / 3, rel=8 * ULP, abs=0)
    for result in binary_two_ways([1, 1, 1], reduction="weighted_mean", **options):
        assert result == pytest.approx(5 * LN2 / 3, rel=8 * ULP, abs=0)
    for result in binary_two_ways([1, 0.5, 1], reduction="weighted_mean", sample_weight=2):
        assert result == pytest.approx(
            (1 + 1 - np.log2(0.75) / 2 + 3) * LN2 / 3, rel=8 * ULP, abs=0
        )


def test_pos_weight() -> None:
    loss = binary_cross_entropy_with_logits
    options: dict[str, Any] = {"pos_weight": 3.0}
    result = loss(Q_LOGITS, [1, 1, 0], reduction="none", **options)
    np.testing.assert_allclose(result, [3 * LN2, 6 * LN2, -np.log(0.875)], rtol=8 * ULP)
    total = 9 * LN2 - np.log(0.875)
    assert loss(Q_LOGITS, [1, 1, 0], **options) == pytest.approx(total / 3, rel=8 * ULP, abs=0)
    weighted = loss(Q_LOGITS, [1, 1, 0], reduction="weighted_mean", **options)
    assert weighted == pytest.approx(total / 7, rel=8 * ULP, abs=0)
    # Soft targets weigh in proportion, as they are given, not as they are smoothed.
    weighted = loss(
        Q_LOGITS, [0.5, 0.5, 0.5], reduction="weighted_mean", label_smoothing=0.5, **options
    )
    soft = (-3 * np.log(Q) - np.log1p(-Q)) / 2
    assert weighted == pytest.approx(soft.sum() / 6, rel=8 * ULP, abs=0)
    each = loss(Q_LOGITS, [1, 1, 1], pos_weight=[1, 2, 3], reduction="none")
    np.testing.assert_allclose(each, [LN2, 4 * LN2, 9 * LN2], rtol=8 * ULP)


def focal_in_full(z: float, target: int, gamma: float) -> Any:
    toward = mpf(z if target else -z)
    rest = 1 / (1 + mp.exp(toward))
    return rest ** mpf(gamma) * mp.log(1 + mp.exp(-toward))


def focal(z: float, target: int, gamma: float) -> float:
    return float(focal_in_full(z, target, gamma))


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("z", [0.0, 0.7, -0.7, 33.3, -33.3, 111.1, -111.1])
def test_focal_loss(z: float, gamma: float) -> None:
    for target in (0, 1):
        # mpmath: the definition, in 400 digits
        true = focal(z, target, gamma)
        result = binary_focal_loss_with_logits(z, target, gamma=gamma)
        ulp = bounds.ulp("binary_focal_loss_with_logits", np.float64, {"γ": gamma})
        assert abs(result - true) <= ulp * np.spacing(true)


def test_focal_options() -> None:
    loss = binary_focal_loss_with_logits
    z, t = np.array([0.3, -1.2, 2.0]), np.array([1, 0, 0])
    each = np.array([focal(*pair, 2) for pair in zip(z, t, strict=True)])
    np.testing.assert_allclose(loss(z, t, reduction="none"), each, rtol=8 * ULP)
    weighted = each * [0.25, 0.75, 0.75]
    np.testing.assert_allclose(loss(z, t, alpha=0.25), weighted.sum() / 3, rtol=8 * ULP)
    mean = loss(z, t, alpha=0.25, sample_weight=[1, 2, 1], reduction="weighted_mean")
    assert mean == pytest.approx((weighted * [1, 2, 1]).sum() / 2.5, rel=8 * ULP, abs=0)
    soft = loss(z, [0.25] * 3, reduction="none")
    parts = [[focal(v, 1, 2), focal(v, 0, 2)] for v in z]
    np.testing.assert_allclose(soft, parts @ np.array([0.25, 0.75]), rtol=8 * ULP)
    np.testing.assert_allclose(
        loss(z, t, gamma=0), binary_cross_entropy_with_logits(z, t), rtol=8 * ULP
    )


# --- shapes and dtypes ------------------------------------------------------------------------


def test_a_single_row() -> None:
    loss: Any = sparse_categorical_cross_entropy_with_logits([0.0, 0.0], 1, reduction="none")
    assert isinstance(loss, np.float64)
    assert loss == pytest.approx(LN2, rel=ULP, abs=0)
    assert isinstance(binary_cross_entropy(0.5, 1, reduction="none"), np.float64)


def test_integers_become_float64() -> None:
    assert categorical_cross_entropy_with_logits([[1, 2]], [[0, 1]]).dtype == np.float64
    assert binary_cross_entropy([1], [1]) == 0.0


def test_mean_is_accumulated_in_float64() -> None:
    # In float32 the sum of 2^24 ones would stop at 2^24; float16 would overflow.
    z = np.zeros(100_000, np.float16)
    result = binary_cross_entropy_with_logits(z, z)
    assert result == np.float16(LN2)
    tiny = np.full(100_000, 1e-5, np.float32)
    mean = binary_cross_entropy(tiny, np.zeros_like(tiny))
    assert mean == np.float32(-np.log1p(-np.float64(tiny[0])))


@pytest.mark.parametrize("rows", [127, 1000, 2048])
def test_equal_losses_add_up_without_drift(rows: int) -> None:
    # NumPy's sum of 127 equal terms is off by up to 6 units in the last place.
    for loss, targets in (
        (binary_cross_entropy_with_logits, np.ones(rows)),
        (binary_focal_loss_with_logits, np.ones(rows)),
        (binary_cross_entropy, np.ones(rows)),
    ):
        z = np.full(rows, 0.7)
        assert loss(z, targets) == pytest.approx(loss(z[:1], targets[:1]), rel=ULP, abs=0)


@pytest.mark.parametrize("seed", range(5))
def test_large_float32_losses_are_summed_in_float64(seed: int) -> None:
    z = np.random.default_rng(seed).normal(size=100_000).astype(np.float32)
    for loss in (binary_cross_entropy_with_logits, binary_focal_loss_with_logits):
        each = loss(z, np.zeros_like(z), reduction="none")
        assert loss(z, np.zeros_like(z)) == np.float32(each.astype(float).mean())


def test_more_rows_than_a_tile_holds() -> None:
    random = np.random.default_rng(3)
    n = _spans.SPAN // 8
    z = random.normal(size=(n, 10)) * 100
    labels = random.integers(0, 10, n)
    weight, classes = random.uniform(size=n), random.uniform(size=(n, 10))
    for loss, targets in (
        (sparse_categorical_cross_entropy_with_logits, labels),
        (categorical_cross_entropy_with_logits, crossent.softmax(random.normal(size=(n, 10)))),
    ):
        for smoothing in (0.0, 0.1):
            options: dict[str, Any] = {"label_smoothing": smoothing, "reduction": "none"}
            whole = loss(z, targets, sample_weight=weight, class_weight=classes, **options)
            parts = [
                loss(z[s], targets[s], sample_weight=weight[s], class_weight=classes[s], **options)
                for s in np.array_split(np.arange(n), 5)
            ]
            np.testing.assert_array_equal(whole, np.concatenate(parts))


# --- limits and accuracy ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("z", "label", "loss"),
    [
        ([40.0, 0.0], 0, 4.248354255291589e-18),  # mpmath.log1p(mpmath.exp(-40))
        ([0.0, 17.0, 0.0], 1, 8.279868720374e-08),  # mpmath.log1p(2 * mpmath.exp(-17))
        ([1e4, -1e4], 1, 20000.0),
        ([1e6 + 0.25, 1e6, 1e6], 0, 0.93906993),  # mpmath.log1p(2 * mpmath.exp(-0.25))
        ([745.0, 0.0, 0.0], 0, 5e-324),  # 2 e^-745 = 5.6e-324
        ([0.0, 0.0], 0, LN2),
    ],
)
def test_small_and_large_losses(z: list[float], label: int, loss: float) -> None:
    rest = mp.fsum(mp.exp(mpf(v) - mpf(z[label])) for j, v in enumerate(z) if j != label)
    true = float(mp.log(1 + rest))
    assert true == pytest.approx(loss, rel=1e-5, abs=0)
    one_hot = np.eye(len(z))[label]
    for result in (
        sparse_categorical_cross_entropy_with_logits(z, label),
        categorical_cross_entropy_with_logits(z, one_hot),
        sparse_categorical_cross_entropy_with_logits(np.roll(z, 1), (label + 1) % len(z)),
    ):
        assert abs(result - true) <= BOUND * np.spacing(true)


LIMITS: list[tuple[list[float], int, float]] = [
    ([-INF, 0.0, 0.0], 1, LN2),
    ([-INF, 0.0], 1, 0.0),
    ([-INF, 0.0], 0, INF),
    ([INF, 0.0], 0, 0.0),
    ([INF, 0.0], 1, INF),
    ([INF, INF], 0, NAN),
    ([INF, INF, 0.0], 2, INF),
    ([-INF, -INF], 0, NAN),
    ([NAN, 0.0], 1, NAN),
    ([NAN, 0.0], 0, NAN),
    ([INF, -INF], 0, 0.0),
    ([INF, -INF], 1, INF),
]


@pytest.mark.parametrize(("z", "label", "loss"), LIMITS)
def test_infinite_logits_give_the_limit(z: list[float], label: int, loss: float) -> None:
    for result in (
        sparse_categorical_cross_entropy_with_logits(z, label),
        categorical_cross_entropy_with_logits(z, np.eye(len(z))[label]),
    ):
        np.testing.assert_allclose(result, loss, rtol=ULP)


@pytest.mark.parametrize(
    ("z", "target", "loss"),
    [(-INF, 0, 0.0), (-INF, 1, INF), (INF, 1, 0.0), (INF, 0, INF), (INF, 0.5, INF), (NAN, 0, NAN)],
)
def test_infinite_binary_logits_give_the_limit(z: float, target: float, loss: float) -> None:
    np.testing.assert_array_equal(binary_cross_entropy_with_logits(z, target), loss)
    np.testing.assert_array_equal(binary_focal_loss_with_logits(z, target), loss)


def test_nan_stays_in_its_row() -> None:
    z = np.array([[0.0, 0.0], [NAN, 0.0]])
    result = sparse_categorical_cross_entropy_with_logits(z, [0, 0], reduction="none")
    np.testing.assert_array_equal(result, [result[0], NAN])
    assert result[0] == pytest.approx(LN2, rel=ULP, abs=0)


def test_weight_zero_and_ignored_count_as_zero_whatever_the_row_holds() -> None:
    z = np.array([[0.0, 0.0], [NAN, 0.0], [0.0, -INF]])
    loss = sparse_categorical_cross_entropy_with_logits
    assert loss(z, [0, 0, 1], sample_weight=[1, 0, 0], reduction="sum") == loss(z[:1], [0])
    assert loss(z, [0, 7, 7], ignore_index=7) == loss(z[:1], [0])
    assert loss(z[:1], [0], class_weight=[0, 1]) == 0.0
    assert loss(z[2], 1, class_weight=[1, 0]) == 0.0
    dense = categorical_cross_entropy_with_logits
    assert dense([0.0, 0.0, -INF], [0.5, 0.5, 0.0]) == pytest.approx(LN2, rel=ULP, abs=0)
    assert dense([0.0, 0.0, -INF], [0, 0, 1], class_weight=[1, 1, 0]) == 0.0
    assert categorical_cross_entropy([0.5, 0.5, 0.0], [1, 0, 0]) == pytest.approx(
        LN2, rel=ULP, abs=0
    )


def test_impossible_probabilities_are_infinite() -> None:
    assert sparse_categorical_cross_entropy([0.0, 1.0], 0) == INF
    assert categorical_cross_entropy([0.0, 1.0], [1, 0]) == INF
    assert sparse_categorical_cross_entropy([0.0, 1.0], 1) == 0.0
    assert binary_cross_entropy([0.0, 1.0], [1, 0], reduction="none").tolist() == [INF, INF]
    assert binary_cross_entropy([0.0, 1.0], [0, 1], reduction="none").tolist() == [0.0, 0.0]
    assert not np.signbit(binary_cross_entropy([0.0, 1.0], [0, 1], reduction="none")).any()


def test_probabilities_close_to_their_ends() -> None:
    p = np.array([1e-300, 2.0**-60, 1 - 2.0**-53])
    true = [float(-mp.log(1 - mpf(v))) for v in p]
    np.testing.assert_allclose(binary_cross_entropy(p, [0] * 3, reduction="none"), true, rtol=ULP)
    true = [float(-mp.log(mpf(v))) for v in p]
    np.testing.assert_allclose(binary_cross_entropy(p, [1] * 3, reduction="none"), true, rtol=ULP)


@pytest.mark.parametrize("loss", [crossent.binary_cross_entropy_with_logits])
def test_arguments_keep_their_names(loss: Callable[..., Any]) -> None:
    assert loss(logits=[0.0], targets=[1.0]) == pytest.approx(LN2, rel=ULP, abs=0)


def test_smoothed_labels_of_many_classes_need_no_square_of_them() -> None:
    classes = 100_000
    z = np.random.default_rng(0).standard_normal((2, classes))
    tracemalloc.start()
    sparse_categorical_cross_entropy_with_logits(z, [0, 7], label_smoothing=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * z.nbytes


# --- numbers that 16 bits cannot hold ----------------------------------------------------------

HALF: Any = np.float16


@pytest.mark.parametrize(
    ("call", "true"),
    [
        (lambda: crossent.perplexity(np.zeros((2, 128_256), HALF), [0, 1]), 128_256.0),
        (
            lambda: sparse_categorical_cross_entropy_with_logits(
                np.zeros((40_000, 10), HALF), np.zeros(40_000, int), reduction="sum"
            ),
            40_000 * np.log(10),
        ),
        (
            lambda: sparse_categorical_cross_entropy_with_logits(HALF([[65504, -65504]]), [1]),
            131_008.0,
        ),
        (
            lambda: sparse_categorical_cross_entropy_with_logits(
                HALF([65504, -65504]), 1, reduction="none"
            ),
            131_008.0,
        ),
        (
            lambda: sparse_categorical_cross_entropy_with_logits(
                HALF([0, -65504]), 1, sample_weight=1e40
            ),
            6.5504e44,
        ),
        (lambda: crossent.grad(crossent.binary_cross_entropy)(HALF(2.0**-20), 1), -(2.0**20)),
        (lambda: crossent.entropy(HALF([0.5, 0.5]), base=1.000001), np.log(2) / np.log(1.000001)),
        (lambda: crossent.entropy_with_logits(HALF([1, 1]), base=1.000001), 693147.5),
        (
            lambda: crossent.linear_cross_entropy(HALF([[3e4]]), HALF([[2.0], [-2.0]]), [1]),
            120_000.0,
        ),
        (lambda: crossent.logsumexp(np.full(2**23 + 2**20, 65504, HALF)), 65_520.06),
    ],
)
def test_a_number_too_large_for_16_bits_comes_in_a_wider_type(call: Any, true: float) -> None:
    value = call()
    assert value.dtype == (np.float32 if abs(true) < 1e38 else np.float64)
    np.testing.assert_allclose(value, true, rtol=3e-7)


def test_a_number_that_is_infinite_stays_in_its_type() -> None:
    for value in (
        crossent.binary_cross_entropy(HALF([0.0]), [1]),
        crossent.cross_entropy(HALF([0.5, 0.5]), HALF([1, 0])),
        crossent.logsumexp(HALF([np.inf, 0])),
    ):
        assert value == np.inf
        assert value.dtype == HALF


def test_a_subnormal_probability_of_small_mass() -> None:
    """1 / p is beyond float64, but not what it is multiplied by."""
    gradient: Any = crossent.grad(categorical_cross_entropy)
    slope = gradient([2.0**-1040, 1.0], [2.0**-60, 1.0 - 2.0**-53])
    assert slope[0] == -(2.0**980)
    slope = crossent.grad(binary_cross_entropy)([2.0**-1040], [1], label_smoothing=0.0)
    assert slope[0] == -INF
