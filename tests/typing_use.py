"""Typical use, as two type checkers see it: `make test` runs mypy and Pyright on this file.

What is wrong carries an ignore for each of them, and an ignore that nothing needs is an error.
"""

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import crossent
from crossent._validate import Reduction
from crossent.gradients import GradientCheck
from crossent.linear import LinearGradient

Array = NDArray[Any]
Number = np.floating[Any]

z, y, p, t = np.zeros((2, 3)), np.array([0, 1]), np.full((2, 3), 1 / 3), np.eye(3)[:2]
sparse = crossent.sparse_categorical_cross_entropy_with_logits
dense = crossent.categorical_cross_entropy_with_logits
binary = crossent.binary_cross_entropy_with_logits
focal = crossent.binary_focal_loss_with_logits
linear = crossent.linear_cross_entropy


def losses(any_reduction: Reduction) -> None:
    assert_type(sparse(z, y), Number)
    assert_type(sparse([[0.0, 1.0]], [1], axis=-1, ignore_index=-100), Number)
    assert_type(sparse(logits=z, labels=y, reduction="weighted_mean"), Number)
    assert_type(sparse(z, y, class_weight=[1, 2, 3], reduction="none"), Array)
    assert_type(sparse(z, y, reduction=any_reduction), Number | Array)
    assert_type(dense(z, t, label_smoothing=0.1, reduction="sum"), Number)
    assert_type(dense(z, t, sample_weight=None, reduction="none"), Array)
    assert_type(binary(z, t, pos_weight=2.0), Number)
    assert_type(binary(z, t, reduction="none"), Array)
    assert_type(focal(z, t, gamma=1.5, alpha=0.25), Number)
    assert_type(focal(z, t, reduction="none"), Array)
    assert_type(linear(z, np.ones((4, 3)), y, bias=np.zeros(4)), Number)
    assert_type(linear(z, np.ones((4, 3)), y, reduction="none"), Array)
    for of_probs in (crossent.binary_cross_entropy, crossent.categorical_cross_entropy):
        assert_type(of_probs(p, t), Number)
        assert_type(of_probs(p, t, reduction="none"), Array)
    assert_type(crossent.sparse_categorical_cross_entropy(p, y), Number)
    assert_type(crossent.sparse_categorical_cross_entropy(p, y, reduction="none"), Array)


def gradients() -> None:
    assert_type(crossent.grad(sparse)(z, y, ignore_index=0), Array)
    assert_type(crossent.grad(sparse)(z, labels=y, reduction="none"), Array)
    assert_type(crossent.value_and_grad(dense)(z, t, label_smoothing=0.1), tuple[Number, Array])
    assert_type(crossent.value_and_grad(binary)(z, t, reduction="none"), tuple[Array, Array])
    gradient = crossent.grad(linear)(hidden=z, weight=np.ones((4, 3)), labels=y, reduction="sum")
    assert_type(gradient, LinearGradient)
    both = crossent.value_and_grad(linear)(z, np.ones((4, 3)), y, ignore_index=1)
    assert_type(both, tuple[Number, LinearGradient])
    assert_type(crossent.check_grad(sparse, z, y, label_smoothing=0.1), GradientCheck)
    assert_type(crossent.grad(crossent.kl_divergence_with_logits)(z, z, base=2), Array)
    untyped: Any = sparse
    crossent.grad(untyped)(z, y, anything=1)


def other_functions() -> None:
    assert_type(crossent.softmax(z, axis=0), Array)
    assert_type(crossent.log_softmax([[1, 2]], axis=(0, 1)), Array)
    assert_type(crossent.logsumexp(z, axis=None), Number)
    assert_type(crossent.logsumexp(z, axis=(0, 1), keepdims=True), Array)
    assert_type(crossent.logsumexp(z), Array | Any)
    assert_type(crossent.sigmoid(z), Array)
    assert_type(crossent.log_sigmoid(0.5), Number)
    assert_type(crossent.entropy(p, base=2), Array | Any)
    assert_type(crossent.entropy(p)[0], Any)
    assert_type(crossent.kl_divergence(p, p), Array | Any)
    assert_type(crossent.entropy_with_logits(z), Array | Any)
    assert_type(crossent.kl_divergence_with_logits(z, z, temperature=2.0), Array | Any)
    assert_type(crossent.perplexity(z, y, sample_weight=[1.0, 0.5]), Number)
    assert_type(crossent.get_num_threads(), int)


def mistakes() -> None:
    sparse(z, y, reduction="avg")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    sparse(z, y, lable_smoothing=0.1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    dense(z, t, ignore_index=0)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    focal(z, t, label_smoothing=0.1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    crossent.grad(sparse)(z, y, reduction="avg")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    crossent.grad(sparse)(z, y, weights=y)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    crossent.grad(linear)(z, z, y, axis=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    crossent.softmax(z, dim=1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    crossent.entropy(p, base="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    crossent.set_num_threads(2.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
