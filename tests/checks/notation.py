"""The notation: the code in a symbol's row is run, and held against what the symbol means."""

from __future__ import annotations

import importlib
import inspect
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional as F

import crossent
from tests.checks import Computed, says
from tests.pages import EQUATION, blocks, find, page, pages, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.checks import Number

approx = pytest.approx

# --- The page itself ---


def rows() -> Iterator[tuple[str, list[str]]]:
    """Yield the title above each row, and the cells of the row."""
    for section in page(find("notation")).sections:
        for block in blocks(section.prose):
            if block.startswith("|"):
                cells = re.split(r"(?<!\S)\|(?!\S)", block)
                yield section.title, [cell.strip() for cell in cells[1:-1]]


TWO_MEANINGS = "Symbols with two meanings"
IN_CODE: dict[str, list[str]] = {
    cells[0]: re.findall(r"`([^`]+)`", cells[2])
    for title, cells in rows()
    if title != TWO_MEANINGS and cells[0] != "symbol"
}


def run(symbol: str, number: int = 0, **names: Any) -> Any:
    """Return what the code in a symbol's row gives; an option, as a dictionary."""
    code = IN_CODE[symbol][number]
    code = f"dict({code})" if re.fullmatch(r"\w+=\S+", code) else code
    return eval(code, vars(crossent) | {"np": np} | names)  # noqa: S307  # the page is ours


def name(symbol: str, number: int = 0) -> str:
    """Return the name in a symbol's row."""
    assert IN_CODE[symbol][number].isidentifier()
    return IN_CODE[symbol][number]


def formulas(prose: str) -> str:
    """Return all formulas of a text."""
    inline = re.findall(r"\$([^$]+)\$|:math:`([^`]+)`", EQUATION.sub(" ", prose))
    displayed = [each["latex"] for each in EQUATION.finditer(prose)]
    return words(" ".join([*displayed, *map("".join, inline)]))


@says(
    "This is what the symbols mean in every chapter, unless the chapter says otherwise. The last"
    " column gives the name in code.",
    "| symbol | meaning | in code |",
)
def the_symbols_stand_in_formulas_and_the_names_in_code() -> None:
    others = [page(path) for path in pages() if path.stem not in {"notation", "glossary"}]
    read = " ".join(s.prose for other in others for s in other.sections)
    written = formulas(read)
    sources = [c for other in others for c in other.top.all_cells()]
    code = " ".join(c["source"] for c in sources if c["cell_type"] == "code")
    chapters = set(re.findall(r"\w+", code)) | set(crossent.__all__)
    for row, examples in IN_CODE.items():
        for one in re.findall(r"\$([^$]+)\$", row.replace(r",\ ", "$ $")):
            symbol = rf"(?<![\\A-Za-z]){re.escape(words(one))}(?![A-Za-z])"
            assert re.search(symbol, read if one.startswith("(") else written), one
        for example in examples:
            assert set(re.findall(r"\w+", example)) <= chapters, example
    assert all(len(cells) == 3 for _, cells in rows())


# --- Probabilities and information ---

P, Q = np.array([0.3, 0.5, 0.2]), np.array([0.2, 0.3, 0.5])
COUNTS = np.array([3, 5, 2])  # as P has it


def chapter(stem: str) -> str:
    """Return all that is read in a chapter."""
    return " ".join(section.text for section in page(find(stem)).sections)


