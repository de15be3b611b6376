"""The chapter on PyTorch."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from torch.nn import functional as F

from tests.checks import Cited, Real, Row, logits, same, says, soft

ROWS = st.lists(st.tuples(logits(3), st.sampled_from([-100, 0, 1, 2])), min_size=1, max_size=5)
WEIGHTS = st.lists(st.integers(1, 9), min_size=3, max_size=3)


def lse(z: Row) -> Real:
    """Return the logarithm of the sum of exponentials."""
    return mp.log(mp.fsum(mp.exp(z_k) for z_k in z))


def tensor(numbers: Row) -> torch.Tensor:
    """Return numbers of mpmath, or rows of them, as a tensor."""
    nested = isinstance(numbers[0], list)
    floats = [[float(x) for x in row] for row in (numbers if nested else [numbers])]
    return torch.tensor(floats if nested else floats[0], dtype=torch.float64)


@given(ROWS.filter(lambda rows: any(y >= 0 for _, y in rows)), WEIGHTS)
def eq_torch_loss(rows: list[tuple[Row, int]], weights: list[int]) -> None:
    r"""\begin{aligned}
    \ell_n &= \log \textstyle\sum_k e^{z_{nk}} - z_{n y_n} , \\
    L &= \frac{\sum_n w_{y_n} \ell_n}{\sum_n w_{y_n}} ,
    \end{aligned}
    """
    output, target = tensor([z for z, _ in rows]), torch.tensor([y for _, y in rows])
    counted = [(z, y, weights[y]) for z, y in rows if y != -100]
    losses = [-mp.log(soft(z)[y]) for z, y, _ in counted]
    for (z, y, _), loss in zip(counted, losses, strict=True):
        same(lse(z) - z[y], loss)
    by_torch = F.cross_entropy(output, target, reduction="none")[target >= 0].tolist()
    for value, loss in zip(by_torch, losses, strict=True):
        same(value, loss, 12)
    bags = [loss for loss, (_, _, w) in zip(losses, counted, strict=True) for _ in range(w)]
    mean = mp.fsum(bags) / len(bags)  # each sample as often as its weight says
    weighted = mp.fsum(w * loss for loss, (_, _, w) in zip(losses, counted, strict=True))
    same(weighted / sum(w for _, _, w in counted), mean)
    same(F.cross_entropy(output, target, weight=tensor(weights)).item(), mean, 12)
    plain = F.cross_entropy(output, target)
    same(F.cross_entropy(output, target, weight=tensor([1, 1, 1])).item(), plain.item(), 12)


@given(logits(), st.integers(0, 3))
def eq_torch_steps(z: Row, y: int) -> None:
    r"""-\log \frac{e^{z_y}}{\sum_k e^{z_k}} = \log \textstyle\sum_k e^{z_k} - z_y ."""
    same(-mp.log(soft(z)[y]), lse(z) - z[y])
    same(-torch.log_softmax(tensor(z), 0)[y].item(), lse(z) - z[y], 12)


@given(logits(3), st.integers(0, 2), WEIGHTS, st.integers(0, 10))
def eq_torch_smoothing(z: Row, y: int, w: list[int], tenths: int) -> None:
    r"""\begin{aligned}
    \ell = {}& (1 - \varepsilon)\, w_y \,(-\log \hat y_y) \\
    &+ \frac{\varepsilon}{C} \textstyle\sum_k w_k \,(-\log \hat y_k) ,
    \end{aligned}
    """
    epsilon, C = mpf(tenths) / 10, len(z)
    target = [epsilon / C + (1 - epsilon) * (k == y) for k in range(C)]
    losses = [-mp.log(y_k) for y_k in soft(z)]
    of_target = mp.fsum(w_k * t_k * l_k for w_k, t_k, l_k in zip(w, target, losses, strict=True))
    pull = mp.fsum(w_k * l_k for w_k, l_k in zip(w, losses, strict=True))
    same((1 - epsilon) * w[y] * losses[y] + epsilon / C * pull, of_target)
    options = {"weight": tensor(w), "label_smoothing": tenths / 10}
    by_torch = F.cross_entropy(tensor([z]), torch.tensor([y]), reduction="sum", **options)  # type: ignore[arg-type]
    same(by_torch.item(), of_target, 12)


@given(logits(3), st.integers(0, 2))
def eq_torch_twice(z: Row, y: int) -> None:
    r"""\begin{aligned}
    \frac{\partial \ell}{\partial z_y}
    &= \textstyle\sum_k d_k \, p_k ([k = y] - p_y) \\
    &= p_y \bigl(d_y - \textstyle\sum_k d_k \, p_k\bigr) \\
    &= -p_y \bigl(1 - q_y + \textstyle\sum_k q_k \, p_k - p_y\bigr)
    \end{aligned}
    """

    def loss_of(scores: Row) -> Real:
        return lse(scores) - scores[y]

    def loss_at(z_y: Real) -> Real:
        return loss_of(soft([*z[:y], z_y, *z[y + 1 :]]))

    slope, p = mp.diff(loss_at, z[y]), soft(z)
    d = [mp.diff(lambda s, k=k: loss_of([*p[:k], s, *p[k + 1 :]]), p[k]) for k in range(3)]
    q = soft(p)
    chain = mp.fsum(d[k] * p[k] * ((k == y) - p[y]) for k in range(3))
    same(chain, slope, 15)
    same(p[y] * (d[y] - mp.fsum(d[k] * p[k] for k in range(3))), slope, 15)
    same(-p[y] * (1 - q[y] + mp.fsum(q[k] * p[k] for k in range(3)) - p[y]), slope, 15)


@says(
    r"Divide by $e^{z_y}$ inside the logarithm: $\ell = \log \sum_k e^{z_k - z_y} = \log\bigl(1 +"
    r" \sum_{k \ne y} e^{z_k - z_y}\bigr)$, and the sum is $e^x$ with $x = \operatorname{LSE}_{k"
    r" \ne y}(z_k) - z_y$."
)
@given(logits(), st.integers(0, 3))
def the_loss_is_a_softplus(z: Row, y: int) -> None:
    loss = -mp.log(soft(z)[y])
    others = [z_k for k, z_k in enumerate(z) if k != y]
    same(mp.log(mp.fsum(mp.exp(z_k - z[y]) for z_k in z)), loss)
    without = mp.fsum(mp.exp(z_k - z[y]) for z_k in others)
    same(mp.log(1 + without), loss)
    same(without, mp.exp(lse(others) - z[y]))


SHOWN = {
    "After 20 epochs the accuracy hardly shows the mistake": (
        "epoch 20 loss 1.567 test loss 1.566 accuracy 0.96"
    ),
    "This rarely matters in training, but it may in measuring": "17.0 0 -0 0 0 0 4.14e-08",
}

NUMBERS = {
    "This was true in 2018, in version 0.4.1": Cited(
        "https://github.com/pytorch/pytorch/issues/11752",
        "opened in September 2018, of version 0.4.1: 0.0 for two equal logits of 1e8",
    ),
    "[asked for since 2019](https://github.com/pytorch/pytorch/issues/29754)": Cited(
        "https://github.com/pytorch/pytorch/issues/29754", "opened in November 2019, still open"
    ),
    "They did the work of `reduction` before version 0.4.1 (2018)": Cited(
        "https://discuss.pytorch.org/t/24629",
        "an answer: `reduction` came with 0.4.1; in use by September 2018 (pytorch#11752)",
    ),
    "[leaked into the smoothing](https://github.com/pytorch/pytorch/issues/73205) (2022)": Cited(
        "https://github.com/pytorch/pytorch/issues/73205", "opened in February 2022"
    ),
    "Your PyTorch is older than 1.10 (2021), which brought soft targets": Cited(
        "https://pytorch.org/docs/1.10.0/generated/torch.nn.functional.cross_entropy.html",
        "the arguments `target` and `label_smoothing`; released on 21 October 2021",
    ),
}

UNTESTED = {
    'On a GPU the message is "Expected all tensors to be on the same device" (recent versions'
    " [name the weight](https://github.com/pytorch/pytorch/pull/155085)).": "needs a GPU; linked",
    "On a GPU the same mistake reads [CUDA error: device-side assert triggered]…and it often"
    " points to a later, innocent line (other mistakes give the same message: a `BCELoss` of"
    " numbers outside $[0, 1]$, an embedding of an unknown word).": "needs a GPU; linked",
    'Older versions said ["Expected object of scalar type Long but got scalar type Int"]…and on a'
    """ GPU ["nll_loss_forward_reduce_cuda_kernel_2d_index" not implemented for 'Int']""": (
        "history, and a GPU; linked"
    ),
}
