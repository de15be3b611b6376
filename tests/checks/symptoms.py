"""The page of symptoms: the rows that lead to chapters, whose numbers and messages are made anew.

The rows that lead to a pitfall are quoted in the pitfall's hidden cells.
"""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.tree import DecisionTreeClassifier
from torch.nn import functional as F

import crossent
from tests.checks import Cited, Computed, Given, says
from tests.pages import blocks, find, page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.checks import Number

bce = F.binary_cross_entropy_with_logits
NO_ERROR = "no error"


def refusal(call: Any, *args: Any, **options: Any) -> str:
    """Return the message of an error, if there is one."""
    try:
        call(*args, **options)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return NO_ERROR


def doubles(*numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


# --- The page itself ---


def rows(title: str) -> Iterator[list[str]]:
    """Yield the cells of each row under a title."""
    for section in page(find("symptoms")).sections:
        for block in blocks(section.prose if section.title == title else ""):
            if block.startswith("| ") and not block.startswith("| what you see"):
                yield block.strip("| ").split(" | ")


@says(
    "Search this page, with your browser's find, for the first digits of the number (16.1, 0.79)"
    " or for a few words of the message. Where a symptom has several causes, they are numbered,"
    " and so are the fixes, unless one fix serves all. The last column leads to a run that makes"
    " the symptom and shows how to tell which cause is yours.",
    r"Sorted by size. $C$ is the number of classes.",
    "In alphabetical order; … stands for what differs from case to case.",
)
def causes_and_cures_have_the_same_numbers() -> None:
    numbers, words, messages = map(list, map(rows, ("Numbers", "Words", "Error messages")))
    for _, cause, cure, run in numbers + words + messages:
        these, those = (set(re.findall(r"\b(\d)\.(?=[ ,]|$)", text)) for text in (cause, cure))
        assert these == {str(n + 1) for n in range(len(these))}
        assert those in (these, set())
        assert "](" in run or "{ref}" in run
    sizes = [float(symptom.split("`")[1]) for symptom, *_ in numbers]
    assert sizes == sorted(sizes)
    told = [re.sub('^[`"]', "", symptom) for symptom, *_ in messages]
    assert told == sorted(told, key=str.casefold)


@says(
    "Check four things first, in this order.",
    r"**The first loss.** With small weights in the last layer it is near $\log C$. If not, look at"
    " the scale of the inputs and at the reduction: a sum is N times a mean.",
)
def the_first_loss_of_small_weights_is_log_c() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(200, 20, generator=generator)
    small = 0.01 * torch.randn(20, 7, generator=generator)
    labels = torch.arange(200) % 7
    first = F.cross_entropy(inputs @ small, labels)
    assert first.item() == pytest.approx(np.log(7), abs=0.01)
    assert F.cross_entropy(255 * inputs @ small, labels) > 3 * np.log(7)
    total = F.cross_entropy(inputs @ small, labels, reduction="sum")
    assert total.item() == pytest.approx(200 * first.item(), rel=1e-4)


@says(
    "**Ten samples.** Train on them alone, without dropout or smoothing. If the loss does not go to"
    " 0, or to the entropy of soft targets, look at the code and at the learning rate before you"
    " look at the data."
)
def ten_samples_can_be_learned_by_heart() -> None:
    inputs = torch.randn(10, 20, generator=torch.Generator().manual_seed(0)).double()
    hard = torch.eye(3).double()[torch.arange(10) % 3]
    soft = 0.7 * hard + 0.1

    def last(
        targets: torch.Tensor, rate: float, smoothing: float = 0, *, twice: bool = False
    ) -> float:
        theta = torch.zeros(20, 3, dtype=torch.float64)
        for _ in range(60):
            theta.requires_grad_()
            scores = inputs @ theta
            scores = scores.softmax(-1) if twice else scores
            loss = F.cross_entropy(scores, targets, label_smoothing=smoothing)
            theta = (theta - rate * torch.autograd.grad(loss, theta)[0]).detach()
        return loss.item()

    assert last(hard, 5) < 0.01
    assert last(soft, 1) == pytest.approx(stats.entropy([0.8, 0.1, 0.1]), abs=0.01)
    assert last(hard, 5, smoothing=0.1) > 0.2  # not without smoothing
    assert last(hard, 5, twice=True) > 0.5  # the code
    assert last(hard, 1e-5) > 1  # the learning rate


@says(
    "**Shapes, dtypes, and the smallest and largest label**, printed just before the loss is"
    " called.",
    "**One batch in another library.** `crossent` refuses what others accept, and says why."
    " {ref}`Four probes <pitfall-probes>` examine a loss of your own.",
)
def crossent_refuses_what_others_compute_on() -> None:
    loss = crossent.binary_cross_entropy_with_logits
    assert bce(doubles(5.0), doubles(2.0)) < 0
    assert "map labels -1 and 1" in refusal(loss, [5.0], [2.0])
    scores, twice = doubles([2.0, 1.0, 0.0]), doubles([1.4, 0.4, 0.2])
    assert F.cross_entropy(scores, twice) > 0
    dense = crossent.categorical_cross_entropy_with_logits
    assert "probabilities lie in [0, 1]" in refusal(dense, scores.numpy(), twice.numpy())
    # Of what is printed, each tells another mistake.
    labels = torch.tensor([0, 2, 1])
    z = torch.zeros(3, 3)
    for wrong, word in [(labels + 1, "Target 3"), (labels[:, None], "1D"), (labels / 1, "Float")]:
        with pytest.raises((RuntimeError, IndexError), match=word):
            F.cross_entropy(z, wrong)


# --- Numbers ---

LOGITS = doubles([2, 1, 0], [0, 3, 1], [1, 1, 5], [1, 1, 0])
LABELS = torch.tensor([0, 1, 2, 0])


@says(
    "`0.3318` or `1.1612` with smoothing and weights | smoothing and weights mix, and two"
    " divisors | smooth the target, weight the sample"
)
def smoothing_and_weights_mix() -> None:
    weight = doubles(1, 2, 10)
    onehot = torch.eye(3).double()[LABELS]
    target = 0.9 * onehot + 0.1 / 3
    total = (weight * target * -LOGITS.log_softmax(-1)).sum()  # a weight for each class's term
    options: Any = {"weight": weight, "label_smoothing": 0.1}
    by_sum, by_n = (F.cross_entropy(LOGITS, t, **options).item() for t in (LABELS, onehot))
    assert by_sum == pytest.approx(total / weight[LABELS].sum())
    assert by_n == pytest.approx(total / 4)
    assert (by_sum, by_n) == pytest.approx((0.3318, 1.1612), abs=5e-5)
    # The optimum is the smoothed target only if the sample is weighted, not the class.
    loss = crossent.sparse_categorical_cross_entropy_with_logits
    smooth, w = np.log([[0.95, 0.05]]), [1.0, 100.0]
    mixed = crossent.grad(loss)(smooth, [0], class_weight=w, label_smoothing=0.1)
    apart = crossent.grad(loss)(smooth, [0], sample_weight=[w[0]], label_smoothing=0.1)
    assert abs(mixed).max() > 0.1
    assert abs(apart).max() < 1e-12


@says("`0.5448`, and never below | smoothing by K − 1, C = 10 | none: subtract the floor")
def smoothing_by_k_minus_1_has_a_higher_floor() -> None:
    target = np.array([0.9, *[0.1 / 9] * 9])
    forecasts = np.random.default_rng(0).dirichlet(10 * target + 0.1, 1000)
    assert stats.entropy(target) == pytest.approx(0.5448, abs=5e-5)
    losses = -np.log(forecasts) @ target
    assert losses.min() > stats.entropy(target)
    assert -np.log(target) @ target - stats.entropy(target) == pytest.approx(0)


@says(
    "`0.5806`, not 0, for an image compared with itself | a target between 0 and 1 costs its"
    " entropy | subtract it"
)
def a_target_between_0_and_1_costs_its_entropy() -> None:
    pixels = np.array([0.5, 0.3, 0.5, 0.9])
    itself = F.binary_cross_entropy(doubles(*pixels), doubles(*pixels)).item()
    entropies = stats.entropy([pixels, 1 - pixels])
    assert itself == pytest.approx(entropies.mean()) == pytest.approx(0.5806, abs=5e-5)
    assert F.binary_cross_entropy(doubles(0, 1), doubles(0, 1)) == 0


@says(
    "`0.6931`, stuck, with soft_margin_loss | labels 0 and 1 in the form for −1 and 1 | labels"
    " −1 and 1"
)
def a_label_of_0_has_no_slope_in_the_form_for_1_and_minus_1() -> None:
    for logit in (-3.0, 0.7, 3.0):
        z = torch.tensor([logit], requires_grad=True)
        stuck, plain = F.soft_margin_loss(z, torch.zeros(1)), F.soft_margin_loss(z, -torch.ones(1))
        assert stuck.item() == pytest.approx(np.log(2)) == pytest.approx(0.6931, abs=5e-5)
        assert torch.autograd.grad(stuck, z)[0] == 0
        assert plain.item() == pytest.approx(bce(z, torch.zeros(1)).item())
        assert torch.autograd.grad(plain, z)[0] != 0


@says(
    "`0.9048` for a one-hot prediction, or never below, C = 5 | 1. probabilities were taken for"
    " logits; 2. a softmax before a loss of logits | pass the logits"
)
def one_hot_logits_of_five_classes() -> None:
    onehot = torch.eye(5).double()
    taken_for_logits = F.cross_entropy(onehot, torch.arange(5)).item()
    twice = [F.cross_entropy((s * onehot).softmax(-1), torch.arange(5)).item() for s in (1, 5, 60)]
    assert twice == sorted(twice, reverse=True)
    assert [taken_for_logits, twice[-1]] == pytest.approx([0.9048] * 2, abs=5e-5)
    assert F.cross_entropy(60 * onehot, torch.arange(5)) < 1e-12


@says("`1.3863` as the entropy of [1, 1, 1, 1] | SciPy divides by the sum | pass probabilities")
def scipy_divides_by_the_sum() -> None:
    assert stats.entropy([1, 1, 1, 1]) == pytest.approx(1.3863, abs=5e-5)
    assert stats.entropy([1, 1, 1, 1]) == stats.entropy([0.25] * 4)
    assert -np.sum(np.ones(4) * np.log(np.ones(4))) == 0


@says(
    "`1.6152`, twice what you expect | target rows sum to 2: 1. counted twice, or a shared"
    " label; 2. several labels hold | 1. divide each row by its sum; 2. the binary loss"
)
def a_target_with_the_sum_2_costs_twice_as_much() -> None:
    z, row, pair = doubles([2, 1, 0]), doubles([0.7, 0.2, 0.1]), doubles([1, 1, 0])
    right = F.cross_entropy(z, row).item()
    assert F.cross_entropy(z, 2 * row).item() == pytest.approx(2 * right)
    assert 2 * right == pytest.approx(1.6152, abs=5e-5)
    one_by_one = [F.cross_entropy(z, torch.tensor([k])).item() for k in (0, 1)]
    assert F.cross_entropy(z, pair).item() == pytest.approx(sum(one_by_one))  # two labels
    for doubled in (2 * row, pair):
        assert doubled.sum().item() == pytest.approx(2)
        cured = F.cross_entropy(z, doubled / doubled.sum(-1, keepdim=True)).item()
        assert cured == pytest.approx(F.cross_entropy(z, doubled).item() / 2)
    assert bce(60 * (2 * pair - 1), pair) < 1e-12  # both hold


@says(
    "`3.622`, or `5.909`, and never below | a softmax before `CrossEntropyLoss`, C = 100 or 1000"
    " | drop it"
)
def a_softmax_twice_in_100_or_1000_classes() -> None:
    for classes, floor in [(100, 3.622), (1000, 5.909)]:
        sure = 60 * F.one_hot(torch.tensor([0]), classes).double()
        twice = F.cross_entropy(sure.softmax(-1), torch.tensor([0])).item()
        assert twice == pytest.approx(floor, abs=5e-4)
        assert F.cross_entropy(sure, torch.tensor([0])) < 1e-12
        others = (sure * torch.rand(20, 1, generator=torch.Generator().manual_seed(0))).softmax(-1)
        assert F.cross_entropy(others, torch.zeros(20, dtype=torch.long)) > floor


@says(
    "`9.01` from log_loss | exact zeros and ones, one of four wrong: 1. `predict`; 2. pure"
    " leaves of a tree | 1. `predict_proba`; 2. a forest",
    "`y_true contains only one label` | only one class in the test set | `labels=[0, 1]`",
)
def decisions_cost_a_quarter_of_the_clip() -> None:
    truth = [0, 1, 1, 0]
    assert log_loss(truth, [0.0, 1.0, 0.0, 0.0]) == pytest.approx(9.01, abs=5e-3)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y = (X[:, 0] + rng.normal(size=200) > 0).astype(int)
    kinds = LogisticRegression(), DecisionTreeClassifier(random_state=0)
    forest = RandomForestClassifier(30, random_state=0)
    linear, tree, trees = (kind.fit(X[:100], y[:100]) for kind in (*kinds, forest))
    decided = linear.predict(X[100:])
    assert set(decided) == {0, 1}
    wrong = (decided != y[100:]).mean()
    assert log_loss(y[100:], decided) == pytest.approx(-wrong * np.log(2.0**-52), rel=1e-6)
    assert log_loss(y[100:], linear.predict_proba(X[100:])) < 0.7
    assert set(tree.predict_proba(X[100:]).ravel()) == {0, 1}  # pure leaves
    assert log_loss(y[100:], tree.predict_proba(X[100:])) > 3
    assert log_loss(y[100:], trees.predict_proba(X[100:])) < 1
    assert "y_true contains only one label" in refusal(log_loss, [1, 1], [0.9, 0.8])
    assert log_loss([1, 1], [0.9, 0.8], labels=[0, 1]) == pytest.approx(-np.log([0.9, 0.8]).mean())


@says(
    "`17.72` bits for an 8-bit image | pixels were taken for probabilities. (`18.00`: floats"
    " were counted; `17.98`: colors) | count the gray levels"
)
def an_image_of_8_bits_has_8_bits_at_most() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, 512 * 512)
    assert stats.entropy(pixels, base=2) == pytest.approx(17.72, abs=5e-3)
    colors = rng.integers(0, 256**3, 512 * 512)
    for values, bits in [(rng.normal(size=512 * 512), 18.0), (colors, 17.98), (pixels, 8.0)]:
        _, counts = np.unique(values, return_counts=True)
        assert stats.entropy(counts, base=2) == pytest.approx(bits, abs=5e-3)