@says(
    "| $K$ | number of outcomes, or of classes; $C$ where PyTorch's conventions are the subject,"
    " and $V$ for the words of a vocabulary | `p.shape[axis]` |",
    r"| $k,\ j$ | one of the $K$ outcomes | index along `axis` |",
    r"| $p$ | the distribution that outcomes really follow; $p_k \ge 0$ and $\sum_k p_k = 1$ | `p`"
    " |",
    "| $q$ | the distribution that somebody believes in, such as a model | `q` |",
    r"| $\hat p$ | observed frequencies: $\hat p_k = n_k / N$ for $n_k$ samples of class $k$ |"
    " `counts / counts.sum()` |",
)
def outcomes_and_distributions() -> None:
    batch = np.random.default_rng(0).dirichlet(P, size=(2, 4)).swapaxes(1, 2)
    K = run("$K$", p=batch, axis=1)
    assert K == 3 == run("$K$", p=P, axis=-1)
    each = [np.take(batch, k, axis=1) for k in range(K)]  # an outcome
    assert (np.stack(each, axis=1) == batch).all()
    assert sum(each) == approx(np.ones((2, 4)))
    assert "number of classes" in re.findall(r"C =.*", torch.nn.CrossEntropyLoss.__doc__ or "")[0]
    assert "the size $V$ of the vocabulary" in chapter("likelihood")
    p, q = run("$p$", p=P), run("$q$", q=Q)
    assert p.min() >= 0
    assert p.sum() == approx(1)
    labels = np.repeat(range(3), COUNTS)
    assert run(r"$\hat p$", counts=COUNTS) == approx([(labels == k).mean() for k in range(3)])
    happened = np.random.default_rng(0).choice(3, p=p, size=100_000)
    assert run(r"$\hat p$", counts=np.bincount(happened)) == approx(p, abs=0.01)
    surprise = -np.log(q[happened]).mean()  # of who believes in q
    assert surprise == approx(crossent.cross_entropy(p, q), abs=0.01)
    assert [*inspect.signature(crossent.cross_entropy).parameters][:2] == [name("$p$"), name("$q$")]


@says(
    r"| $\log$ | the natural logarithm, unless a base is written or stated | `np.log`, `base=None`"
    " |",
    r"| $\log_2$ | the logarithm to base 2; results are in bits | `np.log2`, `base=2` |",
    r"| $-\log p_k$ | surprise of outcome $k$ | |",
    r"| $\mathbb{E}$ | expectation: the mean weighted by probabilities | |",
    r"| $H(p)$ | entropy, $-\sum_k p_k \log p_k$ | `entropy` |",
    r"| bit | unit of information with $\log_2$ | `base=2` |",
    r"| nat | unit of information with $\log$; 1 nat is $1 / \log 2$ bits | `base=None` |",
)
def surprise_and_its_mean() -> None:
    assert run(r"$\log$")(np.e) == 1 == run(r"$\log_2$")(2)
    surprise = -run(r"$\log$")(P)
    assert (np.argsort(surprise) == np.argsort(P)[::-1]).all()  # the rarer, the larger
    mean = surprise[np.repeat(range(3), COUNTS)].mean()
    assert P @ surprise == approx(mean)
    nats, bits = run("$H(p)$")(P, **run(r"$\log$", 1)), run("$H(p)$")(P, **run(r"$\log_2$", 1))
    assert nats == approx(mean)
    assert bits == approx(-P @ run(r"$\log_2$")(P))
    assert bits / nats == approx(1 / np.log(2))
    assert [run("$H(p)$")(P, **run(unit)) for unit in ("bit", "nat")] == [bits, nats]
    assert run("$H(p)$")(P) == nats  # unless a base is stated


