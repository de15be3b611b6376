"""The definitions, taken literally, in as many digits as cancellation can cost.

Everything here works on one row (one sample) of exact mpmath numbers. Nothing is rearranged to be
accurate: -log p is log Σ exp - z, the gradient of the target is p - 1. That takes hundreds of
digits where the logits are far apart, and it makes these values independent of the package.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

import mpmath
from mpmath import mp, mpf

Real = Any  # mpmath has no types
Row = list[Real]

MOST_DIGITS = 420  # e^-800 is 10^-347; what is smaller than 10^-380 is 0 in every dtype
mp.dps = 60  # enough wherever nothing cancels


def exact(values: Iterable[float]) -> Row:
    """Floats as the exact binary fractions that they are."""
    floats = [float(value) for value in values]
    converted = {value: mpf(value) for value in set(floats)}  # rows of 10⁵ repeat themselves
    return [converted[value] for value in floats]


def _digits(numbers: Sequence[Real]) -> int:
    """Digits to spare after the cancellation that logits so far apart (from 0, too) bring."""
    finite = [number for number in map(float, set(numbers)) if math.isfinite(number)] + [0.0]
    return min(MOST_DIGITS, 60 + int((max(finite) - min(finite)) / 2.3))


def _enough_digits(definition: Callable[..., Any]) -> Callable[..., Any]:
    """Evaluate a definition whose first argument is a row of logits in digits to match."""

    @wraps(definition)
    def evaluate(logits: Any, *args: Any, **options: Any) -> Any:
        row = logits if isinstance(logits, list) else [logits]
        with mp.workdps(max(mp.dps, _digits(row))):
            return definition(logits, *args, **options)

    return evaluate


def _times(weight: Real, value: Real) -> Real:
    """Product in which 0 · ∞ is 0: what carries no weight adds nothing."""
    return mpf(0) if weight == 0 else weight * value


def _dot(weights: Row, values: Row) -> Real:
    return mp.fsum(_times(weight, value) for weight, value in zip(weights, values, strict=True))


def _nan_in(row: Row) -> bool:
    return any(mpmath.isnan(value) for value in row)


# --- information ------------------------------------------------------------------------------


def entropy(p: Row) -> Real:
    return cross_entropy(p, p)


def cross_entropy(p: Row, q: Row) -> Real:
    return -_dot(p, [mp.log(value) for value in q])


def kl_divergence(p: Row, q: Row) -> Real:
    """Σ (p log(p/q) - p + q), which is the textbook's sum where p and q have the same total."""
    with mp.workdps(100):  # the terms of neighbors cancel to the square of their difference
        return mp.fsum(
            b if a == 0 else mpf("inf") if b == 0 else a * mp.log(a / b) - a + b
            for a, b in zip(p, q, strict=True)
        )


def js_divergence(p: Row, q: Row) -> Real:
    with mp.workdps(100):
        middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        return (kl_divergence(p, middle) + kl_divergence(q, middle)) / 2


# --- activations ------------------------------------------------------------------------------


@_enough_digits
def logsumexp(z: Row) -> Real:
    if _nan_in(z):
        return mpf("nan")
    if mpf("inf") in z:
        return mpf("inf")
    return mp.log(mp.fsum(count * mp.exp(value) for value, count in Counter(z).items()))


def _limit(z: Row, certain: Real, impossible: Real) -> Row | None:
    """The limits where z has nan, +∞ or only -∞: nan where there is none; None for other z."""
    top = max(z)
    if _nan_in(z) or top == mpf("-inf"):
        return [mpf("nan")] * len(z)
    if top == mpf("inf"):
        winner = certain if z.count(top) == 1 else mpf("nan")
        return [winner if value == top else impossible for value in z]
    return None


@_enough_digits
def log_softmax(z: Row) -> Row:
    limit = _limit(z, mpf(0), mpf("-inf"))
    if limit:
        return limit
    total = logsumexp(z)
    result = {value: value - total for value in set(z)}
    return [result[value] for value in z]


