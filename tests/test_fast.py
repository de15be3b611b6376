"""Fast kernels, and where they hand rows over to a careful one; weights at the extremes.

The reference for float32 is the same call in float64; that for float64 is the same call in pieces
that are not large, which go to other kernels or sum in other ways.
"""

import math
from typing import Any

import numpy as np
import pytest

import crossent
from crossent import (
    _spans,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    linear_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
    value_and_grad,
)
from crossent._kernels import Kernel
from crossent._spans import LARGE
from tests import bounds, calls

INF, NAN = np.inf, np.nan
FAR = {np.float32: 110.0, np.float64: 780.0}  # beyond where e^z is 0 or infinite
WEIGHTS = [1.0, 1e-10, 1e9, 1e30]  # large ones would show digits that were lost in the subnormals
LOSS_OF_LABELS: Any = sparse_categorical_cross_entropy_with_logits
FOCUS = {"γ": 2.0}


def bound(loss: Any, z: Any) -> Any:
    """The error in ulp that the docstring of a loss allows a large array."""
    return bounds.ulp(loss.__name__, z.dtype, FOCUS | bounds.largest(z), size=_spans.LARGE + 1)


def in_small_pieces(loss: Any, z: Any, t: Any, weight: Any, **options: Any) -> list[Any]:
    """Value and gradient in float64, from calls too small for the ways of large arrays."""
    step = _spans.LARGE * len(z) // (2 * z.size)
    pieces = [
        value_and_grad(loss)(
            z[start : start + step].astype(np.float64),
            t[start : start + step],
            sample_weight=weight[start : start + step],
            reduction="none",
            **options,
        )
        for start in range(0, len(z), step)
    ]
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def assert_close(got: Any, expected: Any, ulp: Any) -> None:
    """Within so many ulp of what is expected, or infinite where that is out of range."""
    most = np.finfo(got.dtype).max
    inside = np.abs(expected) <= most
    assert np.isinf(got[~inside]).all()
    unit = np.spacing(np.where(inside, np.abs(expected), most).astype(got.dtype))
    room = np.reshape(ulp, (-1, *[1] * (got.ndim - 1))) * unit.astype(np.float64)
    bad = inside & ~(np.abs(got.astype(np.float64) - expected) <= room)
    assert not bad.any(), (np.argwhere(bad)[0], got[bad][0], expected[bad][0])


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_label_logits_of_every_height(dtype: Any, weight: float) -> None:
    steps = np.linspace(-FAR[dtype], FAR[dtype], 152)
    first, second = (grid.ravel() for grid in np.meshgrid(steps, steps))
    z = np.stack([first, second, second - 0.3], axis=1).astype(dtype)
    assert z.size > _spans.LARGE
    labels, weights = np.zeros(len(z), int), np.full(len(z), weight)
    expected = in_small_pieces(sparse_categorical_cross_entropy_with_logits, z, labels, weights)
    got = value_and_grad(sparse_categorical_cross_entropy_with_logits)(
        z, labels, sample_weight=weights, reduction="none"
    )
    # In float64 the reference has an error of its own.
    ulp = np.array([bound(LOSS_OF_LABELS, row) for row in z]) + (
        4.0 if dtype is np.float64 else 0.0
    )
    for whole, true in zip(got, expected, strict=True):
        assert_close(whole, true, ulp)
    # Without the gradient, other rows are careful ones.
    value = sparse_categorical_cross_entropy_with_logits(
        z, labels, sample_weight=weights, reduction="none"
    )
    assert_close(value, expected[0], ulp)


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("gamma", [None, 0.3, 2.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_binary_logits_of_every_height(dtype: Any, gamma: float | None, weight: float) -> None:
    z = np.linspace(-FAR[dtype], FAR[dtype], _spans.LARGE + 1).astype(dtype)
    targets, weights = np.arange(len(z)) % 2, np.full(len(z), weight)
    loss: Any = binary_cross_entropy_with_logits
    options = {}
    if gamma is not None:
        loss, options = binary_focal_loss_with_logits, {"gamma": gamma}
    expected = in_small_pieces(loss, z, targets, weights, **options)
    got = value_and_grad(loss)(z, targets, sample_weight=weights, reduction="none", **options)
    # In float64 the reference has an error of its own.
    name, focus = loss.__name__, {"γ": gamma or 0.0}
    ulp = bounds.ulp(name, dtype, focus, size=z.size)
    ulp += bounds.ulp(name, dtype, focus) if dtype is np.float64 else 0.0
    for whole, true in zip(got, expected, strict=True):
        assert_close(whole, true, ulp)


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
        again, (value, slope) = calls.count([Kernel.redo], ask, z, targets, sample_weight=weights)
        assert again == 0
        assert value > 0
        assert not slope[::3].any()
        assert slope[1::3].all()
        far = np.where(np.arange(z.size).reshape(z.shape) == 15, dtype(2000), z)
        again, _ = calls.count([Kernel.redo], ask, far, targets, sample_weight=weights)
        assert again <= 1 + (dtype is np.float32)  # in float64 first


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_large_is_as_its_parts(dtype: Any) -> None:
    """Small arrays are held to their bound elsewhere; large ones go other ways."""
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
        call: Any = crossent.value_and_grad(loss)
        value, slope = call(z, targets, **options)
        for rows in (slice(0, 100), slice(100, 1100), slice(6000, 7000)):
            options["sample_weight"] = w[rows]
            part = call(z[rows], targets[rows], **options)
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


RANDOM = np.random.default_rng(20)
PLAIN = RANDOM.normal(size=(900, 12)) * 3
HALF = np.arange(12) % 2 == 0
REGIMES: dict[str, Any] = {
    "plain": PLAIN,
    "masked by -inf": np.where(HALF, PLAIN, -INF),
    "masked by -1e9": np.where(HALF, PLAIN, -1e9),
    "masked by the least number": np.where(HALF, PLAIN, float(np.finfo(np.float32).min)),
    "masked by -100": np.where(HALF, PLAIN, -100.0),
    "masked by -95": np.where(HALF, PLAIN, -95.0),
    "offset 200": PLAIN + 200,
    "offset -2000": PLAIN - 2000,
    "deviation 100": PLAIN * 33,
    "one high": np.where(np.arange(PLAIN.size).reshape(PLAIN.shape) == 77, 150.0, PLAIN),
    "all but certain": np.where(np.arange(12) == np.arange(900)[:, None] % 12, 60.0, PLAIN),
    "equal": np.full(PLAIN.shape, 0.7),
    "not finite": np.where(RANDOM.uniform(size=PLAIN.shape) < 0.02, NAN, PLAIN * 20),
    "infinite": np.where(RANDOM.uniform(size=PLAIN.shape) < 0.05, INF, PLAIN),
}
LABELS = RANDOM.integers(0, 6, 900) * 2  # of classes that no mask hides
SOFT = np.where(HALF, RANDOM.dirichlet(np.ones(12), 900), 0.0)
SOFT /= SOFT.sum(axis=1, keepdims=True)
CLASS_WEIGHT, SAMPLE_WEIGHT = np.arange(1.0, 13.0), RANDOM.choice([0.0, 1.0, 3.0], 900)
WEIGHT = CLASS_WEIGHT.max() * SAMPLE_WEIGHT.max()
ONE_HOT = np.eye(12)[LABELS]
DENSE_LOSS: Any = crossent.categorical_cross_entropy_with_logits
LOSSES: list[tuple[Any, Any, dict[str, Any]]] = [
    (loss, target, {"sample_weight": SAMPLE_WEIGHT} | options)
    for loss, target in ((LOSS_OF_LABELS, LABELS), (DENSE_LOSS, SOFT), (DENSE_LOSS, ONE_HOT))
    for options in (
        {}, {"class_weight": CLASS_WEIGHT}, {"label_smoothing": 0.1},
        {"label_smoothing": 0.1, "class_weight": CLASS_WEIGHT},
    )
]  # fmt: skip


def by_small_calls(function: Any, z: Any, *by_row: Any) -> Any:
    """The same from calls that are small, in float64."""
    step = _spans.LARGE // z.shape[1]
    parts = [
        function(z[start : start + step].astype(float), *(x[start : start + step] for x in by_row))
        for start in range(0, len(z), step)
    ]
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))
    return np.concatenate(parts)