@says(
    "`27.631` from an old PyTorch, `34.539` from an old scikit-learn | clips at 1e-12 and 1e-15"
    " | no newer clip, but a loss of logits"
)
def old_and_new_clips_hide_the_loss() -> None:
    assert -np.log([1e-12, 1e-15]) == pytest.approx([27.631, 34.539], abs=5e-4)
    no, far = torch.zeros(1), torch.tensor([200.0])
    assert F.binary_cross_entropy(far.sigmoid(), no) == 100  # a newer clip
    assert log_loss([0, 1], [1.0, 1.0]) == pytest.approx(-np.log(2.0**-52) / 2)
    assert bce(far, no) == 200


@says(
    "`63.77` at the first step | a sum over 92 yes-or-no labels: 92 log 2 | none; or the mean"
    " over the labels"
)
def a_sum_over_92_labels() -> None:
    z = torch.zeros(8, 92)
    assert bce(z, z, reduction="sum").item() / 8 == pytest.approx(63.77, abs=5e-3)
    assert bce(z, z, reduction="sum").item() / 8 == pytest.approx(92 * np.log(2), rel=1e-6)
    assert bce(z, z).item() == pytest.approx(np.log(2))


# --- Words ---


@says(
    "`inf` from SciPy's entropy(a, b) | a divergence: b is 0 where a is not | Jensen–Shannon, or"
    " counts + ½"
)
def scipys_divergence_is_infinite_where_only_b_is_0() -> None:
    a, b = np.array([0.5, 0.5, 0]), np.array([1, 0, 0])
    assert stats.entropy(a, b) == np.inf
    assert stats.entropy(b, a) == pytest.approx(np.log(2))
    middle = (a + b) / 2
    jensen_shannon = (stats.entropy(a, middle) + stats.entropy(b, middle)) / 2
    assert np.isfinite(jensen_shannon)
    assert crossent.js_divergence(a, b) == pytest.approx(jensen_shannon)
    assert np.isfinite(stats.entropy(np.array([5, 5, 0]) + 0.5, np.array([9, 0, 0]) + 0.5))


