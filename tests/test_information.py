"""Entropy, cross-entropy, the divergences and perplexity, against mpmath."""

import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import crossent
from crossent import entropy_with_logits, kl_divergence_with_logits
from tests import bounds, truth

ULP = 2.0**-52  # the largest relative size of a unit in the last place of a float64
BOUND = bounds.ulp("kl_divergence", np.float64)


@pytest.fixture(autouse=True)
def _digits() -> Iterator[None]:
    with mp.workdps(60):
        yield


def total(terms: Any) -> float:
    return float(mp.fsum(terms))


def kl(p: Any, q: Any) -> float:
    pairs = [(mpf(float(a)), mpf(float(b))) for a, b in zip(p, q, strict=True)]
    return total((a * mp.log(a / b) if a else 0) - a + b for a, b in pairs)


def js(p: Any, q: Any) -> float:
    pairs = [(mpf(float(a)), mpf(float(b))) for a, b in zip(p, q, strict=True)]
    terms = ((a * mp.log(2 * a / (a + b)) if a else 0) for a, b in pairs)
    swapped = ((b * mp.log(2 * b / (a + b)) if b else 0) for a, b in pairs)
    return total([*terms, *swapped]) / 2


@pytest.mark.parametrize("bits", range(5))
def test_uniform_distribution_has_log_c(bits: int) -> None:
    p = np.full(2**bits, 0.5**bits)
    assert crossent.entropy(p, base=2) == bits
    assert crossent.entropy(p) == pytest.approx(bits * np.log(2), rel=ULP, abs=0)
    assert crossent.entropy(p, base=10) == pytest.approx(bits * np.log10(2), rel=2 * ULP, abs=0)


def test_certain_outcome_has_no_surprise() -> None:
    assert crossent.entropy([0.0, 1.0, 0.0]) == 0.0
    assert not np.signbit(crossent.entropy([1.0, 0.0]))


def test_containers_of_triangles_and_circles() -> None:
    terms = (-mpf(k) / 30 * mp.log(mpf(k) / 30, 2) for k in (26, 4))
    assert crossent.entropy([26 / 30, 4 / 30], base=2) == pytest.approx(
        total(terms), rel=BOUND * ULP, abs=0
    )


def test_base_below_one_changes_the_sign() -> None:
    assert crossent.entropy([0.5, 0.5], base=0.5) == -1.0


def test_axis_is_the_axis_of_the_outcomes() -> None:
    p = np.array([[0.1, 0.2, 0.7], [0.25, 0.25, 0.5]])
    q = np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]])
    expected = [crossent.kl_divergence(p[0], q[0]), crossent.kl_divergence(p[1], q[1])]
    assert crossent.kl_divergence(p, q).tolist() == expected
    assert crossent.kl_divergence(p.T, q.T, axis=0).tolist() == expected
    assert crossent.kl_divergence(p.T, q.T, axis=-2).tolist() == expected


def test_other_axes_broadcast() -> None:
    p, q = [0.5, 0.5], np.array([[[0.25, 0.75]], [[0.5, 0.5]]])
    result = crossent.cross_entropy(p, q)
    assert result.shape == (2, 1)
    assert result[0, 0] == crossent.cross_entropy(p, q[0, 0])
    assert crossent.js_divergence(q, np.full((4, 2), 0.5)).shape == (2, 4)


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (np.float16, np.float16, np.float16),
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.int64, np.float32, np.float64),
    ],
)
def test_dtype_is_the_common_one(first: Any, second: Any, result: Any) -> None:
    p, q = np.array([1, 0], first), np.array([0.5, 0.5], second)
    assert isinstance(crossent.cross_entropy(p, q), result)
    assert isinstance(crossent.entropy(q), second)