@says(
    "| $H(X)$, $H(X, Y)$ | entropy of the variable $X$, of the pair $X, Y$ (joint entropy) |"
    " `entropy` of its probabilities |",
    r"| $H(p, q)$ | cross-entropy, $-\sum_k p_k \log q_k$ | `cross_entropy` |",
    r"| $D_{\mathrm{KL}}(p \,\Vert\, q)$ | Kullback–Leibler divergence, $\sum_k p_k \log(p_k /"
    " q_k)$ | `kl_divergence` |",
    r"| $\mathrm{JS}(p, q)$ | Jensen–Shannon divergence, $\tfrac12 D_{\mathrm{KL}}(p \,\Vert\, m)"
    r" + \tfrac12 D_{\mathrm{KL}}(q \,\Vert\, m)$ with $m = \tfrac12 (p + q)$ | `js_divergence` |",
)
def what_two_variables_or_beliefs_give() -> None:
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 2, size=(500, 2)) @ [[1, 1], [0, 1]]  # x, and a sum with it
    entropy = run("$H(X)$, $H(X, Y)$")
    _, of_x = np.unique(pairs[:, 0], return_counts=True)
    _, of_both = np.unique(pairs, axis=0, return_counts=True)
    assert entropy(of_x / 500) == approx(stats.entropy(of_x))
    assert entropy(of_both / 500) == approx(stats.entropy(of_both))
    assert stats.entropy(of_both) > stats.entropy(of_x)
    assert run("$H(p, q)$")(P, Q) == approx(-P @ np.log(Q))
    divergence = run(r"$D_{\mathrm{KL}}(p \,\Vert\, q)$")
    assert divergence(P, Q) == approx(P @ np.log(P / Q)) == approx(stats.entropy(P, Q))
    m = (P + Q) / 2
    halves = divergence(P, m) / 2 + divergence(Q, m) / 2
    assert run(r"$\mathrm{JS}(p, q)$")(P, Q) == approx(halves)


@says(
    r"| $H(Y \mid X)$ | conditional entropy: the mean entropy of $Y$ once $X$ is known, $H(X, Y) -"
    " H(X)$; of a label given what the model sees, the irreducible noise | mean of `entropy` given"
    " each $x$ |",
    r"| $I(X; Y)$ | mutual information, $H(Y) - H(Y \mid X)$ | `kl_divergence` of $p(x, y)$ and"
    r" $p(x)\, p(y)$ |",
)
def what_one_variable_tells_of_another() -> None:
    joint = np.array([[26, 4], [15, 15], [30, 0]]) / 90
    x, y = joint.sum(axis=1), joint.sum(axis=0)
    given = joint / x[:, None]  # of y, a row for each x
    entropy = run(r"$H(Y \mid X)$")
    left = x @ [entropy(row) for row in given]
    assert left == approx(entropy(joint.ravel()) - entropy(x))
    draws = np.repeat(given.ravel(), [26, 4, 15, 15, 30, 0])
    assert left == approx(-np.log(draws).mean())
    beliefs = np.random.default_rng(0).dirichlet([1, 1], size=(500, 3)) + 1e-300
    losses = -(joint * np.log(beliefs)).sum(axis=(1, 2))  # of models that see x
    assert left < losses.min() < left + 0.1
    told = run("$I(X; Y)$")(joint.ravel(), np.outer(x, y).ravel())
    assert told == approx(entropy(y) - left)
    assert told > 0.1


# --- Models and losses ---

X = np.random.default_rng(0).normal(size=(6, 2))
LABELS = np.array([0, 1, 2, 2, 1, 0])
TARGETS = np.eye(3)[LABELS]
WEIGHT = np.array([[0.5, -1.0, 0.3], [1.0, 0.2, -2.0]])
BIAS = np.array([0.1, 0.2, -0.3])
LOGITS = X @ WEIGHT + BIAS
loss: Any = crossent.sparse_categorical_cross_entropy_with_logits
binary: Any = crossent.binary_cross_entropy_with_logits
focal: Any = crossent.binary_focal_loss_with_logits


@says(
    "| $N$ | number of samples | `len(labels)` |",
    r"| $n,\ i$ | one of the $N$ samples | |",
    "| $D$ | number of features of a sample | `X.shape[1]` |",
    "| $x$ | what the model sees of a sample | |",
    "| $X$ | the features of all samples, one row each | `X` |",
    r"| $\theta$ | the model's parameters, its weights and biases in one array | `theta` |",
    "| $z$ | logits: the model's scores before softmax or sigmoid, any real numbers | `logits` |",
)
def a_model_sees_samples() -> None:
    N, D, features = run("$N$", labels=LABELS), run("$D$", X=X), run("$X$", X=X)
    assert features.shape == (N, D) == (6, 2)
    theta = run(r"$\theta$", theta=np.vstack([BIAS, WEIGHT]))
    assert theta.size == WEIGHT.size + BIAS.size
    scores = run("$z$", logits=LOGITS)
    for n in range(N):
        x = features[n]  # all that the model sees of a sample
        assert np.array([1, *x]) @ theta == approx(scores[n])
    assert scores.min() < 0
    assert scores.max() > 1
    assert crossent.softmax(scores).sum(axis=-1) == approx(np.ones(N))


