"""Malformed calls: the exact exception, and a message that names the argument and the remedy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import torch

import crossent
from crossent import _sums
from crossent._kernels import _exact, careful, divergences, fast
from crossent._spans import SPAN
from tests import calls

api: Any = crossent  # these calls are wrong on purpose, also in type
binary_probs = api.binary_cross_entropy
binary_logits = api.binary_cross_entropy_with_logits
focal = api.binary_focal_loss_with_logits
dense_probs = api.categorical_cross_entropy
dense_logits = api.categorical_cross_entropy_with_logits
sparse_probs = api.sparse_categorical_cross_entropy
sparse_logits = api.sparse_categorical_cross_entropy_with_logits
kl_logits = api.kl_divergence_with_logits

WORK = calls.functions_of(careful, fast, divergences, _exact, _sums)
Z = np.zeros((4, 3))
PROBS = np.full((4, 3), 1 / 3)
LABELS = np.array([0, 1, 2, 0])
ONE_HOT = np.eye(3)[LABELS]
ZEROS = np.zeros(4)
SUPPORTED = (
    "binary_cross_entropy, binary_cross_entropy_with_logits, binary_focal_loss_with_logits, "
    "categorical_cross_entropy, categorical_cross_entropy_with_logits, kl_divergence_with_logits, "
    "linear_cross_entropy, sparse_categorical_cross_entropy, "
    "sparse_categorical_cross_entropy_with_logits"
)

MALFORMED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: api.set_num_threads(0), ValueError, "threads is 0: it must be 1 or more"),
    (lambda: api.set_num_threads(1.5), TypeError, "threads is 1.5: it must be an integer"),
    (
        lambda: api.logsumexp(["a"]),
        TypeError,
        "z has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.softmax([1j]),
        TypeError,
        "z has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.kl_divergence([2.0], [1.0]),
        ValueError,
        "p[0] is 2.0: probabilities lie in [0, 1]",
    ),
    (
        lambda: api.perplexity([[1j, 0.0]], [0]),
        TypeError,
        "logits has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: focal([1j], [0]),
        TypeError,
        "logits has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: binary_logits(ZEROS, ["0", "1", "0", "1"]),
        TypeError,
        "targets has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight=[[1.0], [1.0, 2.0]]),
        ValueError,
        (
            "class_weight is ragged: class_weight[0] has shape (1,) and class_weight[1] has shape "
            "(2,); give it rows of equal length"
        ),
    ),
    (
        lambda: api.grad(3),
        ValueError,
        "3 has no gradient here; the losses that have one are " + SUPPORTED,
    ),
    (
        lambda: api.entropy([0.5, 0.6]),
        ValueError,
        ("p[:] sums to 1.1, not 1 (within 1e-05): divide counts or weights by their sum"),
    ),
    (
        lambda: api.entropy([[0.5, 0.5], [0.5, 0.4]]),
        ValueError,
        ("p[1, :] sums to 0.9, not 1 (within 1e-05): divide counts or weights by their sum"),
    ),
    (lambda: api.entropy([1.5, -0.5]), ValueError, "p[0] is 1.5: probabilities lie in [0, 1]"),
    (lambda: api.entropy([np.nan, 1.0]), ValueError, "p[0] is nan: probabilities lie in [0, 1]"),
    (lambda: api.entropy(0.5), ValueError, "p is a single number: it needs a class axis"),
    (
        lambda: api.entropy([0.5, 0.5], axis=1),
        ValueError,
        "axis is 1, but p has shape (2,): an axis is from -1 to 0",
    ),
    (
        lambda: api.entropy([0.5, 0.5], axis=-2),
        ValueError,
        "axis is -2, but p has shape (2,): an axis is from -1 to 0",
    ),
    (lambda: api.entropy([0.5, 0.5], axis=0.0), TypeError, "axis is 0.0: it must be an integer"),
    (lambda: api.entropy([0.5, 0.5], axis=None), TypeError, "axis is None: it must be an integer"),
    (
        lambda: api.entropy(np.zeros((2, 0))),
        ValueError,
        "p has shape (2, 0), empty along axis -1: it needs a class",
    ),
    (
        lambda: api.entropy([0.5, 0.5], base=1),
        ValueError,
        "base is 1: it must be positive and not 1; None means nats, 2 means bits",
    ),
    (
        lambda: api.entropy([0.5, 0.5], base=0),
        ValueError,
        "base is 0: it must be positive and not 1; None means nats, 2 means bits",
    ),
    (
        lambda: api.entropy([0.5, 0.5], base=-2),
        ValueError,
        "base is -2: it must be positive and not 1; None means nats, 2 means bits",
    ),
    (
        lambda: api.entropy([0.5, 0.5], base=np.nan),
        ValueError,
        "base is nan: it must be positive and not 1; None means nats, 2 means bits",
    ),
    (
        lambda: api.entropy([0.5, 0.5], base="2"),
        TypeError,
        "base is '2': it must be one real number",
    ),
    (
        lambda: api.entropy([0.5, 0.5], base=[2.0]),
        TypeError,
        "base is [2.0]: it must be one real number",
    ),
    (
        lambda: api.entropy([0.5 + 0j, 0.5]),
        TypeError,
        "p has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.entropy(["a", "b"]),
        TypeError,
        "p has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.entropy([1.0, None]),
        TypeError,
        "p[1] is None, of type NoneType: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.entropy([[0.5, 0.5], [1.0]]),
        ValueError,
        ("p is ragged: p[0] has shape (2,) and p[1] has shape (1,); give it rows of equal length"),
    ),
    (
        lambda: api.entropy(np.ma.masked_array([0.5, 0.5], [False, True])),
        TypeError,
        ("p is a masked array, and the mask would be lost: leave the masked elements out"),
    ),
    (
        lambda: api.entropy(np.array([0.5, 0.52], np.float16)),
        ValueError,
        ("p[:] sums to 1.02001953, not 1 (within 0.01): divide counts or weights by their sum"),
    ),
    (
        lambda: api.cross_entropy([0.5, 0.5], [0.2, 0.3, 0.5]),
        ValueError,
        (
            "p has shape (2,) and q has shape (3,): they need the same classes, and other axes "
            "that are equal or broadcast"
        ),
    ),
    (
        lambda: api.cross_entropy(np.full((2, 2), 0.5), np.full((3, 2), 0.5)),
        ValueError,
        (
            "p has shape (2, 2) and q has shape (3, 2): they need the same classes, and other "
            "axes that are equal or broadcast"
        ),
    ),
    (
        lambda: api.cross_entropy(np.full((2, 2), 0.5), [0.5, 0.5], axis=0),
        ValueError,
        (
            "p has shape (2, 2) and q has shape (2,): they need the same classes, and other axes "
            "that are equal or broadcast"
        ),
    ),
    (
        lambda: api.cross_entropy([0.5, 0.5], [0.5, 0.6]),
        ValueError,
        ("q[:] sums to 1.1, not 1 (within 1e-05): divide counts or weights by their sum"),
    ),
    (
        lambda: api.kl_divergence([0.5, 0.5], [2, -1]),
        ValueError,
        "q[0] is 2.0: probabilities lie in [0, 1]",
    ),
    (
        lambda: api.js_divergence([1], [0.5, 0.5]),
        ValueError,
        (
            "p has shape (1,) and q has shape (2,): they need the same classes, and other axes "
            "that are equal or broadcast"
        ),
    ),
    (
        lambda: api.logsumexp(Z, axis=2),
        ValueError,
        "axis is 2, but z has shape (4, 3): an axis is from -2 to 1",
    ),
    (
        lambda: api.logsumexp(Z, axis=(0, -2)),
        ValueError,
        "axis is (0, -2), which names an axis of z twice: name each axis once",
    ),
    (
        lambda: api.logsumexp(Z, axis=(0, 2)),
        ValueError,
        "axis is (0, 2), but z has shape (4, 3): an axis is from -2 to 1",
    ),
    (lambda: api.logsumexp(Z, axis=1.5), TypeError, "axis is 1.5: it must be an integer"),
    (
        lambda: api.logsumexp(np.zeros((0, 3)), axis=0),
        ValueError,
        "z has shape (0, 3), empty along axis 0: it needs a class",
    ),
    (lambda: api.logsumexp(1.0), ValueError, "z is a single number: it needs a class axis"),
    (lambda: api.softmax(3.0), ValueError, "z is a single number: it needs a class axis"),
    (
        lambda: api.softmax(Z, axis=2),
        ValueError,
        "axis is 2, but z has shape (4, 3): an axis is from -2 to 1",
    ),
    (
        lambda: api.softmax(Z, axis=(0, -2)),
        ValueError,
        "axis is (0, -2), which names an axis of z twice: name each axis once",
    ),
    (
        lambda: api.log_softmax(np.zeros((2, 0)), axis=None),
        ValueError,
        "z has shape (2, 0), empty along axis (0, 1): it needs a class",
    ),
    (lambda: api.softmax(Z, axis=(0, 1.0)), TypeError, "axis is 1.0: it must be an integer"),
    (
        lambda: api.softmax(np.zeros((3, 0))),
        ValueError,
        "z has shape (3, 0), empty along axis -1: it needs a class",
    ),
    (lambda: api.log_softmax(Z, axis="1"), TypeError, "axis is '1': it must be an integer"),
    (
        lambda: api.sigmoid(1j),
        TypeError,
        "z has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.log_sigmoid("0"),
        TypeError,
        "z has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.sigmoid(np.array(["2020-01-01"], "M8[D]")),
        TypeError,
        "z has dtype datetime64[D]: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.entropy_with_logits(["a"]),
        TypeError,
        "logits has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: api.entropy_with_logits(3.0),
        ValueError,
        "logits is a single number: it needs a class axis",
    ),
    (
        lambda: api.entropy_with_logits(Z, base=1),
        ValueError,
        "base is 1: it must be positive and not 1; None means nats, 2 means bits",
    ),
    (
        lambda: kl_logits(Z, 1j * Z),
        TypeError,
        "q_logits has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: kl_logits([["a"]], Z),
        TypeError,
        "p_logits has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: kl_logits(Z, Z[0]),
        ValueError,
        (
            "p_logits has shape (4, 3) and q_logits has shape (3,): give both the same shape, for "
            "nothing is broadcast"
        ),
    ),
    (
        lambda: kl_logits(Z, Z, axis=2),
        ValueError,
        "axis is 2, but p_logits has shape (4, 3): an axis is from -2 to 1",
    ),
    (
        lambda: kl_logits(Z, Z, temperature=0),
        ValueError,
        "temperature is 0: it must be positive and finite",
    ),
    (
        lambda: kl_logits(Z, Z, temperature=np.inf),
        ValueError,
        "temperature is inf: it must be positive and finite",
    ),
    (
        lambda: kl_logits(Z, Z, temperature=[2.0]),
        TypeError,
        "temperature is [2.0]: it must be one real number",
    ),
    (
        lambda: api.grad(kl_logits)(Z, Z, base=0),
        ValueError,
        "base is 0: it must be positive and not 1; None means nats, 2 means bits",
    ),
    (
        lambda: api.perplexity(Z, [0, 1, 2, 3]),
        IndexError,
        (
            "labels[3] is 3: the labels of 3 classes are 0 to 2; to leave out a label, name it as"
            " ignore_index"
        ),
    ),
    (
        lambda: api.perplexity(Z, LABELS, sample_weight=[1.0, -1.0, 0.0, 0.0]),
        ValueError,
        "sample_weight[1] is -1.0: weights are finite and not negative",
    ),
    (
        lambda: api.perplexity(Z, LABELS, sample_weight=[1.0, 2.0]),
        ValueError,
        "sample_weight has shape (2,): it needs a shape that broadcasts to (4,)",
    ),
    (
        lambda: api.perplexity(Z, [0.0, 1.0, 2.0, 0.0]),
        TypeError,
        (
            "labels has dtype float64: class indices are integers; use labels.astype(int) if "
            "these are whole numbers"
        ),
    ),
    (
        lambda: sparse_logits(Z, [0, 1, 3, 0]),
        IndexError,
        (
            "labels[2] is 3: the labels of 3 classes are 0 to 2; to leave out a label, name it as"
            " ignore_index"
        ),
    ),
    (
        lambda: sparse_logits(Z, [0, -1, 2, 0]),
        IndexError,
        (
            "labels[1] is -1: the labels of 3 classes are 0 to 2; to leave out a label, name it "
            "as ignore_index"
        ),
    ),
    (
        lambda: sparse_logits(Z, [-100, 1, 2, 3], ignore_index=-100),
        IndexError,
        (
            "labels[3] is 3: the labels of 3 classes are 0 to 2; to leave out a label, name it as"
            " ignore_index"
        ),
    ),
    (
        lambda: sparse_logits(Z, [0, 1, 2, 0], ignore_index=0.0),
        TypeError,
        "ignore_index is 0.0: it must be an integer",
    ),
    (
        lambda: sparse_logits(Z, [0, 1, 2, 0], ignore_index="0"),
        TypeError,
        "ignore_index is '0': it must be an integer",
    ),
    (
        lambda: sparse_logits(Z, LABELS.astype(float)),
        TypeError,
        (
            "labels has dtype float64: class indices are integers; use labels.astype(int) if "
            "these are whole numbers"
        ),
    ),
    (
        lambda: sparse_logits(Z, LABELS > 0),
        TypeError,
        (
            "labels has dtype bool: class indices are integers; use labels.astype(int) if these "
            "are whole numbers"
        ),
    ),
    (
        lambda: sparse_logits(Z, LABELS[:, None]),
        ValueError,
        (
            "labels has shape (4, 1) and logits has shape (4, 3): drop the trailing axis with "
            "labels.squeeze(-1)"
        ),
    ),
    (
        lambda: sparse_logits(Z, ONE_HOT.astype(int)),
        ValueError,
        (
            "labels has shape (4, 3) and logits has shape (4, 3): labels are class indices; "
            "one-hot targets go to the loss without 'sparse_'"
        ),
    ),
    (
        lambda: sparse_logits(Z, [0, 1, 2]),
        ValueError,
        (
            "labels has shape (3,) and logits has shape (4, 3): labels needs shape (4,); the "
            "shape it has would fit axis=0"
        ),
    ),
    (
        lambda: sparse_logits(Z, 0),
        ValueError,
        "labels has shape () and logits has shape (4, 3): labels needs shape (4,)",
    ),
    (
        lambda: sparse_logits(np.zeros((4, 3, 5)), np.zeros((4, 5), int)),
        ValueError,
        (
            "labels has shape (4, 5) and logits has shape (4, 3, 5): labels needs shape (4, 3); "
            "the shape it has would fit axis=1"
        ),
    ),
    (
        lambda: sparse_logits(np.zeros((4, 1)), np.zeros(4, int)),
        ValueError,
        (
            "logits has shape (4, 1), a single class along axis -1, for which the loss is always "
            "0: for two classes from one output use "
            "binary_cross_entropy_with_logits(logits.squeeze(-1), …)"
        ),
    ),
    (
        lambda: sparse_probs(np.ones((4, 1)), np.zeros(4, int)),
        ValueError,
        (
            "probs has shape (4, 1), a single class along axis -1, for which the loss is always "
            "0: for two classes from one output use binary_cross_entropy(probs.squeeze(-1), …)"
        ),
    ),
    (lambda: sparse_logits(3.0, 0), ValueError, "logits is a single number: it needs a class axis"),
    (
        lambda: sparse_logits(Z, LABELS, axis=2),
        ValueError,
        "axis is 2, but logits has shape (4, 3): an axis is from -2 to 1",
    ),
    (
        lambda: sparse_logits(Z.astype(complex), LABELS),
        TypeError,
        "logits has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: sparse_logits(Z.astype(object), LABELS),
        TypeError,
        "logits has dtype object, though of numbers: use logits.astype(float)",
    ),
    (
        lambda: sparse_logits(Z, LABELS, reduction="average"),
        ValueError,
        "reduction is 'average': it must be one of 'none', 'sum', 'mean', 'weighted_mean'",
    ),
    (
        lambda: sparse_logits(Z, LABELS, reduction=None),
        ValueError,
        "reduction is None: it must be one of 'none', 'sum', 'mean', 'weighted_mean'",
    ),
    (
        lambda: sparse_logits(Z, LABELS, label_smoothing=1.1),
        ValueError,
        "label_smoothing is 1.1: it must be from 0 to 1",
    ),
    (
        lambda: sparse_logits(Z, LABELS, label_smoothing=-0.1),
        ValueError,
        "label_smoothing is -0.1: it must be from 0 to 1",
    ),
    (
        lambda: sparse_logits(Z, LABELS, label_smoothing=np.nan),
        ValueError,
        "label_smoothing is nan: it must be from 0 to 1",
    ),
    (
        lambda: sparse_logits(Z, LABELS, label_smoothing=[0.1]),
        TypeError,
        "label_smoothing is [0.1]: it must be one real number",
    ),
    (
        lambda: sparse_logits(Z, LABELS, label_smoothing="0.1"),
        TypeError,
        "label_smoothing is '0.1': it must be one real number",
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight=[1.0, 2.0]),
        ValueError,
        (
            "class_weight has shape (2,): it needs shape (3,), one for each class, or one that "
            "broadcasts to (4, 3)"
        ),
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight=[1.0, -2.0, 1.0]),
        ValueError,
        "class_weight[1] is -2.0: weights are finite and not negative",
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight=[1.0, np.nan, 1.0]),
        ValueError,
        "class_weight[1] is nan: weights are finite and not negative",
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight=["a", "b", "c"]),
        TypeError,
        "class_weight has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight=np.ones(4)),
        ValueError,
        (
            "class_weight has shape (4,): it needs shape (3,), one for each class, or one that "
            "broadcasts to (4, 3)"
        ),
    ),
    (
        lambda: sparse_logits(Z, LABELS, sample_weight=np.ones(3)),
        ValueError,
        "sample_weight has shape (3,): it needs a shape that broadcasts to (4,)",
    ),
    (
        lambda: sparse_logits(Z, LABELS, sample_weight=np.ones((4, 1))),
        ValueError,
        "sample_weight has shape (4, 1): it needs a shape that broadcasts to (4,)",
    ),
    (
        lambda: sparse_logits(Z, LABELS, sample_weight=[1.0, 1.0, np.inf, 1.0]),
        ValueError,
        "sample_weight[2] is inf: weights are finite and not negative",
    ),
    (
        lambda: sparse_logits(Z, LABELS, sample_weight=-1.0),
        ValueError,
        "sample_weight is -1.0: weights are finite and not negative",
    ),
    (
        lambda: sparse_logits(Z, np.ma.masked_array(LABELS, LABELS == 1)),
        TypeError,
        (
            "labels is a masked array, and the mask would be lost: leave the masked elements out, "
            "or fill them and give them a sample_weight of 0"
        ),
    ),
    (
        lambda: sparse_logits([[1.0, 2.0], [3.0]], [0, 1]),
        ValueError,
        (
            "logits is ragged: logits[0] has shape (2,) and logits[1] has shape (1,); give it rows "
            "of equal length"
        ),
    ),
    (
        lambda: sparse_probs(Z, LABELS),
        ValueError,
        (
            "probs[0, :] sums to 0, not 1 (within 1e-05): divide counts or weights by"
            " their sum; raw scores go to the same loss _with_logits"
        ),
    ),
    (
        lambda: sparse_probs(np.full((4, 3), 2.0), LABELS),
        ValueError,
        (
            "probs[0, 0] is 2.0: probabilities lie in [0, 1]; raw scores go to the same loss "
            "_with_logits"
        ),
    ),
    (
        lambda: sparse_probs(PROBS * 1.01, LABELS),
        ValueError,
        (
            "probs[0, :] sums to 1.01, not 1 (within 1e-05): divide counts or weights"
            " by their sum; raw scores go to the same loss _with_logits"
        ),
    ),
    (
        lambda: sparse_probs(PROBS, LABELS + 1),
        IndexError,
        (
            "labels[2] is 3: the labels of 3 classes are 0 to 2; to leave out a label, name it as"
            " ignore_index"
        ),
    ),
    (
        lambda: dense_logits(Z, LABELS),
        ValueError,
        (
            "targets has shape (4,) and logits has shape (4, 3): class indices go to the loss "
            "with 'sparse_'"
        ),
    ),
    (
        lambda: dense_logits(Z, ONE_HOT[:3]),
        ValueError,
        "targets has shape (3, 3) and logits has shape (4, 3): give both the same shape",
    ),
    (
        lambda: dense_logits(Z, ONE_HOT * 2),
        ValueError,
        (
            "targets[0, 0] is 2.0: probabilities lie in [0, 1]; weights go to class_weight or "
            "sample_weight"
        ),
    ),
    (
        lambda: dense_logits(Z, ONE_HOT - 0.5),
        ValueError,
        (
            "targets[0, 1] is -0.5: probabilities lie in [0, 1]; weights go to class_weight or "
            "sample_weight"
        ),
    ),
    (
        lambda: dense_logits(Z, np.zeros((4, 3))),
        ValueError,
        (
            "targets[0, :] sums to 0, not 1 (within 1e-05): divide counts or weights "
            "by their sum; weights go to class_weight or sample_weight"
        ),
    ),
    (
        lambda: dense_logits(Z, ONE_HOT * 1j),
        TypeError,
        "targets has dtype complex128: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: dense_logits(np.zeros((4, 1)), np.ones((4, 1))),
        ValueError,
        (
            "logits has shape (4, 1), a single class along axis -1, for which the loss is always "
            "0: for two classes from one output use "
            "binary_cross_entropy_with_logits(logits.squeeze(-1), …)"
        ),
    ),
    (
        lambda: dense_logits(Z, ONE_HOT, axis=0),
        ValueError,
        (
            "targets[:, 0] sums to 2, not 1 (within 2e-05): divide counts or weights "
            "by their sum; weights go to class_weight or sample_weight"
        ),
    ),
    (
        lambda: dense_logits(Z, ONE_HOT, label_smoothing=2),
        ValueError,
        "label_smoothing is 2: it must be from 0 to 1",
    ),
    (
        lambda: dense_probs(np.array([[1.0, 2.0, 0.5]]), ONE_HOT[:1]),
        ValueError,
        (
            "probs[0, 1] is 2.0: probabilities lie in [0, 1]; raw scores go to the same loss "
            "_with_logits"
        ),
    ),
    (
        lambda: dense_probs(PROBS, LABELS),
        ValueError,
        (
            "targets has shape (4,) and probs has shape (4, 3): class indices go to the loss with"
            " 'sparse_'"
        ),
    ),
    (
        lambda: dense_probs(PROBS, ONE_HOT, class_weight=np.ones((5, 3))),
        ValueError,
        (
            "class_weight has shape (5, 3): it needs shape (3,), one for each class, or one that "
            "broadcasts to (4, 3)"
        ),
    ),
    (
        lambda: binary_logits(Z, ONE_HOT[:, :1]),
        ValueError,
        (
            "targets has shape (4, 1) and logits has shape (4, 3): give both the same shape, for "
            "nothing is broadcast: squeeze or reshape one"
        ),
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS[:, None]),
        ValueError,
        (
            "targets has shape (4, 1) and logits has shape (4,): give both the same shape, for "
            "nothing is broadcast: squeeze or reshape one"
        ),
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS - 1),
        ValueError,
        (
            "targets[0] is -1.0: probabilities lie in [0, 1]; map labels -1 and 1 with (targets +"
            " 1) / 2"
        ),
    ),
    (
        lambda: binary_logits(ZEROS, [0, 1, np.nan, 0]),
        ValueError,
        (
            "targets[2] is nan: probabilities lie in [0, 1]; map labels -1 and 1 with (targets + "
            "1) / 2"
        ),
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS, pos_weight=-1.0),
        ValueError,
        "pos_weight is -1.0: weights are finite and not negative",
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS, pos_weight=[1.0, 2.0]),
        ValueError,
        "pos_weight has shape (2,): it needs a shape that broadcasts to (4,)",
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS, sample_weight=np.ones(5)),
        ValueError,
        "sample_weight has shape (5,): it needs a shape that broadcasts to (4,)",
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS, label_smoothing=1.5),
        ValueError,
        "label_smoothing is 1.5: it must be from 0 to 1",
    ),
    (
        lambda: binary_logits(ZEROS, ZEROS, reduction="max"),
        ValueError,
        "reduction is 'max': it must be one of 'none', 'sum', 'mean', 'weighted_mean'",
    ),
    (
        lambda: binary_logits("a", ZEROS),
        TypeError,
        "logits has dtype <U1: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: binary_probs([1.2], [1]),
        ValueError,
        (
            "probs[0] is 1.2: probabilities lie in [0, 1]; raw scores go to the same loss "
            "_with_logits"
        ),
    ),
    (
        lambda: binary_probs([0.5, np.nan], [1, 0]),
        ValueError,
        (
            "probs[1] is nan: probabilities lie in [0, 1]; raw scores go to the same loss "
            "_with_logits"
        ),
    ),
    (
        lambda: binary_probs([0.5], [2]),
        ValueError,
        (
            "targets[0] is 2: probabilities lie in [0, 1]; map labels -1 and 1 with (targets + "
            "1) / 2"
        ),
    ),
    (
        lambda: binary_probs(0.5, [1]),
        ValueError,
        (
            "targets has shape (1,) and probs has shape (): give both the same shape, for nothing"
            " is broadcast: squeeze or reshape one"
        ),
    ),
    (
        lambda: focal(ZEROS, ZEROS, gamma=-1.0),
        ValueError,
        "gamma is -1.0: it must be finite and not negative",
    ),
    (
        lambda: focal(ZEROS, ZEROS, gamma=np.inf),
        ValueError,
        "gamma is inf: it must be finite and not negative",
    ),
    (
        lambda: focal(ZEROS, ZEROS, gamma=[2.0]),
        TypeError,
        "gamma is [2.0]: it must be one real number",
    ),
    (lambda: focal(ZEROS, ZEROS, alpha=1.5), ValueError, "alpha is 1.5: it must be from 0 to 1"),
    (
        lambda: focal(ZEROS, ZEROS, alpha="0.25"),
        TypeError,
        "alpha is '0.25': it must be one real number",
    ),
    (
        lambda: focal(ZEROS, ZEROS - 1),
        ValueError,
        (
            "targets[0] is -1.0: probabilities lie in [0, 1]; map labels -1 and 1 with (targets +"
            " 1) / 2"
        ),
    ),
    (
        lambda: api.grad(sparse_logits)(Z, LABELS[:3]),
        ValueError,
        (
            "labels has shape (3,) and logits has shape (4, 3): labels needs shape (4,); the "
            "shape it has would fit axis=0"
        ),
    ),
    (
        lambda: api.value_and_grad(sparse_logits)(Z, LABELS + 1),
        IndexError,
        (
            "labels[2] is 3: the labels of 3 classes are 0 to 2; to leave out a label, name it as"
            " ignore_index"
        ),
    ),
    (
        lambda: api.grad(api.perplexity),
        ValueError,
        "perplexity has no gradient here; the losses that have one are " + SUPPORTED,
    ),
    (
        lambda: api.grad([3]),
        ValueError,
        "[3] has no gradient here; the losses that have one are " + SUPPORTED,
    ),
    (
        lambda: api.value_and_grad(len),
        ValueError,
        "len has no gradient here; the losses that have one are " + SUPPORTED,
    ),
    (
        lambda: api.check_grad(api.entropy, [0.5, 0.5], [0.5, 0.5]),
        ValueError,
        "entropy has no gradient here; the losses that have one are " + SUPPORTED,
    ),
    (
        lambda: api.check_grad(binary_probs, [0.0], [1]),
        ValueError,
        "the loss is inf, so it has no derivative to compare with",
    ),
    (
        lambda: sparse_logits([np.ma.masked_array(row, row > 1) for row in ONE_HOT], LABELS),
        TypeError,
        (
            "logits is made of masked arrays, and the mask would be lost: leave the masked "
            "elements out, or fill them and give them a sample_weight of 0"
        ),
    ),
    (
        lambda: api.softmax([[0.0], [[1.0], [np.ma.masked]]]),
        TypeError,
        "z is made of masked arrays, and the mask would be lost: leave the masked elements out",
    ),
    (
        lambda: sparse_logits(scipy.sparse.csr_matrix(ONE_HOT), LABELS),
        TypeError,
        "logits is a sparse csr_matrix: use logits.toarray()",
    ),
    (
        lambda: sparse_logits(Z, LABELS, class_weight={0: 1.0, 1: 2.0, 2: 1.0}),
        TypeError,
        (
            "class_weight is a dict: give an array in the order of the classes, "
            "[class_weight[k] for k in range(classes)]"
        ),
    ),
    (
        lambda: sparse_logits(torch.zeros(4, 3, requires_grad=True), LABELS),
        TypeError,
        (
            "logits is a tensor that requires grad: use logits.detach().cpu().numpy(); gradients "
            "are those of crossent.grad"
        ),
    ),
    (
        lambda: api.softmax(torch.zeros(3, dtype=torch.bfloat16)),
        TypeError,
        (
            "z is a Tensor that NumPy cannot read: give an array of its values, on the CPU, in a "
            "type that NumPy has"
        ),
    ),
    (
        lambda: api.softmax(np.array([1.0, "n/a"], object)),
        TypeError,
        "z[1] is 'n/a', of type str: give real numbers, as float16, float32 or float64",
    ),
    (
        lambda: sparse_logits(Z, np.array([0, 1, 2, 0], object)),
        TypeError,
        "labels has dtype object, though of numbers: use labels.astype(float)",
    ),
    (
        lambda: sparse_logits(Z, ["cat", "dog", "cat", "cow"]),
        TypeError,
        (
            "labels[0] is 'cat': class indices are integers; np.unique(labels, "
            "return_inverse=True) gives the names and numbers them"
        ),
    ),
    (
        lambda: sparse_logits(Z, np.array(["cat", "dog", "cat", "cow"], object)),
        TypeError,
        (
            "labels[0] is 'cat': class indices are integers; np.unique(labels, return_inverse=True)"
            " gives the names and numbers them"
        ),
    ),
    (
        lambda: sparse_logits(LABELS, Z),
        ValueError,
        ("labels has shape (4, 3) and logits has shape (4,): are they swapped? logits come first"),
    ),
    (
        lambda: dense_probs(ONE_HOT, PROBS * 2),
        ValueError,
        (
            "targets[0, :] sums to 2, not 1 (within 1e-05): divide counts or weights by their sum; "
            "weights go to class_weight or sample_weight; probs hold 0 and 1 only: are they "
            "swapped? probs come first"
        ),
    ),
    (
        lambda: binary_logits([0, 1], [0.3, -2.1]),
        ValueError,
        (
            "targets[1] is -2.1: probabilities lie in [0, 1]; map labels -1 and 1 with (targets + "
            "1) / 2; logits hold 0 and 1 only: are they swapped? logits come first"
        ),
    ),
    (
        lambda: api.softmax([np.zeros((2, 3)), np.zeros((2, 4)).tolist(), [1]]),
        ValueError,
        (
            "z is ragged: z[0] has shape (2, 3) and z[1] has shape (2, 4); give it rows of equal "
            "length"
        ),
    ),
    (
        lambda: api.softmax([[[1.0], [2.0, 3.0]]]),
        ValueError,
        "z is ragged: give it rows of equal length",
    ),
    (
        lambda: api.check_grad(binary_logits, [], []),
        ValueError,
        "there are no predictions, so there is nothing to compare",
    ),
]


@pytest.mark.parametrize(
    ("call", "exception", "message"),
    MALFORMED,
    ids=[f"{number} {message}"[:60] for number, (_, _, message) in enumerate(MALFORMED)],
)
def test_malformed_call(call: Callable[[], Any], exception: type[Exception], message: str) -> None:
    def refuse() -> None:
        with pytest.raises(exception) as error:
            call()
        assert type(error.value) is exception
        assert str(error.value) == message

    computed, _ = calls.count(WORK, refuse)
    # Only `check_grad` has to compute to find out that a loss is not finite.
    assert (computed > 0) is message.startswith("the loss is"), "computed before it was refused"


@pytest.mark.parametrize(
    "call",
    [
        lambda: api.softmax(Z),
        lambda: api.logsumexp(Z),
        lambda: api.sigmoid(Z),
        lambda: api.entropy(PROBS),
        lambda: api.kl_divergence(PROBS, PROBS),
        lambda: api.entropy_with_logits(Z),
        lambda: kl_logits(Z, Z),
        lambda: api.perplexity(Z, LABELS),
        lambda: sparse_logits(Z, LABELS),
        lambda: dense_probs(PROBS, ONE_HOT),
        lambda: binary_logits(ZEROS, ZEROS),
    ],
)
def test_a_good_call_computes(call: Callable[[], Any]) -> None:
    """What the test above counts is what computes."""
    assert calls.count(WORK, call)[0] > 0


def test_there_are_many() -> None:
    assert len({message for _, _, message in MALFORMED}) >= 60


def test_long_double_is_refused_where_it_is_longer_than_float64() -> None:
    if np.dtype(np.longdouble) == np.float64:
        pytest.skip("long double is float64 on this platform")
    with pytest.raises(TypeError, match=r"p has dtype \w+: give real numbers"):
        crossent.entropy(np.array([0.5, 0.5], np.longdouble))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("classes", [2, 4096])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_sums_may_be_off_by_rounding_and_no_more(dtype: Any, classes: int, sign: int) -> None:
    """What float32 cannot tell from 1, in any type; float16 cannot tell as much."""
    allowed = 0.01 if dtype == np.float16 else 64 * 2.0**-23 * classes**0.5
    inside, outside = np.zeros((2, classes), dtype)
    margin = 0.05 if dtype == np.float16 else 0.02  # more than the spacing of the dtype
    inside[:2] = 0.5, 0.5 + sign * (1 - margin) * allowed
    outside[:2] = 0.5, 0.5 + sign * (1 + margin) * allowed
    assert crossent.entropy(inside) > 0
    with pytest.raises(ValueError, match="sums to"):
        crossent.entropy(outside)


@pytest.mark.parametrize("classes", [2, 10, 50_000, 300_000])
def test_probabilities_of_float32_may_arrive_in_any_type(classes: int) -> None:
    z = np.random.default_rng(0).normal(size=classes).astype(np.float32) * 3
    p = np.exp(z) / np.exp(z).sum()  # with the rounding of float32
    for same in (p, p.tolist(), p.astype(float)):
        assert crossent.entropy(same) == pytest.approx(crossent.entropy(p), rel=1e-6)
    for wrong in (0.98, 1.02, 100.0):
        with pytest.raises(ValueError, match=r"sums to|probabilities lie in"):
            crossent.entropy(wrong * p)


def test_probabilities_of_float16_may_be_subnormal() -> None:
    p = np.full(500_000, 2e-6, np.float16)  # each of them 33.5 times 2⁻²⁴, rounded up
    assert float(p.sum(dtype=float)) > 1.01
    assert crossent.entropy(p) > 0
    with pytest.raises(ValueError, match="sums to"):
        crossent.entropy(p[:450_000])


@pytest.mark.parametrize("above", [1.0000000000000002, np.float32(1.0000001), np.float16(1.001)])
def test_a_rounding_above_1_is_1(above: Any) -> None:
    p = np.array([above, 0.0], np.result_type(above))
    for value, true in (
        (binary_probs(p, [1, 0]), binary_probs([1.0, 0.0], [1, 0])),
        (binary_logits([0.3, 0.2], p), binary_logits([0.3, 0.2], [1.0, 0.0])),
        (sparse_probs(p, 0), 0.0),
        (dense_logits([0.3, 0.2], p), dense_logits([0.3, 0.2], [1.0, 0.0])),
        (crossent.entropy(p), 0.0),
        (crossent.kl_divergence(p, p), 0.0),
        (api.grad(binary_probs)(p[:1], [1]), [-1.0]),
    ):
        np.testing.assert_array_equal(value, true)
    assert p[0] == above
    with pytest.raises(ValueError, match=r"probs\[0\] is 1.02: probabilities lie in"):
        binary_probs([1.02], [1])


@pytest.mark.parametrize("order", [">", "<"])
def test_any_byte_order_is_taken(order: str) -> None:
    z, one_hot, w = (x.astype(f"{order}f4") for x in (Z + np.arange(3.0), ONE_HOT, np.ones(3)))
    y, s = LABELS.astype(f"{order}i4"), np.ones(4, f"{order}f2")
    p = crossent.softmax(z)
    results = [p, crossent.logsumexp(z), crossent.sigmoid(z), crossent.entropy(p.astype(z.dtype))]
    for loss, x, t in (
        (sparse_logits, z, y),
        (dense_logits, z, one_hot),
        (sparse_probs, p.astype(z.dtype), y),
        (dense_probs, p.astype(z.dtype), one_hot),
    ):
        results += api.value_and_grad(loss)(x, t, class_weight=w, sample_weight=s, reduction="none")
    for loss, x in ((binary_logits, z), (binary_probs, p.astype(z.dtype)), (focal, z)):
        results += api.value_and_grad(loss)(x, one_hot, sample_weight=w, reduction="none")
    results += [api.perplexity(z, y), api.linear_cross_entropy(z, z, y, bias=s, class_weight=s)]
    native = [sparse_logits(Z + np.arange(3.0), LABELS, class_weight=w, sample_weight=s)]
    assert [result.dtype for result in results] == [np.dtype(np.float32)] * len(results)
    assert all(result.dtype.isnative for result in results)
    assert results[4].mean() == pytest.approx(native[0], rel=1e-6)


# --- what does not count is not looked at -----------------------------------------------------

BAD = [np.nan, np.inf, -3.0, 17.0]
EVERY: list[tuple[Any, Any, Any]] = [
    (sparse_logits, Z + np.arange(3.0), LABELS),
    (sparse_probs, PROBS, LABELS),
    (dense_logits, Z + np.arange(3.0), ONE_HOT),
    (dense_probs, PROBS, ONE_HOT),
    (binary_logits, ZEROS, ZEROS),
    (binary_probs, ZEROS + 0.25, ZEROS),
    (focal, ZEROS, ZEROS),
]


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean"])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("loss", "predictions", "targets"), EVERY)
def test_an_element_of_weight_0_may_be_anything(
    loss: Any, predictions: Any, targets: Any, smoothing: float, bad: float, reduction: str
) -> None:
    options: Any = {"sample_weight": [1.0, 0.0, 2.0, 0.0], "reduction": reduction}
    if loss is not focal:
        options["label_smoothing"] = smoothing
    expected = api.value_and_grad(loss)(predictions, targets, **options)
    predictions, targets = np.array(predictions), np.array(targets)
    predictions[1] = bad
    targets[1] = -100 if targets.dtype.kind == "i" else bad
    targets[3] = 3 if targets.dtype.kind == "i" else 0.0  # padding
    for got, true in zip(
        api.value_and_grad(loss)(predictions, targets, **options), expected, strict=True
    ):
        np.testing.assert_array_equal(got, true)
    with pytest.raises((ValueError, IndexError), match=r"labels|targets"):
        loss(predictions, targets, **options | {"sample_weight": 1.0})


@pytest.mark.parametrize("bad", BAD)
def test_an_ignored_row_may_be_anything(bad: float) -> None:
    probs, labels = np.array(PROBS), np.array([0, -1, 2, -1])
    options: Any = {"ignore_index": -1}
    expected = api.value_and_grad(sparse_probs)(probs, labels, **options)
    probs[1], probs[3, 0] = bad, bad
    value, slope = api.value_and_grad(sparse_probs)(probs, labels, **options)
    assert value == expected[0]
    np.testing.assert_array_equal(slope, expected[1])
    probs[2, 0] = bad if np.isfinite(bad) else 17.0
    with pytest.raises(ValueError, match=r"probs\[2, 0\]"):
        sparse_probs(probs, labels, **options)


@pytest.mark.parametrize("axis", [-1, 0])
@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_class_of_weight_0_may_be_anything(bad: float, smoothing: float, axis: int) -> None:
    weights = np.array([1.0, 2.0, 0.0])
    probs, hot = np.full((2, 3), [0.5, 0.25, 0.25]), np.eye(3)[[0, 1]]
    options: Any = {"label_smoothing": smoothing, "axis": axis}
    matrix = np.broadcast_to(weights, probs.shape)
    for kind, x in (("probs", probs), ("logits", np.log(probs))):
        for loss, t in ((sparse_probs, [0, 1]), (dense_probs, hot)):
            ask = loss if kind == "probs" else getattr(api, loss.__name__ + "_with_logits")
            expected = api.value_and_grad(ask)(
                x, t, class_weight=weights, label_smoothing=smoothing
            )
            y, s = np.array(x), np.array(t)
            if kind == "probs":
                y[:, 2] = bad
            if loss is dense_probs:
                s[:, 2] = bad
            y, s, w = (a.T if a.ndim == 2 and axis == 0 else a for a in (y, s, matrix))
            value, slope = api.value_and_grad(ask)(y, s, class_weight=w, **options)
            assert value == expected[0]
            np.testing.assert_array_equal(slope.T if axis == 0 else slope, expected[1])


def test_a_row_whose_classes_have_weight_0_may_be_anything() -> None:
    weights = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    for loss, x in ((dense_probs, PROBS[:2]), (dense_logits, Z[:2])):
        targets = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
        value, slope = api.value_and_grad(loss)(x, targets, class_weight=weights, reduction="none")
        np.testing.assert_allclose(value, [np.log(3), 0.0])
        assert not slope[1].any()


def test_a_probability_that_is_not_asked_for_may_be_nan() -> None:
    probs = np.array([[0.5, 0.25, np.nan], [np.nan, 0.25, np.nan]])
    for loss, targets in ((sparse_probs, [0, 1]), (dense_probs, np.eye(3)[[0, 1]])):
        value, slope = api.value_and_grad(loss)(probs, targets, reduction="none")
        np.testing.assert_allclose(value, np.log([2, 4]))
        np.testing.assert_array_equal(slope, [[-2, 0, 0], [0, -4, 0]])
        with pytest.raises(ValueError, match=r"probs\[0, 2\] is nan"):
            loss(probs, targets, label_smoothing=0.1)  # all are asked for
        for score in (-3.0, 17.0, np.inf):  # these are not probabilities
            with pytest.raises(ValueError, match=r"probs\[0, 2\] is .* raw scores"):
                loss([[0.5, 0.25, score]], targets[:1])


def test_labels_of_nothing() -> None:
    assert sparse_logits(np.zeros((0, 3)), [], reduction="sum") == 0.0
    with pytest.raises(ValueError, match="labels has shape"):
        sparse_logits(Z, [])


def test_input_may_be_anything_that_is_an_array_of_numbers() -> None:
    assert crossent.entropy((True, False)) == 0.0
    assert crossent.softmax([1, 1]).dtype == np.float64
    labels = np.array([1, 0], np.uint8)
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    assert loss([[0, 0], [0, 0]], labels) == loss([[0.0, 0.0], [0.0, 0.0]], [1, 0])
    assert loss([[0.0, 0.0]], [255], ignore_index=255, reduction="sum") == 0.0


def test_weights_of_nothing() -> None:
    with pytest.warns(RuntimeWarning, match="mean over nothing"):
        value = api.binary_cross_entropy_with_logits([], [], sample_weight=np.zeros(0))
    assert np.isnan(value)


def test_a_weight_that_is_not_a_number_is_named() -> None:
    with pytest.raises(TypeError, match=r"^sample_weight has dtype"):
        api.binary_cross_entropy_with_logits([0.0], [1], sample_weight=["a"])


def test_a_wrong_label_is_found_far_behind() -> None:
    z, labels = np.zeros((2 * SPAN + 5, 2)), np.zeros(2 * SPAN + 5, dtype=np.int8)
    labels[SPAN + 3] = 2
    with pytest.raises(IndexError, match=rf"labels\[{SPAN + 3}\] is 2"):
        sparse_logits(z, labels)