@says(
    "`nan` from your own softmax | exp overflows, or a whole row underflows | subtract the largest"
    " logit of each row"
)
def a_softmax_without_the_shift_overflows_or_underflows() -> None:
    # Of the first, the mean is too little: e to the 200 is too large for float32.
    for row in np.array([[300, 2, -2], [90, 2, -2], [-110, -112, -114]], np.float32):
        with np.errstate(over="ignore", invalid="ignore"):
            own = np.exp(row) / np.exp(row).sum()
        assert np.isnan(own).any()
        shifted = np.exp(row - row.max())
        assert shifted / shifted.sum() == pytest.approx(crossent.softmax(row))
    batch = np.array([[0, 1], [1000, 1001.0]])
    with np.errstate(invalid="ignore"):
        shared = np.exp(batch - batch.max())  # not the largest of each row
        assert np.isnan(shared / shared.sum(-1, keepdims=True)).any()


@says(
    "`inf` as a mean in float16, where float32 says 8.51 | the sum of the losses passes 65,504 |"
    " `logits.float()` for the value, and loss scaling for the gradient"
)
def the_sum_passes_the_largest_float16() -> None:
    z = torch.zeros(8192, 100, dtype=torch.float16)
    z[:, 1], z[:, 2] = 8, -8
    half = z.clone().requires_grad_()
    labels = torch.zeros(8192, dtype=torch.long)
    mean = F.cross_entropy(z.double(), labels).item()
    assert 8192 * mean > torch.finfo(torch.float16).max == 65504 > mean
    assert F.cross_entropy(half, labels) == torch.inf
    cured = F.cross_entropy(half.float(), labels)
    assert cured.item() == pytest.approx(mean, rel=1e-5)
    lost, kept = (
        (torch.autograd.grad(scale * cured, half, retain_graph=True)[0] == 0).any()
        for scale in (1, 2**16)
    )
    assert lost
    assert not kept