@says(
    "| $y$ | the truth: a class index, a one-hot row, or a row of probabilities | `labels`,"
    " `targets` |",
    "| $t$ | a target row, where $y$ is the label behind it | `targets` |",
    "| $M$ | sum of a target row: 1, unless it carries weights | `targets.sum(axis=-1)` |",
    r"| $\hat y$ | the model's probabilities: $\operatorname{softmax}(z)$, or $\sigma(z)$ for two"
    " classes | `probs` |",
    r"| $p_y,\ p_t$ | the probability that the model gave to the true class, to what happened | |",
    r"| $\pi$ | prior: the share of positives in the data | |",
)
def the_truth_and_what_is_predicted() -> None:
    labels, targets = run("$y$", labels=LABELS), run("$y$", 1, targets=TARGETS)
    assert (run("$t$", targets=TARGETS).argmax(axis=1) == labels).all()
    z = torch.tensor(LOGITS)
    by_label, by_row = (F.cross_entropy(z, torch.tensor(y)).item() for y in (labels, targets))
    assert by_label == approx(by_row)
    probs = run(r"$\hat y$", probs=crossent.softmax(LOGITS))
    p_y = probs[range(6), labels]
    assert -np.log(p_y).mean() == approx(by_label)
    soft = np.tile(P, (6, 1))
    assert F.cross_entropy(z, torch.tensor(soft)).item() == approx(-(np.log(probs) @ P).mean())
    two = np.array([0.0, 1.5])
    assert crossent.softmax(two)[1] == approx(crossent.sigmoid(1.5))
    yes = np.array([1.0, 0.0])
    p_t = np.where(yes, crossent.sigmoid(1.5), 1 - crossent.sigmoid(1.5))
    assert binary([1.5, 1.5], yes, reduction="none") == approx(-np.log(p_t))
    assert run("$M$", targets=TARGETS).tolist() == [1] * 6
    assert run("$M$", targets=TARGETS * [2, 3, 1]) == approx(np.array([2, 3, 1])[labels])
    positives = labels > 0
    dull = np.full(6, positives.mean())  # always the prior
    assert crossent.binary_cross_entropy(dull, positives * 1.0) == approx(
        crossent.entropy([positives.mean(), 1 - positives.mean()])
    )


@says(
    r'| $\ell$ | loss of one sample | `reduction="none"` |',
    r'| $L$ | loss of a batch, a mean of $\ell$ unless said otherwise | `reduction="mean"` |',
    r"| $\mathcal{L}$ | likelihood: the probability that a model gives to all of the data | |",
)
def the_loss_of_a_sample_of_a_batch_and_the_likelihood() -> None:
    each, mean = loss(LOGITS, LABELS, **run(r"$\ell$")), loss(LOGITS, LABELS, **run("$L$"))
    of_labels = crossent.softmax(LOGITS)[range(6), LABELS]
    assert each == approx(-np.log(of_labels))
    assert mean == approx(each.mean()) == approx(loss(LOGITS, LABELS))
    assert np.exp(-len(each) * mean) == approx(of_labels.prod())  # of all of the data
    assert r"$\mathcal{L} = \prod_i q(y_i)$, if the flips are independent" in chapter("likelihood")


