"""The package's page: what the docstrings say, held against what the functions do.

Most docstrings say the same things of different functions. So a check under `of_each` is run for
every function that says what the check quotes, and the entries of Returns and Raises are read
phrase by phrase: a new function needs a line here only for what no other one says.
"""

from __future__ import annotations

import doctest
import inspect
import itertools
import os
import re
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, wraps
from typing import Any
from unittest import mock

import keras
import ml_dtypes
import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special
import scipy.stats
import tensorflow as tf
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf
from numpy.typing import ArrayLike
from sklearn.metrics import log_loss

import crossent
from crossent import _arrays, _forms, _spans, gradients
from crossent._kernels import careful, fast, information
from tests import bounds, calls, hard_cases, peers, truth
from tests import test_api_page as chooser
from tests.checks import (
    KL,
    SAID,
    Cited,
    Computed,
    Given,
    H,
    Number,
    Real,
    Row,
    distributions,
    logits,
    reals,
    same,
    says,
    sigma,
    soft,
)
from tests.guards import quoted
from tests.pages import ROOT, docstring, find, words

INF, NAN = np.inf, np.nan
few = settings(max_examples=8)  # digits by the dozen take their time
SHARES = st.integers(1, 19).map(lambda n: mpf(n) / 20)  # inside (0, 1), where logarithms are finite
POSSIBLE = distributions(least=1)  # for the same reason
CLASSES = st.integers(0, 3)
WEIGHTS = st.lists(st.integers(0, 12).map(lambda n: mpf(n) / 4), min_size=4, max_size=4)


SPARSE = "sparse_categorical_cross_entropy_with_logits"
DENSE = "categorical_cross_entropy_with_logits"
BINARY, FOCAL = "binary_cross_entropy_with_logits", "binary_focal_loss_with_logits"
LAYER = "linear_cross_entropy"
SURPRISE, APART = "entropy_with_logits", "kl_divergence_with_logits"


# --- Examples for every function ---

random = np.random.default_rng(1)
P, Q = random.dirichlet(np.full(3, 2.0), (2, 4))
Z = 2.0 * random.normal(size=(4, 3))
LABELS = np.array([0, 2, 1, 1])
HIDDEN, WEIGHT = random.normal(size=(4, 2)), random.normal(size=(3, 2))
TEACHER = random.normal(size=(4, 3))
ARRAYS: dict[str, Any] = {
    "hidden": HIDDEN, "labels": LABELS, "logits": Z, "p": P, "p_logits": TEACHER, "probs": P,
    "q": Q, "q_logits": Z, "targets": Q, "weight": WEIGHT, "z": Z,
}  # fmt: skip
PROBABILITIES = {"p", "probs", "q", "targets"}
DOCS = {
    name: words(" ".join(section.text for section in docstring(name).walk()))
    for name in crossent.__all__
}


def signature(name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(crossent, name), eval_str=True).parameters)


def arguments(name: str) -> dict[str, Any]:
    """Return an array for each argument without a default, if all of them are arrays."""
    keys = [key for key, one in signature(name).items() if one.default is one.empty]
    return {key: ARRAYS[key] for key in keys} if ARRAYS.keys() >= set(keys) else {}


COMPUTING = [name for name in crossent.__all__ if arguments(name)]
LOSSES = [name for name in COMPUTING if "reduction" in signature(name)]
OF_CLASSES = [name for name in LOSSES if "axis" in signature(name)]
ELEMENTWISE = [name for name in COMPUTING if name.startswith("binary") or "sigmoid" in name]


def ask(name: str, **changes: Any) -> Any:
    """Call a function with its example, changed; a loss is not reduced unless that is asked."""
    whole = {"reduction": "none"} if name in LOSSES else {}
    return getattr(crossent, name)(**arguments(name) | whole | changes)


def slope(name: str, **changes: Any) -> Any:
    """Return the gradient of the sum of a loss."""
    loss, known = getattr(crossent, name), arguments(name)
    options = {key: value for key, value in changes.items() if key not in known}
    first = [changes.get(key, value) for key, value in known.items()]
    return crossent.grad(loss)(*first, **{"reduction": "sum"} | options)


def value_and_slope(name: str, *arrays: Any, **options: Any) -> Any:
    """Return the unreduced losses and their gradients, found together."""
    return crossent.value_and_grad(getattr(crossent, name))(*arrays, reduction="none", **options)


def of_each(check: Callable[[str], None]) -> Callable[[], None]:
    """Run a check for every function whose docstring has one of the sentences that it quotes."""

    @wraps(check)
    def run() -> None:
        named = [n for n, text in DOCS.items() if any(quoted(one, text) for one in SAID[run])]
        assert named, "no docstring says so"
        for name in named:
            check(name)

    return run


def close(one: Any, other: Any, rtol: float = 1e-13) -> None:
    np.testing.assert_allclose(np.asarray(one, float), np.asarray(other, float), rtol, 1e-300)


def floats(row: Row) -> list[float]:
    return [float(each) for each in row]


def tensor(row: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(row, float))


def near(one: Any, other: Any) -> bool:
    """Say whether two numbers agree as far as float64 can."""
    return bool(abs(float(one) - float(other)) <= 1e-14 + 1e-12 * abs(float(other)))


# --- The formulas, of a single row or element ---
#
# Each is held against what others compute, and the functions against each.


def bce(p: Real, t: Real) -> Real:
    return -t * mp.log(p) - (1 - t) * mp.log(1 - p)


@few
@given(SHARES, SHARES)
def eq_api_binary_cross_entropy(p: Real, t: Real) -> None:
    r"""\ell = -t \log p - (1 - t) \log(1 - p)"""
    same(bce(p, t), H([t, 1 - t], [p, 1 - p]))
    assert near(F.binary_cross_entropy(tensor(p), tensor(t)), bce(p, t))


def bce_of_logit(z: Real, t: Real, w: Real = 1) -> Real:
    return w * t * mp.log(1 + mp.exp(-z)) + (1 - t) * mp.log(1 + mp.exp(z))


@few
@given(reals(), SHARES, reals(0, 5))
def eq_api_binary_cross_entropy_with_logits(z: Real, t: Real, w: Real) -> None:
    r"""\ell = w \, t \log(1 + e^{-z}) + (1 - t) \log(1 + e^z)"""
    same(bce_of_logit(z, t), bce(sigma(z), t))
    loss = F.binary_cross_entropy_with_logits(tensor(z), tensor(t), pos_weight=tensor(w))
    assert near(loss, bce_of_logit(z, t, w))


def focal(z: Real, t: Real, gamma: Real = 2, alpha: Real = None) -> Real:
    a, b = (1, 1) if alpha is None else (alpha, 1 - alpha)
    return a * t * sigma(-z) ** gamma * mp.log(1 + mp.exp(-z)) + b * (1 - t) * sigma(
        z
    ) ** gamma * mp.log(1 + mp.exp(z))


@few
@given(reals(), SHARES, reals(0, 5), SHARES)
def eq_api_binary_focal_loss_with_logits(z: Real, t: Real, gamma: Real, alpha: Real) -> None:
    r"""\ell = \alpha \, t \, \sigma(-z)^\gamma \log(1 + e^{-z})
    + (1 - \alpha) (1 - t) \, \sigma(z)^\gamma \log(1 + e^z)"""

    def of_class(p: Real) -> Real:  # -(1 - p)^γ log p, for the probability of the true class
        return -((1 - p) ** gamma) * mp.log(p)

    mixed = t * alpha * of_class(sigma(z)) + (1 - t) * (1 - alpha) * of_class(1 - sigma(z))
    same(focal(z, t, gamma, alpha), mixed)


def cce(p: Row, t: Row, w: Row | None = None) -> Real:
    terms = zip(p, t, w or [1] * len(p), strict=True)
    return mp.fsum(-w_k * t_k * mp.log(p_k) for p_k, t_k, w_k in terms)


@few
@given(POSSIBLE, distributions(), WEIGHTS)
def eq_api_categorical_cross_entropy(p: Row, t: Row, w: Row) -> None:
    r"""\ell = -\sum_k w_k \, t_k \log p_k"""
    same(cce(p, t), H(t, p))
    loss = -(tensor(w) * torch.xlogy(tensor(t), tensor(p))).sum()
    assert near(loss, cce(p, t, w))


def cce_of_logits(z: Row, t: Row, w: Row | None = None) -> Real:
    return cce(soft(z), t, w)


@few
@given(logits(), distributions(), WEIGHTS)
def eq_api_categorical_cross_entropy_with_logits(z: Row, t: Row, w: Row) -> None:
    r"""\ell = -\sum_k w_k \, t_k \log \operatorname{softmax}(z)_k"""
    loss = F.cross_entropy(tensor(z)[None], tensor(t)[None], weight=tensor(w), reduction="sum")
    assert near(loss, cce_of_logits(z, t, w))


@few
@given(POSSIBLE, POSSIBLE)
def eq_api_cross_entropy(p: Row, q: Row) -> None:
    r"""H(p, q) = -\sum_k p_k \log q_k = H(p) + D(p \,\|\, q)"""
    mean = -mp.fsum(p_k * mp.log(q_k) for p_k, q_k in zip(p, q, strict=True))
    same(mean, H(p) + KL(p, q))
    assert near(scipy.stats.entropy(floats(p)) + scipy.stats.entropy(floats(p), floats(q)), mean)


@few
@given(POSSIBLE)
def eq_api_entropy(p: Row) -> None:
    r"""H(p) = -\sum_k p_k \log p_k"""
    categorical: Any = torch.distributions.Categorical
    mean = -mp.fsum(p_k * mp.log(p_k) for p_k in p)
    assert near(scipy.stats.entropy(floats(p)), mean)
    assert near(categorical(tensor(p)).entropy(), mean)


@few
@given(logits())
def eq_api_entropy_with_logits(z: Row) -> None:
    r"""H(p) = -\sum_k p_k \log p_k, \qquad p = \operatorname{softmax}(z)"""
    p = [mp.exp(z_k) / mp.fsum(mp.exp(z_j) for z_j in z) for z_k in z]
    mean = -mp.fsum(p_k * mp.log(p_k) for p_k in p)
    same(mean, H(soft(z)))
    assert near(scipy.stats.entropy(scipy.special.softmax(floats(z))), mean)


def js(p: Row, q: Row) -> Real:
    m = [(p_k + q_k) / 2 for p_k, q_k in zip(p, q, strict=True)]
    return KL(p, m) / 2 + KL(q, m) / 2


@few
@given(distributions(), distributions())
def eq_api_js_divergence(p: Row, q: Row) -> None:
    r"""J(p, q) = \tfrac12 D(p \,\|\, m) + \tfrac12 D(q \,\|\, m), \qquad m = \tfrac12 (p + q)"""
    m = [(p_k + q_k) / 2 for p_k, q_k in zip(p, q, strict=True)]
    same(js(p, q), H(m) - (H(p) + H(q)) / 2)
    distance = scipy.spatial.distance.jensenshannon(floats(p), floats(q))
    assert abs(distance - mp.sqrt(js(p, q))) < 1e-7  # the root of a rounding


def kl(p: Row, q: Row) -> Real:
    pairs = list(zip(p, q, strict=True))
    return mp.fsum(p_k * mp.log(p_k / q_k) - p_k + q_k for p_k, q_k in pairs)


@few
@given(POSSIBLE, POSSIBLE, st.integers(1, 9))
def eq_api_kl_divergence(p: Row, q: Row, scale: int) -> None:
    r"""D(p \,\|\, q) = \sum_k \left( p_k \log\frac{p_k}{q_k} - p_k + q_k \right)"""
    same(kl(p, q), KL(p, q))
    q = [q_k * scale for q_k in q]  # of another sum
    assert near(sum(scipy.special.kl_div(floats(p), floats(q))), kl(p, q))


@few
@given(logits(), logits(), SHARES)
def eq_api_kl_divergence_with_logits(z_p: Row, z_q: Row, share: Real) -> None:
    r"""D(p \,\|\, q) = \sum_k p_k \log\frac{p_k}{q_k},
    \qquad p = \operatorname{softmax}(z_p / T), \quad q = \operatorname{softmax}(z_q / T)"""
    t = 4 * share
    p, q = ([mp.exp(z_k / t) for z_k in z] for z in (z_p, z_q))
    p, q = ([power / mp.fsum(row) for power in row] for row in (p, q))
    mean = mp.fsum(p_k * mp.log(p_k / q_k) for p_k, q_k in zip(p, q, strict=True))
    same(mean, kl(p, q))
    log_p, log_q = (torch.log_softmax(tensor(z) / float(t), 0) for z in (z_p, z_q))
    assert near(F.kl_div(log_q, log_p, log_target=True, reduction="sum"), mean)


def linear(h: Row, y: int, b: Row | None = None, w: Row | None = None) -> Real:
    z = [mp.fdot(row, h) for row in WEIGHT.tolist()]
    return sparse(soft([z_k + b_k for z_k, b_k in zip(z, b or [0] * 3, strict=True)]), y, w)


@few
@given(st.lists(reals(), min_size=2, max_size=2), st.integers(0, 2), logits(3), WEIGHTS)
def eq_api_linear_cross_entropy(h: Row, y: int, b: Row, w: Row) -> None:
    r"""\ell = -w_y \log \operatorname{softmax}(W h + b)_y"""
    layer = torch.nn.Linear(2, 3, dtype=torch.float64)
    layer.load_state_dict({"weight": tensor(WEIGHT), "bias": tensor(b)})
    loss = F.nll_loss(layer(tensor(h)).log_softmax(0), torch.tensor(y), reduction="sum")
    assert near(loss.detach() * float(w[y]), linear(h, y, b, w[:3]))


@few
@given(reals(-40, 40))
def eq_api_log_sigmoid(z: Real) -> None:
    r"""\log \sigma(z) = -\log(1 + e^{-z})"""
    same(mp.log(1 - 1 / (1 + mp.exp(z))), -mp.log(1 + mp.exp(-z)))
    assert near(F.logsigmoid(tensor(z)), -mp.log(1 + mp.exp(-z)))


def log_softmax(z: Row) -> Row:
    return [z_k - mp.log(mp.fsum(mp.exp(z_j) for z_j in z)) for z_k in z]


@few
@given(logits())
def eq_api_log_softmax(z: Row) -> None:
    r"""\log p_k = z_k - \log \sum_j e^{z_j}"""
    for got, p_k, log_p in zip(tensor(z).log_softmax(0), soft(z), log_softmax(z), strict=True):
        same(log_p, mp.log(p_k))
        assert near(got, log_p)


def logsumexp(z: Row) -> Real:
    return mp.log(mp.fsum(mp.exp(z_k) for z_k in z))


@few
@given(logits())
def eq_api_logsumexp(z: Row) -> None:
    r"""\operatorname{logsumexp}(z) = \log \sum_k e^{z_k}"""
    assert near(scipy.special.logsumexp(floats(z)), logsumexp(z))
    assert near(tensor(z).logsumexp(0), logsumexp(z))


def perplexity(rows: list[Row], labels: list[int], w: Row | None = None) -> Real:
    w = w or [1] * len(rows)
    terms = [w_i * mp.log(soft(z)[y]) for z, y, w_i in zip(rows, labels, w, strict=True)]
    return mp.exp(-mp.fsum(terms) / mp.fsum(w))


@few
@given(st.lists(st.tuples(logits(), CLASSES, st.integers(1, 9)), min_size=1, max_size=4))
def eq_api_perplexity(batch: list[tuple[Row, int, int]]) -> None:
    r"""\operatorname{PP} = \exp\Bigl(-\frac{\sum_i w_i \log p_{i, y_i}}{\sum_i w_i}\Bigr)"""
    rows, labels, w = (list(each) for each in zip(*batch, strict=True))
    product = mp.fprod((1 / soft(z)[y]) ** w_i for z, y, w_i in batch)
    same(perplexity(rows, labels, w), product ** (mpf(1) / sum(w)))  # the geometric mean
    z, y = torch.stack([tensor(z) for z in rows]), torch.tensor(labels)
    repeated = torch.tensor(w)  # a weight of 3 is three of the same
    loss = F.cross_entropy(z.repeat_interleave(repeated, 0), y.repeat_interleave(repeated))
    assert near(loss.exp(), perplexity(rows, labels, w))


@few
@given(reals(-40, 40))
def eq_api_sigmoid(z: Real) -> None:
    r"""\sigma(z) = \frac{1}{1 + e^{-z}}"""
    same(1 / (1 + mp.exp(-z)), (1 + mp.tanh(z / 2)) / 2)
    assert near(scipy.special.expit(float(z)), sigma(z))


@few
@given(logits())
def eq_api_softmax(z: Row) -> None:
    r"""p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}"""
    total = mp.fsum(mp.exp(z_j) for z_j in z)
    for got, z_k in zip(tensor(z).softmax(0), z, strict=True):
        assert near(got, mp.exp(z_k) / total)


def sparse(p: Row, y: int, w: Row | None = None) -> Real:
    return -(w[y] if w else 1) * mp.log(p[y])


@few
@given(POSSIBLE, CLASSES, WEIGHTS)
def eq_api_sparse_categorical_cross_entropy(p: Row, y: int, w: Row) -> None:
    r"""\ell = -w_y \log p_y"""
    hot = [mpf(k == y) for k in range(4)]
    same(sparse(p, y, w), cce(p, hot, w))
    loss = F.nll_loss(tensor(p).log(), torch.tensor(y), tensor(w), reduction="sum")
    assert near(loss, sparse(p, y, w))