@says(
    "negative: `-30.0` in a regression | binary cross-entropy of targets that are not in [0, 1]"
    " | scale the targets"
)
def a_regression_with_binary_cross_entropy_runs_away() -> None:
    for z, target, scaled in [(30.0, 2.0, 1.0), (-30.0, -1.0, 0.0), (30.0, 255.0, 1.0)]:
        assert bce(torch.tensor(z), torch.tensor(target)) <= -30
        assert 0 <= bce(torch.tensor(z), torch.tensor(scaled)) < 1e-9
    assert bce(torch.tensor(30.0), torch.tensor(2.0)) == -30


# --- Error messages ---


@says(
    "`all elements of input should be between 0 and 1` | `BCELoss` got 1. logits; 2. nan; 3. a"
    " probability that rounded above 1 | 1. `BCEWithLogitsLoss`; 2. find what is nan before the"
    " sigmoid; 3. `clamp(0, 1)`"
)
def what_is_no_probability_is_refused() -> None:
    one, loss = torch.ones(1), F.binary_cross_entropy
    added = torch.zeros(1)
    for _ in range(10):  # classes
        added = added + 0.1
    assert added > 1
    wrong = [torch.tensor([1.2]), torch.tensor([torch.nan]).sigmoid(), added]
    for p in wrong:
        assert "all elements of input should be between 0 and 1" in refusal(loss, p, one)
    assert bce(wrong[0], one).item() == pytest.approx(np.log1p(np.exp(-1.2)))
    assert loss(added.clamp(0, 1), one) == 0