def assert_as_small(got: Any, true: Any, ulp: Any, of: Any = 0.0) -> None:
    """Within so many ulp of it or of a larger term; what is hardly a normal number may be 0."""
    tiny = WEIGHT * 10 * float(np.finfo(np.result_type(got.dtype, np.float32)).tiny)
    with np.errstate(invalid="ignore", over="ignore"):
        size = np.maximum(np.abs(true), of)
        unit = np.finfo(got.dtype).eps * size + np.finfo(got.dtype).smallest_subnormal
        error = np.abs(got.astype(float) - true)
        most = float(np.finfo(got.dtype).max)
        right = (error <= ulp * unit) | (got == true) | (np.isnan(got) & np.isnan(true))
        right |= (got == 0) & (np.abs(true) < tiny)
        right |= np.isinf(got) & (np.abs(true) > most)
    assert right.all(), (np.argwhere(~right)[:3], got[~right][:3], true[~right][:3])
    if not np.any(of):
        told = np.abs(true) > max(tiny, float(np.finfo(got.dtype).tiny))
        np.testing.assert_array_equal(np.sign(got)[told], np.sign(true)[told])


@pytest.mark.parametrize("layout", ["rows", "turned"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.filterwarnings("ignore:overflow")
def test_functions_of_any_regime(regime: str, dtype: Any, layout: str) -> None:
    z = REGIMES[regime].astype(dtype)
    axis = -1 if layout == "rows" else 0
    given = z if layout == "rows" else np.ascontiguousarray(z.T)
    far = bounds.largest(z)
    for name in ("softmax", "log_softmax", "logsumexp", "entropy_with_logits"):
        function = getattr(crossent, name)
        got = function(given, axis=axis)
        got = got if axis == -1 or got.ndim == 1 else got.T
        ulp = bounds.ulp(name, dtype, far, size=z.size)
        of = np.abs(np.where(np.isfinite(z), z, 0.0)).max(axis=1) if name == "logsumexp" else 0.0
        assert_as_small(got, by_small_calls(function, z), ulp, of)
    for name in ("sigmoid", "log_sigmoid"):
        function = getattr(crossent, name)
        assert_as_small(function(given), by_small_calls(function, given), bounds.ulp(name, dtype))


@pytest.mark.parametrize("layout", ["rows", "turned"])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.filterwarnings("ignore:overflow")
def test_losses_of_any_regime(regime: str, dtype: Any, layout: str) -> None:
    z = REGIMES[regime].astype(dtype)
    axis = -1 if layout == "rows" else 0
    for loss, target, options in LOSSES:

        def ask(x: Any, t: Any, w: Any, loss: Any = loss, options: Any = options) -> Any:
            own = options | {"sample_weight": w, "reduction": "none"}
            return value_and_grad(loss)(x, t, **own)

        true, true_slope = by_small_calls(ask, z, target, SAMPLE_WEIGHT)
        turned = (z.T, target.T) if target.ndim == 2 else (z.T, target)
        given = (z, target) if axis == -1 else tuple(map(np.ascontiguousarray, turned))
        own = options | {"reduction": "none", "axis": axis}
        got, slope = value_and_grad(loss)(*given, **own)
        ulp = bounds.ulp(loss.__name__, dtype, bounds.largest(z), size=z.size)
        assert_as_small(got, true, ulp)
        assert_as_small(loss(*given, **own), true, ulp)
        # Where terms of either sign meet, the bound is of the larger one.
        cancels = target.ndim == 2 or "label_smoothing" in options
        most = SAMPLE_WEIGHT[:, None] * CLASS_WEIGHT.max() if cancels else 0.0
        assert_as_small(slope if axis == -1 else slope.T, true_slope, ulp, most)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("step", [0.0, 1e-9, 1e-6, 1e-4, 1e-2, 0.3, 3.0, 50.0, 300.0])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.7])