def test_impossible_outcomes() -> None:
    assert crossent.cross_entropy([0.0, 1.0], [0.0, 1.0]) == 0.0
    assert crossent.cross_entropy([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert crossent.kl_divergence([0.5, 0.5], [0.0, 1.0]) == np.inf
    assert crossent.kl_divergence([0.0, 1.0], [0.5, 0.5]) == pytest.approx(
        np.log(2), rel=ULP, abs=0
    )
    assert crossent.js_divergence([0.0, 1.0], [1.0, 0.0], base=2) == 1.0


def test_subnormal_probabilities() -> None:
    p, q = [5e-324, 1.0], [0.5, 0.5]
    assert crossent.entropy(p) == pytest.approx(5e-324 * 744.44, rel=0.01, abs=0)
    assert crossent.kl_divergence(q, p) == pytest.approx(kl(q, p), rel=BOUND * ULP, abs=0)
    assert crossent.kl_divergence(p, q) == pytest.approx(kl(p, q), rel=BOUND * ULP, abs=0)
    assert crossent.js_divergence(p, q) == pytest.approx(js(p, q), rel=BOUND * ULP, abs=0)


# p and q whose difference goes from nothing to all: both sides of each form that is used.
APART = [2.0**-k for k in range(1, 53, 3)] + [0.4, 0.6, 0.7, 0.74, 0.76, 0.8, 0.9, 0.999]


@pytest.mark.parametrize("apart", APART)
def test_divergences_at_any_distance(apart: float) -> None:
    p, q = [0.5 + apart / 2, 0.5 - apart / 2], [0.5, 0.5]
    for a, b in ((p, q), (q, p), (p, p[::-1])):
        # mpmath: the definitions, in 60 digits, of the very floats
        assert crossent.kl_divergence(a, b) == pytest.approx(kl(a, b), rel=BOUND * ULP, abs=0)
        assert crossent.js_divergence(a, b) == pytest.approx(js(a, b), rel=BOUND * ULP, abs=0)
        assert crossent.js_divergence(b, a) == crossent.js_divergence(a, b)
        in_bits = float(mpf(kl(a, b)) / mp.log(2))
        assert crossent.kl_divergence(a, b, base=2) == pytest.approx(
            in_bits, rel=BOUND * ULP, abs=0
        )


def test_divergence_of_small_probabilities() -> None:
    # The logarithm of the ratio is small beside those of the probabilities.
    p = np.tile([1.75, 0.25], 500) / 1000
    q = np.tile([0.21, 1.79], 500) / 1000
    assert crossent.kl_divergence(p, q) == pytest.approx(kl(p, q), rel=3 * ULP, abs=0)
    assert crossent.js_divergence(p, q) == pytest.approx(js(p, q), rel=3 * ULP, abs=0)


def test_divergence_is_zero_only_for_equal_distributions() -> None:
    p = np.array([0.1, 0.2, 0.7])
    assert crossent.kl_divergence(p, p) == 0.0
    assert crossent.js_divergence(p, p) == 0.0
    # The sum of q is one unit in the last place above that of p: the textbook's sum is negative.
    q = np.array([0.1, 0.2, np.nextafter(0.7, 1)])
    assert float(mp.fsum(mpf(a) * mp.log(mpf(a) / mpf(b)) for a, b in zip(p, q, strict=True))) < 0
    assert crossent.kl_divergence(p, q) == pytest.approx(kl(p, q), rel=BOUND * ULP, abs=0)
    assert crossent.kl_divergence(p, q) > 0


def test_many_outcomes_add_up_without_drift() -> None:
    # 127 equal terms are where NumPy's sum is off by most: 6 units in the last place.
    for outcomes in (127, 1000, 100_000):
        p = np.full(outcomes, 1 / outcomes)
        each = mpf(float(p[0]))
        true = float(-outcomes * each * mp.log(each))
        assert crossent.entropy(p) == pytest.approx(true, rel=2 * ULP, abs=0)


def test_perplexity_of_guessing_is_the_number_of_classes() -> None:
    assert crossent.perplexity(np.zeros((5, 7)), [0, 1, 2, 3, 6]) == pytest.approx(
        7, rel=9 * ULP, abs=0
    )


def test_perplexity_is_the_exponential_of_the_mean_loss() -> None:
    z = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [1.0, 1.0, 1.0]])
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    expected = np.exp(loss(z[:2], [0, 1]))
    assert crossent.perplexity(z, [0, 1, -1], ignore_index=-1) == expected
    assert crossent.perplexity(z.T, [0, 1, -1], axis=0, ignore_index=-1) == expected