@says(
    "`Found dtype Long but expected Float` | integer targets in `BCELoss` | `y.to(p.dtype)`",
    "`result type Float can't be cast to the desired output type Long` | integer targets in"
    " `BCEWithLogitsLoss` | `y.to(z.dtype)`",
)
def targets_of_a_binary_loss_are_floats() -> None:
    p, y = torch.tensor([0.7, 0.2]), torch.tensor([1, 0])
    assert "Found dtype Long but expected Float" in refusal(F.binary_cross_entropy, p, y)
    assert "result type Float can't be cast to the desired output type Long" in refusal(bce, p, y)
    for loss in (F.binary_cross_entropy, bce):
        assert refusal(loss, p, y.to(p.dtype)) == NO_ERROR


@says(
    "`Implicit dimension choice for softmax has been deprecated` | `softmax(x)` without `dim` |"
    " `dim=-1`; for images `dim=1`"
)
def softmax_without_dim_guesses() -> None:
    x = torch.arange(8.0).reshape(2, 2, 2)
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        guessed = F.softmax(x)
    assert not torch.allclose(guessed.sum(-1), torch.ones(2, 2))
    with warnings.catch_warnings(action="error"):
        assert torch.allclose(F.softmax(x, dim=-1).sum(-1), torch.ones(2, 2))
        image = torch.rand(2, 5, 3, 4)  # the classes at axis 1
        assert torch.allclose(F.softmax(image, dim=1).sum(1), torch.ones(2, 3, 4))