@pytest.mark.parametrize("hidden", [0.0, -INF, -1e4, -100.0])
def test_divergences_of_any_size(
    step: float, dtype: Any, temperature: float, hidden: float
) -> None:
    p = np.where(HALF | (hidden == 0.0), PLAIN, hidden).astype(dtype)
    q = (p + step * np.random.default_rng(5).normal(size=p.shape)).astype(dtype)

    def ask(p: Any, q: Any) -> Any:
        both = value_and_grad(crossent.kl_divergence_with_logits)
        return both(p, q, temperature=temperature)

    true, true_slope = by_small_calls(ask, p, q.astype(float))
    got, slope = ask(p, q)
    sizes = np.abs([np.where(np.isfinite(z), z, 0.0) for z in (p, q)]).astype(float)
    most = np.minimum(sizes.max(axis=(0, 2)) / temperature, 450.0)
    near = np.maximum(true, 1e-5)  # what is less is done carefully
    wide = dtype is np.float64
    assert_as_small(got, true, 10 + 3 / np.sqrt(near) + 3 * most if wide else 6.0)
    of_p, of_q = (crossent.softmax(z.astype(float) / temperature) for z in (p, q))
    with np.errstate(all="ignore"):
        ratio = np.nan_to_num(np.abs(np.log(of_q / of_p)), posinf=1.0).max(axis=1, keepdims=True)
    terms = np.maximum(of_p, of_q) / temperature * np.minimum(ratio, 1.0)
    assert_as_small(
        slope,
        true_slope,
        (10 + 3 / np.sqrt(near) + 3 * most)[:, None] if wide else 6.0,
        terms + 1e-300,
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_channels_first_are_as_rows(dtype: Any) -> None:
    """Planes that are longer than a span is, and a row that stands beside others."""
    z = (np.random.default_rng(8).normal(size=(2, 5, 40_000)) * 3).astype(dtype)
    z[:, 0, ::5000] = 300.0
    rows = np.ascontiguousarray(np.moveaxis(z, 1, -1))
    labels = np.random.default_rng(9).integers(0, 5, (2, 40_000))
    soft = crossent.softmax(rows[::-1].astype(np.float32))
    planes = np.moveaxis(soft, -1, 1)
    ulp = bounds.ulp("softmax", dtype, bounds.largest(z), size=z.size)
    for name in ("softmax", "log_softmax", "logsumexp", "entropy_with_logits"):
        function = getattr(crossent, name)
        got, expected = function(z, axis=1), function(rows)
        got = np.moveaxis(got, 1, -1) if got.ndim == 3 else got
        assert_as_small(got, expected.astype(float), 2 * ulp, 10.0 * (name == "logsumexp"))
    for loss, target, turned in ((LOSS_OF_LABELS, labels, labels), (DENSE_LOSS, soft, planes)):
        for smoothing in (0.0, 0.1):
            ask = value_and_grad(loss)
            got, slope = ask(z, turned, axis=1, label_smoothing=smoothing, reduction="none")
            true, true_slope = ask(rows, target, label_smoothing=smoothing, reduction="none")
            assert_as_small(got, true.astype(float), 2 * ulp)
            assert_as_small(np.moveaxis(slope, 1, -1), true_slope.astype(float), 2 * ulp, 1.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_longer_than_a_room(dtype: Any) -> None:
    classes = _spans.SCRATCH // 4 + 9
    z = (np.random.default_rng(8).normal(size=(2, classes)) * 2).astype(dtype)
    z[0, 3], labels = 9.0, np.array([3, classes - 1])
    z[1] -= dtype(100)  # is shifted
    exact = z.astype(np.longdouble)
    log_p = exact - np.log(np.exp(exact).sum(axis=1, keepdims=True))
    p, one_hot = np.exp(log_p), np.equal.outer(labels, np.arange(classes))
    eps = max(float(np.finfo(dtype).eps) * 200, 1e-13)
    close = {"rtol": eps, "atol": np.finfo(dtype).smallest_subnormal}
    np.testing.assert_allclose(crossent.softmax(z), p, **close)
    np.testing.assert_allclose(crossent.log_softmax(z), log_p, **close)
    np.testing.assert_allclose(crossent.logsumexp(z), (exact - log_p)[:, 0], **close)
    np.testing.assert_allclose(crossent.entropy_with_logits(z), -(p * log_p).sum(axis=1), **close)
    soft = np.full(z.shape, 1 / classes)
    for loss, target, mass in (
        (LOSS_OF_LABELS, labels, one_hot), (DENSE_LOSS, one_hot, one_hot), (DENSE_LOSS, soft, soft)
    ):  # fmt: skip
        for smoothing in (0.0, 0.1):
            of = (1 - smoothing) * mass + smoothing / classes
            options: Any = {"label_smoothing": smoothing, "reduction": "none"}
            value, slope = value_and_grad(loss)(z, target, **options)
            np.testing.assert_allclose(value, -(of * log_p).sum(axis=1), **close)
            np.testing.assert_allclose(loss(z, target, **options), value, rtol=eps)
            np.testing.assert_allclose(slope, p - of, rtol=eps, atol=eps / classes + close["atol"])


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
    ulps = bounds.ulp(LOSS_OF_LABELS.__name__, np.float64, size=z.size)
    for got, true in (
        (value, np.log1p(others / one)),
        (slope[:, 3], e[:, 3] / (others + one)),
        (slope[:, 5], -others / (others + one)),
    ):
        assert (np.abs(got - true) <= ulps * np.spacing(np.abs(true).astype(float))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_rows_add_up_without_drift(dtype: Any) -> None:
    # Equal terms, each rounded the same way as it is added: a sum in one go loses most.
    z = np.full((2, 200_001), 0.1, dtype)
    slope = crossent.grad(sparse_categorical_cross_entropy_with_logits)(z, [0, 0], reduction="sum")
    np.testing.assert_allclose(slope[:, 1:], 1 / z.shape[1], rtol=8 * np.finfo(dtype).eps)


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
        assert each[5] == pytest.approx(1000.0, rel=18 * float(np.finfo(dtype).eps))


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
        allowed = bounds.ulp("binary_focal_loss_with_logits", np.float32, {"γ": gamma}, size=z.size)
        assert (np.abs(large[::7] - true) <= allowed * ulp).all()


@pytest.mark.parametrize(
    ("loss", "options", "rtol"),
    [
        (binary_cross_entropy_with_logits, {"pos_weight": 1e39, "sample_weight": 1e-30}, 1e-6),
        (
            binary_cross_entropy_with_logits,
            {"pos_weight": 1e37, "reduction": "weighted_mean"},
            1e-6,
        ),
        (binary_focal_loss_with_logits, {"alpha": 1e-46, "reduction": "weighted_mean"}, 2e-6),
    ],
)
def test_weights_beyond_float32(loss: Any, options: dict[str, Any], rtol: float) -> None:
    z = np.linspace(-3, 3, 70_000).astype(np.float32)
    t = np.ones_like(z)
    ask = crossent.value_and_grad(loss)
    value, slope = ask(z, t, **options)
    true = ask(z.astype(float), t, **options)
    np.testing.assert_allclose(value, true[0], rtol=rtol)
    np.testing.assert_allclose(slope, true[1], rtol=rtol)


def test_a_mean_of_equals_is_each_of_them() -> None:
    # A sum in float32 would drift.
    for value in np.linspace(0.1, 3.0, 20, dtype=np.float32):
        z = np.full(_spans.LARGE + 1, value)
        each = binary_cross_entropy_with_logits(z, np.zeros_like(z), reduction="none")
        assert binary_cross_entropy_with_logits(z, np.zeros_like(z)) == each[0]


def test_a_linear_layer_does_not_lift_subnormal_exponentials() -> None:
    bias = np.full(1000, -50.0, np.float32)
    bias[7:27] = np.linspace(-93.0, -98.0, 20)  # 15 to 8 bits in float32; probabilities of 1e-23
    hidden, weight = np.zeros((1, 1), np.float32), np.zeros((1000, 1), np.float32)
    _, slopes = value_and_grad(linear_cross_entropy)(hidden, weight, [0], bias=bias)
    expected = value_and_grad(sparse_categorical_cross_entropy_with_logits)(
        bias.astype(np.float64), 0
    )[1]
    rtol = bound(LOSS_OF_LABELS, bias) * 2.0**-23
    assert slopes.bias is not None
    np.testing.assert_allclose(slopes.bias, expected, rtol=rtol)


@pytest.mark.parametrize(
    ("p", "q", "nats"),
    [
        ([0.0, -INF], [5.0, -1e4], 0.0),  # hidden in one and as good as hidden in the other
        ([0.0, 1.0, -700.0], [1.0, 0.0, -INF], INF),  # impossible, and yet it can happen
        ([0.0, 1.0, -INF], [1.0, 0.0, -1e31], math.tanh(0.5)),
        ([0.0, 0.0], [-INF, -INF], math.nan),
    ],
)
def test_hidden_classes_of_a_divergence(p: list[float], q: list[float], nats: float) -> None:
    many = (np.tile(z, (LARGE, 1)) for z in (p, q))
    found = crossent.kl_divergence_with_logits(*many)
    np.testing.assert_allclose(found, np.full(LARGE, nats), rtol=1e-15)


@pytest.mark.parametrize("odd", [NAN, INF, -INF])
def test_a_row_without_numbers_says_nothing_of_the_others(odd: float) -> None:
    ask = value_and_grad(crossent.kl_divergence_with_logits)
    p, q = np.random.default_rng(6).normal(size=(2, LARGE, 3)) * 100
    alone = ask(p, q)
    p[5], q[5] = odd, odd
    for one, other in zip(ask(p, q), alone, strict=True):
        np.testing.assert_array_equal(np.delete(one, 5, axis=0), np.delete(other, 5, axis=0))