def test_perplexity_with_weights_divides_by_their_sum() -> None:
    z = np.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0], [1.0, 1.0, 1.0]])
    weight = [0.5, 0.0, 3.0]
    each = crossent.sparse_categorical_cross_entropy_with_logits(z, [0, 1, 2], reduction="none")
    expected = np.exp((0.5 * each[0] + 3.0 * each[2]) / 3.5)
    weighted = crossent.perplexity(z, [0, 1, 2], sample_weight=weight)
    assert weighted == pytest.approx(expected, rel=8 * ULP, abs=0)
    # What is ignored has no weight, and weights may be of any size.
    assert crossent.perplexity(
        z, [0, -1, 2], sample_weight=[0.5, 7.0, 3.0], ignore_index=-1
    ) == pytest.approx(expected, rel=8 * ULP, abs=0)
    scaled = crossent.perplexity(z, [0, 1, 2], sample_weight=np.array(weight) * 1024)
    assert scaled == weighted


def test_perplexity_of_ragged_sequences() -> None:
    z = np.random.default_rng(6).normal(size=(3, 5, 7))
    labels = np.arange(15).reshape(3, 5) % 7
    lengths = np.array([2, 5, 1])
    present = np.arange(5) < lengths[:, None]
    expected = crossent.perplexity(z[present], labels[present])
    z[~present] = NAN
    got = crossent.perplexity(z, labels, sample_weight=present)
    assert got == pytest.approx(expected, rel=8 * ULP, abs=0)
    with pytest.warns(RuntimeWarning, match="mean over nothing is nan") as caught:
        assert np.isnan(crossent.perplexity(z, labels, sample_weight=0.0))
    assert caught[0].filename == __file__


def test_perplexity_keeps_the_dtype_but_not_its_rounding() -> None:
    z = np.array([[0.0, 9.0]], np.float16)
    result = crossent.perplexity(z, [0])
    assert isinstance(result, np.float16)
    # Half a unit in the last place, 2^-11; exp of the loss rounded to float16 would be off by 4.
    assert float(result) == pytest.approx(1 + np.exp(9), rel=2**-11, abs=0)


def test_perplexity_may_be_infinite() -> None:
    assert crossent.perplexity([[0.0, 800.0]], [0]) == np.inf


def test_perplexity_of_nothing_is_nan_with_a_warning() -> None:
    with pytest.warns(RuntimeWarning, match="mean over nothing is nan"):
        assert np.isnan(crossent.perplexity([[0.0, 1.0]], [7], ignore_index=7))


# --- from logits ----------------------------------------------------------------------------------

INF, NAN = np.inf, np.nan


def test_entropy_of_equal_logits_is_log_c() -> None:
    assert entropy_with_logits(np.full((2, 8), 1e6), base=2).tolist() == [3.0, 3.0]
    assert entropy_with_logits([7.0]) == 0.0
    assert isinstance(entropy_with_logits([0.0, 0.0]), np.float64)


def test_entropy_of_logits_along_an_axis() -> None:
    z = np.random.default_rng(0).normal(size=(2, 3, 4))
    expected = [[entropy_with_logits(row) for row in rows] for rows in z]
    np.testing.assert_array_equal(entropy_with_logits(z), expected)
    moved = np.moveaxis(z, -1, 0)
    np.testing.assert_array_equal(entropy_with_logits(moved, axis=0), expected)
    np.testing.assert_allclose(crossent.entropy(crossent.softmax(z)), expected, rtol=1e-14)


