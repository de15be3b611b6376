"""The chapter on TensorFlow and Keras; what they compute is run in the notebook."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

import crossent
from tests.checks import Cited, Given, Real, Row, logits, reals, same, says, sigma, soft

DELTA = mpf(10) ** -7

# --- The equations ---


@given(logits(), st.integers(0, 3))
def eq_keras_logits(z: Row, y: int) -> None:
    r"""\begin{aligned}
    \ell &= \log \sum_k e^{z_k} - z_y && \text{for logits,} \\
    \ell &= -\log \hat y_y && \text{by default.}
    \end{aligned}
    """
    surprise = -mp.log(soft(z)[y])
    same(mp.log(mp.fsum(mp.exp(z_k) for z_k in z)) - z[y], surprise)
    one_hot = [mpf(k == y) for k in range(4)]
    same(-mp.fsum(t * mp.log(p) for t, p in zip(one_hot, soft(z), strict=True)), surprise)


@given(logits(), st.integers(0, 3))
def eq_keras_clip(z: Row, y: int) -> None:
    r"""\begin{aligned}
    q_k &= \min(\max(z_k, \delta), 1 - \delta) , \\
    \ell &= \log \sum_k q_k - \log q_y .
    \end{aligned}
    """
    q = [min(max(z_k, DELTA), 1 - DELTA) for z_k in z]
    cut = [z_k if DELTA < z_k < 1 - DELTA else 1 - DELTA if z_k > DELTA else DELTA for z_k in z]
    assert q == cut
    shares = [each / mp.fsum(cut) for each in cut]
    same(mp.fsum(shares), mpf(1))
    same(mp.log(mp.fsum(q)) - mp.log(q[y]), -mp.log(shares[y]))


def zeta(x: Real) -> Real:
    """Return the softplus."""
    return mp.log(1 + mp.exp(x))


@given(reals(), st.integers(1, 9), st.integers(0, 4))
def eq_tf_weighted(z: Real, w: int, quarters: int) -> None:
    r"""\begin{aligned}
    \ell &= w y \, \zeta(-z) + (1 - y) \, \zeta(z) , \\
    \frac{\partial \ell}{\partial z} &= -w y \, \sigma(-z) + (1 - y) \, \sigma(z) .
    \end{aligned}
    """
    y = mpf(quarters) / 4

    def loss(z: Real) -> Real:
        return -w * y * mp.log(sigma(z)) - (1 - y) * mp.log(1 - sigma(z))

    same(w * y * zeta(-z) + (1 - y) * zeta(z), loss(z))
    same(-w * y * sigma(-z) + (1 - y) * sigma(z), mp.diff(loss, z), 15)


@given(reals(), st.integers(1, 9), st.integers(0, 4))
def eq_tf_corners(z: Real, w: int, quarters: int) -> None:
    r"""\ell = (1 - y) z + w_y \left(\zeta(-|z|) + \max(-z, 0)\right)"""
    y = mpf(quarters) / 4
    w_y = 1 + (w - 1) * y
    loss = -w * y * mp.log(sigma(z)) - (1 - y) * mp.log(1 - sigma(z))
    same((1 - y) * z + w_y * (zeta(-abs(z)) + max(-z, mpf(0))), loss)


@says(
    r"With the softplus function $\zeta(x) = \log(1 + e^x)$, whose derivative is $\sigma(x)$, the"
    " loss of a logit $z$ and its derivative are"
)
@given(reals())
def the_derivative_of_softplus_is_the_sigmoid(x: Real) -> None:
    same(mp.diff(zeta, x), sigma(x), 15)


# --- The figure ---


# --- Conventions of others ---


@says("PyTorch and `crossent` take the prediction first.")
def the_prediction_comes_first() -> None:
    z, target = np.array([[2.0, 1, 0]]), np.array([[1.0, 0, 0]])
    value = -float(mp.log(soft([2, 1, 0])[0]))
    ours = crossent.categorical_cross_entropy_with_logits(z, target)
    theirs = torch.nn.functional.cross_entropy(torch.tensor(z), torch.tensor(target))
    assert np.allclose([float(ours), theirs.item()], value)
    swapped = torch.nn.functional.cross_entropy(torch.tensor(target), torch.tensor(z))
    assert abs(swapped.item() - value) > 1


NUMBERS = {
    "([asked in 2022](https://github.com/keras-team/tf-keras/issues/404))": Cited(
        "https://github.com/keras-team/tf-keras/issues/404", "opened in October 2022"
    ),
    "In 2020 the answer was": Cited(
        "https://github.com/tensorflow/tensorflow/issues/42447", "opened in August 2020"
    ),
    "([reported in 2020](https://github.com/tensorflow/tensorflow/issues/41413))": Cited(
        "https://github.com/tensorflow/tensorflow/issues/41413", "opened in July 2020"
    ),
    "([the third line](https://github.com/tensorflow/tensorflow/issues/26784), 2019)": Cited(
        "https://github.com/tensorflow/tensorflow/issues/26784", "opened in March 2019"
    ),
    "answers on these losses are from 2016 to 2020": Given(
        "the years of the advice below: TF 1 was young in 2016; the others are linked"
    ),
    "`softmax_cross_entropy_with_logits_v2` (TF 1.5, 2018)": Cited(
        "https://github.com/tensorflow/minigo/issues/37",
        "February 2018: since 1.5.0, a warning recommends it",
    ),
    "| targets (N,) and outputs (N, 1) silently give an N × N mean ([2019]": Cited(
        "https://github.com/tensorflow/tensorflow/issues/30040", "opened in June 2019"
    ),
    "accuracy shows 80% for one-hot rows ([2017]": Cited(
        "https://stackoverflow.com/q/42081257", "asked in February 2017"
    ),
    "| padding counts in the mean ([2019]": Cited(
        "https://github.com/tensorflow/tensorflow/issues/26784", "opened in March 2019"
    ),
}

UNTESTED = {
    "Earlier versions divided by all eight, padding included": "history; in the linked issue",
}
