"""Fast kernels of probabilities: the hard cases with every array large, and large ones as small."""

import sys
from functools import partial
from typing import Any

import numpy as np
import pytest

import crossent
from crossent import _spans
from crossent._kernels import Kernel
from crossent._kernels.information import Measure
from tests import bounds, calls, hard_cases
from tests.hard_cases import Family

DTYPES = (np.float64, np.float32, np.float16)
FAMILIES = [
    family
    for family in hard_cases.families()
    if family.kind in {"probabilities", "pairs", "binary"} and family.predictions.size <= 4000
]
FUNCTIONS = ["entropy", "cross_entropy", *bounds.DIVERGENCES]


@pytest.fixture
def _all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every array a large one."""
    for name, module in sys.modules.items():
        if name.startswith("crossent.") and hasattr(module, "LARGE"):
            monkeypatch.setattr(module, "LARGE", 0)


@pytest.mark.usefixtures("_all_large")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_error_in_ulp(family: Family, dtype: type[np.floating[Any]]) -> None:
    for check in hard_cases.checks(family, dtype):
        if "label_smoothing" in check.options and dtype is not np.float64:
            continue  # of the same target, but rounded
        got = hard_cases.ask(check)
        errors = hard_cases.errors_in_ulp(check, got, of_terms=True)
        allowed = bounds.of_divergence(check.function, got.dtype, 1, check.in_nats)
        worst = int(np.argmax(errors - allowed))
        assert (errors <= allowed).all(), (check.name, check.options, worst, errors[worst])


# --- large arrays: as small ones, which are held to their bound elsewhere -------------------------

ROWS = 900
RANDOM = np.random.default_rng(21)
FIRST, SECOND, THIRD = RANDOM.dirichlet(np.ones(12), (3, ROWS))
STEPS = 10.0 ** -RANDOM.uniform(0, 16, (ROWS, 1))
HALF = np.arange(12) % 2 == 0


def normalized(x: Any) -> Any:
    return x / x.sum(axis=1, keepdims=True)


REGIMES: dict[str, tuple[Any, ...]] = {
    "random": (FIRST, SECOND),
    "nearly equal": (FIRST, FIRST + STEPS * (SECOND - FIRST)),
    "all ratios nearly 1": (FIRST, normalized(FIRST * (1 + STEPS * np.sign(SECOND - THIRD)))),
    "equal": (FIRST, FIRST),
    "one-hot and soft": (np.eye(12)[np.arange(ROWS) % 12], FIRST),
    "one-hot and equal": (np.eye(12)[np.arange(ROWS) % 12],) * 2,
    "half are zeros": (normalized(FIRST * HALF), normalized(SECOND * HALF)),
    "half are zeros in p": (normalized(FIRST * HALF), SECOND),
    "half are zeros in q": (FIRST, normalized(SECOND * HALF)),
    "few zeros in q": (FIRST, normalized(np.where(SECOND < 1e-3, 0.0, SECOND))),
    "smoothed": (0.999 * np.eye(12)[np.arange(ROWS) % 12] + 0.001 / 12, FIRST),
    "all but certain": tuple(
        np.where(np.arange(12) == 3, 1.0, HALF * 10.0 ** -RANDOM.uniform(low, 45, (ROWS, 1)))
        for low in (25, 35)
    ),
    "tiny": tuple(
        normalized(np.where(np.arange(12) == 3, 1.0, 10.0 ** -RANDOM.uniform(0, 320, (ROWS, 12))))
        for _ in range(2)
    ),
}  # fmt: skip


def cast(x: Any, dtype: Any) -> Any:
    return np.minimum(x.astype(dtype), dtype(1))


def by_small_calls(function: Any, *arrays: Any) -> Any:
    """The results, or tuples of them, from small calls, in float64 if it takes the sums."""
    wide = np.float16 if arrays[0].dtype == np.float16 else np.float64
    step = _spans.LARGE // 12
    parts = [
        function(*(np.asarray(x[start : start + step], wide) for x in arrays))
        for start in range(0, ROWS, step)
    ]
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(each) for each in zip(*parts, strict=True))
    return np.concatenate(parts)


def of_reference(name: str, dtype: Any) -> float:
    """The error in ulp of such a call."""
    return 0.0 if dtype is np.float32 else bounds.ulp(name, dtype)


def assert_within(got: Any, true: Any, ulp: Any) -> None:
    """Within so many ulp, 0 and infinite where it should be, and never negative for a value."""
    with np.errstate(over="ignore", invalid="ignore"):
        expected = true.astype(got.dtype)
        unit = np.spacing(np.minimum(np.abs(expected), np.finfo(got.dtype).max)).astype(float)
        right = (np.abs(got.astype(float) - true) <= ulp * unit) | (got == expected)
    assert right.all(), (np.argwhere(~right)[0], got[~right][0], true[~right][0])
    np.testing.assert_array_equal(got == 0, expected == 0)


LAYOUTS = ["rows", "turned", "strided"]


def laid_out(x: Any, layout: str) -> tuple[Any, int]:
    """The same array, and its class axis."""
    if layout == "turned":
        return np.ascontiguousarray(x.T), 0
    return (np.repeat(x, 2, axis=1)[:, ::2] if layout == "strided" else x), 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regime", REGIMES)
def test_information_of_any_regime(regime: str, dtype: Any, layout: str) -> None:
    pair = [cast(x, dtype) for x in REGIMES[regime]]
    given, (axis, _) = zip(*(laid_out(x, layout) for x in pair), strict=True)
    for name in FUNCTIONS:
        function, count = getattr(crossent, name), 1 if name == "entropy" else 2
        true = by_small_calls(function, *pair[:count])
        got = function(*given[:count], axis=axis)
        own = of_reference(name, dtype)
        assert_within(got, true, own + bounds.of_divergence(name, dtype, pair[0].size, true))
        assert (got >= 0).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.filterwarnings("ignore:overflow")
def test_losses_of_any_regime(regime: str, dtype: Any, layout: str) -> None:
    q, p = (cast(x, dtype) for x in REGIMES[regime])
    (given, axis), (target, _) = (laid_out(x, layout) for x in (p, q))
    random = np.random.default_rng(22)
    labels, sample = random.integers(0, 12, ROWS), random.choice([0.0, 1.0, 3.0], ROWS)
    hard = (random.uniform(size=p.shape) < 0.5).astype(dtype)
    sparse, dense = crossent.sparse_categorical_cross_entropy, crossent.categorical_cross_entropy
    cases: list[tuple[Any, Any, Any, dict[str, Any]]] = [
        (loss, t, own, {"axis": axis} | options)
        for loss, t, own in ((sparse, labels, labels), (dense, q, target))
        for options in ({}, {"class_weight": np.arange(12.0)}, {"label_smoothing": 0.1})
    ]
    binary = crossent.binary_cross_entropy
    cases += [(binary, t, laid_out(t, layout)[0], {}) for t in (hard, q)]
    for loss, t, own, options in cases:
        weight = sample if loss is not binary else sample[:, None]

        def ask(p: Any, t: Any, w: Any, loss: Any = loss, options: Any = options) -> Any:
            options = {name: value for name, value in options.items() if name != "axis"}
            t = t.astype(int) if t.ndim == 1 else t
            return crossent.value_and_grad(loss)(p, t, sample_weight=w, reduction="none", **options)

        true, true_slope = by_small_calls(ask, p, t, weight)
        w = weight if loss is not binary or layout != "turned" else weight.T
        both = crossent.value_and_grad(loss)
        got, slope = both(given, own, sample_weight=w, reduction="none", **options)
        if layout == "turned":
            got, slope = got.T, slope.T
        ulp = bounds.ulp(loss.__name__, dtype, size=p.size) + of_reference(loss.__name__, dtype)
        assert_within(got, true, ulp)
        assert_within(slope, true_slope, ulp)
        assert not np.signbit(slope[slope == 0.0]).any()
        assert (got >= 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", bounds.DIVERGENCES)
def test_divergences_of_what_differs_in_the_last_digit(name: str, dtype: Any) -> None:
    exponents = np.random.default_rng(23).uniform(0, 7, (ROWS, 12))
    p = cast(normalized(10.0**-exponents), dtype)
    q, least = p.copy(), (np.arange(ROWS), p.argmin(axis=1))
    q[least] = np.nextafter(q[least], dtype(1))
    function = getattr(crossent, name)
    true = by_small_calls(function, p, q)
    got = function(p, q)
    assert (got > 0).all()
    assert_within(
        got, true, bounds.of_divergence(name, dtype, p.size, true) + of_reference(name, dtype)
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_subnormal_entropies_keep_the_digits_that_a_base_shows(dtype: Any) -> None:
    p = cast(REGIMES["all but certain"][1], dtype)
    base = 1.0 + 1e-9
    for name in ("entropy", "cross_entropy"):
        pair = [p] * (1 if name == "entropy" else 2)
        function: Any = partial(getattr(crossent, name), base=base)
        true = by_small_calls(function, *pair)
        ulp = bounds.ulp(name, dtype, size=p.size) + of_reference(name, dtype)
        assert_within(function(*pair), true, ulp)


ZEROS = ["one-hot and soft", "half are zeros", "half are zeros in p", "half are zeros in q"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("regime", ["random", "smoothed", *ZEROS])
def test_rows_are_done_once(regime: str, dtype: Any) -> None:
    p, q = (cast(x, dtype) for x in REGIMES[regime])
    for name in FUNCTIONS:
        for other in (q, p) if dtype is np.float32 else (q,):  # nearly equal, or equal, too
            pair = [p] if name == "entropy" else [p, other]
            again, _ = calls.count([Measure.careful], getattr(crossent, name), *pair)
            assert again == 0
    inside = normalized(np.where(p > 0.0, q, 0.0) + 1e-3 * p)
    cases: list[tuple[Any, Any, Any]] = [
        (crossent.categorical_cross_entropy, p, inside.astype(dtype)),
        (crossent.sparse_categorical_cross_entropy, p, p.argmax(axis=1)),
        (crossent.binary_cross_entropy, p, np.where(p == 0.0, 0.0, np.where(p == 1.0, 1.0, q))),
        (crossent.binary_cross_entropy, p, (p > 0.0).astype(dtype)),
    ]
    for loss, predictions, targets in cases:
        again, _ = calls.count([Kernel.redo], crossent.value_and_grad(loss), predictions, targets)
        assert again == 0


@pytest.mark.parametrize("weight", [1e-300, 1e-42, 1e-31, 1e300])
def test_class_weights_beyond_float32(weight: float) -> None:
    p, t = (cast(x, np.float32) for x in REGIMES["random"])
    ask = crossent.value_and_grad(crossent.categorical_cross_entropy)
    options: Any = {"class_weight": np.full(12, weight), "sample_weight": min(1 / weight, 1e300)}
    got, slope = ask(p, t, **options)
    true, true_slope = ask(p.astype(float), t, **options)
    np.testing.assert_allclose(got, true, rtol=1e-6)
    np.testing.assert_allclose(slope, true_slope, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("classes", [127, 511, 1000, 50_000, 300_000])
def test_equal_terms_add_up_without_drift(classes: int, dtype: Any) -> None:
    p = np.full((2 + 2048 // classes, classes), 1 / classes, dtype)
    one = np.longdouble(p[0, 0])
    true = -classes * one * np.log(one)
    for got in (crossent.entropy(p), crossent.categorical_cross_entropy(p, p, reduction="none")):
        ulp = bounds.ulp("entropy", dtype, size=p.size)
        assert (np.abs(got - true) <= ulp * np.spacing(got)).all()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_any_number_of_threads_and_any_size_gives_the_same(function: str) -> None:
    p, q = (np.tile(cast(x, np.float32), (100, 1)) for x in REGIMES["nearly equal"])
    pair = [p] if function == "entropy" else [p, q]
    whole = getattr(crossent, function)(*pair)
    threads = crossent.get_num_threads()
    try:
        crossent.set_num_threads(3)
        np.testing.assert_array_equal(getattr(crossent, function)(*pair), whole)
    finally:
        crossent.set_num_threads(threads)
    some = getattr(crossent, function)(*(x[:ROWS] for x in pair))
    np.testing.assert_array_equal(whole[:ROWS], some)