@pytest.mark.parametrize("margin", [40.0, 500.0, 707.0, 730.0, 744.0])
def test_entropy_of_the_all_but_certain(margin: float) -> None:
    # mpmath: the definition; past 708 the probability is subnormal, but the entropy is not yet
    true = float(truth.entropy_with_logits(truth.exact([margin, 0.0])))
    bound = bounds.ulp("entropy_with_logits", np.float64)
    assert abs(entropy_with_logits([margin, 0.0]) - true) <= bound * np.spacing(true)


@pytest.mark.parametrize(
    ("z", "entropy"),
    [
        ([INF, 0.0], 0.0), ([-INF, 0.0, 0.0], np.log(2)), ([INF, INF], NAN), ([-INF, -INF], NAN),
        ([NAN, 0.0], NAN), ([0.0, -800.0], 0.0),
    ],
)  # fmt: skip
def test_limits_of_entropy(z: list[float], entropy: float) -> None:
    np.testing.assert_array_equal(entropy_with_logits(z), entropy)


def test_divergence_of_logits_is_that_of_their_probabilities() -> None:
    p, q = np.random.default_rng(1).normal(size=(2, 5, 4))
    for temperature in (1.0, 3.7):
        probs = (crossent.softmax(z / temperature) for z in (p, q))
        expected = crossent.kl_divergence(*probs)
        divergence = kl_divergence_with_logits(p, q, temperature=temperature)
        np.testing.assert_allclose(divergence, expected, rtol=1e-13)
    in_bits = kl_divergence_with_logits(p, q, base=2) * np.log(2)
    np.testing.assert_allclose(in_bits, kl_divergence_with_logits(p, q), rtol=1e-15)


def test_temperature_leaves_no_factor() -> None:
    p, q = np.random.default_rng(2).normal(size=(2, 5, 4))
    for scale in (2.0, 0.5, 1024.0):
        scaled = kl_divergence_with_logits(p * scale, q * scale, temperature=scale)
        np.testing.assert_array_equal(scaled, kl_divergence_with_logits(p, q))
        slope = crossent.grad(kl_divergence_with_logits)(p * scale, q * scale, temperature=scale)
        np.testing.assert_array_equal(slope * scale, crossent.grad(kl_divergence_with_logits)(p, q))
    vast = 2.0**1000  # so large that the rounding of a quotient cannot be told
    scaled = kl_divergence_with_logits(p * vast, q * vast, temperature=vast)
    np.testing.assert_allclose(scaled, kl_divergence_with_logits(p, q), rtol=1e-15)


@pytest.mark.parametrize("offset", [0.0, 1e3, -1e6])
@pytest.mark.parametrize("apart", [1.0, 1e-4, 1e-8, 1e-15, 1e-25])
def test_divergence_of_near_logits(apart: float, offset: float) -> None:
    p = [0.0, 0.0, 0.0]
    q = [offset, offset, offset + (apart if offset == 0.0 else np.spacing(abs(offset)))]
    # mpmath: the textbook's sum, in as many digits as it cancels
    true = float(truth.kl_divergence_with_logits(truth.exact(p), truth.exact(q)))
    bound = bounds.ulp("kl_divergence_with_logits", np.float64)
    assert abs(kl_divergence_with_logits(p, q) - true) <= bound * np.spacing(true)
    slope = crossent.grad(kl_divergence_with_logits)(p, q)
    exact = truth.kl_divergence_with_logits_gradient(truth.exact(p), truth.exact(q))
    np.testing.assert_allclose(slope, [float(each) for each in exact], rtol=1e-15)