@_enough_digits
def softmax(z: Row) -> Row:
    limit = _limit(z, mpf(1), mpf(0))
    if limit:
        return limit
    counts = Counter(z)
    exponentials = {value: mp.exp(value) for value in counts}
    total = mp.fsum(count * exponentials[value] for value, count in counts.items())
    result = {value: exponential / total for value, exponential in exponentials.items()}
    return [result[value] for value in z]


@_enough_digits
def sigmoid(z: Real) -> Real:
    return 1 / (1 + mp.exp(-z))


@_enough_digits
def log_sigmoid(z: Real) -> Real:
    # z = -∞ is the only place where the logarithm of the literal sigmoid has no digits left
    return z if z < -MOST_DIGITS * 2 else mp.log(sigmoid(z))


# --- information from logits ------------------------------------------------------------------


@_enough_digits
def entropy_with_logits(z: Row) -> Real:
    p = softmax(z)
    return mpf("nan") if _nan_in(p) else -_dot(p, log_softmax(z))


def kl_divergence_with_logits(p_logits: Row, q_logits: Row, temperature: Real = 1) -> Real:
    """The textbook's sum, in so many digits that it may cancel."""
    with _both(p_logits, q_logits, temperature) as rows:
        if any(_nan_in(softmax(row)) for row in rows):
            return mpf("nan")
        p, q = map(log_softmax, rows)
        return mp.fsum(_times(mp.exp(x), x - y) for x, y in zip(p, q, strict=True))


def kl_divergence_with_logits_gradient(p_logits: Row, q_logits: Row, temperature: Real = 1) -> Row:
    """With respect to the logits of q."""
    with _both(p_logits, q_logits, temperature) as rows:
        pairs = zip(*map(softmax, rows), strict=True)
        return [(q - p) / mpf(temperature) for p, q in pairs]


def kl_divergence_with_logits_term(p_logits: Row, q_logits: Row, temperature: Real = 1) -> Row:
    """The documented unit of the gradient: the larger probability, less where all are near."""
    with _both(p_logits, q_logits, temperature) as rows:
        logs = list(zip(*map(log_softmax, rows), strict=True))
        most = max((abs(p - q) for p, q in logs if p != q), default=mpf(0))
        return [mp.exp(max(pair)) / mpf(temperature) * min(1, most) for pair in logs]


@contextmanager
def _both(p: Row, q: Row, temperature: Real) -> Iterator[tuple[Row, Row]]:
    """Two rows of logits over the temperature, in digits for the square of their difference."""
    with mp.workdps(60 + _digits([value / mpf(temperature) for value in (*p, *q)])):
        apart = {b - a for a, b in zip(p, q, strict=True)}
        if len(apart) == 1 and mpmath.isfinite(*apart):
            q = p  # one softmax, to the last of all digits
        yield [z / mpf(temperature) for z in p], [z / mpf(temperature) for z in q]


# --- losses: value and gradient with respect to the predictions --------------------------------


def weighted(target: Row, weights: Row | None, smoothing: Real) -> Row:
    """The mass that each class carries in the loss."""
    if smoothing:
        target = [(1 - mpf(smoothing)) * t + mpf(smoothing) / len(target) for t in target]
    return [w * t for w, t in zip(weights, target, strict=True)] if weights else target


@_enough_digits
def categorical_with_logits(
    z: Row, target: Row, weights: Row | None = None, smoothing: Real = 0
) -> Real:
    return -_dot(weighted(target, weights, smoothing), log_softmax(z))


@_enough_digits
def categorical_with_logits_gradient(
    z: Row, target: Row, weights: Row | None = None, smoothing: Real = 0
) -> Row:
    mass = weighted(target, weights, smoothing)
    total = mp.fsum(mass)
    return [p * total - m for p, m in zip(softmax(z), mass, strict=True)]


@_enough_digits
def categorical_with_logits_term(
    z: Row, target: Row, weights: Row | None = None, smoothing: Real = 0
) -> Row:
    """The larger of the two documented terms whose difference is the gradient."""
    mass = weighted(target, weights, smoothing)
    total = mp.fsum(mass)
    return [max(p * (total - m), m * (1 - p)) for p, m in zip(softmax(z), mass, strict=True)]


def categorical(q: Row, target: Row, weights: Row | None = None, smoothing: Real = 0) -> Real:
    return -_dot(weighted(target, weights, smoothing), [mp.log(value) for value in q])