@says(
    r"| $\operatorname{LSE}(z)$ | log-sum-exp, $\log \sum_k e^{z_k}$ | `logsumexp` |",
    r"| $\log Z$ | log-sum-exp of the logits, $\log \sum_k e^{z_k}$ | `logsumexp` |",
    r"| $\sigma(z)$ | sigmoid, $1 / (1 + e^{-z})$ | `sigmoid` |",
    r"| $\zeta(x)$ | softplus, $\log(1 + e^x)$; its derivative is $\sigma(x)$ | `np.logaddexp(0,"
    " x)` |",
    r"| $\tau$ | temperature: logits are divided by it before softmax | |",
)
def functions_of_logits() -> None:
    logarithm = np.log(np.exp(LOGITS).sum(axis=-1))
    for symbol in (r"$\operatorname{LSE}(z)$", r"$\log Z$"):
        assert run(symbol)(LOGITS) == approx(logarithm)
    assert run(r"$\sigma(z)$")(LOGITS) == approx(1 / (1 + np.exp(-LOGITS)))
    x = torch.tensor(LOGITS, requires_grad=True)
    zeta = F.softplus(x)
    assert run(r"$\zeta(x)$", x=LOGITS) == approx(zeta.detach().numpy())
    assert run(r"$\zeta(x)$", x=LOGITS) == approx(np.log(1 + np.exp(LOGITS)))
    (slopes,) = torch.autograd.grad(zeta.sum(), x)
    assert slopes.numpy() == approx(run(r"$\sigma(z)$")(LOGITS))
    tau = 2.5
    powers = crossent.softmax(LOGITS) ** (1 / tau)
    shares = powers / powers.sum(axis=-1, keepdims=True)
    assert crossent.softmax(LOGITS / tau) == approx(shares)


@says(
    "| $w$ | a weight: of a class, of a sample, or of both | `class_weight`, `sample_weight` |",
    "| $W_{ik}$ | a weight for each sample $i$ and class $k$ | `class_weight` of shape (N, C) |",
    r"| $\varepsilon$ | amount of label smoothing, from 0 to 1 | `label_smoothing` |",
    r"| $\gamma$ | focusing parameter of the focal loss | `gamma` |",
    r"| $\alpha$ | weight of positives in the focal loss; negatives have $1 - \alpha$ | `alpha` |",
)
def options_of_losses() -> None:
    each = loss(LOGITS, LABELS, reduction="none")
    of_class, of_sample = np.array([1.0, 2.0, 5.0]), np.arange(6) / 4
    w = {name("$w$"): of_class, name("$w$", 1): of_sample}
    weighted = loss(LOGITS, LABELS, reduction="none", **w)
    assert weighted == approx(of_class[LABELS] * of_sample * each)
    W = np.random.default_rng(0).random((6, 3))
    assert IN_CODE["$W_{ik}$"] == [name("$w$")]
    both = loss(LOGITS, LABELS, reduction="none", **{name("$W_{ik}$"): W})
    assert both == approx(W[range(6), LABELS] * each)
    for epsilon in (0, 0.3, 1):
        smooth = (1 - epsilon) * TARGETS + epsilon / 3
        expected = -(smooth * np.log(crossent.softmax(LOGITS))).sum(axis=-1).mean()
        assert loss(LOGITS, LABELS, **{name(r"$\varepsilon$"): epsilon}) == approx(expected)
    for outside in (-0.1, 1.1):
        with pytest.raises(ValueError, match=name(r"$\varepsilon$")):
            loss(LOGITS, LABELS, **{name(r"$\varepsilon$"): outside})
    z, yes = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    options = {name(r"$\gamma$"): 3.0, name(r"$\alpha$"): 0.25}
    p_t = np.where(yes, crossent.sigmoid(z), 1 - crossent.sigmoid(z))
    focused = [0.25, 1 - 0.25] * (1 - p_t) ** 3 * -np.log(p_t)
    assert focal(z, yes, reduction="none", **options) == approx(focused)


@says(
    r"| $\delta$ | where Keras clips probabilities, at $\delta$ and $1 - \delta$ |"
    " `keras.config.epsilon()` |",
)
def keras_clips_at_delta() -> None:
    keras = importlib.import_module("keras")
    delta = run(r"$\delta$", keras=keras)
    assert delta == 1e-7
    for outside, clipped in ((0.0, delta), (1.0, 1 - delta), (delta * 2, delta * 2)):
        cost = keras.losses.BinaryCrossentropy(dtype="float64")([[1.0]], [[outside]])
        assert float(cost) == approx(-np.log(clipped), abs=1e-12)