def test_divergence_is_0_only_up_to_an_offset() -> None:
    z = np.array([0.25, -1.5, 3.0])
    assert kl_divergence_with_logits(z, z) == 0.0
    assert kl_divergence_with_logits(z, z + 1024.0) == 0.0
    assert not crossent.grad(kl_divergence_with_logits)(z, z + 1024.0).any()
    assert kl_divergence_with_logits(z, [0.25, -1.5, np.nextafter(3.0, 4.0)]) > 0.0
    assert kl_divergence_with_logits([3.0], [9.0]) == 0.0


KL_LIMITS: list[tuple[list[float], list[float], float, list[float]]] = [
    # logits of p and of q, the divergence, and its gradient
    ([0, -INF], [0, 0], np.log(2), [-0.5, 0.5]),
    ([0, -INF], [0, -INF], 0, [0, 0]),
    ([0, 0, -INF], [0, 0, -INF], 0, [0, 0, 0]),
    ([0, 0], [0, -INF], INF, [0.5, -0.5]),
    ([0, 0], [-INF, 0], INF, [-0.5, 0.5]),
    ([0, -1e6], [0, -INF], INF, [0, 0]),  # p has little mass there, but some
    ([INF, 0], [0, 0], np.log(2), [-0.5, 0.5]),
    ([INF, 0], [INF, 0], 0, [0, 0]),
    ([INF, 0], [0, -INF], 0, [0, 0]),
    ([INF, 0], [-INF, 0], INF, [-1, 1]),
    ([0, 0], [INF, 0], INF, [0.5, -0.5]),
    ([INF, INF], [0, 0], NAN, [NAN, NAN]),
    ([0, 0], [INF, INF], NAN, [NAN, NAN]),
    ([INF, INF, 0], [-INF, -INF, 0], INF, [NAN, NAN, 1]),
    ([INF, INF, 0], [-INF, 0, 0], NAN, [NAN, NAN, 0.5]),
    ([0, -INF, 0], [INF, INF, 0], INF, [NAN, NAN, -0.5]),
    ([-INF, -INF], [0, 0], NAN, [NAN, NAN]),
    ([0, 0], [-INF, -INF], NAN, [NAN, NAN]),
    ([NAN, 0], [0, -INF], NAN, [NAN, NAN]),
    ([0, 0], [NAN, -INF], NAN, [NAN, NAN]),
]


@pytest.mark.parametrize(("p", "q", "divergence", "slope"), KL_LIMITS)
def test_limits_of_divergence(
    p: list[float], q: list[float], divergence: float, slope: list[float]
) -> None:
    value, gradient = crossent.value_and_grad(kl_divergence_with_logits)(p, q)
    np.testing.assert_array_equal(value, divergence)
    np.testing.assert_array_equal(gradient, slope)
    assert not np.signbit(value)
    hot = crossent.value_and_grad(kl_divergence_with_logits)(p, q, temperature=1024.0)
    np.testing.assert_array_equal(np.isinf(hot[0]), np.isinf(value))
    np.testing.assert_array_equal(np.isnan(hot[1]), np.isnan(gradient))


def test_what_overflows_is_infinite() -> None:
    assert kl_divergence_with_logits([0, 0], [0, -1e308], temperature=1e-300) == INF
    assert kl_divergence_with_logits([0, -1], [0, -1], temperature=1e-320) == 0.0
    assert kl_divergence_with_logits([0, 0], [0, -1e300]) == pytest.approx(0.5e300)
    assert kl_divergence_with_logits([0, 0], [0, 1e300], temperature=2.0) == pytest.approx(0.25e300)


@pytest.mark.parametrize("mask", [-1e15, -1e20, -1e30, np.finfo(np.float32).min, -1e300])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_class_that_is_all_but_excluded(mask: float, temperature: float) -> None:
    p, q = np.array([0.5, 0.0, -0.5]), np.array([1.0, 2.0, mask])
    ask = crossent.value_and_grad(kl_divergence_with_logits)
    value, slope = ask(p, q, temperature=temperature)
    of_p, of_q = (crossent.softmax(z / temperature) for z in (p, q))
    # So far away, the other terms are less than the rounding of this one.
    assert value == pytest.approx(-of_p[2] * (mask / temperature), rel=1e-14)
    np.testing.assert_allclose(slope, (of_q - of_p) / temperature, rtol=1e-14)