@few
@given(logits(), CLASSES, WEIGHTS)
def eq_api_sparse_categorical_cross_entropy_with_logits(z: Row, y: int, w: Row) -> None:
    r"""\ell = -w_y \log \operatorname{softmax}(z)_y
    = w_y \log \Bigl(1 + \sum_{j \ne y} e^{z_j - z_y}\Bigr)"""
    others = mp.fsum(mp.exp(z_j - z[y]) for j, z_j in enumerate(z) if j != y)
    same(sparse(soft(z), y, w), w[y] * mp.log(1 + others))
    loss = F.cross_entropy(tensor(z), torch.tensor(y), tensor(w), reduction="sum")
    assert near(loss, w[y] * mp.log(1 + others))


FORMULAS: dict[str, Callable[..., Any]] = {
    "binary_cross_entropy": bce,
    "binary_cross_entropy_with_logits": bce_of_logit,
    "binary_focal_loss_with_logits": focal,
    "categorical_cross_entropy": cce,
    "categorical_cross_entropy_with_logits": cce_of_logits,
    "cross_entropy": H,
    "entropy": H,
    "entropy_with_logits": lambda z: H(soft(z)),
    "js_divergence": js,
    "kl_divergence": kl,
    "kl_divergence_with_logits": lambda z_p, z_q: KL(soft(z_p), soft(z_q)),
    "linear_cross_entropy": linear,
    "log_sigmoid": lambda z: mp.log(sigma(z)),
    "log_softmax": log_softmax,
    "logsumexp": logsumexp,
    "sigmoid": sigma,
    "softmax": soft,
    "sparse_categorical_cross_entropy": sparse,
    "sparse_categorical_cross_entropy_with_logits": lambda z, y: sparse(soft(z), y),
}


def by_formula(name: str) -> Any:
    """Return what the formula of a function makes of its example."""
    if name == "perplexity":  # of a batch
        return np.array(perplexity(Z.tolist(), LABELS.tolist()), dtype=float)
    arrays = [value for key, value in arguments(name).items() if key != "weight"]
    if name in ELEMENTWISE:
        arrays = [array.ravel() for array in arrays]
    assert name in FORMULAS, f"FORMULAS here has no formula of {name}"
    rows = zip(*(array.tolist() for array in arrays), strict=True)
    return np.array([FORMULAS[name](*row) for row in rows], dtype=float)


@says(
    "Binary cross-entropy of probabilities.",
    "Binary cross-entropy of logits.",
    "Cross-entropy of probabilities under target distributions.",
    "Cross-entropy of logits under target distributions.",
    "Cross-entropy of probabilities under class indices.",
    "Cross-entropy of logits under class indices.",
    "Cross-entropy of the logits of a linear layer, which are never all in memory.",
    "Logarithm of the sum of exponentials.",
    "Probabilities proportional to the exponentials of the logits.",
    "Logarithms of the softmax probabilities.",
    "Probability of the positive class, from its logit.",
    "Logarithm of the probability of the positive class, from its logit.",
    "Entropy of a distribution: its mean surprise.",
    "Entropy of the softmax of logits.",
    "Kullback-Leibler divergence of two softmaxes, from their logits.",
    "Cross-entropy of q under the true distribution p: the mean surprise of who believes q.",
    "Kullback-Leibler divergence: what believing q costs when p is true.",
    "Jensen-Shannon divergence: symmetric, and at most log 2 (1 bit).",
    "Perplexity of logits under labels: how many equally likely classes would surprise as much.",
    "Focal loss of logits: binary cross-entropy in which easy elements count less.",
)
@of_each
def the_function_is_its_formula(name: str) -> None:
    close(np.ravel(ask(name)), by_formula(name).ravel())
    first, takes = DOCS[name][len(name) :].partition(".")[0], arguments(name)
    for word, keys in {
        "of probabilities": {"probs"},
        "of logits": {"logits"},
        "logit": {"logits", "z", "hidden", "q_logits"},
        "under class indices": {"labels"},
        "under labels": {"labels"},
        "under target distributions": {"targets"},
        "binary": {"targets"},
    }.items():
        assert word not in first or keys & takes.keys()
    assert "binary" not in first.lower() or name.startswith("binary")


@says(
    "Jensen-Shannon divergence: symmetric, and at most log 2 (1 bit).",
    "Not symmetric, and H(p, p) is H(p), not 0.",
    "Kullback-Leibler divergence: what believing q costs when p is true.",
    "Perplexity of logits under labels: how many equally likely classes would surprise as much.",
    "Focal loss of logits: binary cross-entropy in which easy elements count less.",
)
def what_the_summaries_add() -> None:
    one = crossent.js_divergence(P, Q)
    close(one, crossent.js_divergence(Q, P))
    assert (one < np.log(2)).all()
    apart = crossent.js_divergence([1.0, 0.0], [0.0, 1.0])
    assert apart == np.log(2)
    assert crossent.js_divergence([1.0, 0.0], [0.0, 1.0], base=2) == 1
    assert (abs(crossent.cross_entropy(P, Q) - crossent.cross_entropy(Q, P)) > 1e-3).all()
    close(crossent.cross_entropy(P, P), crossent.entropy(P))
    assert (crossent.cross_entropy(P, P) > 0.1).all()
    close(crossent.kl_divergence(P, Q), crossent.cross_entropy(P, Q) - crossent.entropy(P), 1e-12)
    for classes in (2, 7):
        close(crossent.perplexity(np.zeros((3, classes)), [0, 1, 1]), classes)
    z = np.linspace(-6, 6, 25)
    focused = crossent.binary_focal_loss_with_logits(z, np.ones(25), reduction="none")
    share = focused / crossent.binary_cross_entropy_with_logits(z, np.ones(25), reduction="none")
    assert (np.diff(share) < 0).all()  # the easier, the less


# --- The prose of the page ---


@says(
    *(f"| `{theirs}` | `{ours}` |" for theirs, ours in chooser.ROWS),
    "Find what you call today; the other column gives the same number.",
    "| `torch`, `torch.nn.functional as F` | `crossent` |",
    "| `keras.losses as L`, `tf.nn` | `crossent` |",
    "| `sklearn.metrics`, `scipy` | `crossent` |",
    "In both, `z` and `v` are logits of shape (N, C) and `q` probabilities, `y` labels and `t`"
    " one-hot or soft targets, `x` the logits and `p` the probabilities of a binary problem with"
    " targets `b`; `w` are weights of classes and `s` of samples.",
    "Every row is evaluated by a test.",
    "`image` has the shape (N, C, H, W) and `mask` (N, H, W).",
)
def both_columns_are_the_same() -> None:
    known = {name: array.shape for name, array in chooser.ARRAYS.items()}
    n, c = known["z"]
    assert known["q"] == known["t"] == known["v"] == (n, c)
    assert {known[name] for name in ("y", "x", "p", "b", "s")} == {(n,)}
    assert known["w"] == (c,)
    assert (len(known["image"]), known["image"][:1] + known["image"][2:]) == (4, known["mask"])
    close(chooser.ARRAYS["p"], crossent.sigmoid(chooser.ARRAYS["x"]))
    for theirs, ours in chooser.ROWS:
        chooser.test_both_columns_of_the_chooser_give_the_same_number(theirs, ours)