def categorical_gradient(
    q: Row, target: Row, weights: Row | None = None, smoothing: Real = 0
) -> Row:
    mass = weighted(target, weights, smoothing)
    return [_over(-m, value) for m, value in zip(mass, q, strict=True)]


def _over(numerator: Real, denominator: Real) -> Real:
    """Quotient in which 0 / 0 is 0 and x / 0 is the infinity of x's sign."""
    if numerator == 0:
        return mpf(0)
    return numerator * mpf("inf") if denominator == 0 else numerator / denominator


def _smooth_binary(target: Real, smoothing: Real) -> Real:
    return (1 - mpf(smoothing)) * target + mpf(smoothing) / 2


@_enough_digits
def binary_with_logits(z: Real, target: Real, pos_weight: Real = 1, smoothing: Real = 0) -> Real:
    t = _smooth_binary(target, smoothing)
    return -_times(pos_weight * t, log_sigmoid(z)) - _times(1 - t, log_sigmoid(-z))


@_enough_digits
def binary_with_logits_gradient(
    z: Real, target: Real, pos_weight: Real = 1, smoothing: Real = 0
) -> Real:
    t = _smooth_binary(target, smoothing)
    return (1 - t) * sigmoid(z) - pos_weight * t * sigmoid(-z)


@_enough_digits
def binary_with_logits_term(
    z: Real, target: Real, pos_weight: Real = 1, smoothing: Real = 0
) -> Real:
    """The larger of the two terms whose difference is the gradient; 0 where there is only one."""
    t = _smooth_binary(target, smoothing)
    terms = (1 - t) * sigmoid(z), pos_weight * t * sigmoid(-z)
    return mpf(0) if t in {0, 1} else max(terms)


def binary(q: Real, target: Real, smoothing: Real = 0) -> Real:
    with mp.workdps(MOST_DIGITS):  # 1 - q for the smallest q
        t = _smooth_binary(target, smoothing)
        return -_times(t, mp.log(q)) - _times(1 - t, mp.log(1 - q))


def binary_gradient(q: Real, target: Real, smoothing: Real = 0) -> Real:
    with mp.workdps(MOST_DIGITS):
        t = _smooth_binary(target, smoothing)
        return _over(-t, q) + _over(1 - t, 1 - q)


def binary_term(q: Real, target: Real, smoothing: Real = 0) -> Real:
    """The larger of the two terms whose difference is the gradient; 0 where there is only one."""
    t = _smooth_binary(target, smoothing)
    return mpf(0) if t in {0, 1} else max(_over(t, q), _over(1 - t, 1 - q))


@_enough_digits
def focal(z: Real, target: Real, gamma: Real = 2, alpha: Real | None = None) -> Real:
    toward = z if target == 1 else -z  # the logit of the true class
    loss = _times(sigmoid(-toward) ** gamma, -log_sigmoid(toward))
    return loss * (1 if alpha is None else alpha if target == 1 else 1 - alpha)


@_enough_digits
def focal_gradient(z: Real, target: Real, gamma: Real = 2, alpha: Real | None = None) -> Real:
    toward = z if target == 1 else -z
    p, rest = sigmoid(toward), sigmoid(-toward)
    slope = rest**gamma * (gamma * _times(p, log_sigmoid(toward)) - rest)
    sign = 1 if target == 1 else -1
    return sign * slope * (1 if alpha is None else alpha if target == 1 else 1 - alpha)


# Of each loss: its value and its gradient, of a row or of an element. Labels are one-hot here.
OF_LOSS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "binary_cross_entropy": (binary, binary_gradient),
    "binary_cross_entropy_with_logits": (binary_with_logits, binary_with_logits_gradient),
    "binary_focal_loss_with_logits": (focal, focal_gradient),
    "categorical_cross_entropy": (categorical, categorical_gradient),
    "categorical_cross_entropy_with_logits": (
        categorical_with_logits, categorical_with_logits_gradient
    ),
    "sparse_categorical_cross_entropy": (categorical, categorical_gradient),
    "sparse_categorical_cross_entropy_with_logits": (
        categorical_with_logits, categorical_with_logits_gradient
    ),
}  # fmt: skip