@says(
    r"| $\lambda$ | strength of a penalty, such as z-loss | |",
    r"| $\eta$ | the learning rate | `lr` |",
    r"| $\varphi(p)$ | a loss as a function of $p_y$ | |",
)
def what_training_and_losses_are_made_of() -> None:
    z = torch.tensor(LOGITS, requires_grad=True)
    log_z = z.logsumexp(-1)
    for strength in (0.0, 0.5):
        (pull,) = torch.autograd.grad(strength * (log_z**2).sum(), z, retain_graph=True)
        twice = 2 * strength * log_z[:, None] * z.softmax(-1)
        assert pull.numpy() == approx(twice.detach().numpy())
    theta = torch.ones(2, requires_grad=True)
    rate: Any = {name(r"$\eta$"): 0.25}
    theta.grad = torch.tensor([3.0, -4.0])
    torch.optim.SGD([theta], **rate).step()
    assert theta.tolist() == [1 - 0.25 * 3, 1 + 0.25 * 4]
    p_y = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    logits = torch.log(p_y / (1 - p_y)).requires_grad_()
    p = torch.sigmoid(logits)
    for phi, slope in (((1 - p) ** 2, -2 * (1 - p_y)), (-p.log(), -1 / p_y)):
        (gradient,) = torch.autograd.grad(phi.sum(), logits, retain_graph=True)
        w = -p_y * slope
        assert gradient.numpy() == approx((w * (p_y - 1)).numpy())


@says(
    "| $(N, C, L)$, $(N, C, H, W)$ | shapes in PyTorch's order: samples, classes ($C = K$), length"
    " of a sequence or height and width of an image | `logits.shape` |",
)
def shapes_in_pytorchs_order() -> None:
    for shape in ((2, 3, 5), (2, 3, 4, 5)):
        logits = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        N, C, *length = run("$(N, C, L)$, $(N, C, H, W)$", logits=logits)
        labels = torch.full((N, *length), C - 1)
        each = F.cross_entropy(logits, labels, reduction="none")
        assert each.numpy() == approx(-logits.log_softmax(1)[:, C - 1].numpy(), rel=1e-5)
        with pytest.raises(IndexError, match="out of bounds"):
            F.cross_entropy(logits, labels + 1)


# --- Derivatives ---


@says(
    "| $g$ | gradient of the loss with respect to the probabilities | |",
    r"| $\delta_{kj}$ | 1 if $k = j$, else 0 | `np.eye(K)` |",
    r"| $J$ | Jacobian of softmax, $\operatorname{diag}(\hat y) - \hat y \hat y^\top$ |"
    " `np.diag(p) - np.outer(p, p)` |",
    r"| $\odot$ | product entry by entry | `*` |",
)
def from_probabilities_back_to_logits() -> None:
    z = torch.tensor(LOGITS[0], requires_grad=True)
    p = z.softmax(-1)
    cost = -(torch.tensor(P) * p.log()).sum()
    g, by_logit = (x.numpy() for x in torch.autograd.grad(cost, [p, z]))
    autograd: Any = torch.autograd.functional
    jacobian = autograd.jacobian(lambda z: z.softmax(-1), z.detach())
    J = run("$J$", p=p.detach().numpy())
    assert jacobian.numpy() == approx(J)
    assert J @ g == approx(by_logit)
    delta = run(r"$\delta_{kj}$", K=3)
    assert all(delta[k, j] == (k == j) for k in range(3) for j in range(3))
    assert IN_CODE[r"$\odot$"] == ["*"]
    assert (P * Q).tolist() == [p_k * q_k for p_k, q_k in zip(P, Q, strict=True)]