@says(
    "The first row ignores the label −100, as PyTorch does unasked; leave the option out if every"
    " label counts.",
    "Keras and TensorFlow take the truth first.",
    "A `class_weight` of `fit` is a sample weight: `sample_weight=w[y]`.",
    "`log_loss` knows the classes from the labels that it is given, and orders them as strings"
    " sort; here a label is the number of a column.",
)
def what_the_tables_add() -> None:
    assert torch.nn.CrossEntropyLoss().ignore_index == -100
    assert next(iter(chooser.ROWS))[1].endswith("ignore_index=-100)")
    for call in (keras.losses.CategoricalCrossentropy.call, keras.losses.KLDivergence.call):
        assert list(inspect.signature(call).parameters)[1:3] == ["y_true", "y_pred"]
    assert (
        next(iter(inspect.signature(tf.nn.weighted_cross_entropy_with_logits).parameters))
        == "labels"
    )
    model = keras.Sequential([keras.layers.Dense(3, kernel_initializer="identity")])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(loss=loss, optimizer="sgd", run_eagerly=True)
    inputs = Z.astype(np.float32), LABELS
    fitted = model.fit(*inputs, class_weight=dict(enumerate(W)), verbose=0).history["loss"][0]
    close(fitted, ask(SPARSE, sample_weight=W[LABELS], reduction="mean"), 1e-5)
    q = [[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]
    assert log_loss(["owl", "cat", "owl"], q) == log_loss([1, 0, 1], q)
    by_number = np.eye(11)[range(11)] * 0.9 + 0.1 / 11
    order = sorted(range(11), key=str)  # 0, 1, 10, 2 …
    close(log_loss(list(map(str, range(11))), by_number[:, order]), -np.log(0.9 + 0.1 / 11))
    close(crossent.sparse_categorical_cross_entropy(by_number, range(11)), -np.log(0.9 + 0.1 / 11))
    with pytest.raises(ValueError, match="different number of classes"):
        log_loss([0, 0, 1], [[0.5, 0.3, 0.2]] * 3)


@says(
    "**The logits of a language model.**",
    "Labels that do not count get a number of their own, and one call gives the mean over all"
    " tokens that do, however ragged the batch.",
    "Its exponential is the perplexity; divided by $\\log 2$, it is in bits per token.",
    "If the logits are those of a linear layer and too many for the memory,"
    " {any}`crossent.linear_cross_entropy` takes the layer itself.",
    "**The loss of each class.** Ask for the losses one by one, and group them.",
    "**Instead of `log_loss`**, with labels that are words: number them first.",
    "**A step of gradient descent**, with the loss from the same pass:",
    "**Distillation.** The loss is $T^2$ times the mean divergence of the student from its teacher"
    " at temperature $T$, because the gradient with respect to the student's logits shrinks as"
    " $1/T^2$.",
    "**Tensors** on the CPU are arrays at once; others are moved first:"
    " `z.detach().cpu().numpy()`.",
)
def the_recipes() -> None:
    """Run the recipes, whose printed numbers a doctest compares, and look at what they made."""
    examples = doctest.DocTestParser().get_examples(find("api").read_text(encoding="utf-8"))
    made: Any = {}
    steps = [example.source for example in examples]
    tokens = next(n for n, step in enumerate(steps) if "perplexity" in step)
    exec("".join(steps[:tokens]), made)  # noqa: S102
    own = made["logits"], np.maximum(made["labels"], 0)
    each = ask(SPARSE, logits=own[0], labels=own[1])[made["labels"] >= 0]
    assert (made["labels"] == -100).sum(axis=1).tolist() == [0, 2]  # ragged
    close(made["loss"], each.mean())
    close(eval(steps[tokens], made), np.exp(made["loss"]))  # noqa: S307
    close(made["loss"] / np.log(2), (each / np.log(2)).mean())
    distilling = next(n for n, step in enumerate(steps) if "teacher" in step)
    exec("".join(steps[tokens + 1 : distilling]), made)  # noqa: S102
    generator = np.random.default_rng(10)
    z, y = generator.normal(size=(50, 3)), generator.integers(0, 3, 50)
    losses = ask(SPARSE, logits=z, labels=y)
    grouped = np.bincount(y, weights=losses) / np.bincount(y)
    close(grouped, [losses[y == k].mean() for k in range(3)])
    names = np.array(["owl", "cat", "owl"])
    q = [[0.2, 0.8], [0.9, 0.1], [0.5, 0.5]]
    numbers = np.unique(names, return_inverse=True)[1]
    close(crossent.sparse_categorical_cross_entropy(q, numbers), log_loss(names, q))
    after = ask(SPARSE, logits=made["X"] @ made["W"], labels=made["y"], reduction="mean")
    assert after < made["loss"]
    close(made["loss"], np.log(3))
    exec("".join(steps[distilling:]), made)  # noqa: S102
    student, t = tensor(made["student"]).requires_grad_(), made["T"]
    log_p, log_q = (torch.log_softmax(z / t, 1) for z in (tensor(made["teacher"]), student))
    theirs: Any = t**2 * F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    theirs.backward()
    assert student.grad is not None
    close(t**2 * made["kl"].mean(), theirs.detach())
    close(made["slope"], student.grad, 1e-11)
    hot = [
        t**2
        * crossent.grad(crossent.kl_divergence_with_logits)(
            made["teacher"], made["student"], temperature=t
        )
        for t in (1e3, 1e5)
    ]
    np.testing.assert_allclose(hot[0], hot[1], rtol=0.01, atol=1e-4)
    tensors = torch.tensor(Z), torch.tensor(LABELS)
    assert crossent.sparse_categorical_cross_entropy_with_logits(*tensors) == ask(
        SPARSE, reduction="mean"
    )
    with pytest.raises((TypeError, RuntimeError)):
        crossent.softmax(torch.tensor(Z, requires_grad=True))
    close(
        crossent.softmax(torch.tensor(Z, requires_grad=True).detach().cpu().numpy()),
        crossent.softmax(Z),
    )


@cache
def fresh(threads: str = "", before: str = "pass") -> dict[str, list[str]]:
    """Return what an import loads, and how many threads there are at first."""
    code = (
        f"import os, sys; {before}; known = set(sys.modules); import crossent;"
        "print(crossent.get_num_threads()); print(*set(sys.modules) - known)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    printed = subprocess.check_output(
        [sys.executable, "-c", code], cwd=ROOT, text=True, env=environment
    )
    first, loaded = map(str.split, printed.splitlines())
    return {"threads": first, "loaded": loaded}


@says(
    "`crossent` needs NumPy and nothing else.",
    "The losses take predictions first and targets second, the functions of information the truth"
    " first: `cross_entropy(p, q)` is $-\\sum p \\log q$ of two distributions, and no loss of"
    " logits and labels.",
    "Options are keyword-only, a loss has the kind of its input in its name, and the class axis is"
    " the last unless `axis` says otherwise.",
)
def the_signatures() -> None:
    others = {name.partition(".")[0] for name in fresh()["loaded"]} - sys.stdlib_module_names
    assert others == {"numpy", "crossent"}
    for name in COMPUTING:
        for one in signature(name).values():
            assert (one.default is one.empty) == (one.kind is one.POSITIONAL_OR_KEYWORD)
    predictions, truths = {"probs", "logits", "hidden"}, {"targets", "labels"}
    for name in LOSSES:
        first, *_, last = arguments(name)
        assert first in predictions
        assert last in truths
        assert name.endswith("_with_logits") == (first == "logits")
    for name in ("cross_entropy", "kl_divergence", "js_divergence"):
        assert list(arguments(name)) == ["p", "q"]
    assert crossent.kl_divergence([1.0, 0.0], [0.5, 0.5]) < crossent.kl_divergence(
        [0.5, 0.5], [1.0, 0.0]
    )  # p, the truth, comes first
    for name in COMPUTING:
        if "axis" in signature(name):
            assert signature(name)["axis"].default == -1
            turned = {k: np.moveaxis(v, -1, 0) for k, v in arguments(name).items() if v.ndim == 2}
            result = ask(name, axis=0, **turned)
            close(np.moveaxis(result, 0, -1) if np.ndim(result) == 2 else result, ask(name))


@says("Bad input is refused with an error that names the argument and says what to do.")
def errors_name_the_argument() -> None:
    for name in COMPUTING:
        for key in arguments(name):
            bad = np.full(ARRAYS[key].shape, "word")
            with pytest.raises(TypeError, match=rf"^{key}\b.*: .+"):
                ask(name, **{key: bad})


@says(
    "Nothing is clipped or renormalized silently.",
    "Nothing is clipped: p = 0 with t = 1 is infinite, where torch stops at 100, Keras at 16.118"
    " and scikit-learn at 36.04 (float64).",
    "A class of weight or target 0 adds nothing, even where p is 0 or nan; any other p = 0 is"
    " infinite, for nothing is clipped.",
    "An outcome of probability 0 adds nothing.",
    "Nothing is renormalized: ``scipy.stats.entropy`` divides by the sum.",
    "An outcome with p = 0 adds nothing, whatever q is.",
)
def nothing_is_clipped() -> None:
    assert crossent.binary_cross_entropy([0.0, 1.0], [1, 0], reduction="none").tolist() == [INF] * 2
    pair = np.zeros(1), np.ones(1)
    for dtype in (np.float32, np.float64):
        for peer, stop in ((peers.TORCH, 100.0), (peers.KERAS, 16.118)):
            value, _ = peer(
                "binary_cross_entropy", *(x.astype(dtype) for x in pair), reduction="none"
            )
            assert abs(value - stop) < 5e-4
    assert abs(log_loss([1], [0.0], labels=[0, 1]) - 36.04) < 5e-3
    certain, doubt = [[1.0, 0.0, 0.0]], [[0.5, 0.0, 0.5]]
    dense, of_label = crossent.categorical_cross_entropy, crossent.sparse_categorical_cross_entropy
    assert dense(certain, certain) == 0
    assert dense(certain, doubt) == INF
    close(dense([[0.5, 0.5, 0.0]], doubt, class_weight=[1, 1, 0]), np.log(2) / 2)
    assert of_label(certain, [1]) == INF
    assert of_label([[0.5, NAN, 0.5]], [0]) == dense([[0.5, NAN, 0.5]], certain) == np.log(2)
    close(crossent.entropy(doubt), np.log(2))
    for q in ([0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [0.5, 0.2, 0.3]):
        close(crossent.cross_entropy([1.0, 0.0, 0.0], q), np.log(2))
    counts = np.array([2.0, 1.0, 1.0])
    close(scipy.stats.entropy(counts), scipy.stats.entropy(counts / 4))
    for name in COMPUTING:
        for key in PROBABILITIES & arguments(name).keys() if name not in ELEMENTWISE else ():
            with pytest.raises(ValueError, match="sums to"):
                ask(name, **{key: 0.9 * ARRAYS[key]})


@says(
    "What distributions say about surprise: how much there is, and what it costs to believe in the"
    " wrong one.",
    "Results are in nats unless `base=2` asks for bits.",
    "Base of the logarithm, positive and not 1: 2 for bits. By default nats.",
)
def the_base() -> None:
    for name in (name for name in COMPUTING if "base" in signature(name)):
        assert signature(name)["base"].default is None
        close(ask(name, base=2), ask(name) / np.log(2))
        for bad in (0, -2, 1):
            with pytest.raises(ValueError, match="base"):
                ask(name, base=bad)
    assert crossent.entropy([0.5, 0.5], base=2) == 1
    extra = crossent.cross_entropy(P, Q) - crossent.entropy(P)
    assert (extra > 0).all()
    close(extra, crossent.kl_divergence(P, Q), 1e-12)


@says(
    "From logits to probabilities and their logarithms, without overflow.",
    "One number per example, or their mean.",
    "The name tells what goes in: probabilities, or logits, which keep the digits that"
    " probabilities have lost.",
)
def what_goes_in_and_out() -> None:
    z = np.array([800.0, -800.0, 0.0])
    with np.errstate(all="raise"):
        assert crossent.softmax(z).tolist() == [1, 0, 0]
        assert crossent.log_softmax(z).tolist() == [0, -1600, -800]
        assert crossent.sigmoid(z).tolist() == [1, 0, 0.5]
        assert crossent.logsumexp(z) == 800
        assert crossent.log_sigmoid(-800.0) == -800
    for name in LOSSES:
        assert signature(name)["reduction"].default == "mean"
        close(ask(name, reduction="mean"), np.mean(ask(name)))
    far = np.array([[0.0, 40.0]])
    lost = crossent.sparse_categorical_cross_entropy(crossent.softmax(far), [1])
    assert lost == 0 < crossent.sparse_categorical_cross_entropy_with_logits(far, [1])


@says(
    "The derivative of every loss with respect to its predictions, in closed form.",
    "Return a function for the gradient of a loss with respect to its first argument.",
    "Return a function for a loss and its gradient, found in one pass.",
    "callable Takes the arguments of the loss and returns the gradient, in closed form: an array of"
    ' the shape and dtype of the predictions. For ``reduction="none"`` it is the gradient of the'
    " sum, in which each row holds the derivative of its own loss.",
    "Probabilities are taken as free: their sum is not held at 1.",
    "A loss of this package, for example ``binary_cross_entropy_with_logits``.",
    "A loss of this package, for example ``sparse_categorical_cross_entropy_with_logits``.",
    "A loss of this package.",
    "Its first two arguments.",
    "Compare the gradient of a loss with a numerical derivative.",
    "GradientCheck The worst entry: ``error``, ``index``, ``analytic`` and ``numerical``.",
)
def the_gradients() -> None:
    for name in LOSSES:
        both = crossent.value_and_grad(getattr(crossent, name))
        if name == "linear_cross_entropy":
            continue  # its gradient is several arrays: see the_layer
        key, *_ = known = arguments(name)
        first = known[key]
        passes, (value, gradient) = calls.count([_forms.Form.evaluate], both, *known.values())
        assert passes == 1
        close(value, ask(name, reduction="mean"))
        close(gradient, slope(name, reduction="mean"))
        check = crossent.check_grad(getattr(crossent, name), *known.values())
        assert check.error == abs(check.analytic - check.numerical) < 1e-9
        assert check.analytic == gradient[check.index]
        assert (slope(name) == slope(name, reduction="none")).all()
        for dtype in (np.float16, np.float32):
            answer = slope(name, **{key: first.astype(dtype)})
            assert (answer.dtype, answer.shape) == (dtype, first.shape)
        if key == "probs" and name not in ELEMENTWISE:
            # Free: along p itself the loss falls, as it cannot where the sum is held at 1.
            close((first * slope(name)).sum(axis=1), -np.ones(4))
        else:
            moved = {step: first + step * np.eye(4, 3) for step in (1e-6, -1e-6)}
            up, down = (np.sum(ask(name, **{key: array})) for array in moved.values())
            close(np.trace(slope(name)), (up - down) / 2e-6, 1e-6)
    worst = crossent.check_grad(crossent.binary_cross_entropy, [0.5, 0.001, 0.5], [1, 1, 1])
    assert worst.index == (1,)  # where the loss is steep


@says(
    "An element that is ignored or of weight 0 has gradient 0.",
    "In an array of 16 bits an entry that they cannot hold is infinite.",
)
def nothing_counts_nothing() -> None:
    heavy = slope(SPARSE, logits=Z.astype(np.float16), sample_weight=1e6)
    assert heavy.dtype == np.float16
    whole = slope(SPARSE, sample_weight=1e6)
    assert (np.isinf(heavy) == (abs(whole) > 65_519)).all()
    assert np.isinf(heavy).any()
    ignored = slope("sparse_categorical_cross_entropy_with_logits", ignore_index=2)
    assert ignored.any(axis=1).tolist() == [True, False, True, True]
    for name in LOSSES:
        weight = np.array([1.0, 0, 1, 1])[(..., *[None] * (name in ELEMENTWISE))]
        answer = slope(name, sample_weight=weight)
        of_rows = answer.hidden if name == LAYER else answer
        assert of_rows.any(axis=1).tolist() == [True, False, True, True]


@says(
    "callable Takes the arguments of the loss and returns the loss and its gradient.",
    "The gradient is as ``grad`` describes it.",
    "The loss is within the bound that it states; in its last digits it may differ from a call of"
    " the loss alone.",
)
def the_value_beside_the_gradient() -> None:
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    generator = np.random.default_rng(0)
    z = generator.uniform(-30, 30, (7000, 10)).astype(np.float32)
    y = generator.integers(0, 10, 7000)
    # Rows are done carefully where a factor of the gradient is tiny.
    options: Any = {"reduction": "none", "sample_weight": 1e-30}
    value, gradient = crossent.value_and_grad(loss)(z, y, **options)
    assert (gradient == crossent.grad(loss)(z, y, **options)).all()
    alone = loss(z, y, **options)
    assert 0 < np.count_nonzero(alone != value) < 7000
    exact = loss(z.astype(float), y, **options)
    allowed = bounds.ulp(loss.__name__, np.float32, bounds.largest(z), size=z.size)
    for each in (value, alone):
        assert (abs(each - exact) <= allowed * np.spacing(exact.astype(np.float32))).all()


@says(
    "Arrays may be of float16, float32 or float64, and of the bfloat16 of ml_dtypes where that is"
    " installed; results keep the dtype, while 16-bit numbers are computed in float32 or wider.",
)
def the_dtypes() -> None:
    bfloat16 = ml_dtypes.bfloat16
    assert set(map(np.dtype, FLOATS)) == _arrays.FLOATS
    exact = np.array([[2, 1, 1], [1, 2, 1], [1, 1, 2], [2, 1, 1]]) / 4  # in any dtype
    for name in COMPUTING:
        known = arguments(name)
        for place, key in enumerate(PROBABILITIES & known.keys()):
            known[key] = np.roll(exact, place, axis=0)
        for dtype, digits in ((np.float16, 11), (bfloat16, 8), (np.float32, 24), (float, 53)):
            given = {k: v.astype(dtype) for k, v in known.items() if k != "labels"}
            whole = {"labels": LABELS} if "labels" in known else {}
            got = ask(name, **given, **whole)
            assert got.dtype == dtype
            wide = ask(name, **{k: v.astype(float) for k, v in given.items()}, **whole)
            if digits < 24:  # half a unit in the last place and a little: it is rounded once
                close(np.asarray(got, float), wide, 1.001 * 2.0**-digits)
        for other in (np.longdouble, complex):
            with pytest.raises(TypeError, match="give real numbers, as float16, float32 or float"):
                ask(name, **{k: v.astype(other) for k, v in known.items() if k != "labels"})


# --- Information from logits ---


@says(
    "Within 5 ulp (float16: 1 ulp) at any margin: for logits 40 and 0 it is 1.7e-16, where"
    " log Σ e^z − Σ p z gives 0.",
    "Below 1e-307 nats digits may be lost.",
    "A class at −∞ adds nothing, and one at +∞ leaves no surprise.",
    "Two of these have no limit and give nan, as do rows of −∞ only and a nan.",
    "The same as ``torch.distributions.Categorical(logits=z).entropy()``.",
)
def the_surprise_of_logits() -> None:
    generator, worst, lost = np.random.default_rng(13), 0.0, 0.0
    for margin in np.linspace(0, 744, 120):
        z = np.array([margin, *generator.uniform(-4, 0, 3)])
        true = H(truth.softmax(truth.exact(z)))
        worst = max(worst, ulps(crossent.entropy_with_logits(z), true))
        if margin > 650:  # a nat in many units
            error = ulps(ask(SURPRISE, logits=z, base=1 + 1e-8), true / mp.log(mpf(1 + 1e-8)))
            assert error <= stated(SURPRISE) or true < 1e-307
            lost = max(lost, error)
    assert stated(SURPRISE) / 3 < worst <= stated(SURPRISE) < 100 < lost
    far = np.array([40.0, 0.0])
    assert f"{crossent.entropy_with_logits(far):.1e}" == "1.7e-16"
    assert scipy.special.logsumexp(far) - scipy.special.softmax(far) @ far == 0
    close(ask(SURPRISE, logits=[-INF, 0.3, 0.1]), ask(SURPRISE, logits=[0.3, 0.1]))
    assert ask(SURPRISE, logits=[INF, 0.0, 1.0]) == 0
    for none in ([INF, INF, 0.0], [-INF] * 3, [NAN, 0.0, 0.0]):
        assert np.isnan(ask(SURPRISE, logits=none))
    categorical: Any = torch.distributions.Categorical
    close(ask(SURPRISE), categorical(logits=tensor(Z)).entropy())


@says(
    "What you have as logits goes to the functions `_with_logits`, which keep the digits of a"
    " divergence however small it is.",
    "Within 6 ulp (float16: 1 ulp), also where the two are nearly equal or as far apart as a mask"
    " makes them: it is never negative in a base above 1, and 0 only where the logits differ by a"
    " constant or the dtype has no number so small.",
    "With :math:`x_k` the difference of the logits over T less its mean under p, it is"
    " :math:`\\log(1 + \\sum_k p_k (e^{x_k} - 1 - x_k))`, a sum of terms ≥ 0.",
    "Below 1e-307 nats digits may be lost.",
    "``torch.nn.functional.kl_div`` with ``log_target=True`` and"
    " ``optax.losses.kl_divergence_with_log_targets`` take log-probabilities, q first,"
    " ``scipy.special.rel_entr`` and ``keras.losses.KLDivergence`` probabilities, p first.",
    "They lose what the terms of either sign cancel, and may be negative.",
    "It is within 6 ulp of the larger of :math:`q_j / T` and :math:`p_j / T`, times"
    " :math:`\\max_k |\\log(q_k / p_k)|` where that is less than 1.",
)
def the_divergence_of_logits() -> None:
    generator, bound = np.random.default_rng(14), stated(APART)
    shares, of_slopes, lost = [], [], 0.0
    for apart in (3.0, 0.1, 1e-8, 1e-15, 1e-150, 1e-155):
        for t in (1.0, 3.7):
            z_p = generator.uniform(-3, 3, 4) * (apart > 1e-140)  # the difference must fit in it
            z_q = z_p + apart * generator.uniform(-1, 1, 4)
            a, b = truth.exact(z_p), truth.exact(z_q)
            with mp.workdps(400):
                p, q = (soft([z / mpf(t) for z in row]) for row in (a, b))
                mean = mp.fsum(x * (v - u) / mpf(t) for x, u, v in zip(p, a, b, strict=True))
                x = [(v - u) / mpf(t) - mean for u, v in zip(a, b, strict=True)]
                terms = [p_k * (mp.exp(x_k) - 1 - x_k) for p_k, x_k in zip(p, x, strict=True)]
                true = KL(p, q)
                same(mp.log1p(mp.fsum(terms)), true)
                assert min(terms) >= 0
                most = min(1, max(abs(mp.log(v / u)) for u, v in zip(p, q, strict=True)))
                slopes = [(v - u) / mpf(t) for u, v in zip(p, q, strict=True)]
                units = [most * max(pair) / mpf(t) for pair in zip(p, q, strict=True)]
            got, gradient = crossent.value_and_grad(crossent.kl_divergence_with_logits)(
                z_p, z_q, temperature=t
            )
            assert got > 0
            shares.append(ulps(got, true) / bound)
            of_slopes += [ulps(*each) / 6 for each in zip(gradient, slopes, units, strict=True)]
            fine = ask(APART, p_logits=z_p, q_logits=z_q, temperature=t, base=1 + 1e-8)
            error = ulps(fine, true / mp.log(mpf(1 + 1e-8)))
            assert error <= bound or true < 1e-307
            lost = max(lost, error)
    assert 0.2 < max(shares) <= 1
    assert 0.2 < max(of_slopes) <= 1
    assert lost > 100
    for far in (1e4, 1e20, float(np.finfo(np.float32).max), 1e300):
        for masked in ([1.0, 2.0, -far], [far, 2.0, 3.0]):
            p, q = (soft(truth.exact(z)) for z in ([1.0, 2.0, 3.0], masked))
            assert ulps(ask(APART, p_logits=[1.0, 2.0, 3.0], q_logits=masked), KL(p, q)) <= bound
    assert ask(APART, p_logits=[1.0, 2.0], q_logits=[2.0, 1.0], base=0.5) < 0
    for constant in (0.0, 7.0):
        assert (ask(APART, p_logits=Z, q_logits=Z + constant) <= 1e-30).all()
        assert (ask(APART, p_logits=[0.25, -1.5], q_logits=[0.25 + constant, constant - 1.5])) == 0
    assert ask(APART, p_logits=[0.0, 0.0], q_logits=[0.0, 1e-170]) == 0  # 1e-341
    # The others, of logits that are nearly equal.
    # https://optax.readthedocs.io/en/latest/api/losses.html: log_predictions come first.
    z_p = generator.normal(size=(500, 5))
    z_q = z_p + 1e-8 * generator.normal(size=z_p.shape)
    keras_loss = keras.losses.KLDivergence(reduction=None, dtype="float64")

    def others(z_p: Any, z_q: Any) -> Iterator[Any]:
        log_p, log_q = (torch.log_softmax(tensor(z), 1) for z in (z_p, z_q))
        p, q = crossent.softmax(z_p), crossent.softmax(z_q)
        yield F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(1).numpy()
        yield (log_p.exp() * (log_p - log_q)).sum(1).numpy()  # optax's
        yield scipy.special.rel_entr(p, q).sum(axis=1)
        yield keras_loss(p, q).numpy()

    for well, ill in zip(others(TEACHER, Z), others(z_p, z_q), strict=True):
        close(well, ask(APART), 1e-6)
        assert (abs(ill / ask(APART, p_logits=z_p, q_logits=z_q) - 1) > 1).any()
        assert ill.min() < 0


@says(
    "Logits of the true distribution p and of q, of the same shape: nothing is broadcast.",
    "T > 0, which both are divided by.",
    "There is no factor T²: distillation multiplies by it.",
    "``grad`` and ``value_and_grad`` give the gradient with respect to ``q_logits``, the second"
    " argument: :math:`(q_j - p_j) / T` in units of the base, the gradient of the sum of what is"
    " returned.",
    "There is no gradient for p.",
    "Of ``kl_divergence_with_logits`` it is that with respect to ``q_logits``, the second.",
    "Infinite logits give the limit: infinite where p has mass and q has none, while a class at −∞"
    " in both adds nothing; nan only where there is none.",
)
def what_distillation_asks() -> None:
    of_probabilities = crossent.kl_divergence(crossent.softmax(TEACHER), crossent.softmax(Z))
    close(ask(APART), of_probabilities)
    for part in (Z[:1], Z[0], Z[:, :1]):
        with pytest.raises(ValueError, match="nothing is broadcast"):
            ask(APART, q_logits=part)
    assert signature(APART)["temperature"].default == 1
    for t in (0.5, 4.0):
        close(ask(APART, temperature=t), ask(APART, p_logits=TEACHER / t, q_logits=Z / t))
        for base in (None, 2):
            options: Any = {"temperature": t, "base": base}
            value, gradient = crossent.value_and_grad(crossent.kl_divergence_with_logits)(
                TEACHER, Z, **options
            )
            assert (
                gradient == crossent.grad(crossent.kl_divergence_with_logits)(TEACHER, Z, **options)
            ).all()  # one array: that of q
            close(value, ask(APART, **options))
            apart = crossent.softmax(Z / t) - crossent.softmax(TEACHER / t)
            close(gradient, apart / t / np.log(base or np.e), 1e-12)
            leaf = tensor(Z).requires_grad_()
            log_p, log_q = (torch.log_softmax(z / t, 1) for z in (tensor(TEACHER), leaf))
            total: Any = F.kl_div(log_q, log_p, log_target=True, reduction="sum")
            total.backward()
            assert leaf.grad is not None
            close(gradient, leaf.grad / np.log(base or np.e), 1e-12)
    for z_p, z_q, limit in (
        ([0.0, 0.0], [0.0, -INF], INF),
        ([0.0, 0.0], [INF, 0.0], INF),
        ([0.0, 0.0, -INF], [0.0, 1.0, -INF], ask(APART, p_logits=[0.0, 0], q_logits=[0.0, 1])),
        ([0.0, -INF], [0.0, 0.0], np.log(2)),
        ([INF, 0.0], [0.0, 0.0], np.log(2)),
        ([INF, 0.0], [INF, 0.0], 0),
        ([INF, INF, 0.0], [-INF, -INF, 0.0], INF),
        ([INF, INF], [0.0, 0.0], NAN),
        ([-INF, -INF], [0.0, 0.0], NAN),
        ([NAN, 0.0], [0.0, 0.0], NAN),
    ):
        np.testing.assert_allclose(ask(APART, p_logits=z_p, q_logits=z_q), limit, rtol=1e-15)


# --- Parameters ---

KINDS: dict[str, Any] = {
    "array_like": ArrayLike,
    "bool": bool,
    "callable": Callable[..., Any],
    "float": float,
    "int": int,
    "int, tuple of int or None": int | tuple[int, ...] | None,
}


def entries(name: str, title: str) -> Iterator[tuple[str, str]]:
    """Yield the entries of a section of a docstring: its head, and the text under it."""
    whole = inspect.getdoc(getattr(crossent, name)) or ""
    part = re.search(rf"^{title}\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", whole, re.MULTILINE | re.DOTALL)
    text = part[1] + "\n" if part else ""
    for head, body in re.findall(r"^(\S.*)\n((?:(?: .*)?\n)*)", text, re.MULTILINE):
        yield head, words(body)


def accepts(name: str, key: str, value: Any) -> bool:
    try:
        ask(name, **{key: value})
    except (ValueError, TypeError):
        return False
    return True


@says(
    "As in ``entropy``.",
    "As in ``binary_cross_entropy_with_logits``.",
    "As in ``categorical_cross_entropy_with_logits``.",
    "As in ``sparse_categorical_cross_entropy_with_logits``.",
)
def the_parameters_are_those_of_the_signature() -> None:
    """What is told of each is its type, whether it may be left out, and where else it is told."""
    for name in crossent.__all__:
        known, listed = signature(name), []
        for head, text in entries(name, "Parameters"):
            names, _, kind = head.partition(" : ")
            kind, optional = re.subn(", optional$", "", kind)
            for key in names.removeprefix("**").split(", "):
                one = known[key]
                listed.append(key)
                if choice := re.fullmatch(r"\{(.+)\}", kind):
                    values = [each.strip('"') for each in choice[1].split(", ")]
                    assert one.default == values[0]
                    tried = [*values, "none", "sum", "mean", "weighted_mean", "average", ""]
                    assert {value for value in tried if accepts(name, key, value)} == set(values)
                elif kind:
                    assert one.annotation == (KINDS[kind] | None if optional else KINDS[kind])
                    assert (one.default is None) == bool(optional)
                if other := re.match(r"As in ``(\w+)``", text):
                    there = signature(other[1])[key]
                    assert (there.default, there.kind) == (one.default, one.kind)
                    assert other[1] != name
        assert sorted(listed) == sorted(known)


@says(
    "Probability p of the positive class, of any shape.",
    "Logit z of the positive class, of any shape.",
    "Logits, of any shape.",
)
@of_each
def of_any_shape(name: str) -> None:
    whole = {"axis": None} if name == "logsumexp" else {}
    for shape in ((), (5,), (2, 3, 2)):
        arrays = {key: np.full(shape, 0.5) for key in arguments(name)}
        assert np.shape(ask(name, **arrays, **whole)) == (() if whole else shape)
    if "targets" in signature(name):  # of the positive class: with t = 1, the more the better
        key, _ = arguments(name)
        falls = ask(name, **{key: np.array([0.2, 0.4, 0.8])}, targets=np.ones(3))
        assert (np.diff(falls) < 0).all()


@says(
    "Logits, of any shape with a class axis.",
    "Logits of any shape with a class axis; for example (N, C).",
    "Logits z of any shape with a class axis; for example (N, C).",
    "The class axis, or the axes whose probabilities add up to 1; None for all of them.",
    "The class axis, or axes, as in ``softmax``.",
    "Logits z with two or more classes along ``axis``; for example (N, C).",
    "The class axis.",
    "The class axis: -1 for (N, C), 1 for (N, C, H, W).",
    "The axis of the outcomes.",
    "Probabilities p that sum to 1 along ``axis``; for example (N, C).",
    "Probabilities that sum to 1 along ``axis``; for example (N, C).",
    "Target distributions t, hard or soft, of the same shape.",
    "Distributions along ``axis``, p the true one.",
    "Distributions along ``axis``.",
)
@of_each
def along_an_axis(name: str) -> None:
    """Along any axis, also of images (N, C, H, W), the example is the same."""
    known, plain = arguments(name), np.asarray(ask(name))
    for axis in (0, 1, 2, 3, -1):
        images = {}
        for key, array in known.items():
            pixels = array.reshape(1, 2, 2, *array.shape[1:])
            images[key] = np.moveaxis(pixels, -1, axis) if array.ndim == 2 else pixels
        result = np.asarray(ask(name, axis=axis, **images))
        flat = np.moveaxis(result, axis, -1) if plain.ndim == 2 else result
        close(flat.reshape(plain.shape), plain)
    assert signature(name)["axis"].default == -1
    if PROBABILITIES & known.keys() and "labels" not in known:
        with pytest.raises(ValueError, match="sums to"):
            ask(name, axis=0)
    if "targets" in known:
        hard = np.eye(3)[LABELS]
        close(ask(name, targets=hard), ask(f"sparse_{name}"))
        with pytest.raises(ValueError, match="shape"):
            ask(name, targets=hard[:1])
    if name in LOSSES:
        key, other = known
        targets = {"targets": np.eye(2)[[0, 1, 1, 0]], "labels": [0, 1, 1, 0]}
        assert np.shape(ask(name, **{key: np.full((4, 2), 0.5), other: targets[other]})) == (4,)
        with pytest.raises(ValueError, match="single class"):
            ask(
                name,
                **{key: np.ones((4, 1)), other: np.ones((4, 1)) if other == "targets" else [0] * 4},
            )


@says("Their other axes are equal or broadcast.")
@of_each
def distributions_broadcast(name: str) -> None:
    close(ask(name, q=Q[:1]), ask(name, q=np.repeat(Q[:1], 4, axis=0)))
    close(ask(name, p=P[2]), [ask(name, p=P[2], q=q) for q in Q])
    with pytest.raises(ValueError, match="broadcast"):
        ask(name, q=Q[:2])


@says("Target t in [0, 1], hard or soft, of the same shape: nothing is broadcast.")
@of_each
def binary_targets(name: str) -> None:
    hard = [ask(name, targets=np.full(Q.shape, t)) for t in (0, 1)]
    close(ask(name), (1 - Q) * hard[0] + Q * hard[1])
    for bad in (-1.0, 1.0):
        with pytest.raises(ValueError, match="targets"):
            ask(name, targets=Q + bad)
    for part in (Q[0], Q[:, :1], 0.5):
        with pytest.raises(ValueError, match="nothing is broadcast"):
            ask(name, targets=part)


S, W = np.array([0.5, 2.0, 1.25, 0.75]), np.array([0.5, 2.0, 3.0])  # of samples, of classes


@says(
    "Weight w ≥ 0 of the positive class; broadcasts to the logits.",
    "Weights ≥ 0 that broadcast to the predictions.",
    "Weights ≥ 0 that broadcast to the unreduced loss.",
    "Weights w ≥ 0 of shape (C,), or of any shape that broadcasts to the predictions.",
    "Weights w ≥ 0 of the classes, (V,).",
)
@of_each
def the_weights(name: str) -> None:
    each, known = ask(name), signature(name)
    for key in {"pos_weight", "sample_weight", "class_weight"} & known.keys():
        assert known[key].default is None
        negative = np.array([1.0, 1.0, -1.0]) if key == "class_weight" else -1.0
        with pytest.raises(ValueError, match=f"{key}.* is -1"):
            ask(name, **{key: negative})
    if "sample_weight" in known:
        shapes = [2.0, S] if each.ndim == 1 else [2.0, W, S[:, None], np.outer(S, W)]
        for weight in shapes:
            close(ask(name, sample_weight=weight), each * weight)
    if "pos_weight" in known:
        negative, positive = (ask(name, targets=np.full(Q.shape, t)) for t in (0, 1))
        for weight in (3.0, W, np.outer(S, W)):
            close(ask(name, pos_weight=weight), (1 - Q) * negative + weight * Q * positive)
    if "class_weight" in known:
        of_labels = "labels" in known
        mass = W * (np.eye(3)[LABELS] if of_labels else Q)
        logs = {
            "probs": P,
            "logits": crossent.softmax(Z),
            "hidden": crossent.softmax(HIDDEN @ WEIGHT.T),
        }
        expected = -(mass * np.log(logs[next(iter(arguments(name)))])).sum(axis=1)
        close(ask(name, class_weight=W), expected)
        if name != "linear_cross_entropy":
            close(ask(name, class_weight=np.outer(S, W)), S * expected)


@says(
    "An element of weight 0 is not looked at: its prediction and target may be anything, and its"
    " gradient is 0.",
    "What does not count, because it is ignored or its sample or class weight is 0, is not looked"
    " at: its label, target or probability may be anything, and its gradient is 0.",
)
@of_each
def what_does_not_count(name: str) -> None:
    each, known, (key, other) = ask(name), signature(name), arguments(name)
    spoilt = {name: array.copy() for name, array in arguments(name).items()}
    spoilt[key][1], spoilt[other][1] = NAN, -7
    weight = np.array([1.0, 0, 1, 1]).reshape(4, *[1] * (each.ndim - 1))
    rest = np.array([0, 2, 3])
    close(ask(name, **spoilt, sample_weight=weight)[rest], each[rest])
    for answer in (ask, slope):
        assert not answer(name, **spoilt, sample_weight=weight)[1].any()
        if "ignore_index" in known:
            assert not answer(name, **spoilt, ignore_index=-7)[1].any()
        if "class_weight" in known:
            classes = np.where(np.arange(4)[:, None] == 1, 0.0, W)
            assert not answer(name, **{key: spoilt[key]}, class_weight=classes)[1].any()


@says(
    "The share ε in [0, 1] of the target that is moved to ½: t becomes (1 − ε) t + ε/2.",
    "The share ε in [0, 1] of the target that is spread evenly over all C classes, before the class"
    " weights apply.",
)
@of_each
def the_smoothing(name: str) -> None:
    assert signature(name)["label_smoothing"].default == 0
    for share in (0.0, 0.3, 1.0):
        if name in ELEMENTWISE:
            expected = ask(name, targets=(1 - share) * Q + share / 2)
            close(ask(name, label_smoothing=share), expected)
        else:
            spread = (1 - share) * np.eye(3)[LABELS] + share / 3
            expected = -(W * spread * np.log(crossent.softmax(Z))).sum(axis=1)
            close(ask(name, label_smoothing=share, class_weight=W), expected)
    for bad in (-0.1, 1.1):
        with pytest.raises(ValueError, match="label_smoothing"):
            ask(name, label_smoothing=bad)


@says(
    '"mean" divides the weighted sum by the number of elements, "weighted_mean" by the sum of'
    " sample_weight · (w t + 1 − t), with t as given.",
    "A mean over nothing is nan with a RuntimeWarning.",
    'As in ``binary_cross_entropy_with_logits``; "weighted_mean" divides by the sum of'
    " sample_weight · (α t + (1 − α)(1 − t)).",
    'As in ``sparse_categorical_cross_entropy_with_logits``; "weighted_mean" divides by the sum of'
    " sample_weight · Σ w_k t_k, with t as given (without class weights, of sample_weight).",
    '"mean" divides the weighted sum by the number of elements that count, "weighted_mean" by the'
    " sum of sample_weight · w_y.",
)
def the_reductions() -> None:
    def divided(name: str, reduction: str, **options: Any) -> Any:
        return ask(name, reduction="sum", **options) / ask(name, reduction=reduction, **options)

    for name in LOSSES:
        close(ask(name, reduction="sum"), ask(name).sum())
        options: dict[str, Any] = {}
        if name in ELEMENTWISE:
            options["sample_weight"] = np.outer(S, W)
            given = {"pos_weight": W, "alpha": 0.2, "label_smoothing": 0.3}
            mass = np.ones(Q.shape)
            mass = W * Q + 1 - Q if "pos_weight" in signature(name) else mass
            mass = 0.2 * Q + (1 - 0.2) * (1 - Q) if "alpha" in signature(name) else mass
            total, count = np.sum(options["sample_weight"] * mass), Q.size
        else:
            options["sample_weight"] = S
            given = {"class_weight": W, "label_smoothing": 0.3}
            mass = W[LABELS] if "labels" in signature(name) else (W * Q).sum(axis=1)
            if "sample_weight" not in signature(name):
                options = {}
            total, count = np.sum(options.get("sample_weight", np.ones(4)) * mass), 4
            if options:
                close(divided(name, "weighted_mean", **options), S.sum())
        options |= {key: given[key] for key in given.keys() & signature(name).keys()}
        close(divided(name, "mean", **options), count)
        close(divided(name, "weighted_mean", **options), total)
        if "ignore_index" in signature(name):
            close(divided(name, "mean", **options, ignore_index=1), 2)
    for name in (*LOSSES, "perplexity"):
        nothing = {k: v if k == "weight" else v[:0] for k, v in arguments(name).items()}
        whole = {"reduction": "mean"} if name in LOSSES else {}
        with pytest.warns(RuntimeWarning, match="mean over nothing"):
            assert np.isnan(ask(name, **nothing, **whole))


@says("The label of elements that do not count.", "By default every label counts.")
@of_each
def ignored_labels(name: str) -> None:
    assert signature(name)["ignore_index"].default is None
    kept = LABELS != 1
    those = {key: array[kept] for key, array in arguments(name).items()}
    whole = {"reduction": "mean"} if name in LOSSES else {}
    left = ask(name, ignore_index=1, **whole)
    close(left, ask(name, **those, **whole))
    for label in (-100, -1):  # also what others leave out by default
        labels = np.where(kept, LABELS, label)
        close(ask(name, labels=labels, ignore_index=label, **whole), left)
        with pytest.raises(IndexError):
            ask(name, labels=labels)


@says(
    "Integers 0 to C − 1, of the same shape without the class axis: (N,).",
    "Integers y from 0 to C − 1, of the same shape without the class axis: (N,).",
    "Integers y from 0 to V − 1, of the shape of ``hidden`` without its last axis.",
)
@of_each
def labels_are_integers(name: str) -> None:
    for good in (0, 2):
        assert np.all(ask(name, labels=[good] * 4) > 0)
    for bad in (-1, 3):
        with pytest.raises(IndexError, match="the labels of 3 classes are 0 to 2"):
            ask(name, labels=[0, 0, 0, bad])
    with pytest.raises(TypeError, match="integers"):
        ask(name, labels=[0.0, 0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="shape"):
        ask(name, labels=[[0], [0], [0], [0]])


@says(
    "Focusing exponent γ ≥ 0; 0 gives cross-entropy.",
    "Weight α in [0, 1] of the positive class, 1 − α that of the negative one.",
    "By default both weights are 1.",
    "A soft target mixes the losses of the two classes.",
    "Keras and torchvision put it inside the focusing factor, which is the same for targets 0 and 1"
    " only.",
    "Their default α is 0.25, in Keras once ``apply_class_balancing`` is on.",
)
def the_focal_loss() -> None:
    loss, entropy = "binary_focal_loss_with_logits", "binary_cross_entropy_with_logits"
    close(ask(loss, gamma=0), ask(entropy))
    assert signature(loss)["gamma"].default == 2
    for key, bad in (("gamma", -0.1), ("alpha", -0.1), ("alpha", 1.1)):
        with pytest.raises(ValueError, match=f"{key} is"):
            ask(loss, **{key: bad})
    zeros, ones = np.zeros(Z.shape), np.ones(Z.shape)
    negative, positive = ask(loss, targets=zeros), ask(loss, targets=ones)
    close(ask(loss), Q * positive + (1 - Q) * negative)
    close(ask(loss, targets=ones, alpha=0.3), 0.3 * positive)
    close(ask(loss, targets=zeros, alpha=0.3), 0.7 * negative)

    # https://docs.pytorch.org/vision/stable/generated/torchvision.ops.sigmoid_focal_loss.html: the
    # target is in p_t, and alpha is 0.25 by default.
    def torchvisions(t: Any) -> Any:
        p = crossent.sigmoid(Z)
        return (1 - (p * t + (1 - p) * (1 - t))) ** 2 * ask(entropy, targets=t)

    for t, alike in ((zeros, True), (ones, True), (Q, False)):
        keras_loss, _ = peers.KERAS(loss, Z, t, reduction="none")
        np.testing.assert_allclose(torchvisions(t), keras_loss, rtol=1e-6)
        assert np.allclose(ask(loss, targets=t), keras_loss, rtol=1e-6) == alike
    kind = keras.losses.BinaryFocalCrossentropy
    options: Any = {"from_logits": True, "reduction": "none", "dtype": "float64"}
    for balanced, weight in ((False, 1), (True, 0.25)):
        known = kind(apply_class_balancing=balanced, **options)(ones[..., None], Z[..., None])
        np.testing.assert_allclose(weight * positive, known, rtol=1e-6)
    assert inspect.signature(kind).parameters["apply_class_balancing"].default is False


@says(
    "The class axis, or the axes whose probabilities add up to 1; None for all of them.",
    "The class axis, or axes, as in ``softmax``.",
    "Of these, only SciPy takes several axes, by default all; ``keras.ops.softmax`` takes several,"
    " too.",
)
def the_axes_of_softmax() -> None:
    cube = np.stack([Z, P, Q])
    for axis in ((0, 1), (-1, 0), (0, 1, 2), None, (1,), 1):
        close(np.sum(crossent.softmax(cube, axis=axis), axis=axis), 1)
        close(crossent.softmax(cube, axis=axis), scipy.special.softmax(cube, axis=axis))
        close(crossent.log_softmax(cube, axis=axis), scipy.special.log_softmax(cube, axis=axis))
    close(scipy.special.softmax(cube), crossent.softmax(cube, axis=None))
    close(keras.ops.softmax(cube, (0, 1)), crossent.softmax(cube, axis=(0, 1)))
    with pytest.raises(TypeError):
        torch.softmax(tensor(cube), (0, 1))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        tf.nn.softmax(cube, (0, 1))


@says(
    "The axis or axes to sum over; None for all of them.",
    "Keep the summed axes with length 1.",
    "The same as ``scipy.special.logsumexp``, whose default is all axes, and ``torch.logsumexp``,"
    " which has no default.",
)
def the_axes_of_logsumexp() -> None:
    cube = np.stack([Z, P, Q])
    for axis, keep in itertools.product((0, 1, -1, (0, 2), None), (False, True)):
        expected = scipy.special.logsumexp(cube, axis=axis, keepdims=keep)
        result = crossent.logsumexp(cube, axis=axis, keepdims=keep)
        assert np.shape(result) == np.shape(expected)
        close(result, expected)
    assert signature("logsumexp")["axis"].default == -1
    assert signature("logsumexp")["keepdims"].default is False
    close(scipy.special.logsumexp(cube), crossent.logsumexp(cube, axis=None))
    close(torch.logsumexp(torch.tensor(cube), -1), crossent.logsumexp(cube))
    with pytest.raises(TypeError):
        torch.logsumexp(torch.tensor(cube))  # type: ignore[call-arg]


@says(
    "Inputs h of the layer: (N, D), or (..., D).",
    "Weight W of the layer, (V, D) for V classes, as in torch.",
    "Bias b of the layer, (V,).",
    "``value_and_grad`` and ``grad`` give the gradient as a named tuple of arrays in the common"
    " dtype, ``hidden``, ``weight`` and ``bias``.",
    "``torch.nn.functional.linear_cross_entropy``, new in torch 2.13, takes the same arrays.",
    "As in ``sparse_categorical_cross_entropy_with_logits``.",
)
def the_layer() -> None:
    layer = torch.nn.Linear(2, 3, dtype=torch.float64)
    assert tuple(layer.weight.shape) == WEIGHT.shape == (3, 2)
    layer.load_state_dict({"weight": tensor(WEIGHT), "bias": tensor(W)})
    loss = F.cross_entropy(layer(tensor(HIDDEN)), torch.tensor(LABELS)).detach()
    for batch in ((4,), (2, 2)):
        given = {"hidden": HIDDEN.reshape(*batch, 2), "labels": LABELS.reshape(batch)}
        close(ask(LAYER, **given, bias=W, reduction="mean"), loss)
    theirs = F.linear_cross_entropy(
        tensor(HIDDEN), tensor(WEIGHT), torch.tensor(LABELS), linear_bias=tensor(W)
    )
    close(theirs, loss)
    for bad in (W[:2], W[:, None]):
        with pytest.raises(ValueError, match="bias"):
            ask(LAYER, bias=bad)
    options: Any
    for options in (
        {"label_smoothing": 0.2},
        {"ignore_index": 1},
        {"reduction": "mean"},
        {"sample_weight": S},
        {"sample_weight": S, "reduction": "weighted_mean"},
    ):
        expected = ask(SPARSE, logits=HIDDEN @ WEIGHT.T, **options)
        close(ask(LAYER, **options), expected)
    absent = np.where(np.arange(4)[:, None] == 1, NAN, HIDDEN)
    weighed = ask(LAYER, hidden=absent, sample_weight=[1, 0, 1, 1])
    close(weighed, ask(LAYER) * [1, 0, 1, 1])
    for dtype in FLOATS:
        slopes = slope(LAYER, weight=WEIGHT.astype(dtype), hidden=HIDDEN.astype(np.float16), bias=W)
        assert slopes._fields == ("hidden", "weight", "bias")
        assert [each.shape for each in slopes] == [(4, 2), (3, 2), (3,)]
        assert {each.dtype for each in slopes} == {np.dtype(dtype)}


# --- Returns and Raises, which are made of the same phrases in every docstring ---

FLOATS: tuple[Any, ...] = (np.float16, np.float32, np.float64)
Phrase = Callable[..., None]
PHRASES: list[tuple[str, re.Pattern[str], Phrase]] = []
BETWEEN = re.compile(r"(?:[,;.: ]+|(?:[Ii]f|also|or|the|an?)\b)*")


def phrase(section: str, pattern: str) -> Callable[[Phrase], Phrase]:
    """Mark the check of a phrase; it is given the function and what the groups match."""

    def mark(check: Phrase) -> Phrase:
        PHRASES.append((section, re.compile(pattern), check))
        return check

    return mark


def follow(name: str, section: str, text: str, *more: str) -> None:
    """Run the checks of the phrases that a text is made of; there must be no others."""
    while text := BETWEEN.sub("", text, count=1):
        known = [(p.match(text), check) for where, p, check in PHRASES if where == section]
        match, check = next(((m, check) for m, check in known if m), (None, print))
        assert match, f"{name}: no check of the phrase in {section} that begins {text!r}"
        check(name, *match.groups(), *more)
        text = text[match.end() :]


def told(title: str, *names: str) -> list[str]:
    """Return the text of a section in the docstrings of functions."""
    parts = [part for name in names for part in docstring(name).parts if part.title == title]
    return [words(part.prose) for part in parts]


@says(*told("Returns", *COMPUTING))
def what_is_returned() -> None:
    for name in COMPUTING:
        ((head, text),) = entries(name, "Returns")
        results = [ask(name), *([ask(name, reduction="mean")] if name in LOSSES else [])]
        assert ("numpy.ndarray" in head) == any(isinstance(each, np.ndarray) for each in results)
        single = {k: v if k == "weight" else v[0] for k, v in arguments(name).items()}
        if name in ELEMENTWISE:
            single = {key: value[0] for key, value in single.items()}
        assert ("float" in head.split()) == isinstance(ask(name, **single), float)
        follow(name, "Returns", text)


@phrase("Returns", "In nats|in units of the base")
def _(name: str) -> None:
    close(np.ravel(ask(name)), by_formula(name).ravel())
    if "base" in signature(name):
        close(ask(name, base=3), ask(name) / np.log(3))


@phrase("Returns", r"in (?:the )?dtype of (?:the )?(?:``)?(\w+)(?:``)?")
def _(name: str, key: str) -> None:
    for dtype in FLOATS:
        assert ask(name, **{key: ARRAYS[key].astype(dtype)}).dtype == dtype


@phrase("Returns", r"of (?:the )?shape and dtype of ``(\w+)``")
def _(name: str, key: str) -> None:
    for dtype in FLOATS:
        result = ask(name, **{key: ARRAYS[key].astype(dtype)})
        assert (result.dtype, result.shape) == (dtype, ARRAYS[key].shape)


@phrase("Returns", r"\(float64 for integers\)")
def _(name: str) -> None:
    assert ask(name, **{key: np.array([[1, 0, 0]] * 4) for key in arguments(name)}).dtype == float


@phrase("Returns", r"in (?:the )?common dtype of ``(\w+)`` and ``(\w+)``")
def _(name: str, first: str, second: str) -> None:
    for one, other in itertools.product(FLOATS, FLOATS):
        given = {first: ARRAYS[first].astype(one), second: ARRAYS[second].astype(other)}
        assert ask(name, **given).dtype == np.result_type(one, other)


@phrase("Returns", "in the common dtype of the logits")
def _(name: str) -> None:
    for one, other in itertools.product(FLOATS, FLOATS):
        given = {"p_logits": TEACHER.astype(one), "q_logits": Z.astype(other)}
        assert ask(name, **given).dtype == np.result_type(one, other)


@phrase("Returns", "Their mean is the loss of distillation, up to T²")
def _(name: str) -> None:
    log_p, log_q = (torch.log_softmax(tensor(z) / 3, 1) for z in (TEACHER, Z))
    loss = 9 * F.kl_div(log_q, log_p, log_target=True, reduction="batchmean")
    close(9 * np.mean(ask(name, temperature=3)), loss)


@phrase("Returns", 'of their shape for "none"')
def _(name: str) -> None:
    assert ask(name).shape == next(iter(arguments(name).values())).shape


@phrase("Returns", '(?:without (?:the )?class axis|of (?:the )?shape of ``labels``) for "none"')
def _(name: str) -> None:
    assert ask(name).shape == LABELS.shape


@phrase("Returns", r"without ``axis``: \(N,\)(?: for \(N, C\))?|without (?:the )?summed axes")
def _(name: str) -> None:
    assert ask(name).shape == (4,)


@phrase("Returns", "A scalar where no axis is left")
def _(name: str) -> None:
    assert np.isscalar(ask(name, axis=None))


@phrase("Returns", "Probabilities")
def _(name: str) -> None:
    assert ((ask(name) > 0) & (ask(name) < 1)).all()


@phrase("Returns", "infinite where q excludes an outcome that p allows")
def _(name: str) -> None:
    assert ask(name, p=[0.5, 0.5], q=[1.0, 0.0]) == INF
    assert np.isfinite(ask(name, p=[1.0, 0.0], q=[0.5, 0.5]))


@phrase("Returns", "reduced in float64")
def _(name: str) -> None:
    first, second = arguments(name)
    for z in np.random.default_rng(3).uniform(-9, 9, (3, 4001, 2)).astype(np.float32):
        target = np.zeros(z.shape if second == "targets" else len(z), int)
        exact = ask(name, **{first: z.astype(float), second: target}, reduction="sum")
        assert ask(name, **{first: z, second: target}, reduction="sum") == np.float32(exact)


@phrase("Returns", "A number of classes, without a unit")
def _(name: str) -> None:
    close(ask(name, logits=np.zeros((4, 3))), 3)
    assert "base" not in signature(name)


@phrase(
    "Returns",
    "A number that 16 bits cannot hold comes in a wider type"
    "|in a wider one if its 16 bits cannot hold it",
)
def _(name: str) -> None:
    half = {key: ARRAYS[key].astype(np.float16) for key in arguments(name) if key != "labels"}
    assert ask(name, **half).dtype == np.float16
    if name in LOSSES:
        key, other = arguments(name)
        far = np.array([[60_000, -60_000]] * 4, np.float16)
        targets = {"labels": [1] * 4, "targets": np.array([[0.0, 1.0]] * 4)}[other]
        total = ask(name, **{key: far, other: targets}, reduction="sum")
        assert (total, total.dtype) == (480_000, np.float32)
    elif name == "perplexity":
        got = ask(name, logits=np.array([[0, -15]], np.float16), labels=[1])
        assert got.dtype == np.float32
        close(got, 1 + np.exp(15.0), 1e-6)
    else:
        # In a base near 1, a nat has many units.
        whole = {key: np.array([0.5, 0.5], np.float16) for key in arguments(name)}
        whole |= {"q": np.array([0.25, 0.75], np.float16)} if "q" in whole else {}
        got = ask(name, **whole, base=1 + 1e-8)
        assert got.dtype == np.float32
        close(got, float(ask(name, **whole)) / np.log(1 + 1e-8), 1e-3)


@phrase("Returns", r"As of ``(\w+)``")
def _(name: str, other: str) -> None:
    ((_, text),) = entries(other, "Returns")
    follow(name, "Returns", re.sub(r"in the dtype of .*?\)", "", text))


@says(*told("Raises", *crossent.__all__))
def what_is_raised() -> None:
    for name in crossent.__all__:
        for head, text in entries(name, "Raises"):
            follow(name, "Raises", text, head)


def refuses(name: str, error: str, **changes: Any) -> None:
    kind = {"ValueError": ValueError, "TypeError": TypeError, "IndexError": IndexError}[error]
    with pytest.raises(kind):
        ask(name, **changes)


def spoilt(name: str, value: float, keys: set[str]) -> Iterator[dict[str, Any]]:
    """Yield the arguments with an entry that is not what it should be, one at a time."""
    for key in keys & arguments(name).keys():
        array = ARRAYS[key].copy()
        array[1, 2] = value
        yield {key: array}


@phrase("Raises", r"(probabilit\w+|target) (?:or target )?(?:is|are) outside \[0, 1\]")
def _(name: str, what: str, error: str) -> None:
    for value in (-0.01, 1.01):
        for changes in spoilt(name, value, {"targets"} if what == "target" else PROBABILITIES):
            refuses(name, error, **changes)


@phrase("Raises", "nan")
def _(name: str, error: str) -> None:
    for changes in spoilt(name, NAN, PROBABILITIES):
        refuses(name, error, **changes)


@phrase("Raises", "shapes (?:differ|do not match)")
def _(name: str, error: str) -> None:
    first, *_, last = arguments(name)
    refuses(name, error, **{first: ARRAYS[first][:3]})
    refuses(name, error, **{last: ARRAYS[last][:3]})


@phrase("Raises", "(?:shapes or )?options? (?:is|are) not (?:valid|one of its values)")
def _(name: str, error: str) -> None:
    bad = {"reduction": "average", "label_smoothing": 2.0, "axis": 5, "gamma": -1.0, "alpha": 2.0}
    for key in bad.keys() & signature(name).keys():
        refuses(name, error, **{key: bad[key]})


@phrase("Raises", "weight is negative, infinite or does not broadcast")
def _(name: str, error: str) -> None:
    for key in {"class_weight", "sample_weight", "pos_weight"} & signature(name).keys():
        for bad in ([1, 1, -1], [1, 1, INF], np.ones(5)):
            refuses(name, error, **{key: bad})


@phrase("Raises", "there is a single class")
def _(name: str, error: str) -> None:
    key = "weight" if name == LAYER else next(iter(arguments(name)))
    one = WEIGHT[:1] if name == LAYER else ARRAYS[key][:, :1]
    refuses(name, error, **{key: one}, labels=[0] * 4)


@phrase("Raises", "label that counts is outside 0 to C − 1")
def _(name: str, error: str) -> None:
    for bad in (-1, 3):
        labels = np.array([0, 1, 1, bad])
        refuses(name, error, labels=labels)
        assert np.all(ask(name, labels=labels, ignore_index=bad) >= 0)


@phrase("Raises", "labels are not integers")
def _(name: str, error: str) -> None:
    refuses(name, error, labels=LABELS.astype(float))


@phrase("Raises", "(?:another )?(?:argument|``z``) is not made of real numbers")
def _(name: str, error: str) -> None:
    for key in arguments(name):
        for bad in ("word", 1j):
            refuses(name, error, **{key: np.full(ARRAYS[key].shape, bad)})


@phrase(
    "Raises",
    r"do not sum to 1 as far as float32 can tell \(within 64·√C·2⁻²³ and 1 %, in any dtype;"
    r" float16: 1 %, or C/2²⁵ if that is more\)",
)
def _(name: str, error: str) -> None:
    many = [(np.float16, 400_000)] if name == "entropy" else []  # of these, 1 % is less
    for dtype, classes in (*itertools.product(FLOATS, (2, 128)), *many):
        room = min(64 * classes**0.5 * 2.0**-23, 0.01)
        if dtype is np.float16:
            room = max(0.01, classes / 2**25)
        for share in (-1.2, -0.9, 0.9, 1.2):
            p = np.zeros(classes, dtype)
            p[:2] = 0.5 + share * room, 0.5
            sums_to_1 = dict.fromkeys(arguments(name), p)
            if abs(share) < 1:
                assert np.isfinite(ask(name, **sums_to_1))
            else:
                refuses(name, error, **sums_to_1)


@phrase("Raises", "A rounding above 1 is 1")
def _(name: str, error: str) -> None:
    above = dict.fromkeys(arguments(name), np.array([1 + 1e-7, 0.0]))
    assert ask(name, **above) == 0
    refuses(name, error, **{key: 2 * p for key, p in above.items()})


@phrase("Raises", "temperature is not positive and finite")
def _(name: str, error: str) -> None:
    for bad in (0, -1, INF, NAN):
        refuses(name, error, temperature=bad)


@phrase("Raises", "axis or base is not valid")
def _(name: str, error: str) -> None:
    for axis in (2, -3):
        refuses(name, error, axis=axis)
    for base in (0, 1, -2, INF):
        refuses(name, error, base=base)


@phrase(
    "Raises",
    r"(probabilities|targets) (or targets )?are not (?:the distributions that|those of)"
    r" ``(\w+)``(?: takes)?",
)
def _(name: str, what: str, targets: str | None, other: str, error: str) -> None:
    del other  # what it takes is in its own entry
    keys = {"probabilities": {"probs"}, "targets": {"targets"}}[what] | (
        {"targets"} if targets else set()
    )
    for key in keys:
        for bad in (1.1 * ARRAYS[key], ARRAYS[key] * NAN, -ARRAYS[key]):
            refuses(name, error, **{key: bad})


@phrase("Raises", "axis does not exist, is named twice or is empty")
def _(name: str, error: str) -> None:
    for bad in (2, -3, (0, 0), (0, 2)):
        refuses(name, error, axis=bad)
    refuses(name, error, z=np.zeros((2, 0)))


@phrase("Raises", "axis is not an integer")
def _(name: str, error: str) -> None:
    refuses(name, error, axis=0.5)


@phrase("Raises", "shapes of ``hidden``, ``weight`` and ``bias`` do not fit")
def _(name: str, error: str) -> None:
    for changes in ({"weight": WEIGHT.T}, {"hidden": HIDDEN.T}, {"bias": W[:2]}):
        refuses(name, error, **changes)


@phrase("Raises", r"As ``(\w+)`` does")
def _(name: str, other: str, error: str) -> None:
    heads = error.split(", ")
    for head, text in entries(other, "Raises"):
        if head in heads:
            follow(name, "Raises", text, head)
    assert set(heads) == {head for head, _ in entries(other, "Raises")}


@phrase("Raises", "(ValueError) (.*)")
def _(name: str, error: str, text: str, head: str) -> None:
    assert error in head.split(", ")
    follow(name, "Raises", text, error)


@phrase("Raises", "gradient of ``loss`` is not known here")
def _(name: str, error: str) -> None:
    assert error == "ValueError"
    arrays = () if name != "check_grad" else (Z, LABELS)
    with pytest.raises(ValueError, match="has no gradient here"):
        getattr(crossent, name)(crossent.entropy, *arrays)


@phrase("Raises", "there is no prediction|loss is not finite")
def _(name: str, error: str) -> None:
    assert error == "ValueError"
    loss, check = crossent.binary_cross_entropy, getattr(crossent, name)
    for predictions, message in (([], "no predictions"), ([0.0], "no derivative")):
        with pytest.raises(ValueError, match=message):
            check(loss, predictions, np.ones(len(predictions)))


@phrase("Raises", "``threads`` is less than 1|it is not an integer")
def _(name: str, error: str) -> None:
    before = crossent.get_num_threads()
    bad, kind = {"ValueError": (0, ValueError), "TypeError": (1.5, TypeError)}[error]
    with pytest.raises(kind):
        getattr(crossent, name)(bad)
    assert crossent.get_num_threads() == before


# --- Bounds of the error ---
#
# `tests.bounds` reads them in the docstrings, and test_accuracy that none is too small. Here none
# may be much too large: against the worst error of the hard cases, or of what is drawn here.

SPARSE, DENSE = (
    "sparse_categorical_cross_entropy_with_logits",
    "categorical_cross_entropy_with_logits",
)
BINARY, FOCAL = "binary_cross_entropy_with_logits", "binary_focal_loss_with_logits"
SMALL = 1000  # predictions: fewer than what is large
TINY = 1e-37  # in large arrays of float32, a probability below it may be 0


def stated(name: str, dtype: Any = float, *, size: float = SMALL, **quantities: float) -> float:
    """Return the bound of a docstring, in which what is not given is 0."""
    none = {"γ": 0.0, "log PP": 0.0, bounds.LARGEST: 0.0}
    return float(bounds.ulp(name, dtype, none | quantities, size=int(size)))


def measured(dtype: str) -> dict[str, float]:
    """Return the worst error of each function and gradient that accuracy.md lists, in ulp."""
    accuracy = (ROOT / "benchmarks" / "accuracy.md").read_text(encoding="utf-8")
    table = accuracy.partition(f"\n## {dtype}")[2].partition("### By family")[0]
    rows = re.findall(r"^\| ([\w()]+) \| [^ ]+ / ([^ ]+) / \d+ \|", table, re.MULTILINE)
    return {name: float(worst) for name, worst in rows}


def ulps(got: Any, true: Real, of: Real = None) -> float:
    """Return how many ulp a number is away from that of mpmath, or of another one."""
    unit = mpf(float(np.spacing(abs(float(true if of is None else of)))))
    return float(abs(mpf(float(got)) - true) / unit)


def distances(got: Any, true: Any, dtype: Any = None) -> Any:
    """Return how many ulp results are away from those in long double."""
    info = np.finfo(dtype or got.dtype)
    unit = np.spacing(abs(true).astype(info.dtype)).astype(np.longdouble)
    return np.where(abs(true) > info.tiny, abs(got - true) / unit, 0.0)


@says(
    "Within 4 ulp (float16: 1 ulp).",
    "Within 8 ulp (float16: 1 ulp).",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`(p - t) / (p (1 - p))` without"
    " smoothing",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`-w_k t_k / p_k`, which takes each"
    " probability as free",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient, :math:`-w_y / p_y` at the label and 0"
    " elsewhere, which takes each probability as free. p = 0 at the label is infinite;"
    " the other probabilities may be nan.",
    "Within 6 ulp (float16: 1 ulp), also where p and q are nearly equal",
    "Within 8 ulp (float16: 1 ulp) of this sum, also where p and q are nearly equal.",
    "The error is at most 8 ulp (float16: 1 ulp) of the largest logit or of the result, whichever"
    " is larger.",
)
def the_bounds_are_tight() -> None:
    with_bounds = [name for name in COMPUTING if name != LAYER]
    accuracy = (ROOT / "benchmarks" / "accuracy.md").read_text(encoding="utf-8")
    said = re.search(r"a bound of (\d+) to (\d+) ulp in float64 and float32 and of 1 ulp", accuracy)
    # So few numbers of float32 are computed in float64, and then rounded once.
    for dtype, spare in (("float16", 2), ("float32", 16), ("float64", 3)):
        worst, whole = measured(dtype), {name: stated(name, dtype) for name in with_bounds}
        left_out = whole.keys() - worst.keys()
        assert not left_out, f"benchmarks/accuracy.md lacks {left_out}: run benchmarks/accuracy.py"
        assert all(worst[name] <= bound for name, bound in whole.items() if name != "perplexity")
        # A bound is that of the steps that functions share: the worst of all is what it is for.
        most = max(worst[name] for name in with_bounds if name != "perplexity")
        assert max(whole.values()) <= spare * most
        assert dtype == "float16" or [min(whole.values()), max(whole.values())] == [
            float(one) for one in (said.groups() if said else ())
        ]


@says(
    "The exponential turns the last bit of the mean into log PP bits: the error is at most 4 + 4"
    " log PP ulp (float16: 1 ulp), for more than 2,048 logits that of their mean loss times"
    " log PP.",
    'The exponential of the mean loss, of a "weighted_mean" if there are weights: over batches of'
    " different size, average the losses of all elements first.",
    "Weights w ≥ 0 that broadcast to ``labels``: 1 for the tokens and 0 for the padding of ragged"
    " sequences, for example.",
    "By default all are 1.",
)
def the_bound_of_perplexity() -> None:
    shares = []
    for margin in np.linspace(1.0, 700.0, 60):
        true = 1 + mp.exp(mpf(margin))
        got = float(crossent.perplexity([[margin, 0.0]], [1]))
        bound = stated("perplexity", **{"log PP": float(mp.log(true))})
        shares.append(ulps(got, true) / bound)
    assert 0.08 < max(shares) <= 1
    z = np.random.default_rng(5).uniform(-20, 20, (7000, 10)).astype(np.float32)
    labels = np.argmin(z, axis=1)
    mean = ask(SPARSE, logits=z.astype(float), labels=labels, reduction="mean")
    bound = stated(SPARSE, np.float32, size=z.size, **bounds.largest(z)) * mean
    assert (
        distances(ask("perplexity", logits=z, labels=labels), np.exp(np.longdouble(mean))) <= bound
    )
    parts = [
        ask("perplexity", logits=Z[rows], labels=LABELS[rows]) for rows in (slice(1), slice(1, 4))
    ]
    close(ask("perplexity"), np.exp(ask(SPARSE, reduction="mean")))
    close(ask("perplexity"), np.exp(np.mean(ask(SPARSE))))
    assert abs(np.mean(parts) - ask("perplexity")) > 0.01
    assert signature("perplexity")["sample_weight"].default is None
    for weight in (1, np.ones(4)):
        close(ask("perplexity", sample_weight=weight), ask("perplexity"))
    of_mean = ask(SPARSE, sample_weight=S, reduction="weighted_mean")
    close(ask("perplexity", sample_weight=S), np.exp(of_mean))
    assert abs(of_mean - ask(SPARSE, sample_weight=S, reduction="mean")) > 0.01
    with pytest.raises(ValueError, match=r"sample_weight.* is -1"):
        ask("perplexity", sample_weight=-S / S)
    texts = np.random.default_rng(12).normal(size=(2, 3, 5))  # the second one is shorter
    texts[1, 1:] = NAN
    present, of_text = np.array([[1, 1, 1], [1, 0, 0]]), np.array([[1, 4, 0], [2, 9, 9]])
    ragged = ask("perplexity", logits=texts, labels=of_text, sample_weight=present)
    there = present.astype(bool)
    close(ragged, ask("perplexity", logits=texts[there], labels=of_text[there]))
    first = ask("perplexity", logits=texts[0], labels=of_text[0])
    close(ask("perplexity", logits=texts, labels=of_text, sample_weight=[[1], [0]]), first)


@says(
    "Within 8 + γ ulp (float16: 1 ulp); more than 2,048 logits within 8 + 5 γ ulp, which is"
    " faster.",
    "The same holds for the gradient for hard targets; for soft targets its error is that of the"
    " larger of two terms that may cancel.",
)
def the_bounds_of_binary_losses() -> None:
    for dtype in (np.float32, np.float64):
        z = np.random.default_rng(2).uniform(-3, 6, 65_537).astype(dtype)
        p = 1 / (1 + np.exp(-z.astype(np.longdouble)))
        plain = -np.log1p(-p)
        for gamma in (None, 1.0, 30.0):
            name, options = (BINARY, {}) if gamma is None else (FOCAL, {"gamma": gamma})
            power = p ** (gamma or 0)
            true = power * plain, power * (p + (gamma or 0) * (1 - p) * plain)
            for size in (len(z), _spans.LARGE):
                got = value_and_slope(name, z[:size], np.zeros(size), **options)
                worst = max(distances(g, t[:size]).max() for g, t in zip(got, true, strict=True))
                bound = stated(name, dtype, size=size, γ=gamma or 0.0)
                assert worst <= bound
                if dtype is np.float32 and size > _spans.LARGE:
                    assert bound < 4 * worst
    # Soft targets: of the larger term, and where the terms cancel, not of the result.
    own, balanced = [], np.log(0.5) + np.arange(-4, 5) * 1e-15
    slopes = slope(FOCAL, logits=balanced, targets=np.full(9, 1 / 3), gamma=0.0)
    for one, logit in zip(slopes, map(mpf, balanced.tolist()), strict=True):
        terms = mpf(1 - 1 / 3) * sigma(logit), mpf(1 / 3) * sigma(-logit)
        assert ulps(one, terms[0] - terms[1], max(terms)) <= stated(FOCAL)
        own.append(ulps(one, terms[0] - terms[1]))
    assert max(own) > 100


@says(
    "More than 2,048 logits within 10 ulp (float32: :math:`8 + 2 \\max_k |z_k|` ulp, where no logit"
    " counts for more than 88), which is faster.",
    "That is about what the rounding of every logit does, and less than two and a half digits.",
    "Within 8 ulp (float16: 1 ulp) at any margin: for logits 40 and 0 and label 0 the loss is"
    " 4.2e-18, where torch, TensorFlow, SciPy and optax give 0.",
    "The gradient is :math:`w_y p_j`, and :math:`-w_y \\sum_{j \\ne y} p_j` at the label, also"
    " within 8 ulp.",
)
def the_bounds_of_sparse_losses() -> None:
    generator = np.random.default_rng(4)
    for dtype, spare in ((np.float32, 3), (float, 4)):
        shares = []
        for top in (1, 20, 80):
            z = generator.uniform(-top, top, (7000, 10)).astype(dtype)
            labels = np.zeros(len(z), int)
            e = np.exp(z.astype(np.longdouble))
            others = e[:, 1:].sum(axis=1)
            value, gradient = value_and_slope(SPARSE, z, labels)
            bound = stated(SPARSE, dtype, size=z.size, **bounds.largest(z))
            for got, true in (
                (value, np.log1p(others / e[:, 0])),
                (gradient[:, 1], e[:, 1] / (others + e[:, 0])),
                (gradient[:, 0], -others / (others + e[:, 0])),
            ):
                gone = (got == 0) & (abs(true) < TINY) & (dtype is np.float32)
                shares.append(np.where(gone, 0, distances(got, true)).max() / bound)
            if dtype is np.float32:  # each logit half an ulp up or down, as is worst
                half = np.spacing(abs(z)).astype(float) / 2
                rounded = z + np.where(np.arange(10) == 0, -half, half)
                moved = np.log1p(np.exp(rounded[:, 1:] - rounded[:, :1]).sum(axis=1))
                effect = distances(moved, np.log1p(others / e[:, 0]), dtype).max()
                assert top == 1 or bound / 4 < effect < 2 * bound
        assert 1 / spare < max(shares) <= 1
    far = {bounds.LARGEST: bounds.largest([1e4])[bounds.LARGEST]}
    assert far == {bounds.LARGEST: 88}
    most = stated(SPARSE, np.float32, size=_spans.LARGE + 1, **far)
    assert 100 < most < 10**2.5
    assert np.log(np.finfo(np.float32).max) // 1 == 88  # beyond, rows are done carefully
    # Small arrays, at any margin. As SciPy's user does, optax takes logsumexp less the logit, by
    # https://optax.readthedocs.io/en/latest/_modules/optax/losses/_classification.html
    for margin in (0.1, 5.0, 40.0, 300.0, 700.0):
        (value,), ((at_label, other),) = value_and_slope(SPARSE, [[margin, 0.0]], [0])
        p = 1 / (1 + mp.exp(mpf(margin)))
        for got, true in ((value, mp.log1p(mp.exp(-mpf(margin)))), (other, p), (at_label, -p)):
            assert ulps(got, true) <= stated(SPARSE)


# Functions with bounds of their own, or that come near to one they share: how near at least
TIGHT = {
    "softmax": 1 / 4, DENSE: 1 / 4, APART: 1 / 4, "entropy": 1 / 4, "cross_entropy": 1 / 4,
    "binary_cross_entropy": 1 / 5, "kl_divergence": 1 / 8, "js_divergence": 1 / 12,
}  # fmt: skip


def large_families() -> Iterator[hard_cases.Family]:
    """Yield rows for large arrays."""
    family, generator, count = hard_cases.Family, np.random.default_rng(15), 40
    labels, soft = generator.integers(0, 10, count), generator.dirichlet(np.ones(10), count)
    for top in (1.0, 80.0):
        z = generator.uniform(-top, top, (count, 10))
        z[:3] *= 3 + (top > 1)  # no logit counts for more than 88
        yield family(f"logits to {top}", "logits", z, labels)
        yield family(f"logits to {top}, soft targets", "soft targets", z, soft)
    p, q = generator.dirichlet(np.ones(10), (2, count))
    yield family("probabilities", "probabilities", q, labels)
    for step in (1.0, 0.1, 1e-2, 1e-4):
        yield family(f"pairs, {step} apart", "pairs", p, p + step * (q - p))
    equal = np.full((2, 415), 1 / 415)  # each sum of these is rounded the same way
    yield family("equal probabilities", "probabilities", equal, labels[:2])
    yield family("pairs of equals", "pairs", equal, equal)
    ends = generator.uniform(size=300)
    for targets in (ends[::-1], generator.integers(0, 2, 300)):
        yield family("ends", "binary", ends, targets)
    for step in (1e-3, 0.05, 3.0, 50.0, 400.0):
        p = 3 * generator.normal(size=(count, 10))[: 5 if step > 100 else count]
        q = p + step * generator.normal(size=p.shape)
        options = {"temperature": 3.7 if step < 1 else 1.0}
        yield family(f"{step} apart", "pairs of logits", p, q, options)


def allowed(check: hard_cases.Check, dtype: Any, size: int) -> Any:
    """Return the bound of each result of a large array."""
    name, nats = check.function, check.in_nats
    if name == APART:
        largest = float(np.max(np.abs(check.args))) / check.options["temperature"]
        far = 10 + 3 * min(largest, 450.0)
        small = stated(APART, dtype)
        if dtype is not float:
            return small
        if check.gradient:
            options = {"temperature": check.options["temperature"]}
            p, q = check.args
            rows = [
                crossent.kl_divergence_with_logits(*row, **options)
                for row in zip(p, q, strict=True)
            ]
            nats = np.repeat(rows, p.shape[-1])
        return np.where(nats >= 1e-5, far + 3 / np.sqrt(np.maximum(nats, 1e-5)), small)
    if name in bounds.DIVERGENCES:
        return bounds.of_divergence(name, dtype, size, nats)
    quantities = check.quantities | bounds.largest(check.args[0])
    return bounds.ulp(name, dtype, quantities, size=size)


@says(
    "More than 2,048 logits within 8 ulp (float32: :math:`8 + 2 \\max_k |z_k|` ulp, where no logit"
    " counts for more than 88), which is faster.",
    "More than 2,048 logits within 10 ulp (float32: :math:`8 + 2 \\max_k |z_k|` ulp, where no logit"
    " counts for more than 88), which is faster.",
    "More than 2,048 logits within 10 ulp (float32: :math:`8 + 2 \\max_k |z_k|` ulp, where no logit"
    " counts for more than 88) of the same, which is faster.",
    "Of more than 2,048 logits in float64 a divergence D of 1e-5 nats or more, and its gradient, is"
    " within :math:`10 + 3 / \\sqrt{D} + 3 \\max_k |z_k| / T` ulp instead of 6, where no logit z"
    " counts for more than 450 T, which is faster.",
    "Within 4 ulp (float16: 1 ulp); more than 2,048 probabilities within 12 ulp, which is faster.",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`(p - t) / (p (1 - p))` without"
    " smoothing; more than 2,048 probabilities within 8 ulp, which is faster.",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`-w_k t_k / p_k`, which takes each"
    " probability as free; more than 2,048 probabilities within 12 ulp, which is faster.",
    "Within 6 ulp (float16: 1 ulp), also where p and q are nearly equal; more than 2,048"
    " probabilities within 6 ulp (float64: :math:`10 + 4 / \\sqrt{J}` ulp, where no divergence J"
    " counts for less than :math:`2^{-14}` nats), which is faster.",
    "More than 2,048 probabilities within 8 ulp (float64: :math:`10 + 4 / \\sqrt{D}` ulp, where no"
    " divergence D counts for less than :math:`2^{-14}` nats), which is faster.",
)
def the_bounds_of_large_arrays() -> None:
    seen: dict[str, float] = {}
    for family, dtype in itertools.product(large_families(), (np.float32, float)):
        for check in hard_cases.checks(family, dtype):
            times = _spans.LARGE // check.args[0].size + 1  # the same rows, until it is large
            large = replace(check, args=tuple(np.concatenate([a] * times) for a in check.args))
            got = hard_cases.ask(large)[: len(check.true)]
            errors = hard_cases.errors_in_ulp(check, got, of_terms=True)
            if dtype is np.float32:
                errors[(got == 0) & [abs(value) < TINY for value in check.true]] = 0
            shares = errors / allowed(check, dtype, large.args[0].size)
            assert (shares <= 1).all(), (family.name, check.name, dtype, shares.max())
            seen[check.function] = max(seen.get(check.function, 0.0), shares.max())
    said = SAID[the_bounds_of_large_arrays]
    named = [name for name, doc in DOCS.items() if any(quoted(one, doc) for one in said)]
    assert seen.keys() >= set(named)
    assert all(seen[name] > least for name, least in TIGHT.items()), seen
    assert fast.LEAST_KL[8] == 1e-5
    assert information.APART[8] == bounds.LEAST == 2.0**-14


@says("Then t and 1 − t are rounded to float32, unless the probabilities are float64.")
def targets_may_be_rounded() -> None:
    name = "binary_cross_entropy"
    generator = np.random.default_rng(16)
    p = generator.uniform(0.1, 0.4, _spans.LARGE + 1).astype(np.float32)
    p[::2] = 1 - p[::2]
    t = p * (1 + 1e-5 * generator.uniform(-1, 1, p.size))
    assert t.dtype == float
    by_float32 = t.astype(np.float32).astype(float)
    by_float32[::2] = 1 - (1 - t[::2]).astype(np.float32).astype(float)

    def errors(p: Any, t: Any, of: Any) -> Any:
        wide = p.astype(np.longdouble)
        return distances(slope(name, probs=p, targets=t), (wide - of) / (wide * (1 - wide)))

    bound = stated(name, np.float32, size=p.size)
    assert errors(p, t, by_float32).max() <= bound < 100 < errors(p, t, t).max()
    assert errors(p[1:], t[1:], t[1:]).max() <= stated(name, np.float32)
    assert errors(p.astype(float), t, t).max() <= stated(name, size=p.size)


@says(", which is faster.")
@of_each
def large_arrays_are_faster(name: str) -> None:
    generator = np.random.default_rng(6)
    rows, few = 3277, _spans.LARGE // 10
    drawn: dict[str, Any] = {key: generator.normal(size=(rows, 10)) for key in arguments(name)}
    for key in PROBABILITIES & drawn.keys():
        drawn[key] = generator.dirichlet(np.ones(10), rows)
    if "labels" in drawn:
        drawn["labels"] = generator.integers(0, 10, rows)
    shares, differ = [], False
    for dtype in (np.float32, float):
        given = {k: v if k == "labels" else v.astype(dtype) for k, v in drawn.items()}

        def timed(large: int, count: int, given: Any = given) -> tuple[float, Any]:
            """Call it with so many rows, where more than some predictions are large."""
            some = {key: array[:count] for key, array in given.items()}
            with (
                mock.patch.object(_spans, "LARGE", large),
                mock.patch.object(information, "LARGE", large),
            ):
                begin = time.thread_time()
                return ask(name, **some), time.thread_time() - begin

        never = rows * 10
        runs = [[timed(large, rows)[1] for large in (_spans.LARGE, never)] for _ in range(15)]
        quick, slow = np.min(runs, axis=0)
        shares.append(quick / slow)
        at, above = (
            timed(_spans.LARGE, count)[0] != timed(never, count)[0] for count in (few, few + 1)
        )
        assert not np.any(at)
        differ |= bool(np.any(above))
    assert differ
    assert min(shares) < 1  # by how much is measured in benchmarks/, and not under a test's load


@says(
    "A probability below 1e-37 (float64: 1e-307) may be 0 there.",
    "A probability below 1e-37 (float64: 1e-307) may be 0 in the gradient there.",
    "Of more than 2,048 logits those below -87 (float64: -707) may give 0.",
)
def tiny_probabilities_may_be_0() -> None:
    for dtype, tiny, least, lowest in (
        (np.float32, TINY, 1e-44, -104),
        (float, 1e-307, 1e-322, -744),
    ):
        low = np.linspace(lowest, lowest + 44, _spans.LARGE // 3 + 1)
        z = np.stack([np.zeros(low.size), low, np.zeros(low.size) - 1], axis=1).astype(dtype)
        e = np.exp(z.astype(float))
        p, labels, hot = e[:, 1] / e.sum(axis=1), np.zeros(len(z), int), np.eye(3)[[0] * len(z)]

        def answers(rows: Any, z: Any = z, labels: Any = labels, hot: Any = hot) -> Iterator[Any]:
            yield crossent.softmax(z[rows])
            yield slope(SPARSE, logits=z[rows], labels=labels[rows])
            yield slope(DENSE, logits=z[rows], targets=hot[rows])

        for large, small in zip(answers(slice(None)), answers(slice(1, None)), strict=True):
            gone = large[:, 1] == 0
            assert tiny / 100 < p[gone].max() < tiny
            assert (small[p[1:] > least, 1] > 0).all()
            assert (large[p > tiny, 1] > 0).all()
    for dtype, least in ((np.float32, -87), (float, -707)):
        x = np.linspace(1.05 * least, 0, _spans.LARGE + 1).astype(dtype)
        got, true = crossent.sigmoid(x), 1 / (1 + np.exp(-x.astype(np.longdouble)))
        assert 1.03 * least < x[got == 0].max() < least
        assert (crossent.sigmoid(x[1:]) > 0).all()
        assert distances(got, true)[x >= least].max() <= stated("sigmoid", dtype)


@says(
    "That loss of ``hidden @ weight.T + bias``, with the rounding of NumPy's matrix product in the"
    " common dtype (float32 for 16 bits) and, for these logits, the error that it states for more"
    " than 2,048 of them (smoothed, in float64, 10 + 2 max abs(logits) ulp).",
    "Half a million logits are held at a time; the gradient computes them again.",
    "The threads are those of the matrix product.",
    "The loss of a large vocabulary, without its logits in memory.",
    "Cross-entropy of the logits of a linear layer, which are never all in memory.",
)
def the_bound_of_the_layer() -> None:
    generator = np.random.default_rng(7)
    for dtype in FLOATS:
        hidden, weight = (generator.normal(size=(n, 16)).astype(dtype) for n in (250, 300))
        labels, bias = generator.integers(0, 300, 250), generator.normal(size=300).astype(dtype)
        wide = np.result_type(dtype, np.float32)
        z = (hidden.astype(wide) @ weight.astype(wide).T + bias.astype(wide)).astype(np.longdouble)
        e = np.exp(z)
        logs = np.log(e / e.sum(axis=1, keepdims=True))
        for share in (0.0, 0.1):
            target = (1 - share) * np.eye(300)[labels] + share / 300
            true = -(target * logs).sum(axis=1)
            arrays = {"hidden": hidden, "weight": weight, "bias": bias, "labels": labels}
            got = ask(LAYER, **arrays, label_smoothing=share)
            bound = stated(SPARSE, dtype, size=z.size, **bounds.largest(z))
            if share and dtype is np.float64:
                bound = 10 + 2 * float(abs(z).max())
            # Matrix products of other shapes round in another order.
            product = 8 * float(np.finfo(wide).eps * abs(z).max() / np.finfo(dtype).eps)
            assert (distances(got, true) <= bound + product / true).all()
    width = 20_000
    hidden, weight, labels = np.ones((50, 4)), np.zeros((width, 4)), np.zeros(50, int)
    with mock.patch.object(threading.Thread, "start") as start:
        tracemalloc.start()
        crossent.linear_cross_entropy(hidden, weight, labels)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert not start.called
    held = 1 << 19
    assert round(held, -5) == 500_000
    assert held * 8 < most < 1.5 * held * 8 < 50 * width * 8
    once, twice = (
        calls.count([fast.exponentials], f, hidden, weight, labels)[0]
        for f in (crossent.linear_cross_entropy, crossent.grad(crossent.linear_cross_entropy))
    )
    assert twice == 2 * once > 2


# --- Notes ---


@says(
    "Every probability is within 6 ulp (float16: 1 ulp), however small: the rounding of"
    " :math:`z_k - z_{\\max}` is repaired.",
    "Every entry is within 6 ulp (float16: 1 ulp), the entry of a class that is all but certain"
    " included: for logits 40 and 0 it is −4.2e-18, where SciPy, torch and TensorFlow give 0.",
    "``scipy.special.softmax``, ``torch.softmax`` and ``tf.nn.softmax`` give the same up to"
    " :math:`4 + |z_k - z_{\\max}|` ulp, and nan for +∞.",
    "Within 8 ulp (float16: 1 ulp) at any margin: for logits 40 and 0 and label 0 the loss is"
    " 4.2e-18, where torch, TensorFlow, SciPy and optax give 0.",
    "The entry of the label is minus the sum of the other probabilities, so it does not fade to 0"
    " before they do: in float32 at a margin of 17 torch gives 0 there.",
)
def small_probabilities() -> None:
    three = peers.SCIPY, peers.TORCH, peers.TF_NN
    over = {peer.name: 0.0 for peer in three}
    for scale in np.geomspace(1, 600, 20):
        z = scale * np.random.default_rng(int(scale)).uniform(-1, 1, (1, 5))
        row = truth.exact(z[0])
        p, far = truth.softmax(row), abs(z[0] - z.max())
        for got, log_p in zip(crossent.log_softmax(z)[0], truth.log_softmax(row), strict=True):
            assert ulps(got, log_p) <= stated("log_softmax")
        for got, true in zip(crossent.softmax(z)[0], p, strict=True):
            assert ulps(got, true) <= stated("softmax")
        for peer in three:
            for k, got in enumerate(peer("softmax", z)[0][0]):
                if p[k] > mpf(10) ** -300:  # they may lose what is subnormal
                    assert ulps(got, p[k]) <= 4 + far[k]
                    over[peer.name] = max(over[peer.name], ulps(got, p[k]))
    assert all(worst > 100 for worst in over.values())
    for peer in three:
        with np.errstate(invalid="ignore"):
            assert np.isnan(peer("softmax", np.array([[INF, 0.0]]))[0]).any()
        assert peer("log_softmax", np.array([[40.0, 0.0]]))[0][0, 0] == 0
        assert peer(SPARSE, np.array([[40.0, 0.0]]), np.array([0]), reduction="none")[0] == 0
    assert f"{crossent.log_softmax([40.0, 0.0])[0]:.1e}" == "-4.2e-18"
    assert f"{ask(SPARSE, logits=[[40.0, 0.0]], labels=[0])[0]:.1e}" == "4.2e-18"
    z = np.array([[17, 0, -1]], np.float32)
    _, theirs = peers.TORCH(SPARSE, z, np.array([0]), reduction="none")
    assert theirs is not None
    assert theirs[0, 0] == 0 < theirs[0, 1]
    ours = slope(SPARSE, logits=z, labels=[0])[0]
    close(ours[0], -ours[1:].sum(), 1e-6)
    assert (ours[1:] == theirs[0, 1:]).all()


@says(
    "A logit of −∞ gets −∞. A single +∞ gets 0 and the others −∞; two of them have no limit and"
    " give nan there, as do rows of −∞ only; a nan gives nan in its own row.",
    "A logit of −∞ gets 0. A single +∞ gets 1; two of them have no limit and give nan there, as do"
    " rows of −∞ only; a nan gives nan in its own row.",
    "A logit of −∞ adds nothing; only −∞ gives −∞, a +∞ gives +∞, a nan gives nan.",
    "Infinite logits give the limit, nan only where there is none.",
    "Infinite logits give the limit: (−∞, 0) is 0, where torch gives nan.",
    "A class of weight or target 0 adds nothing, even at −∞, where torch gives nan.",
)
def infinite_logits() -> None:
    z = [[-INF, 0.0, 0.0], [INF, 0.0, 1.0], [INF, INF, 0.0], [-INF] * 3, [NAN, 0.0, 0.0], [0.0] * 3]
    h, nothing = np.log(2), [NAN] * 3
    p: Any = [[0, 0.5, 0.5], [1, 0, 0], [NAN, NAN, 0], nothing, nothing, [1 / 3] * 3]
    log_p: Any = [
        [-INF, -h, -h],
        [0, -INF, -INF],
        [NAN, NAN, -INF],
        nothing,
        nothing,
        [-np.log(3)] * 3,
    ]
    np.testing.assert_allclose(crossent.softmax(z), p, rtol=1e-15)
    np.testing.assert_allclose(crossent.log_softmax(z), log_p, rtol=1e-15)
    sums = [h, INF, INF, -INF, NAN, np.log(3)]
    np.testing.assert_allclose(crossent.logsumexp(z), sums, rtol=1e-15)
    for label in range(3):
        loss = ask(SPARSE, logits=z, labels=[label] * 6)
        np.testing.assert_allclose(loss, -np.array(log_p)[:, label], rtol=1e-15)
    ends = np.array([-INF, INF, -INF, INF]), np.array([0.0, 1.0, 1.0, 0.0])
    assert crossent.binary_cross_entropy_with_logits(*ends, reduction="none").tolist() == [
        0,
        0,
        INF,
        INF,
    ]
    assert np.isnan(peers.TORCH(BINARY, *ends, reduction="none")[0][:2]).all()
    row, hot = np.array(z[:1]), np.array([[0.0, 0.25, 0.75]])
    close(ask(DENSE, logits=row, targets=hot), [h])
    assert np.isnan(peers.TORCH(DENSE, row, hot, reduction="none")[0])
    uniform, weights = np.full((1, 3), 1 / 3), np.array([0.0, 1, 1])
    close(ask(DENSE, logits=row, targets=uniform, class_weight=weights), [2 / 3 * h])
    assert np.isnan(peers.TORCH(DENSE, row, uniform, class_weight=weights, reduction="none")[0])


@says(
    "The error is at most 8 ulp (float16: 1 ulp) of the largest logit or of the result, whichever"
    " is larger.",
    "Where the result is close to 0 it is ill-conditioned by nature: the last bit of the largest"
    " logit then matters more than all digits of the result.",
    "The losses do not go through this function.",
)
def logsumexp_near_zero() -> None:
    own = []
    for share in (0.05, 0.2, 0.45):
        z = np.array([np.log(share), np.log1p(-share)])
        true, got = logsumexp(truth.exact(z)), float(crossent.logsumexp(z))
        error, unit = abs(mpf(got) - true), float(np.spacing(abs(z).max()))
        assert error <= stated("logsumexp") * unit
        z[abs(z).argmax()] += unit  # the last bit
        own.append(float(abs(logsumexp(truth.exact(z)) - true) / abs(true)))
    assert max(own) > 0.1
    for name in LOSSES:
        asked, _ = calls.count([crossent.logsumexp, careful.logsumexp], ask, name)
        assert asked == 0


@says(
    "Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`(p - t) / (p (1 - p))` without"
    " smoothing",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient :math:`-w_k t_k / p_k`, which takes each"
    " probability as free",
    "Within 6 ulp (float16: 1 ulp), and so is the gradient, :math:`-w_y / p_y` at the label and 0"
    " elsewhere, which takes each probability as free. p = 0 at the label is infinite;"
    " the other probabilities may be nan.",
    "The gradient is :math:`(1 - t)\\,\\sigma(z) - w\\,t\\,\\sigma(-z)`, as accurate in units of"
    " its larger term: for soft targets, also smoothed ones, it is ill-conditioned by nature where"
    " the terms nearly cancel.",
    "The gradient is :math:`p_j \\sum_k s_k - s_j` for :math:`s_k = w_k t_k`.",
    "It is computed as :math:`p_j \\sum_{k \\ne j} s_k - s_j (1 - p_j)`, within 10 ulp of the"
    " larger term: for soft targets, also smoothed ones, it is ill-conditioned by nature where the"
    " terms nearly cancel.",
    "The gradient is :math:`w_y p_j`, and :math:`-w_y \\sum_{j \\ne y} p_j` at the label, also"
    " within 8 ulp.",
    "Smoothed, loss and gradient are those of ``categorical_cross_entropy_with_logits`` with"
    " one-hot targets.",
    "The bounds are those of the losses, whose notes give each formula; below 1e-307 the error may"
    " reach 5e-324 times the weight instead.",
)
def the_formulas_of_gradients() -> None:
    hot, s, p = np.eye(3)[LABELS], crossent.sigmoid(Z), crossent.softmax(Z)
    close(slope("binary_cross_entropy"), (P - Q) / (P * (1 - P)))
    close(slope(BINARY, pos_weight=W), (1 - Q) * s - W * Q * (1 - s), 1e-12)
    close(slope("categorical_cross_entropy", class_weight=W), -W * Q / P)
    close(slope("sparse_categorical_cross_entropy", class_weight=W), -W * hot / P)
    mass = W * Q
    dense = slope(DENSE, class_weight=W)
    close(dense, p * mass.sum(axis=1, keepdims=True) - mass, 1e-12)
    close(dense, p * (mass.sum(axis=1, keepdims=True) - mass) - mass * (1 - p), 1e-12)
    weight = W[LABELS, None]
    others = (p * (1 - hot)).sum(axis=1, keepdims=True)
    close(slope(SPARSE, class_weight=W), weight * np.where(hot == 1, -others, p))
    options = {"label_smoothing": 0.2, "class_weight": W}
    close(ask(SPARSE, **options), ask(DENSE, targets=hot, **options))
    close(slope(SPARSE, **options), slope(DENSE, targets=hot, **options))
    # Where two terms cancel, an ulp of the logits is many of the result, and the bound is theirs.
    for z in (np.log(Q), np.log(Q) + 1e-15):
        of_terms = np.spacing(Q * (1 - Q))
        rows = [[truth.exact(row) for row in pair] for pair in zip(z, Q, strict=True)]
        true = np.array([truth.categorical_with_logits_gradient(*row) for row in rows], float)
        near_0 = slope(DENSE, logits=z)
        assert (abs(near_0 - true) <= stated(DENSE) * of_terms).all()
        assert (abs(near_0) < 100 * of_terms).all()
        ends = zip(truth.exact(z.ravel()), truth.exact(Q.ravel()), strict=True)
        true = np.array([truth.binary_with_logits_gradient(*pair) for pair in ends], float)
        errors = abs(slope(BINARY, logits=z).ravel() - true)
        assert (errors <= stated(BINARY) * np.spacing(crossent.sigmoid(z) * (1 - Q)).ravel()).all()
    # Among the subnormals of float64, terms that are subtracted have lost digits before the weight.
    heavy, rest = 1000.0, []
    smoothed: Any = {"label_smoothing": 1e-310, "sample_weight": [heavy]}
    for margin in np.linspace(700.0, 740.0, 60):
        got = slope(SPARSE, logits=[[margin, 0.0]], labels=[0], **smoothed)[0, 1]
        small, share = 1 / (1 + mp.exp(mpf(margin))), mpf(1e-310) / 2
        exact = heavy * (small - share)
        allowed = stated(SPARSE) * float(np.spacing(float(heavy * max(small, share))))
        error = float(abs(mpf(float(got)) - exact))
        assert error <= allowed or (small < 1e-307 and error <= 5e-324 * heavy)
        rest.append(error / allowed)
    assert max(rest) > 10


@says(
    "Central differences of the loss in float64 at two steps, extrapolated to step 0; errors of"
    " about 1e-11 times the loss are theirs.",
    "The loss is evaluated four times for each prediction.",
)
def the_numerical_derivative() -> None:
    errors = []
    for name in LOSSES:
        if name != LAYER:
            for dtype in (np.float32, float):
                first, second = arguments(name).values()
                loss = getattr(crossent, name)
                asked, check = calls.count(
                    [_forms.Form.evaluate], crossent.check_grad, loss, first.astype(dtype), second
                )
                assert asked == 4 * first.size + 1  # and once for the closed form
                errors.append(check.error / loss(first, second))
    assert 1e-12 < max(errors) < 1e-10
    # Of a loss of the sixth degree, what two steps leave is of the fourth power of the step.
    form = mock.Mock()
    form.predictions, form.kernel.domain = np.array([0.3]), (-INF, INF)
    form._replace = lambda predictions: mock.Mock(
        evaluate=lambda want_gradient: (predictions**6, want_gradient)
    )
    (found,) = gradients._derivative(form)  # noqa: SLF001
    h = 1 / 256
    ends = [((0.3 + step) ** 6 - (0.3 - step) ** 6) / (2 * step) for step in (h, h / 2)]
    close(found, (4 * ends[1] - ends[0]) / 3, 1e-12)
    assert abs(found - 6 * 0.3**5) < 1e-3 * abs(ends[1] - 6 * 0.3**5)


@says(
    "Where p and q have the same sum, :math:`q_k - p_k` adds up to 0 and this is the textbook's"
    " :math:`\\sum_k p_k \\log(p_k / q_k)`.",
    "Where rounding makes their sums differ by δ, so do the two, and δ may be more than all of a"
    " small divergence: the textbook's sum may then be negative.",
    "This one is never negative in a base above 1, and 0 only for p = q or where the dtype has no"
    " number so small.",
    "The sum over ``scipy.special.kl_div``.",
    "``scipy.stats.entropy(p, q)``, which renormalizes, and ``scipy.special.rel_entr`` are the"
    " textbook's form; ``torch.nn.functional.kl_div`` wants log q first, then p.",
    "Within 8 ulp (float16: 1 ulp) of this sum, also where p and q are nearly equal.",
    "Within 6 ulp (float16: 1 ulp), also where p and q are nearly equal",
    "The square of ``scipy.spatial.distance.jensenshannon``, which is the distance and renormalizes"
    " its input.",
)
def the_divergences() -> None:
    negative = 0
    generator = np.random.default_rng(8)
    for apart in (1e-1, 1e-7, 1e-12, 1e-15):
        for p in generator.dirichlet(np.ones(5), 10):
            q = p * (1 + apart * generator.uniform(-1, 1, 5))
            q = q / q.sum()
            a, b = truth.exact(p), truth.exact(q)
            textbook = mp.fsum(x * mp.log(x / y) for x, y in zip(a, b, strict=True))
            same(kl(a, b), textbook + (mp.fsum(b) - mp.fsum(a)), 15)  # differ by δ
            negative += int(textbook < 0)
            for function, true in (
                (crossent.kl_divergence, kl),
                (crossent.js_divergence, truth.js_divergence),
            ):
                value, exact = function(p, q), true(a, b)
                unit = mpf(float(np.spacing(float(exact))))
                assert abs(mpf(float(value)) - exact) <= stated(function.__name__) * unit
                assert (value > 0) == (p != q).any()
    assert negative > 0
    assert (crossent.kl_divergence(P, P) == 0).all()
    least, next_one = 5e-324, 1e-323  # of these it is 0.3 · 5e-324
    assert crossent.kl_divergence([least, 1.0], [next_one, 1.0]) == 0
    ours = crossent.kl_divergence(P, Q)
    close(scipy.special.kl_div(P, Q).sum(axis=1), ours)
    close(scipy.special.rel_entr(P, Q).sum(axis=1), ours)
    close(scipy.stats.entropy(P, 3 * Q, axis=1), ours)
    assert (abs(scipy.special.rel_entr(P, 3 * Q).sum(axis=1) - ours) > 0.1).all()
    close(F.kl_div(tensor(Q).log(), tensor(P), reduction="none").sum(1), ours)
    swapped = F.kl_div(tensor(P).log(), tensor(Q), reduction="none").sum(1).numpy()
    not_logs = F.kl_div(tensor(Q), tensor(P), reduction="none").sum(1).numpy()
    assert abs(swapped - ours).max() > 0.01
    assert (abs(not_logs - ours) > 0.1).all()
    distance = scipy.spatial.distance.jensenshannon(P, 3 * Q, axis=1)
    close(distance**2, crossent.js_divergence(P, Q))


@says(
    'With class indices and weights torch\'s ``CrossEntropyLoss`` is "weighted_mean", also'
    ' smoothed; with class probabilities, and in the binary losses, it is "mean", as Keras and its'
    ' ``class_weight`` are. scikit-learn\'s ``log_loss`` is "weighted_mean". torch ignores the'
    " label -100 by default.",
)
def what_other_means_divide_by() -> None:
    z, labels, w = torch.tensor(Z), torch.tensor(LABELS), torch.tensor(W)
    means = {
        (share, kind): ask(SPARSE, class_weight=W, label_smoothing=share, reduction=kind)
        for share, kind in itertools.product((0.0, 0.1), ("mean", "weighted_mean"))
    }
    for share in (0.0, 0.1):
        assert abs(means[share, "mean"] - means[share, "weighted_mean"]) > 0.1
        loss = torch.nn.CrossEntropyLoss(weight=w, label_smoothing=share)
        close(loss(z, labels), means[share, "weighted_mean"])
        close(loss(z, F.one_hot(labels).double()), means[share, "mean"])
    of_labels = W[LABELS]
    keras_loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    close(keras_loss(LABELS, Z, sample_weight=of_labels), means[0.0, "mean"], 1e-6)
    model = keras.Sequential([keras.layers.Identity()])
    model.compile(loss=keras_loss, run_eagerly=True)
    fitted = model.test_on_batch(Z, LABELS, sample_weight=of_labels)
    close(fitted, means[0.0, "mean"], 1e-6)
    known = log_loss(LABELS, crossent.softmax(Z), labels=range(3), sample_weight=of_labels)
    close(known, means[0.0, "weighted_mean"])
    target, weights = torch.tensor(Q), torch.tensor(np.outer(S, W))
    theirs = F.binary_cross_entropy_with_logits(z, target, weight=weights, pos_weight=w)
    both: Any = {"sample_weight": np.outer(S, W), "pos_weight": W}
    close(theirs, ask(BINARY, reduction="mean", **both))
    assert abs(theirs - ask(BINARY, reduction="weighted_mean", **both)) > 0.01
    some = np.where(LABELS == 1, -100, LABELS)
    close(
        F.cross_entropy(z, torch.tensor(some)),
        ask(SPARSE, labels=some, ignore_index=-100, reduction="mean"),
    )
    assert torch.nn.CrossEntropyLoss().ignore_index == -100


@says("No temporary has the size of the logits.")
def no_temporary_is_large() -> None:
    for shape in ((400_000, 2), (1000, 500)):
        z, labels = np.zeros(shape), np.zeros(shape[:-1], int)
        tracemalloc.start()
        getattr(crossent, SPARSE)(z, labels)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert most < 0.6 * z.nbytes


@says(
    "The same as ``scipy.special.log_expit`` and ``torch.nn.functional.logsigmoid``.",
    "The same as ``scipy.special.expit``.",
)
def the_same_elsewhere() -> None:
    close(crossent.sigmoid(Z), scipy.special.expit(Z))
    close(crossent.log_sigmoid(Z), scipy.special.log_expit(Z))
    close(crossent.log_sigmoid(Z), F.logsigmoid(torch.tensor(Z)))


# --- Threads ---


@says(
    "Losses and gradients of large arrays are shared by threads, with the same results for any"
    " number of them.",
    "Return the number of threads that share a large computation.",
    "Set the number of threads that share a large computation.",
    "int At first ``OMP_NUM_THREADS``, where the environment sets it, or the number of processors"
    " that the process may use.",
    "1 leaves all work in the calling thread.",
    "Losses and gradients of more than a million predictions are shared.",
    "The results are the same for any number of threads, to the last bit.",
    "``torch.set_num_threads`` is the same for torch.",
)
def the_threads() -> None:
    assert fresh("7")["threads"] == ["7"]
    if hasattr(os, "sched_setaffinity"):
        assert fresh()["threads"] == [str(len(os.sched_getaffinity(0)))]
        one = "os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])"
        assert fresh(before=one)["threads"] == ["1"]
    before, theirs = crossent.get_num_threads(), torch.get_num_threads()
    z = np.random.default_rng(9).normal(size=(1 << 19, 2)).astype(np.float32)
    labels = np.zeros(len(z) + 1, int)
    start = threading.Thread.start
    seen: dict[tuple[int, bool], int] = {}
    results = []
    try:
        for threads, large in ((1, True), (2, False), (3, True)):
            crossent.set_num_threads(threads)
            assert crossent.get_num_threads() == threads
            rows = np.concatenate([z, z[:1]]) if large else z
            with mock.patch.object(threading.Thread, "start", autospec=True) as spy:
                spy.side_effect = start
                both = crossent.value_and_grad(getattr(crossent, SPARSE))(rows, labels[: len(rows)])
            seen[threads, large] = spy.call_count
            if large:
                results.append(both)
        torch.set_num_threads(1)
        assert torch.get_num_threads() == 1
    finally:
        crossent.set_num_threads(before)
        torch.set_num_threads(theirs)
    assert 1_000_000 < z.size < 1_100_000
    assert [key for key, count in seen.items() if count] == [(3, True)]
    for value, gradient in results[1:]:
        assert value == results[0][0]
        assert (gradient == results[0][1]).all()


@says(
    "One call at a time is shared; others that run meanwhile keep to the threads that call them, as"
    " do all where no thread can be started.",
)
def one_call_is_shared() -> None:
    me, before = threading.get_ident(), crossent.get_num_threads()
    both, go_on = threading.Barrier(2), threading.Event()
    met: list[int] = []

    def meet() -> Callable[[int], int]:  # the first call has two threads, which both are here
        both.wait(timeout=10)
        met.append(threading.get_ident())
        go_on.wait(timeout=10)
        return abs

    def alone() -> list[int]:
        return _spans.in_threads(lambda: lambda _: threading.get_ident(), [1, 2, 3], large)

    large = _spans.SHARED + 1
    first = threading.Thread(target=_spans.in_threads, args=(meet, [1, 2], large))
    crossent.set_num_threads(2)
    try:
        first.start()
        while len(met) < 2:
            time.sleep(0.001)
        assert alone() == [me] * 3
        go_on.set()
        first.join()
        assert len(set(met)) == 2
        with mock.patch.object(threading.Thread, "start", side_effect=RuntimeError) as start:
            assert alone() == [me] * 3
        assert start.called
    finally:
        crossent.set_num_threads(before)


NUMBERS: dict[str, Number] = {
    "torch stops at 100, Keras at 16.118 and scikit-learn at 36.04": Computed(
        lambda: (
            float(F.binary_cross_entropy(tensor([0.0]), tensor([1.0]))),
            -np.log(1e-7),
            -np.log(np.finfo(float).eps),
        )
    ),
    "ore than 2,048": Computed(lambda: float(_spans.LARGE)),
    "more than 2,048 of them (smoothed, in float64, 10 + 2": Computed(
        lambda: (float(_spans.LARGE), stated(SPARSE, size=_spans.LARGE + 1))
    ),
    "2,048 logits within 10 ulp": Computed(
        lambda: (float(_spans.LARGE), stated(SPARSE, size=_spans.LARGE + 1))
    ),
    "2,048 probabilities within 12 ulp": Computed(
        lambda: (float(_spans.LARGE), stated("entropy", size=_spans.LARGE + 1))
    ),
    "a divergence D of 1e-5 nats": Computed(lambda: fast.LEAST_KL[8]),
    "no logit z counts for more than 450 T": Given(
        "as a search shows: the_bounds_of_large_arrays draws larger ones"
    ),
    "those below -87 (float64: -707)": Computed(lambda: tuple(fast.LEAST.values())),
    "A probability below 1e-37 (float64: 1e-307)": Given(
        "limits, which tiny_probabilities_may_be_0 checks"
    ),
    "no logit counts for more than 88": Computed(lambda: bounds.largest([1e4])[bounds.LARGEST]),
    "Their default α is 0.25": Computed(
        lambda: inspect.signature(keras.losses.BinaryFocalCrossentropy).parameters["alpha"].default
    ),
    "of about 1e-11 times": Given("an order of magnitude, which the_numerical_derivative checks"),
    "within 64·√C·2⁻²³": Given("a choice, which the entry of Raises checks"),
    "within 10 ulp of the larger": Computed(
        lambda: 2.0 + stated(DENSE)  # a rounding more for each of the two terms
    ),
    "for logits 40 and 0 it is 1.7e-16": Computed(
        lambda: (40.0, float(H(soft([mpf(40), mpf(0)]))))
    ),
    "Below 1e-307 nats": Given("where float64 has fewer digits: the two checks of it show that"),
    "(float32 for 16 bits)": Given("the name of a type"),
    "that 16 bits cannot hold": Given("the name of a type"),
    "an array of 16 bits": Given("the name of a type"),
    "if its 16 bits": Given("the name of a type"),
    "ignores the label −100": Computed(lambda: torch.nn.CrossEntropyLoss().ignore_index),
    "below 1e-307 the error may reach 5e-324 times": Given(
        "where float64 has fewer digits, and its last one: the_formulas_of_gradients checks them"
    ),
    "at a margin of 17": Given("a margin to look at: small_probabilities does"),
    "new in torch 2.13": Cited(
        "https://docs.pytorch.org/docs/2.13/generated/torch.nn.functional.linear_cross_entropy.html",
        "the page, which torch 2.12 does not have",
    ),
    "torch ignores the label -100": Computed(lambda: torch.nn.CrossEntropyLoss().ignore_index),
}