def test_rows_of_a_divergence_are_alone() -> None:
    pairs = [row[:2] for row in KL_LIMITS if len(row[0]) == 2]
    pairs += [([745.0, 0.0], [0.0, 1.0]), ([650.0, 0.0], [649.0, 0.5]), ([1.0, 0.5], [0.3, 0.2])]
    p, q = np.array(pairs).transpose(1, 0, 2)
    value, gradient = crossent.value_and_grad(kl_divergence_with_logits)(p, q)
    for row in range(len(p)):
        alone = crossent.value_and_grad(kl_divergence_with_logits)(p[row], q[row])
        np.testing.assert_array_equal(value[row], alone[0])
        np.testing.assert_array_equal(gradient[row], alone[1])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_divergence_and_its_gradient_along_an_axis(axis: int) -> None:
    p, q = np.random.default_rng(3).normal(size=(2, 3, 4, 5))
    value, gradient = crossent.value_and_grad(kl_divergence_with_logits)(p, q, axis=axis)
    expected = crossent.value_and_grad(kl_divergence_with_logits)(
        np.moveaxis(p, axis, -1), np.moveaxis(q, axis, -1)
    )
    np.testing.assert_array_equal(value, expected[0])
    np.testing.assert_array_equal(np.moveaxis(gradient, axis, -1), expected[1])
    np.testing.assert_array_equal(kl_divergence_with_logits(p, q, axis=axis), value)


@pytest.mark.parametrize("options", [{}, {"temperature": 3.7}, {"base": 2}, {"base": 0.5}])
def test_gradient_of_a_divergence_is_its_derivative_for_q(options: dict[str, Any]) -> None:
    p, q = np.random.default_rng(4).normal(size=(2, 3, 4))
    check = crossent.check_grad(kl_divergence_with_logits, p, q, **options)
    assert check.error < 1e-12
    shifted = crossent.check_grad(kl_divergence_with_logits, p, p + 1e-6 * q, **options)
    assert shifted.error < 1e-12


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        (np.float16, np.float16, np.float16),
        (np.float32, np.float16, np.float32),
        (np.float32, np.float64, np.float64),
        (np.int64, np.float32, np.float64),
    ],
)
def test_dtype_of_a_divergence_is_the_common_one(first: Any, second: Any, result: Any) -> None:
    p, q = np.array([1, 0], first), np.array([0, 3], second)
    value, gradient = crossent.value_and_grad(kl_divergence_with_logits)(p, q)
    assert value.dtype == gradient.dtype == result
    assert value == result(kl_divergence_with_logits([1.0, 0.0], [0.0, 3.0]))
    assert entropy_with_logits(q).dtype == (second if second != np.int64 else np.float64)


def test_no_rows_of_logits() -> None:
    nothing = np.zeros((0, 3), np.float32)
    assert entropy_with_logits(nothing).shape == (0,)
    value, gradient = crossent.value_and_grad(kl_divergence_with_logits)(nothing, nothing)
    assert (value.shape, gradient.shape) == ((0,), (0, 3))


@pytest.mark.usefixtures("two_threads")
def test_many_rows_of_logits_take_little_memory() -> None:
    p, q = np.random.default_rng(5).normal(size=(2, 400_000, 10)).astype(np.float32)
    expected = kl_divergence_with_logits(p[-5:], q[-5:]), entropy_with_logits(p[-5:])
    tracemalloc.start()
    divergence, entropy = kl_divergence_with_logits(p, q), entropy_with_logits(p)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(divergence[-5:], expected[0])
    np.testing.assert_allclose(entropy[-5:], expected[1], rtol=1e-6)
    assert most < p.nbytes