@says(
    r"| $\nabla_\theta$ | gradient with respect to $\theta$: the derivatives with respect to all"
    " its entries, in its shape | `grad` |",
    "| $G$ | gradient of $L$ with respect to the logits $Z$ | `grad` |",
    "| $H$, $W$, $b$ | of a last layer: hidden activations, weights, bias; its logits are $Z = H W"
    " + b$ | `hidden`, `weight.T`, `bias` |",
)
def gradients_of_a_layer() -> None:
    of_row = "$H$, $W$, $b$"
    layer = torch.nn.Linear(2, 3, dtype=torch.float64)
    H = run(of_row, hidden=torch.tensor(X))
    W, b = run(of_row, 1, weight=layer.weight), run(of_row, 2, bias=layer.bias)
    Z = layer(H)
    logits = Z.detach().numpy()
    assert logits == approx((H @ W + b).detach().numpy())
    Z.retain_grad()
    F.cross_entropy(Z, torch.tensor(LABELS)).backward()  # type: ignore[no-untyped-call]
    names = [each.removesuffix(".T") for each in IN_CODE[of_row]]
    values: Any = (each.detach().numpy() for each in (H, layer.weight, layer.bias))
    ours = crossent.linear_cross_entropy(**dict(zip(names, values, strict=True)), labels=LABELS)
    assert ours == approx(loss(logits, LABELS))
    G = getattr(Z, name("$G$")).numpy()
    assert run("$G$")(loss)(logits, LABELS) == approx(G)
    for theta, nabla in ((layer.weight, G.T @ X), (layer.bias, G.sum(axis=0))):
        of_torch = getattr(theta, name(r"$\nabla_\theta$"))
        assert of_torch.shape == theta.shape
        assert of_torch.numpy() == approx(nabla)


@says(
    r"| $\nabla^2$ | Hessian: all second derivatives | |",
    r"| $S$ | in the Hessian of logistic regression, $\operatorname{diag}(\hat y_i (1 - \hat"
    " y_i))$ | |",
    "| $h$ | step of a numerical derivative | `h` |",
)
def second_derivatives_of_logistic_regression() -> None:
    theta, labels = np.array([0.5, -1.0]), (LABELS > 0) * 1.0

    def cost(theta: torch.Tensor) -> torch.Tensor:
        z = torch.tensor(X) @ theta
        return F.binary_cross_entropy_with_logits(z, torch.tensor(labels), reduction="sum")

    autograd: Any = torch.autograd.functional
    hessian = autograd.hessian(cost, torch.tensor(theta))
    forecasts = crossent.sigmoid(X @ theta)
    S = np.diag(forecasts * (1 - forecasts))
    assert hessian.numpy() == approx(X.T @ S @ X)
    h = run("$h$", h=1e-5)
    steps = h * np.eye(2)
    gradients = [X.T @ (crossent.sigmoid(X @ (theta + s)) - labels) for s in (*steps, *-steps)]
    assert (np.array(gradients[:2]) - gradients[2:]) / (2 * h) == approx(hessian.numpy())


@says(
    r"| $\mu,\ \sigma$ | mean, standard deviation | `mean`, `std` |",
    "| ulp | unit in the last place: the gap between a floating-point number and the next |"
    " `np.spacing(x)` |",
    r"| $u$ | relative size of a rounding error, $2 \cdot 10^{-16}$ in float64 |"
    " `np.finfo(float).eps` |",
)
def means_and_roundings() -> None:
    sample = np.random.default_rng(0).normal(3, 2, size=100_000)
    mu, sigma = (getattr(sample, name(r"$\mu,\ \sigma$", n))() for n in range(2))
    assert [mu, sigma] == approx([3, 2], abs=0.02)
    for x in (1.0, 3.0, 1e10):
        assert run("ulp", x=x) == np.nextafter(x, np.inf) - x
    u = run("$u$")
    assert u == approx(2e-16, abs=0.5e-16)
    errors = [abs(Fraction(n / 7) / Fraction(n, 7) - 1) for n in range(1, 7)]
    assert u / 10 < max(errors) < u


# --- Two meanings ---