class WrongGradient(torch.autograd.Function):
    """A square whose derivative is said to be z."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(z)
        return z**2

    @staticmethod
    def backward(ctx: Any, slope: Any) -> Any:
        (z,) = ctx.saved_tensors
        return slope * z


@says(
    "`Jacobian mismatch for output 0 with respect to input 0` | 1. `gradcheck` in float32; 2. a"
    " kink, or a gradient that is wrong | 1. float64; a mismatch that remains is 2."
)
def what_gradcheck_refuses() -> None:
    def check(function: Any, *z: float, dtype: torch.dtype = torch.float64) -> bool:
        x = torch.tensor(z, dtype=dtype, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of float32
            told = refusal(torch.autograd.gradcheck, function, x)
        assert told == NO_ERROR or "Jacobian mismatch for output 0 with respect to input 0" in told
        return told == NO_ERROR

    def loss(x: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(x, torch.tensor(0))

    assert not check(loss, 2.0, 1.0, 0.0, dtype=torch.float32)
    assert check(loss, 2.0, 1.0, 0.0)
    assert not check(F.relu, 0.0)  # a kink
    assert not check(WrongGradient.apply, 3.0)


@says(
    "`matmul: Input operand 1 has a mismatch` | 1. a gradient without the transpose: samples are"
    " rows; 2. a column of ones is missing | 1. `X.T @ error`; 2. add it"
)
def samples_are_rows() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(9, 3)), np.arange(9) % 2
    X = np.insert(features, 0, 1, axis=1)
    theta = rng.normal(size=4)
    error = crossent.sigmoid(X @ theta) - labels
    told = "matmul: Input operand 1 has a mismatch"
    assert told in refusal(np.matmul, X, error)
    assert told in refusal(np.matmul, features, theta)
    value = crossent.grad(crossent.binary_cross_entropy_with_logits)(X @ theta, labels)
    assert X.T @ error / 9 == pytest.approx(X.T @ value)
    assert refusal(np.matmul, X, theta) == NO_ERROR


@says(
    "`Probabilities do not sum to 1` | far from 1: 1. a softmax over another axis, or sigmoids;"
    " near 1: 2. float16, cast, in a NumPy sampler | 1. softmax over the classes; 2. cast the"
    " logits first"
)
def numpys_sampler_refuses() -> None:
    z, rng = np.array([0.0] * 10 + [-20.0]), np.random.default_rng(0)
    far = [crossent.softmax([z, -z], axis=0)[0], crossent.sigmoid(z)]
    near = crossent.softmax(z.astype(np.float16)).astype(float)
    for p in (*far, near):
        assert "robabilities do not sum to 1" in refusal(rng.choice, 11, p=p)
    assert all(abs(p.sum() - 1) > 0.5 for p in far)
    assert 0 < abs(near.sum() - 1) < 0.01
    over_classes = crossent.softmax([z, -z], axis=-1)[0]
    cast_first = crossent.softmax(z.astype(np.float16).astype(float))
    for p in (over_classes, cast_first):
        assert refusal(rng.choice, 11, p=p) == NO_ERROR


@says(
    "`y_true and y_prob contain different number of classes` | 1. a class is missing in the test"
    " set; 2. the model has never seen one | 1. `labels=`; 2. a column of zeros"
)
def scikit_learn_sees_the_classes_that_occur() -> None:
    wide = [[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]]
    narrow = np.array([[0.7, 0.3], [0.2, 0.8], [0.5, 0.5]])
    told = "y_true and y_prob contain different number of classes"
    assert f"{told}: 2 vs 3" in refusal(log_loss, [0, 1], wide)
    assert f"{told}: 3 vs 2" in refusal(log_loss, [0, 1, 2], narrow)
    labels = [0, 1, 2]
    assert log_loss([0, 1], wide, labels=labels) == pytest.approx(-np.log([0.7, 0.8]).mean())
    assert refusal(log_loss, [0, 1, 2], narrow, labels=labels) != NO_ERROR
    assert refusal(log_loss, [0, 1, 2], np.pad(narrow, [(0, 0), (0, 1)])) == NO_ERROR


NUMBERS: dict[str, Number] = {
    "the first digits of the number (16.1, 0.79)": Computed(
        lambda: (
            -np.log(1e-7),
            F.cross_entropy(LOGITS.clip(1e-7, 1 - 1e-7).log(), LABELS).item(),  # as Keras does
        )
    ),
    "Shapes (None, 1) and (None, 10) are incompatible": Given("the message for ten classes"),
    "since scikit-learn 1.5": Cited(
        "https://scikit-learn.org/stable/whats_new/v1.5.html", "the pull request 28851"
    ),
    "that was replaced in 2018": Cited(
        "https://github.com/pytorch/pytorch/releases/tag/v0.4.1", "the date of the release"
    ),
}

# The rows that lead to the newer pages of practice: what the run prints
SHOWN = {
    "the weights themselves are float16, so their gradients are, too | float32 weights; "
    "`autocast` casts them | "
    "[types](../practice/half_precision.ipynb#which-type-is-computed-in-which-step)": (
        "ValueError: Attempting to unscale FP16 gradients."
    ),
    "1. a loss outside `loss_parallel()`; 2. label smoothing inside it | 1. loss and "
    "`backward` inside; 2. smooth by hand | {ref}`divided vocabulary "
    "<devices-vocabulary>`": (
        "smoothing in loss_parallel aten.masked_fill_.Scalar got mixed torch.Tensor and DTensor"
    ),
    "anomaly detection has found the operation: a square root, a division or a logarithm "
    "at 0 | move the number away from 0 | {ref}`check-list <half-checklist>`": (
        "Function 'SqrtBackward0' returned nan values in its 0th output."
    ),
    "`unscale_` in each micro-batch | once, after the last one | "
    "[clipping](../practice/half_precision.ipynb#where-do-clipping-and-accumulation-go)": (
        "RuntimeError: unscale_() has already been called on this optimizer since the "
        "last update()."
    ),
    "a mask of −1e9 in float16 | `torch.finfo(z.dtype).min` | "
    "[masks](../practice/half_precision.ipynb#which-sums-and-masks-break-in-half-precision)": (
        "RuntimeError: value cannot be converted to type c10::Half without overflow cure "
        "[[18.0, -65504.0]]"
    ),
    "all is well: the vocabularies of Llama 2, Llama 3, Qwen 2.5 and Gemma | – | "
    "{ref}`first loss <lm-first>`": ("32,000 log 10.373 Llama 2, Mistral"),
    "1. labels that are not shifted; 2. a mask that leaks | 1. shift once; 2. a causal "
    "mask: change a token, and no logit before it may move | {ref}`shift <lm-shift>`": (
        "never its loss 0.0 next token 13.6"
    ),
    "its only token has no label | leave it out, or sums ÷ counts | {ref}`one token <lm-ignore>`": (
        "a text of one token nan"
    ),
    "a sum over the count of all ranks: the gradients are averaged | multiply by the "
    "number of ranks | [too "
    "small](../practice/devices.ipynb#why-is-my-gradient-too-small-by-the-number-of-gpus)": (
        "sum / labels of all 50.0 % 50.0 % 952 ranks × sum / labels of all 0.0 % 0.0 % 952"
    ),
    "slopes below 2⁻²⁵ round to 0 | scale the loss, or use bfloat16 | {ref}`underflow "
    "<half-underflow>`": (
        "cross_entropy(z.float()) 50.2% of the gradient is zero 2¹⁶ · "
        "cross_entropy(z.float()) 0.0% of the gradient is zero"
    ),
    "the logits of every batch are kept | two sums, and only the places with a label | "
    "{ref}`evaluation <scale-evaluation>`": ("58 GiB"),
    "1. the scale is too large at the start; 2. it goes on: something else is infinite | "
    "1. wait; 2. the {ref}`check-list <half-checklist>` | "
    "[skipped](../practice/half_precision.ipynb#why-does-gradscaler-skip-steps)": (
        "scale 2^21: gradient not finite, step skipped scale 2^20: gradient finite, step taken"
    ),
    "an error on one rank, of which the others do not know | read the first error; a "
    "timeout | [hang](../practice/devices.ipynb#one-rank-fails-and-the-others-hang)": (
        "[rank1]: IndexError: Target 7 is out of bounds."
    ),
    "mixed_float16: only `compile` scales the loss | `LossScaleOptimizer` and "
    "`scale_loss` | {ref}`Keras <half-keras>`": ("without scale_loss, 12% of the slopes vanish"),
    "the mean of uneven means | divide sums by all labels of the step | "
    "{ref}`accumulation <half-clipping>`": ("sum_by_100 is off by 0% mean_by_2 is off by 22%"),
    "clipped while the gradient is scaled | `unscale_` first, then clip | "
    "{ref}`clipping <half-clipping>`": (
        "unscaled, then clipped: the weights move by 2e-02 clipped while scaled: the "
        "weights move by 1e-06"
    ),
    "the sum of the losses, or the count of rows, is above 65,504 | `logits.float()` "
    "before the loss | {ref}`sums <half-sums>`": (
        "40,000 rows in float16: inf cure 2.303 70,000 rows in float16: nan cure 2.303"
    ),
}