ELSEWHERE = {  # where a chapter gives a symbol its second meaning
    "$H$": ("gradient", "Let $H$ hold the activations of the last hidden layer"),
    "$L$": ("pytorch", "$(N, C, L)$"),
    "$W$": ("weights", r"W_{ik} \, y_{ik} \left(-\log \hat y_{ik}\right)"),
    "$w$": ("family", r"&= w(p_y)\, (p_j - \mathbb{1}[j = y])"),
    "$p$": ("family", r"\ell &= -\log p_y + \lambda\, (\log Z)^2"),
    "$q$": ("family", "generalized cross-entropy (GCE) {cite}`zhang2018` | $(1 - p^q) / q$"),
    r"$\sigma$": ("likelihood", r"Estimate $\sigma$ by the standard deviation"),
    r"$\delta$": ("gradient", r"\hat y_k (\delta_{kj} - \hat y_j)"),
    r"$\eta$": ("binary", r"A share $\eta < \tfrac12$ of the labels is flipped at random"),
    r"$\lambda$": ("training", r"\lambda_{\max}\!\left(\tfrac1N X^\top X\right)"),
    "$u$": ("softmax", "Draw independent $u_k$ uniformly from $(0, 1)$ and add the *Gumbel noise*"),
    "$h$": ("likelihood", "For $h$ heads in $N$ flips"),
    "$X$": ("entropy", "H(X, Y) = H(X) + H(Y)"),
    "$D$": ("weights", r"A weighted loss is $\sum w \ell / D$"),
    r"$\alpha$": ("likelihood", r"A pseudo-count $\alpha$"),
    r"$\pi$": ("why_not_mse", r"\frac{1}{\sqrt{2\pi s^2}}"),
}


@says(
    "The context tells which one is meant:",
    "| symbol | here | and there |",
    "| $H$ | entropy, with an argument: $H(p)$, $H(p, q)$ | hidden activations, alone |",
    "| $L$ | the loss of a batch | length of a sequence, in shapes such as $(N, C, L)$ |",
    "| $W$ | the weights of a layer | $W_{ik}$, a weight for sample $i$ and class $k$ |",
    r"| $w$ | a weight of a class or a sample | $w(p_y)$, the factor of $\hat y - y$ in the"
    r" gradient of a loss $\varphi(p_y)$ |",
    "| $p$ | the true distribution | a model's probabilities, where $y$ or $t$ is the truth |",
    "| $q$ | what somebody believes | an exponent in generalized cross-entropy; what is left of"
    " $z$ after Keras' clip |",
    r"| $\sigma$ | the sigmoid, with an argument | a standard deviation, alone |",
    r"| $\delta$ | where Keras clips | $\delta_{kj}$, 1 if $k = j$, else 0 |",
    r"| $\eta$ | the learning rate | the share of wrong labels |",
    r"| $\lambda$ | strength of a penalty | $\lambda_{\max}$, the largest eigenvalue |",
    "| $u$ | relative size of a rounding error | a number drawn from $(0, 1)$, in Gumbel noise |",
    "| $h$ | step of a numerical derivative | number of heads, in {doc}`likelihood` |",
    "| $X$ | the features of all samples | a variable, in $H(X)$ |",
    "| $D$ | number of features | what a weighted mean is divided by, in {doc}`weights` |",
    r"| $\alpha$ | weight of positives in the focal loss | a pseudo-count |",
    r"| $\pi$ | the prior | the number, in a normal density |",
)
def each_of_the_two_meanings_is_in_use() -> None:
    two = [cells[0] for title, cells in rows() if title == TWO_MEANINGS]
    assert two[1:] == [*ELSEWHERE]
    for symbol, (stem, phrase) in ELSEWHERE.items():
        assert phrase in chapter(stem), symbol
        letter = symbol.strip("$")
        assert any(f"${letter}" in key or f" ${letter}" in key for key in IN_CODE), symbol
    assert r"q_k &= \min(\max(z_k, \delta), 1 - \delta)" in chapter("tensorflow")  # a third one


NUMBERS: dict[str, Number] = {
    r"a rounding error, $2 \cdot 10^{-16}$ in float64": Computed(lambda: np.finfo(float).eps),
}
