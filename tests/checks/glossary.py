"""The glossary: what a term names, and what it does not; a quotation begins with its term."""

from __future__ import annotations

import importlib
import itertools
import math
import re
import runpy
import tracemalloc
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, optimize, stats
from sklearn.calibration import calibration_curve
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss
from sklearn.naive_bayes import MultinomialNB
from torch.nn import functional as F

import crossent
from tests.checks import Computed, Given, Row, distributions, says, source
from tests.checks.entropy import WORDS, huffman, prefix_free
from tests.pages import find, page, pages, sentences, words

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.checks import Number

Array: TypeAlias = Any  # of NumPy, or what it makes an array of

approx = pytest.approx
SHARES = np.linspace(0.01, 0.99, 99)  # forecasts of yes
COUNTS = st.lists(st.integers(1, 9), min_size=3, max_size=3)
LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [1.0, 1.0, 5.0], [1.0, 1.0, 0.0]])
LABELS = np.array([0, 1, 2, 1])
ONE_HOT = np.eye(3)[LABELS]
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
OF_LABELS = PROBS[range(4), LABELS]
LOSSES = -np.log(OF_LABELS)
Z, Y = torch.tensor(LOGITS), torch.tensor(LABELS)


def doubles(*numbers: Any) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def slope(loss: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(loss, of)[0]


def step(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def keras() -> Any:
    """Import Keras when it is needed, for that takes seconds."""
    return importlib.import_module("keras")


def tensorflow() -> Any:
    """Import TensorFlow when it is needed."""
    return importlib.import_module("tensorflow")


# --- The page itself ---

TEXT = find("glossary").read_text(encoding="utf-8").partition("{glossary}")[2]
ENTRIES = dict(re.findall(r"^(?! |```)(.+)\n((?:  .+\n)+)", TEXT, re.MULTILINE))
GREEK = "gamma|eta|lambda|sigma|tau|varepsilon"


def symbols(text: str) -> set[str]:
    """Return the letters of a text's formulas, but for e, which is a number."""
    formulas = " ".join(re.findall(r"\$([^$]+)\$", text))
    formulas = re.sub(r"\\(?:operatorname|mathrm|text)\{\w+\}", " ", formulas)
    return set(re.findall(rf"\\(?:{GREEK})\b|(?<![\\A-Za-z])[A-Za-df-z](?![a-z])", formulas))


@says(
    "This page explains the words of the book, each in a few sentences. A symbol that an entry"
    " does not explain is in the [notation](notation).",
)
def the_words_of_the_book_in_a_few_sentences() -> None:
    others = [path for path in pages() if path.stem != "glossary"]
    parts = [section.text for path in others for section in page(path).sections]
    cells = [cell["source"] for path in others for cell in page(path).top.all_cells()]
    book = words(" ".join([*parts, *cells])).casefold()
    known = symbols(find("notation").read_text(encoding="utf-8"))
    for term, entry in ENTRIES.items():
        assert re.split("['’ ]", term.casefold())[0].removesuffix("ing") in book, term
        assert len(list(sentences(entry))) <= 4, term
        for symbol in symbols(entry) - known:
            alone = rf"\$(?:\\hat )?{re.escape(symbol)}(?:_\w)?(?:\$| =| \\)"
            assert re.search(alone, entry), f"{symbol} in {term}"


# --- Information ---


@says(
    r"surprise $-\log p$ for an outcome of probability $p$.",
    "Surprises of independent outcomes add.",
    r"entropy The mean surprise of an outcome: $H(p) = -\sum_k p_k \log p_k$ {cite}`shannon1948`."
    r" It is 0 when one outcome is certain and largest, $\log K$, when all $K$ are equally"
    " probable.",
    "expectation The mean of a quantity over all outcomes, each weighted by its probability.",
    "outcome One of the things that can happen, of which exactly one does.",
    "uniform distribution The distribution that gives each of the $K$ outcomes the probability $1"
    " / K$. It has the largest entropy.",
    r"normalized entropy The entropy divided by its maximum $\log K$, a number from 0 to 1"
    " whatever the base.",
    "support The outcomes whose probability is not 0.",
)
@given(COUNTS)
def entropy_is_the_expected_surprise(counts: list[int]) -> None:
    p = np.array([*counts, 0]) / sum(counts)  # the last outcome never happens
    support = np.flatnonzero(p > 0)
    assert support.tolist() == [0, 1, 2]
    surprise = -np.log(p[support])
    mean = surprise[np.repeat(support, counts)].mean()  # over draws
    assert [p[support] @ surprise, crossent.entropy(p)] == approx([mean, mean])
    both = -np.log(np.outer(p[support], p[support]))  # of two independent draws
    assert both == approx(surprise[:, None] + surprise)
    assert crossent.entropy([1, 0, 0, 0]) == 0
    uniform = [1 / 4] * 4
    assert mean < crossent.entropy(uniform) == approx(np.log(4))
    for base in (2, 10):
        share = crossent.entropy(p, base=base) / math.log(4, base)
        assert 0 <= share <= 1
        assert share == approx(mean / np.log(4))
    happened = np.random.default_rng(0).multinomial(1, p, size=20)
    assert (happened.sum(axis=1) == 1).all()  # exactly one outcome


@says(
    "base The base of the logarithm, which sets the unit of information: 2 gives {term}`bits"
    " <bit>`, *e* gives {term}`nats <nat>`. To go from one base to another, divide by a constant.",
    "bit The unit of information when the logarithm has base 2: the surprise of an outcome of"
    " probability one half. The word also means a binary digit, which carries at most one bit of"
    " information.",
    r"nat The unit of information when the logarithm is the natural one. One nat is $1 / \log 2"
    r" \approx 1.4427$ bits.",
    "hartley The unit of information when the logarithm has base 10, about 3.32 bits.",
)
@given(COUNTS)
def a_base_is_a_unit(counts: list[int]) -> None:
    p = np.array(counts) / sum(counts)
    bits, nats, hartleys = (crossent.entropy(p, base=base) for base in (2, None, 10))
    assert crossent.entropy(p, base=math.e) == approx(nats)
    assert [bits, hartleys] == approx([nats / np.log(2), nats / np.log(10)])  # whatever p is
    assert bits / nats == approx(1.4427, abs=5e-5)
    assert bits / hartleys == approx(3.32, abs=5e-3)
    assert [-np.log2(1 / 2), -np.log(1 / math.e), -np.log10(1 / 10)] == [1, 1, 1]
    digits = np.random.default_rng(sum(counts)).dirichlet([1, 1], size=20)
    assert crossent.entropy(digits, base=2).max() <= 1 == crossent.entropy([0.5, 0.5], base=2)


@says(
    r"binary entropy The entropy of a variable with two outcomes, $-p \log p - (1 - p) \log(1 -"
    r" p)$. It rises from 0 at $p = 0$ to 1 bit at $p = \tfrac12$ and falls back to 0 at $p = 1$.",
)
def the_arch_of_two_outcomes() -> None:
    p = np.linspace(0, 1, 41)
    bits = crossent.entropy(np.array([p, 1 - p]), axis=0, base=2)
    q = p[1:-1]
    assert bits[1:-1] == approx(-q * np.log2(q) - (1 - q) * np.log2(1 - q))
    assert bits[[0, 20, 40]].tolist() == [0, 1, 0]
    assert (np.diff(bits[:21]) > 0).all()
    assert (np.diff(bits[20:]) < 0).all()


@says(
    "perplexity The exponential of an entropy or cross-entropy: the number of equally probable"
    " outcomes that would be as uncertain.",
)
@given(st.integers(2, 9), COUNTS)
def perplexity_counts_equal_outcomes(K: int, counts: list[int]) -> None:
    equal = np.full(K, 1 / K)
    assert np.exp(crossent.entropy(equal)) == approx(K) == 2 ** crossent.entropy(equal, base=2)
    p = np.array(counts) / sum(counts)
    scores, labels = np.log([p, p]), np.array([0, 1])
    assert crossent.perplexity(scores, labels) == approx(np.exp(-np.log(p[labels]).mean()))


@says(
    "cross-entropy The mean surprise of someone who believes in $q$ while outcomes follow $p$:"
    r" $H(p, q) = -\sum_k p_k \log q_k$. It is never below the entropy $H(p)$, and equals it only"
    " for $q = p$.",
    r"Kullback–Leibler divergence $D_{\mathrm{KL}}(p \,\Vert\, q) = \sum_k p_k \log (p_k / q_k)$,"
    " also called relative entropy {cite}`kullback1951`: the surprise that believing in $q$ adds"
    " to the entropy of $p$. It is not symmetric.",
    r"Gibbs' inequality $-\sum_k p_k \log p_k \le -\sum_k p_k \log q_k$: nobody is less surprised"
    " on average than someone who knows the true probabilities.",
    "divergence A number that says how far one distribution is from another: never negative, and 0"
    " only if they are equal. Unlike a distance, it need not be symmetric.",
    "Jensen–Shannon divergence The mean Kullback–Leibler divergence of $p$ and of $q$ from the"
    " middle between them {cite}`lin1991`. It is symmetric and never above 1 bit.",
)
@given(COUNTS, COUNTS, st.booleans())
def what_a_wrong_belief_costs(true: list[int], believed: list[int], right: bool) -> None:
    p = np.array(true) / sum(true)
    q = p if right else np.array(believed) / sum(believed)
    equal = np.allclose(p, q)
    surprise = -np.log(q)[np.repeat(range(3), true)].mean()
    assert crossent.cross_entropy(p, q) == approx(surprise)
    added = surprise - crossent.entropy(p)
    assert added == approx(0) if equal else added > 1e-9
    assert [crossent.kl_divergence(p, q), p @ np.log(p / q)] == approx([added, added], abs=1e-12)
    middle = (p + q) / 2
    mean = (p @ np.log2(p / middle) + q @ np.log2(q / middle)) / 2
    halves = crossent.js_divergence(p, q, base=2), crossent.js_divergence(q, p, base=2)
    assert halves == approx((mean, mean), abs=1e-12)
    assert halves[0] == approx(0, abs=1e-12) if equal else halves[0] > 0
    assert halves[0] < 1 == crossent.js_divergence([1, 0], [0, 1], base=2)
    even, steep = [0.5, 0.5], [0.9, 0.1]  # not symmetric
    assert crossent.kl_divergence(even, steep) > crossent.kl_divergence(steep, even) + 0.1


@says(
    "joint entropy The entropy $H(X, Y)$ of two variables taken together, that is, of their pairs"
    " of outcomes. It is at most the sum of their entropies, and equal to it only if they are"
    " {term}`independent`.",
    "independent Two variables are independent if the probability of each pair of outcomes is the"
    " product of the probabilities of the two. Then their entropies add.",
)
@given(distributions(4))
def entropies_of_independent_variables_add(pairs: Row) -> None:
    joint = np.array(pairs, dtype=float).reshape(2, 2)
    x, y = joint.sum(axis=1), joint.sum(axis=0)
    together = crossent.entropy(joint.ravel())
    less = crossent.entropy(x) + crossent.entropy(y) - together
    independent = np.allclose(joint, np.outer(x, y))
    assert less == approx(0, abs=1e-9) if independent else less > 1e-6
    product = crossent.entropy(np.outer(x, y).ravel())
    assert product == approx(crossent.entropy(x) + crossent.entropy(y), abs=1e-12)


@says(
    r"conditional entropy The mean entropy of a variable $Y$ once another one, $X$, is known: $H(Y"
    r" \mid X) = \sum_x p(x)\, H(Y \mid X = x)$. It is never above $H(Y)$, and equals it only if"
    " the two are {term}`independent`.",
    r"mutual information How much knowing one of two variables lowers the entropy of the other, on"
    r" average: $I(X; Y) = H(Y) - H(Y \mid X)$. It is the same both ways, never negative, and 0"
    " only if the two are {term}`independent`.",
)
@given(distributions(6))
def what_one_variable_tells_of_another(pairs: Row) -> None:
    joint = np.array(pairs, dtype=float).reshape(3, 2)
    x, y = joint.sum(axis=1), joint.sum(axis=0)
    surprise = -np.log(np.divide(joint, x[:, None], where=joint > 0, out=np.ones((3, 2))))
    known = [crossent.entropy(row / share) for row, share in zip(joint, x, strict=True) if share]
    after = x[x > 0] @ np.array(known)
    assert after == approx((joint * surprise).sum(), abs=1e-12)  # over draws of both
    turned = [crossent.entropy(row / share) for row, share in zip(joint.T, y, strict=True) if share]
    other = crossent.entropy(x) - y[y > 0] @ np.array(turned)
    told = crossent.entropy(y) - after
    assert told == approx(other, abs=1e-9)  # the same both ways
    independent = np.allclose(joint, np.outer(x, y))
    assert told == approx(0, abs=1e-9) if independent else told > 1e-6


@says(
    "irreducible noise The {term}`conditional entropy` of the label, given what the model sees. It"
    " is the least expected loss of any model, however long it trains; only a better input lowers"
    " it.",
)
def noise_that_only_a_better_input_lowers() -> None:
    joint = np.array([[26, 4], [15, 15], [30, 0]]) / 90  # of inputs and labels
    fine = joint / joint.sum(axis=1, keepdims=True)
    noise = {}
    for name, cells in {"poor": [[0, 1], [2]], "better": [[0], [1], [2]]}.items():
        seen = np.array([joint[cell].sum(axis=0) for cell in cells])
        of_input = seen.sum(axis=1)
        best = seen / of_input[:, None]
        noise[name] = of_input @ crossent.entropy(best, axis=1)
        models = np.random.default_rng(0).dirichlet([1, 1], size=(500, len(cells)))
        surprise = -(seen * np.log(np.maximum(models, 1e-300))).sum(axis=(1, 2))
        assert surprise.min() > noise[name]
        z = torch.zeros(len(cells), 2, requires_grad=True)  # a model that trains for long
        optimizer = torch.optim.SGD([z], lr=1.0)
        for _ in range(2000):
            loss = -(torch.tensor(seen) * z.log_softmax(dim=1)).sum()
            step(optimizer, loss)
        assert noise[name] < loss.item() < noise[name] + 0.01
    assert noise["better"] < noise["poor"] - 0.01
    assert noise["better"] == approx(crossent.entropy(fine, axis=1).mean())


@says(
    "forward KL The {term}`Kullback–Leibler divergence` from the truth to the model,"
    r" $D_{\mathrm{KL}}(p \,\Vert\, q)$, which maximum likelihood makes small. A model that is too"
    " simple covers all of the truth (*mean-seeking*).",
    "reverse KL The {term}`Kullback–Leibler divergence` from the model to the truth,"
    r" $D_{\mathrm{KL}}(q \,\Vert\, p)$, used in variational inference. A model that is too simple"
    " picks a part of the truth (*mode-seeking*).",
)
def one_covers_and_the_other_picks() -> None:
    x = np.linspace(-12, 12, 481)

    def normal(mean: float, std: float) -> Array:
        row = np.exp(-(((x - mean) / std) ** 2) / 2) + 1e-200  # nothing is impossible
        return row / row.sum()

    truth = (normal(-4, 1) + normal(4, 1)) / 2
    models = {(m, s): normal(m, s) for m in range(-6, 7) for s in range(1, 6)}
    forward = min(models, key=lambda model: crossent.kl_divergence(truth, models[model]))
    reverse = min(models, key=lambda model: crossent.kl_divergence(models[model], truth))
    assert forward == (0, 4)  # the mean of the truth, over both of its humps
    assert reverse in {(-4, 1), (4, 1)}  # one of them
    seen = np.random.default_rng(0).choice(len(x), p=truth, size=2000)
    assert max(models, key=lambda model: np.log(models[model][seen]).sum()) == forward
    # Variational inference: what its bound misses of the evidence is the reverse divergence.
    joint = np.array([0.3, 0.1, 0.6]) * np.array([0.5, 0.2, 0.9])  # prior times likelihood
    q = np.array([0.2, 0.3, 0.5])
    missed = np.log(joint.sum()) - q @ np.log(joint / q)
    assert missed == approx(crossent.kl_divergence(q, joint / joint.sum()))


@says(
    "density Probability per unit of a continuous quantity. A density is not a probability: it can"
    " exceed 1, which is why {term}`differential entropy` can be negative.",
    r"differential entropy The integral of $-f \log f$ for a {term}`density` $f$. It depends on"
    " the unit in which the quantity is measured and can be negative; only differences of it have"
    " a meaning of their own.",
)
def a_density_is_no_probability() -> None:
    half = stats.uniform(0, 0.5)
    assert (half.cdf(0.3) - half.cdf(0.2)) / 0.1 == approx(half.pdf(0.25)) == approx(2)
    assert half.entropy() < 0 < stats.uniform(0, 2).entropy()  # of a density of 2, and of 1/2
    here, there = stats.norm(1, 3), stats.norm(0, 5)
    integral, _ = integrate.quad(lambda x: -here.pdf(x) * here.logpdf(x), -40, 40)
    assert here.entropy() == approx(integral)
    thousandths = stats.norm(1000, 3000), stats.norm(0, 5000)  # in another unit
    assert abs(thousandths[0].entropy() - here.entropy()) > 1
    difference = thousandths[0].entropy() - thousandths[1].entropy()
    assert difference == approx(here.entropy() - there.entropy())


@says(
    "entropy rate The mean entropy of the next symbol of a text, given all the symbols before it."
    " In the long run, no language model has a lower expected loss.",
)
def no_model_beats_the_entropy_rate() -> None:
    following = np.array([[0.8, 0.2, 0.0], [0.1, 0.3, 0.6], [0.5, 0.0, 0.5]])
    first = np.linalg.matrix_power(following, 200)[0]  # in the long run
    two = first[:, None] * following
    three = two[:, :, None] * following
    blocks = [crossent.entropy(each.ravel()) for each in (first, two, three)]
    rate = first @ crossent.entropy(following)
    assert np.diff(blocks) == approx([rate, rate])  # of the next one, given all before
    models = np.random.default_rng(0).dirichlet(np.ones(3), size=(200, 3))
    losses = [first @ crossent.cross_entropy(following, model) for model in models]
    assert min(losses) > rate == approx(first @ crossent.cross_entropy(following, following))


# --- Codes ---


@says(
    "code word The string of binary digits that stands for an outcome. In a good"
    " {term}`prefix-free code`, frequent outcomes get short words.",
    "prefix-free code A code in which no {term}`code word` is the beginning of another, so that a"
    " string of words can be cut apart in only one way.",
)
def a_string_of_words_can_be_cut_apart() -> None:
    letters = [text for n in range(1, 5) for text in itertools.product("abcd", repeat=n)]

    def strings(code: tuple[str, ...]) -> set[str]:
        word = dict(zip("abcd", code, strict=True))
        return {"".join(word[letter] for letter in text) for text in letters}

    code = ("0", "10", "110", "111")
    assert prefix_free(code)
    assert len(strings(code)) == len(letters)
    other = ("0", "01", "1", "11")
    assert not prefix_free(other)
    assert len(strings(other)) < len(letters)  # is 01 one word, or two?
    shares = np.array([0.5, 0.25, 0.125, 0.125])
    good = min(itertools.permutations(code), key=lambda code: shares @ [*map(len, code)])
    assert [*map(len, good)] == [1, 2, 3, 3]


@says(
    r"Kraft's inequality The word lengths $d_k$ of a {term}`prefix-free code` satisfy $\sum_k"
    r" 2^{-d_k} \le 1$, and whenever lengths do, such a code exists {cite}`kraft1949`.",
    "Huffman code The {term}`prefix-free code` with the least mean length, built by merging the"
    " two least probable outcomes again and again {cite}`huffman1952`. Its mean length is at least"
    " the entropy in bits, and less than one binary digit more.",
)
@given(distributions(4, least=1))
def the_shortest_code(p: Row) -> None:
    codes = filter(prefix_free, itertools.combinations(WORDS, 3))
    there_is = {tuple(sorted(map(len, code))) for code in codes}
    for lengths in itertools.combinations_with_replacement((1, 2, 3), 3):
        assert (lengths in there_is) == (sum(2.0**-d for d in lengths) <= 1)
    shares, mean = np.array(p, dtype=float), float(huffman(p))
    allowed = (d for d in itertools.product((1, 2, 3), repeat=4) if sum(2.0**-n for n in d) <= 1)
    assert mean == approx(min(shares @ d for d in allowed))
    assert -1e-12 <= mean - crossent.entropy(shares, base=2) < 1


# --- Scores and probabilities ---


@says(
    r"sigmoid The function that turns a logit into a probability: $\sigma(z) = 1 / (1 + e^{-z})$.",
    r"softplus $\log(1 + e^x)$: a smooth $\max(x, 0)$. Its derivative is the {term}`sigmoid`.",
    "odds The probability of an outcome divided by the probability of its opposite. The"
    " {term}`logit` is its logarithm.",
    "logit A model's score for a class before softmax or sigmoid. For two classes, it is the"
    " logarithm of the {term}`odds`.",
    "log-odds The logarithm of the {term}`odds`. For two of the classes of a softmax, it is the"
    " difference of their {term}`logits <logit>`.",
    r"logistic loss The {term}`binary cross-entropy` written with a logit and a sign: $\log(1 +"
    r" e^{-sz})$ for $s = \pm 1$.",
    r"binary cross-entropy The loss of a yes-or-no forecast, $-y \log \hat y - (1 - y) \log(1 -"
    r" \hat y)$: the surprise at what happened.",
)
@given(st.integers(-40, 40), st.integers(0, 1))
def the_loss_of_a_yes_or_no_forecast(eighths: int, y: int) -> None:
    z = eighths / 8
    p = 1 / (1 + np.exp(-z))
    assert [crossent.sigmoid(z), torch.sigmoid(doubles(z)).item()] == approx([p, p])
    assert np.log(p / (1 - p)) == approx(z, abs=1e-12)
    three = crossent.softmax([z, 0.5, -1.0])
    assert np.log(three[0] / three[1]) == approx(z - 0.5)
    happened = -np.log(p if y == 1 else 1 - p)
    assert -y * np.log(p) - (1 - y) * np.log(1 - p) == approx(happened)
    assert F.binary_cross_entropy(doubles(p), doubles(y)).item() == approx(happened)
    s = 2 * y - 1
    assert np.log(1 + np.exp(-s * z)) == approx(happened)
    assert F.soft_margin_loss(doubles(z), doubles(s)).item() == approx(happened)
    x = doubles(z).requires_grad_()
    smooth = F.softplus(x)
    assert [smooth.item(), slope(smooth, x).item()] == approx([np.log(1 + np.exp(z)), p])
    assert 0 < smooth.item() - max(z, 0) <= np.log(2)  # most at the corner


@says(
    r"softmax The function that turns logits into probabilities: $e^{z_k} / \sum_j e^{z_j}$.",
    r"log-sum-exp $\log \sum_k e^{z_k}$: the logarithm of what softmax divides by. Computed as the"
    " maximum plus a correction, it does not overflow.",
    r"temperature A number $\tau > 0$ by which logits are divided before softmax. Above 1 it"
    " flattens the distribution, below 1 it sharpens it.",
    "argmax The index of the largest value. The class that a model predicts is the argmax of its"
    " logits, or of its probabilities.",
    "margin By how much the logit of the labeled class exceeds that of another class.",
)
def from_scores_to_probabilities() -> None:
    assert crossent.softmax(LOGITS) == approx(PROBS)
    divided_by = LOGITS - np.log(crossent.softmax(LOGITS))
    assert divided_by == approx(np.repeat(crossent.logsumexp(LOGITS)[:, None], 3, axis=1))
    far = np.array([1000.0, 999.0])
    assert crossent.logsumexp(far) == approx(1000 + np.log(np.exp(far - 1000).sum()))
    with np.errstate(over="ignore"):
        assert np.log(np.exp(far).sum()) == np.inf
    flat, even, sharp = (crossent.entropy(crossent.softmax(LOGITS / tau)) for tau in (2, 1, 0.5))
    assert (flat > even).all()
    assert (even > sharp).all()
    model = LogisticRegression().fit(LOGITS, LABELS)
    for scores in (model.decision_function(LOGITS), model.predict_proba(LOGITS)):
        winner = scores.argmax(axis=1)
        assert (scores[range(4), winner] == scores.max(axis=1)).all()
        assert (model.classes_[winner] == model.predict(LOGITS)).all()
    margins = LOGITS[range(4), LABELS][:, None] - LOGITS
    assert np.exp(-margins).sum(axis=1) == approx(1 / OF_LABELS)
    assert ((margins >= 0).all(axis=1) == (PROBS.max(axis=1) == OF_LABELS)).all()


@says(
    r"Gumbel noise $-\log(-\log u)$ for $u$ uniform in $(0, 1)$. Added to logits, it makes"
    " {term}`argmax` draw from their softmax {cite}`yellott1977`.",
)
def gumbel_noise_makes_argmax_draw() -> None:
    rng = np.random.default_rng(0)
    gumbel = -np.log(-np.log(rng.uniform(size=(20000, 3))))
    for noise, softmax in ((gumbel, True), (rng.normal(size=gumbel.shape), False)):
        drawn = np.bincount((LOGITS[0] + noise).argmax(axis=1)) / 20000
        errors = (drawn - PROBS[0]) / np.sqrt(PROBS[0] * (1 - PROBS[0]) / 20000)
        assert (abs(errors).max() < 4) == softmax


@says(
    "distribution A list of probabilities, one for each outcome, that are not negative and sum to"
    " 1.",
    "simplex The set of all distributions over $K$ outcomes. For three outcomes, it is a triangle"
    " whose corners are certainties.",
    "class axis The axis of an array along which the classes lie, and probabilities sum to 1.",
)
def distributions_are_a_simplex() -> None:
    corners = np.eye(3)  # certain

    def inside(point: Array) -> bool:
        """Say whether a point is a mean of the corners, with weights from 0 to 1."""
        sums = {"A_eq": [*corners.T, np.ones(3)], "b_eq": [*point, 1]}
        return bool(optimize.linprog(np.zeros(3), **sums, bounds=(0, 1)).success)

    rng = np.random.default_rng(0)
    for p in (*rng.dirichlet(np.ones(3), size=5), *corners):
        assert inside(p)
        assert crossent.entropy(p) >= 0
    for outside in ([0.7, 0.6, -0.3], [0.5, 0.2, 0.2]):
        assert not inside(outside)
        with pytest.raises(ValueError, match="p"):
            crossent.entropy(outside)
    batch = rng.normal(size=(2, 3, 5))
    for axis, other in itertools.permutations(range(3), 2):
        probs = crossent.softmax(batch, axis=axis)
        assert abs(probs.sum(axis=axis) - 1).max() < 1e-12
        assert abs(probs.sum(axis=other) - 1).max() > 0.1


# --- Losses ---


@says(
    "class One of the $K$ values that a label can take.",
    "label The class that a sample is said to have, as an integer from 0 to $K - 1$.",
    "one-hot A row of zeros with a single 1 at the class of the sample: a {term}`label` written as"
    " a distribution.",
    r"log loss The {term}`cross-entropy` of a label, $-\log p_y$.",
    "categorical cross-entropy The {term}`loss` for one of $K$ classes: minus the logarithm of the"
    " probability that the model gave to the true class, or the mean of these surprises under a"
    " {term}`soft target`.",
    "sparse categorical cross-entropy {term}`Categorical cross-entropy <categorical"
    " cross-entropy>` with {term}`labels <label>` instead of one-hot rows. The number is the same,"
    " and the labels take less memory.",
    "soft target A target that spreads its probability over several classes, unlike a"
    " {term}`one-hot` row.",
    "loss A number that says how badly a prediction fits the truth; training makes its mean small.",
)
def the_loss_of_one_of_several_classes() -> None:
    kinds = np.array(["cat", "dog", "owl"])
    model = LogisticRegression().fit(LOGITS, kinds[LABELS])
    assert model.classes_.tolist() == kinds.tolist()
    assert set(LABELS) == set(range(len(kinds)))
    assert [sorted(row) for row in ONE_HOT] == [[0, 0, 1]] * 4
    assert (ONE_HOT.argmax(axis=1) == LABELS).all()
    sparse = crossent.sparse_categorical_cross_entropy(PROBS, LABELS, reduction="none")
    dense = crossent.categorical_cross_entropy(PROBS, ONE_HOT, reduction="none")
    of_labels = crossent.cross_entropy(ONE_HOT, PROBS)
    assert np.array([sparse, dense, of_labels]) == approx(np.tile(LOSSES, (3, 1)))
    assert LABELS.nbytes < ONE_HOT.nbytes
    assert [log_loss(LABELS, PROBS), log_loss(ONE_HOT, PROBS)] == approx([LOSSES.mean()] * 2)
    soft = [0.7, 0.2, 0.1]
    mean = -np.log(PROBS[0])[np.repeat(range(3), [7, 2, 1])].mean()
    assert crossent.categorical_cross_entropy(PROBS[:1], [soft]) == approx(mean)
    assert np.count_nonzero(soft) > 1 == np.count_nonzero(ONE_HOT[0])
    costs = [F.cross_entropy(Z + fit * torch.tensor(ONE_HOT), Y).item() for fit in (-1, 0, 1)]
    assert costs == sorted(costs, reverse=True)  # the worse the fit, the larger


@says(
    "negative log-likelihood Minus the logarithm of the probability, or of the density, of what"
    " was observed. For labels, it is the {term}`log loss`.",
    "NLLLoss PyTorch's loss of log-probabilities: minus the entry of the label. Despite its name,"
    " it takes no logarithm.",
    r"deviance Twice the summed {term}`log loss`, $-2 \sum \log p_y$: statistics' name for the"
    " loss of a whole data set.",
)
def minus_the_logarithm() -> None:
    nll = torch.nn.NLLLoss(reduction="none")
    assert nll(torch.log_softmax(Z, -1), Y).numpy() == approx(LOSSES)
    assert nll(torch.tensor(PROBS), Y).numpy() == approx(-OF_LABELS)  # no logarithm
    sparse = crossent.sparse_categorical_cross_entropy
    assert sparse(PROBS, LABELS, reduction="none") == approx(-np.log(OF_LABELS))
    of_density = F.gaussian_nll_loss(doubles(1), doubles(2.5), doubles(4), full=True).item()
    assert of_density == approx(-np.log(stats.norm(1, 2).pdf(2.5)))
    # Statistics: twice what the log-likelihood lacks of that of a perfect fit, which is log 1.
    deviance = 2 * (np.log(1) - np.log(OF_LABELS.prod()))
    assert deviance == approx(2 * log_loss(LABELS, PROBS, normalize=False))


@says(
    "likelihood The probability that a model gives to the data that were seen, as a function of"
    " its parameters. It is not a probability of the parameters.",
    "maximum likelihood The choice of the parameters under which the observed data are most"
    " probable {cite}`fisher1922`. They are also those of the least mean cross-entropy loss.",
)
def the_parameter_under_which_the_data_are_most_probable() -> None:
    heads = np.array([1, 1, 0, 1, 0])
    chances = np.where(heads, SHARES[:, None], 1 - SHARES[:, None])
    likelihood = chances.prod(axis=1)  # of each parameter
    assert SHARES[likelihood.argmax()] == approx(heads.mean())
    assert likelihood.argmax() == (-np.log(chances)).mean(axis=1).argmin()
    rates = SHARES[:, None] / [1, 1, 1, 10, 10]  # of a second coin, a tenth: no least squares
    chances = np.where(heads, rates, 1 - rates)
    assert chances.prod(axis=1).argmax() == (-np.log(chances)).mean(axis=1).argmin()
    assert chances.prod(axis=1).argmax() != ((1 - chances) ** 2).mean(axis=1).argmin()
    area, _ = integrate.quad(lambda share: share**3 * (1 - share) ** 2, 0, 1)
    assert area < 0.1  # a density of the parameter would have 1
    every = np.array([*itertools.product([0, 1], repeat=5)])
    assert np.where(every, 0.3, 0.7).prod(axis=1).sum() == approx(1)  # it is one of the data


def minus_log(p: Array) -> Array:
    return -np.log(p)


def expected(loss: Callable[[Array], Array]) -> Array:
    """Return the mean loss of each forecast of yes, if yes has a share of 0.3."""
    return 0.3 * loss(SHARES) + 0.7 * loss(1 - SHARES)


def brier(p: Array) -> Array:
    return (1 - p) ** 2


def focal(p: Array, gamma: float = 2) -> Array:
    return (1 - p) ** gamma * -np.log(p)


@says(
    "proper score A loss whose expectation is least if the forecast is the true probability;"
    " strictly proper, if it is least only then {cite}`gneiting2007`.",
    "Brier score The squared error of a forecast probability {cite}`brier1950`. It is a strictly"
    " {term}`proper score <proper score>` and never exceeds 1 for a yes-or-no forecast.",
    r"focal loss Cross-entropy times $(1 - p_t)^\gamma$, which gives less weight to samples that"
    r" the model already gets right {cite}`lin2017`. For $\gamma > 0$ it is not a {term}`proper"
    " score`.",
)
def which_loss_asks_for_the_true_probability() -> None:
    truth = 29
    assert SHARES[truth] == approx(0.3)
    for strict in (minus_log, brier):
        mean = expected(strict)
        assert np.flatnonzero(mean < mean.min() + 1e-9) == [truth]
    constant = expected(np.ones_like)  # proper, but not strictly
    assert constant[truth] == constant.min() == constant.max()
    for gamma in (0.1, 1, 5):
        mean = expected(lambda p, gamma=gamma: focal(p, gamma))  # type: ignore[misc]
        assert mean[truth] > mean.min() + 1e-5
    assert brier_score_loss([1, 0], [0.8, 0.6]) == approx((brier(0.8) + brier(1 - 0.6)) / 2)
    assert [brier(1), brier(0)] == [0, 1]
    assert brier(SHARES).max() < 1
    z = np.log(SHARES / (1 - SHARES))
    ours = crossent.binary_focal_loss_with_logits(z, np.ones(99), gamma=2, reduction="none")
    assert ours == approx(focal(SHARES))
    left = ours / minus_log(SHARES)
    assert (np.diff(left) < 0).all()
    assert left[-1] < 0.001  # of what is right


@says(
    r"MAE Mean absolute error. For probabilities and a label, $\sum_k |t_k - p_k| = 2 (1 - p_y)$,"
    " often without the 2.",
    r"generalized cross-entropy $(1 - p_y^q) / q$, between cross-entropy ($q \to 0$) and"
    " {term}`MAE` ($q = 1$) {cite}`zhang2018`. It was made for {term}`label noise`.",
)
def between_cross_entropy_and_absolute_error() -> None:
    absolute = abs(np.array([SHARES, 1 - SHARES]) - [[1], [0]]).sum(axis=0)
    assert absolute == approx(2 * (1 - SHARES))

    def generalized(q: float) -> Array:
        return (1 - SHARES**q) / q

    assert generalized(1e-9) == approx(minus_log(SHARES), abs=1e-6)
    assert generalized(1) == approx(absolute / 2)
    rows = [generalized(q) for q in (1e-9, 0.2, 0.5, 0.8, 1)]
    assert (np.diff(rows, axis=0) < 0).all()
    assert "Noisy Labels" in source("zhang2018")
    # The largest surprise from a wrong label moves it less.
    p = doubles(0.01).requires_grad_()
    assert abs(slope((1 - p**0.7) / 0.7, p)) < abs(slope(-p.log(), p)) / 10


@says(
    "floor Of a loss: the value that no prediction gets below. For one sample it is the entropy of"
    " its target, so 0 if that is one-hot; over all samples with the same input, the entropy of"
    " their labels.",
    "baseline The loss of a model that ignores its input. For two classes, always forecasting the"
    " {term}`prior` costs the {term}`binary entropy` of the prior.",
    "prior The share of a class in the data, before anything is known about a sample.",
)
def the_least_and_the_dullest_loss() -> None:
    rng = np.random.default_rng(0)
    for target in ([0.7, 0.2, 0.1], [1.0, 0.0, 0.0]):
        forecasts = [*rng.dirichlet(np.ones(3), size=200), target]
        losses = [crossent.cross_entropy(target, q) for q in forecasts]
        assert min(losses) == losses[-1] == approx(crossent.entropy(target))
    labels = np.repeat([0, 1], [3, 7])
    shares = np.bincount(labels) / 10
    same_input = [minus_log(np.where(labels, p, 1 - p)).mean() for p in SHARES]
    assert min(same_input) == approx(crossent.entropy(shares))
    dull = DummyClassifier(strategy="prior").fit(rng.normal(size=(10, 2)), labels)
    forecasts = dull.predict_proba(rng.normal(size=(10, 2)))
    assert forecasts == approx(np.tile(shares, (10, 1)))  # whatever the input
    assert log_loss(labels, forecasts) == approx(crossent.entropy(shares))


@says(
    "InfoNCE Softmax cross-entropy over similarities, with the position of the matching item as"
    " label {cite}`oord2018`.",
    "Gaussian negative log-likelihood The loss of a regression that predicts a mean and a"
    " variance. With the variance fixed, it is squared error up to scale and a constant.",
)
def cross_entropy_of_similarities_and_of_a_normal_density() -> None:
    rng = torch.Generator().manual_seed(0)
    items, others = (torch.randn(5, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    similar = items @ others.T
    match = [similar[i, i].exp() / similar[i].exp().sum() for i in range(5)]
    assert F.cross_entropy(similar, torch.arange(5)).item() == approx(minus_log(match).mean())
    y, means, variances = doubles(1, 2, 4), doubles(0, 3, 3.5), doubles(0.5, 2, 2)
    loss = F.gaussian_nll_loss(means, y, variances, full=True)
    assert loss.item() == approx(-stats.norm(means, variances.sqrt()).logpdf(y).mean())
    fixed = [F.gaussian_nll_loss(means + d, y, doubles(2, 2, 2)).item() for d in range(4)]
    squares = [F.mse_loss(means + d, y).item() for d in range(4)]
    assert np.diff(fixed) == approx(np.diff(squares) / 4)  # up to a constant


@says(
    r"z-loss The penalty $\lambda (\log Z)^2$ on the {term}`log-sum-exp` of the logits, which"
    " keeps them from drifting {cite}`chowdhery2023`.",
)
def z_loss_holds_the_logits() -> None:
    assert F.cross_entropy(Z + 7, Y).item() == approx(F.cross_entropy(Z, Y).item())
    ends = []
    for penalty in (0, 1):
        z = Z + 7
        for _ in range(50):
            z.requires_grad_()
            loss = F.cross_entropy(z, Y) + penalty * (z.logsumexp(-1) ** 2).mean()
            z = (z - slope(loss, z)).detach()
        ends.append(z.logsumexp(-1).mean().item())
    assert ends[0] > 7
    assert abs(ends[1]) < 0.5


@says(
    r"label smoothing Moving a share $\varepsilon$ of a one-hot target evenly onto all $K$ classes"
    " {cite}`szegedy2016`.",
    r"label noise Labels that are wrong. Symmetric noise of rate $\eta$ moves a label to each of"
    r" the other classes with the same probability, $\eta / (K - 1)$.",
)
def targets_and_labels_that_move() -> None:
    epsilon = eta = 0.3
    smooth = torch.tensor(ONE_HOT) * (1 - epsilon) + epsilon / 3
    loss = F.cross_entropy(Z, Y, label_smoothing=epsilon)
    assert loss.item() == approx(F.cross_entropy(Z, smooth).item())
    K, rng = 4, np.random.default_rng(0)
    labels = rng.integers(0, K, size=40000)
    wrong = rng.random(40000) < eta
    noisy = np.where(wrong, (labels + rng.integers(1, K, size=40000)) % K, labels)
    moved = np.array([np.bincount(noisy[labels == k], minlength=K) for k in range(K)]) / 10000
    assert moved == approx(np.where(np.eye(K), 1 - eta, eta / (K - 1)), abs=0.02)


# --- Derivatives ---


def bowl(z: Array) -> Any:
    """Return a loss with a penalty, which has one minimum."""
    return np.log(np.exp(z).sum()) - z[0] + (z**2).sum() / 10


def bowl_gradient(z: Array) -> Array:
    return crossent.softmax(z) - [1, 0, 0] + z / 5


def bowl_hessian(z: Array) -> Array:
    p = crossent.softmax(z)
    return np.diag(p) - np.outer(p, p) + np.eye(3) / 5


@says(
    "gradient The derivatives of a loss with respect to each of its inputs. It has their shape and"
    " points uphill.",
    "central difference $(f(x + h) - f(x - h)) / 2h$, an estimate of the derivative of $f$ at $x$"
    " with an error proportional to $h^2$, plus rounding.",
    r"complex step $\operatorname{Im} f(x + ih) / h$ with the imaginary unit $i$, an estimate of"
    " the derivative of $f$ at $x$ that subtracts nothing, so that no digits cancel"
    " {cite}`squire1998`.",
)
def derivatives_in_numbers() -> None:
    z, rows = np.array([0.5, -1.0, 2.0]), np.eye(3)
    gradient = bowl_gradient(z)
    assert gradient.shape == z.shape
    assert bowl(z - 0.01 * gradient) < bowl(z) < bowl(z + 0.01 * gradient)
    directions = np.random.default_rng(0).normal(size=(500, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    steepest = max(directions, key=lambda direction: bowl(z + 1e-4 * direction))
    assert steepest @ gradient > 0.99 * np.linalg.norm(gradient)

    def error(h: float) -> float:
        central = [(bowl(z + h * row) - bowl(z - h * row)) / (2 * h) for row in rows]
        return float(abs(central - gradient).max())

    assert [error(0.1) / error(0.01), error(0.01) / error(0.001)] == approx([100, 100], rel=0.02)
    assert error(1e-12) > error(1e-3)  # rounding
    assert [bowl(z + 1e-30j * row).imag / 1e-30 for row in rows] == approx(gradient, rel=1e-14)


@says(
    "Jacobian The matrix of the derivatives of each output with respect to each input. That of"
    r" {term}`softmax` is $\operatorname{diag}(\hat y) - \hat y \hat y^\top$.",
    "Newton's method Steps that divide the {term}`gradient` by the second derivative: minus the"
    " inverse of the {term}`Hessian` times the gradient. Where the Hessian has an inverse at the"
    " minimum, a few steps from nearby are enough.",
)
def derivatives_of_derivatives() -> None:
    z, h = np.array([0.5, -1.0, 2.0]), 1e-6 * np.eye(3)
    p = crossent.softmax(z)
    by_input = [(crossent.softmax(z + d) - crossent.softmax(z - d)) / 2e-6 for d in h]
    assert np.diag(p) - np.outer(p, p) == approx(np.transpose(by_input), abs=1e-9)
    for _ in range(5):
        z = z - np.linalg.inv(bowl_hessian(z)) @ bowl_gradient(z)
    assert bowl_gradient(z) == approx(np.zeros(3), abs=1e-14)


@says(
    "chain rule The derivative of a function of functions: the products of the derivatives along"
    " each path, summed over all paths.",
)
def the_chain_rule_sums_over_paths() -> None:
    t, u, v = sympy.symbols("t u v")
    whole = sympy.exp(u) * sympy.sin(v)
    path = {u: t**2, v: 3 * t}
    total = sum(sympy.diff(whole, inner).subs(path) * sympy.diff(path[inner], t) for inner in path)
    assert sympy.simplify(sympy.diff(whole.subs(path), t) - total) == 0


@says(
    "automatic differentiation Computing exact derivatives of a program by the chain rule,"
    " operation by operation {cite}`baydin2018`. PyTorch and TensorFlow do it backwards from the"
    " loss: {term}`backpropagation`.",
    "backpropagation The chain rule through a network, from the loss back to every weight"
    " {cite}`rumelhart1986`.",
    "tape TensorFlow's record of what is computed inside a `GradientTape`, from which it takes the"
    " gradients.",
)
def derivatives_are_computed_backwards() -> None:
    tf = tensorflow()

    def program(x: Any, exp: Callable[[Any], Any]) -> Any:
        for _ in range(3):
            x = exp(-x) * x
        return x

    x = sympy.Symbol("x")
    exact = float(sympy.diff(program(x, sympy.exp), x).subs(x, 0.7))
    leaf, start = doubles(0.7).requires_grad_(), tf.constant(0.7, tf.float64)
    assert slope(program(leaf, torch.exp), leaf).item() == approx(exact, rel=1e-14)
    outside = program(start, tf.exp)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(start)
        inside = program(start, tf.exp)
    assert tape.gradient(inside, start).numpy() == approx(exact, rel=1e-14)
    assert tape.gradient(outside, start) is None  # not recorded
    # Which derivative is computed when?
    order: list[int] = []
    layers, y = [torch.nn.Linear(2, 2) for _ in range(3)], torch.ones(1, 2)
    for number, layer in enumerate(layers):
        y = layer(y)
        y.register_hook(lambda _, number=number: order.append(number))
    y.sum().backward()  # type: ignore[no-untyped-call]
    assert order == [2, 1, 0]
    assert all(weight.grad is not None for layer in layers for weight in layer.parameters())

    def noted(x: Any, number: int) -> Any:
        def backward(slope: Any) -> Any:
            order.append(number)
            return slope

        return tf.custom_gradient(lambda x: (x, backward))(x)

    with tf.GradientTape() as tape:
        tape.watch(start)
        inside = noted(noted(start * 2, 0) * 3, 1)
    assert tape.gradient(inside, start) == 6
    assert order[3:] == [1, 0]


def excess(function: Callable[[Array], Any], a: Array, b: Array, share: float = 0.5) -> Any:
    """Return by how much the value at a mean exceeds the mean of the values."""
    mean = share * function(a) + (1 - share) * function(b)
    return function(share * a + (1 - share) * b) - mean


@says(
    "concave A function is concave if its value at a mean is at least the mean of its values. The"
    " entropy is a concave function of the probabilities, so mixing distributions never lowers it"
    " below the average.",
    "Jensen's inequality For a {term}`concave` function, the mean of the values is at most the"
    " value at the mean.",
)
@given(COUNTS, COUNTS, st.integers(1, 9))
def mixing_does_not_lower_the_entropy(one: list[int], other: list[int], tenths: int) -> None:
    p, q = (np.array(counts) / sum(counts) for counts in (one, other))
    assert excess(crossent.entropy, p, q, tenths / 10) > -1e-12
    assert excess(np.sin, 0.5, 1.0, tenths / 10) > 0 > excess(np.sin, -0.5, -1.0, tenths / 10)
    values, weights = np.random.default_rng(tenths).dirichlet(np.ones(5), size=2)
    assert weights @ np.sqrt(values) < np.sqrt(weights @ values)  # Jensen, for many values


@says(
    "convex A function is convex if its value at a mean is at most the mean of its values. A local"
    " minimum of a convex function is a global one.",
    "Hessian The matrix of second derivatives. A function is {term}`convex` if its Hessian nowhere"
    " has a negative eigenvalue.",
)
def a_bowl_is_convex() -> None:
    points = np.random.default_rng(0).normal(size=(20, 2, 3))
    assert all(excess(bowl, a, b, share) < 0 for a, b in points for share in (0.2, 0.5))
    ends = [optimize.minimize(bowl, start, jac=bowl_gradient).fun for start in points[:5, 0]]
    assert ends == approx([ends[0]] * 5)
    z, h = points[0, 0], 1e-6 * np.eye(3)
    second = [(bowl_gradient(z + d) - bowl_gradient(z - d)) / 2e-6 for d in h]
    assert bowl_hessian(z) == approx(np.array(second), abs=1e-9)
    assert all(np.linalg.eigvalsh(bowl_hessian(z)).min() > 0 for z in points[:, 0])

    def wells(x: Array) -> Any:  # with the second derivative 12 x^2 - 4, which is negative at 0
        return ((x**2 - 1) ** 2 + x / 5).sum()

    ends = [optimize.minimize(wells, [start]).fun for start in (-1.0, 1.0)]
    assert ends[0] < ends[1] - 0.1  # two local minima
    assert excess(wells, np.array([-1.0]), np.array([1.0])) > 0


@says(
    "Lipschitz constant The most by which a function can change per unit of its input: no"
    " {term}`gradient` is longer, and some gradients come as close to it as you like.",
)
def no_gradient_is_longer_than_the_lipschitz_constant() -> None:
    a, b = np.random.default_rng(0).normal(0, 9, size=(2, 1000))
    constant = 1  # of the softplus
    assert (abs(np.logaddexp(0, a) - np.logaddexp(0, b)) <= constant * abs(a - b)).all()
    assert constant - 1e-8 < crossent.sigmoid(20) < constant  # a gradient


# --- Training ---


@says(
    "gradient descent Moving all parameters by the {term}`learning rate` times the negative"
    " {term}`gradient`, again and again.",
    "learning rate The factor between the {term}`gradient` and a step of {term}`gradient descent`."
    " If it is too small, little happens; if it is too large, the loss rises.",
    "optimizer The method that makes steps out of gradients: {term}`gradient descent`, or a"
    " refinement such as Adam.",
    "cost The mean {term}`loss` over the data, perhaps with a penalty on the weights: what"
    " training makes small. It is also called the objective.",
)
def steps_downhill() -> None:
    features, start = doubles(2.0, 1.0), doubles(1.0, -1.0)

    def train(kind: Any, rate: float) -> tuple[list[float], torch.Tensor]:
        """Return the costs of some steps, and where the first of them led."""
        theta, costs, ends = start.clone().requires_grad_(), [], []
        optimizer = kind([theta], lr=rate)
        for _ in range(20):
            cost = F.softplus(-theta * features).mean() + 0.1 * (theta**2).sum()
            step(optimizer, cost)
            costs.append(cost.item())
            ends.append(theta.detach().clone())
        return costs, ends[0]

    gradient = -torch.sigmoid(-start * features) * features / 2 + 0.2 * start
    costs, end = train(torch.optim.SGD, 0.1)
    assert end.numpy() == approx((start - 0.1 * gradient).numpy())
    assert costs == sorted(costs, reverse=True)
    costs, end = train(torch.optim.Adam, 0.1)
    assert end.numpy() == approx((start - 0.1 * gradient.sign()).numpy())  # refined
    assert costs[-1] < costs[0]
    little, much = (train(torch.optim.SGD, rate)[0] for rate in (1e-6, 50))
    assert little[-1] == approx(little[0], rel=1e-4)
    assert much[-1] > much[0]
    assert "objective function" in optimize.minimize.__doc__


@says(
    "epoch One pass of the training through all samples.",
    "batch The samples that a model sees at once. A batch's {term}`loss` is usually the mean over"
    " its samples.",
    "mini-batch The few samples from which one step of the training takes its gradient.",
)
def parts_of_the_data() -> None:
    samples: Any = range(10)
    loader = torch.utils.data.DataLoader(samples, batch_size=3, shuffle=True)
    for _ in range(2):
        batches = [batch.tolist() for batch in loader]  # a step for each
        assert [*map(len, batches)] == [3, 3, 3, 1]
        assert sorted(itertools.chain(*batches)) == list(samples)
    sparse = keras().losses.SparseCategoricalCrossentropy(from_logits=True)
    ours = crossent.sparse_categorical_cross_entropy_with_logits
    for loss in (F.cross_entropy(Z, Y), sparse(LABELS, LOGITS), ours(LOGITS, LABELS)):
        assert float(loss) == approx(LOSSES.mean())


@says(
    "micro-batch A part of a {term}`batch` that fits into memory.",
    "gradient accumulation Adding up the gradients of several {term}`micro-batches <micro-batch>`"
    " before a step. The step is that of one batch if the summed loss of each micro-batch is"
    " divided by the number of all samples.",
)
def parts_of_a_batch() -> None:
    def gradient(*parts: slice, share: Callable[[int], float]) -> Array:
        theta = doubles(1, 1, 1).requires_grad_()
        for part in parts:  # each adds to the gradient
            total = F.cross_entropy(theta * Z[part], Y[part], reduction="sum")
            (share(len(Y[part])) * total).backward()  # type: ignore[no-untyped-call]
        assert theta.grad is not None
        return theta.grad.numpy()

    micro = slice(0, 3), slice(3, 4)
    whole = gradient(slice(0, 4), share=lambda n: 1 / n)
    assert gradient(*micro, share=lambda _: 1 / 4) == approx(whole)
    of_means = gradient(*micro, share=lambda n: 1 / n / 2)
    assert abs(of_means - whole).max() > 0.01

    def memory(rows: int) -> int:
        tracemalloc.start()
        crossent.softmax(np.zeros((rows, 1000)))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    assert memory(100) < memory(400) / 2


@says(
    "activation The output of a unit of a network, or the function that makes it, such as"
    " {term}`ReLU` or {term}`sigmoid`.",
    r"ReLU $\max(0, x)$, a common {term}`activation` of hidden layers. Where it is 0, so is its"
    " slope: see {term}`dead unit`.",
)
def outputs_and_the_functions_that_make_them() -> None:
    z = doubles(-2, -0.5, 0, 0.5, 3).requires_grad_()
    relu = torch.relu(z)
    assert relu.tolist() == [max(0, each) for each in z.tolist()]
    slopes = slope(relu.sum(), z)
    assert (slopes == 0).tolist() == (relu == 0).tolist() == [True, True, True, False, False]
    for name, kind in (("relu", torch.nn.ReLU()), ("sigmoid", torch.nn.Sigmoid())):
        assert kind.__module__ == "torch.nn.modules.activation"
        theirs = keras().activations.get(name)(z.detach().numpy())
        assert np.array(theirs) == approx(kind(z).detach().numpy())
    assert torch.nn.Linear.__module__ != "torch.nn.modules.activation"


@says(
    "dead unit A hidden unit, behind a {term}`ReLU`, that is 0 for every sample. It passes no"
    " gradient, so {term}`gradient descent` leaves its own weights as they are. It can revive if"
    " its inputs change, or if momentum or {term}`weight decay` moves its weights without a"
    " gradient.",
)
def a_dead_unit_passes_no_gradient() -> None:
    data = doubles(1, 2)

    def unit(weight: torch.Tensor, feed: torch.Tensor) -> torch.Tensor:
        return torch.relu(weight * feed + 0.5)

    for options, revived in [({}, False), ({"momentum": 0.9}, True), ({"weight_decay": 0.5}, True)]:
        weight = doubles(-1).requires_grad_()
        optimizer = torch.optim.SGD([weight], lr=0.1, **options)  # type: ignore[arg-type]
        for feed in (doubles(0.25), *[data] * 20):
            step(optimizer, -16 * unit(weight, feed).sum())
            if feed is not data:  # the step has killed the unit for all that follows
                assert not unit(weight, data).any()
                assert slope(unit(weight, data).sum(), weight) == 0
                assert unit(weight, -data).all()  # fed by something else
        assert unit(weight, data).any() == revived


@says(
    "weight decay Shrinking the weights by a small share in each step. For {term}`gradient"
    r" descent` it is the same as a {term}`penalty <cost>` of $\tfrac{\lambda}{2}$ times the"
    " squared length of the weights {cite}`krogh1991`; for Adam it is not.",
)
def weight_decay_is_a_penalty_for_plain_descent_only() -> None:
    start, slopes, rate, strength = doubles(2, -1), doubles(0.3, 0.7), 0.1, 0.5

    def end(kind: Any, by: torch.Tensor, *, penalty: float = 0.0, decay: float = 0.0) -> Array:
        theta = start.clone().requires_grad_()
        optimizer = kind([theta], lr=rate, weight_decay=decay)
        step(optimizer, (theta * by).sum() + penalty / 2 * (theta**2).sum())
        return theta.detach().numpy()

    shrunk = (1 - rate * strength) * start
    for kind in (torch.optim.SGD, torch.optim.AdamW):
        assert end(kind, doubles(0, 0), decay=strength) == approx(shrunk.numpy())
    plain = end(torch.optim.SGD, slopes, decay=strength)
    assert plain == approx((shrunk - rate * slopes).numpy())
    assert plain == approx(end(torch.optim.SGD, slopes, penalty=strength))
    adam = end(torch.optim.AdamW, slopes, decay=strength)
    assert abs(adam - end(torch.optim.Adam, slopes, penalty=strength)).max() > 0.01


@says(
    "early stopping Ending the training when the loss on {term}`validation data` has not improved"
    " for a while, and going back to the best weights {cite}`prechelt1998`.",
    "patience How many {term}`epochs <epoch>` {term}`early stopping` waits for a lower loss.",
)
def training_stops_and_goes_back() -> None:
    class Model:
        weights, stop_training = -1, False
        metrics: tuple[str, ...] = ()

        def get_weights(self) -> int:
            return self.weights

        def set_weights(self, weights: int) -> None:
            self.weights = weights

    for patience, last in ((1, 2), (2, 3), (3, 4)):
        model = Model()
        stopping = keras().callbacks.EarlyStopping(
            "val_loss", patience=patience, restore_best_weights=True
        )
        stopping.set_model(model)
        stopping.on_train_begin()
        for epoch, loss in enumerate([0.9, 0.7, 0.8, 0.75, 0.71, 0.72]):
            model.weights = epoch
            stopping.on_epoch_end(epoch, {"val_loss": loss, "loss": -epoch})
            if model.stop_training:
                break
        assert epoch == last
        stopping.on_train_end()
        assert model.weights == 1


@says(
    "over-fitting Learning the training samples by heart: the training loss goes on falling while"
    " the loss on {term}`held-out data` rises.",
)
def learning_by_heart() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(2, 30, 40))
    signs = np.where(inputs[..., 0] + rng.normal(size=(2, 30)) > 0, 1, -1)
    theta, losses = np.zeros(40), []
    for _ in range(300):
        margins = signs * (inputs @ theta)
        losses.append(np.logaddexp(0, -margins).mean(axis=1))
        theta += 0.5 * (signs * crossent.sigmoid(-margins))[0] @ inputs[0] / 30
    training, held_out = np.transpose(losses)
    assert (np.diff(training) < 0).all()
    assert (margins[0] > 0).all()  # every training sample
    assert np.diff(held_out)[-200:].min() > 0


@says(
    "distillation Training a model on the probabilities of another model, the teacher, instead of"
    " labels or along with them {cite}`hinton2015`.",
)
def a_student_learns_the_probabilities_of_its_teacher() -> None:
    teacher, label = doubles(0.6, 0.3, 0.1), doubles(1, 0, 0)
    for target in (teacher, (teacher + label) / 2):
        student = doubles(0, 0, 0)
        for _ in range(300):
            student.requires_grad_()
            student = (student - slope(F.cross_entropy(student, target), student)).detach()
        assert student.softmax(-1).numpy() == approx(target.numpy(), abs=1e-3)
    assert "Distilling the Knowledge" in source("hinton2015")


# --- Samples and estimates ---


def samples(p: float, N: int) -> list[tuple[float, Array]]:
    """Return all samples of N answers, each with its probability, if yes has the probability p."""
    everything = map(np.array, itertools.product([0, 1], repeat=N))
    return [(float(np.where(sample, p, 1 - p).prod()), sample) for sample in everything]


def mean_loss(share: float, forecasts: Array) -> Array:
    return -share * np.log(forecasts) - (1 - share) * np.log(1 - forecasts)


@says(
    "bias Of an estimate: how far it is off on average, over all the samples that could have been"
    " drawn. The {term}`plug-in estimate` of the entropy has a negative bias. Of a layer: the"
    " constants that it adds to its outputs, one to each.",
    "plug-in estimate What a formula gives when observed frequencies take the place of the"
    " probabilities.",
    "held-out data Data that a model was not fitted to. If no choice about the model was based on"
    " them either, their mean loss estimates its cross-entropy without {term}`bias`: see"
    " {term}`validation data`.",
    "validation data {term}`Held-out data <held-out data>` on which choices are made: a learning"
    " rate, a penalty, when to stop. The choice suits them, so the loss that is reported comes"
    " from other data, the test set.",
)
def how_far_estimates_are_off_on_average() -> None:
    truth, models, drawn = 0.3, np.array([0.2, 0.45]), samples(0.3, 5)
    frequencies = [np.bincount(sample, minlength=2) / 5 for _, sample in drawn]
    plug_in = [crossent.entropy(row) for row in frequencies]
    chances = np.array([chance for chance, _ in drawn])
    assert chances @ plug_in < crossent.entropy([truth, 1 - truth]) - 0.05
    losses = np.array([mean_loss(sample.mean(), models) for _, sample in drawn])
    exact = mean_loss(truth, models)
    assert chances @ losses == approx(exact)  # of models that the sample did not choose
    chosen = losses.argmin(axis=1)
    assert chances @ losses.min(axis=1) < chances @ exact[chosen] - 0.01
    layer = torch.nn.Linear(3, 2).double()
    added = layer(Z) - Z @ layer.weight.T
    assert added.detach().numpy() == approx(np.tile(layer.bias.detach().numpy(), (4, 1)))


@says(
    r"Miller–Madow correction The addition of $\tfrac{1}{2N} (\hat K - 1)$ nats to the"
    r" {term}`plug-in estimate` of the entropy, where $\hat K$ is the number of different outcomes"
    " among $N$ samples {cite}`miller1955`. It removes most of the bias when $N$ is a few times"
    " $K$.",
)
def the_correction_removes_most_of_the_bias() -> None:
    rng, K = np.random.default_rng(0), 10
    p = np.arange(1, K + 1) / 55
    left = {}
    for N in (5, 30):
        counts = rng.multinomial(N, p, size=4000)
        plug_in = crossent.entropy(counts / N)
        corrected = plug_in + ((counts > 0).sum(axis=1) - 1) / (2 * N)
        left[N] = (corrected.mean() - crossent.entropy(p)) / (plug_in.mean() - crossent.entropy(p))
    assert abs(left[30]) < 0.5 < left[5]


@says(
    "bootstrap Drawing new samples from the sample, with replacement, to see how much an estimate"
    " varies.",
    "standard error The standard deviation of an estimate. For a mean of $N$ independent losses"
    r" with standard deviation $s$, it is $s / \sqrt N$.",
)
def how_much_a_mean_varies() -> None:
    losses = np.array([0.0, 1.0, 4.0])
    means = [np.mean(sample) for sample in itertools.product(losses, repeat=4)]
    assert np.std(means) == approx(losses.std() / np.sqrt(4))
    rng = np.random.default_rng(0)
    sample = rng.exponential(size=50)
    again = sample[rng.integers(0, 50, size=(4000, 50))].mean(axis=1)
    assert again.std() == approx(sample.std() / np.sqrt(50), rel=0.05)
    without = rng.permuted(np.tile(sample, (9, 1)), axis=1).mean(axis=1)
    assert without.std() == approx(0)  # without replacement, it is the same sample


@says(
    "pseudo-count A number added to every count before dividing, so that an outcome that was never"
    " seen does not get the probability 0. The method is also called additive or Laplace"
    " smoothing.",
)
def what_was_never_seen_gets_a_probability() -> None:
    counts = np.array([3, 0, 1])
    model = MultinomialNB(alpha=1).fit([counts], [0])
    smooth = (counts + 1) / (counts + 1).sum()
    assert np.exp(model.feature_log_prob_[0]) == approx(smooth)
    assert smooth[1] > 0 == (counts / counts.sum())[1]
    assert "Additive (Laplace/Lidstone) smoothing" in MultinomialNB.__doc__


@says(
    "calibrated A model is calibrated if, among the cases to which it gives a probability of 80%,"
    " 80% happen, and likewise for every other probability.",
    "over-confident A model is over-confident if it is right less often than it claims to be. See"
    " {term}`calibrated`.",
)
def forecasts_that_come_true_as_often_as_they_say() -> None:
    said = np.repeat([0.3, 0.8], 10)

    def happened(of_30: int, of_80: int) -> Array:
        """Return how often, of ten each, it happened where 30% and where 80% were forecast."""
        truth = np.concatenate([np.arange(10) < of_30, np.arange(10) < of_80])
        return calibration_curve(truth, said, n_bins=10)[0]

    assert happened(3, 8) == approx([0.3, 0.8])
    on_average = happened(5, 6)
    assert on_average.mean() == approx(said.mean())  # calibrated is more
    assert on_average[1] < 0.8  # over-confident of yes, where it says 80%
    assert on_average[0] > 0.3  # and of no, where it says 30%


@says(
    "decision threshold The probability above which one acts on a forecast. It follows from the"
    " costs of the two possible mistakes, not from the loss.",
)
def the_threshold_follows_from_the_costs() -> None:
    for needless, missed, threshold in ((1, 1, 0.5), (1, 4, 0.2), (9, 1, 0.9)):
        acting, waiting = (1 - SHARES) * needless, SHARES * missed  # on average
        above = threshold + 1e-9 < SHARES
        below = threshold - 1e-9 > SHARES
        assert (acting < waiting)[above].all()
        assert (acting > waiting)[below].all()


@says(
    "separable Two classes are separable if a plane divides them without a mistake. Then the loss"
    " of logistic regression without a penalty has no minimum at finite weights.",
)
def separable_classes_ask_for_ever_larger_weights() -> None:
    x = np.array([-2.0, -1.0, 1.0, 2.0])

    def loss(weight: float, labels: list[int], penalty: float = 0) -> float:
        signs = 2 * np.array(labels) - 1
        return float(np.logaddexp(0, -signs * weight * x).mean()) + penalty * weight**2

    weights = np.linspace(0, 30, 31)
    apart = [loss(w, [0, 0, 1, 1]) for w in weights]
    assert (np.diff(apart) < 0).all()
    assert apart[-1] < 1e-6
    for least in (
        np.argmin([loss(w, [0, 1, 0, 1]) for w in weights]),  # no point divides these
        np.argmin([loss(w, [0, 0, 1, 1], penalty=0.01) for w in weights]),
    ):
        assert least < 10


@says(
    "n-gram model A language model that predicts the next {term}`token` from the last few by"
    " counting what followed them.",
    "token One of the pieces into which a text is cut for a language model: a letter, a part of a"
    " word, or a word.",
)
def what_followed_a_token() -> None:
    text = "abracadabra"
    followed = Counter(b for a, b in itertools.pairwise(text) if a == "a")
    assert followed == {"b": 2, "c": 1, "d": 1}
    seen = np.repeat(range(3), [*followed.values()])
    models = np.random.default_rng(0).dirichlet(np.ones(3), size=50)
    counted = np.bincount(seen) / len(seen)
    assert -np.log(counted[seen]).mean() < min(-np.log(model[seen]).mean() for model in models)
    cut = {
        kind: CountVectorizer(analyzer=kind, ngram_range=(n, n)).build_analyzer()("the cat")
        for kind, n in {"char": 1, "char_wb": 2, "word": 1}.items()
    }
    assert cut["word"] == ["the", "cat"]
    assert cut["char"] == list("the cat")  # letters
    assert {"th", "he"} <= set(cut["char_wb"])  # parts of words


# --- Weights and means ---


@says(
    "class weight A factor for the loss of each sample of a class. It moves the best prediction:"
    " probabilities come out as if the class were that much more frequent.",
    "pos_weight A factor on the loss of positive samples. It multiplies the fitted odds by the"
    " same factor.",
)
def weights_of_classes_move_the_best_forecast() -> None:
    share, weight = 0.2, 4
    more_frequent = share * weight / (share * weight + 1 - share)
    labels = np.repeat([1, 0], [2, 8])

    def loss(forecast: float, **options: Any) -> float:
        rows = np.tile([1 - forecast, forecast], (10, 1))
        return float(crossent.sparse_categorical_cross_entropy(rows, labels, **options))

    def best(**options: Any) -> float:
        return float(SHARES[np.argmin([loss(forecast, **options) for forecast in SHARES])])

    assert best() == approx(share)
    assert best(class_weight=[1, weight]) == approx(more_frequent)
    rows = [0.4, 0.6]
    each = crossent.sparse_categorical_cross_entropy(
        [rows] * 10, labels, class_weight=[1, 4], reduction="none"
    )
    assert each == approx(np.where(labels == 1, 4, 1) * -np.log(np.take(rows, labels)))
    logit = np.log(weight * share / (1 - share))  # of the odds times the weight
    z, y = doubles(*[logit] * 10).requires_grad_(), torch.tensor(labels) * 1.0
    fitted = F.binary_cross_entropy_with_logits(z, y, pos_weight=doubles(weight))
    assert slope(fitted, z).sum().item() == approx(0, abs=1e-12)


@says(
    "sample weight A factor for the loss of one sample: how much it counts, not which answer is"
    " better.",
)
def a_sample_weight_counts_samples() -> None:
    inputs, labels = np.eye(2)[np.repeat([0, 1], 4)], np.array([1, 0, 0, 0, 1, 1, 1, 0])
    weights = np.repeat([1, 5], 4)  # the samples with the second input count more

    def forecasts(inputs: Array) -> Array:
        model = LogisticRegression(C=1e9, fit_intercept=False, tol=1e-9)
        model.fit(inputs, labels, weights)
        return model.predict_proba(inputs)[[0, -1], 1]

    assert forecasts(inputs) == approx([0.25, 0.75], abs=1e-4)  # as without weights
    one_for_all = forecasts(np.ones((8, 1)))
    assert one_for_all == approx([(1 * 1 + 5 * 3) / (4 * 1 + 4 * 5)] * 2, abs=1e-4)


@says(
    "reduction How the losses of a batch become one number: not at all (`none`), by their sum, or"
    " by a mean. Libraries divide a weighted mean by different things: see {doc}`weights`.",
    "weighted mean The sum of weights times losses divided by the sum of the weights; the plain"
    " mean divides by the number of samples.",
)
def what_a_mean_divides_by() -> None:
    assert F.cross_entropy(Z, Y, reduction="none").numpy() == approx(LOSSES)
    for reduction, value in (("sum", LOSSES.sum()), ("mean", LOSSES.mean())):
        assert F.cross_entropy(Z, Y, reduction=reduction).item() == approx(value)
    weights = np.array([1.0, 2.0, 10.0])
    total = weights[LABELS] @ LOSSES
    assert np.average(LOSSES, weights=weights[LABELS]) == approx(total / weights[LABELS].sum())
    sparse = keras().losses.SparseCategoricalCrossentropy(from_logits=True)
    by_weights = F.cross_entropy(Z, Y, weight=doubles(*weights)).item()
    by_number = float(sparse(LABELS, LOGITS, sample_weight=weights[LABELS]))
    assert [by_weights, by_number] == approx([total / weights[LABELS].sum(), total / 4])


@says(
    "ignored label A label whose samples drop out of both the sum and the count of a mean. The"
    " options `ignore_index` and, in Keras, `ignore_class` name it; PyTorch ignores −100 unless"
    " told otherwise.",
    "mask An array that marks which positions of a sequence are real and which are padding, so"
    " that the loss can leave the padding out.",
)
def what_does_not_count() -> None:
    padded = np.array([0, 1, -100, 2])
    real = padded != -100
    losses = -np.log(PROBS[real, padded[real]])
    assert F.cross_entropy(Z, torch.tensor(padded)).item() == approx(losses.mean())
    with pytest.raises(IndexError, match="out of bounds"):
        F.cross_entropy(Z, torch.tensor([0, 1, -99, 2]))
    named = np.where(real, padded, 7)
    theirs = F.cross_entropy(Z, torch.tensor(named), ignore_index=7).item()
    sparse = keras().losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=7)
    assert [theirs, float(sparse(named, LOGITS))] == approx([losses.mean()] * 2)
    each = F.cross_entropy(Z, torch.tensor(np.where(real, padded, 0)), reduction="none").numpy()
    assert (each * real).sum() / real.sum() == approx(losses.mean())
    assert abs(each.mean() - losses.mean()) > 0.01  # with the padding


# --- Numbers in a computer ---


@says(
    "broadcasting Stretching two arrays to a common shape. NumPy stretches (N,) and (N, 1) to N ×"
    " N pairs without a warning.",
)
def a_row_and_a_column_make_a_square() -> None:
    row, column = np.arange(3), np.arange(3)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (row - column).shape == (3, 3)
    assert (row - row).shape == (3,)
    assert [array.shape for array in np.broadcast_arrays(row, column)] == [(3, 3)] * 2


@says(
    "ulp Unit in the last place: the gap between a floating-point number and the next one.",
    "bfloat16 A floating-point format of 16 bits with the range of float32 and 8 significant bits.",
    "mixed precision Computing in 16 bits where that is enough, and in 32 bits where it is not"
    " {cite}`micikevicius2018`.",
)
def how_far_numbers_lie_apart() -> None:
    for x in (1.0, 3.0, 1e10):
        assert np.nextafter(x, np.inf) - x == np.spacing(x)
    half, single = torch.finfo(torch.bfloat16), torch.finfo(torch.float32)
    assert half.bits == 16
    assert half.eps == 2.0 ** -(8 - 1)  # 8 significant bits
    assert half.tiny == single.tiny
    assert half.max == approx(single.max, rel=2**-8)
    assert torch.finfo(torch.float16).max < half.max / 1e30  # the other 16 bits
    # Enough for a product, not for a sum of small steps.
    a, b = torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    product = a.bfloat16() @ b.bfloat16()
    assert (product.float() - a @ b).norm() < 0.01 * (a @ b).norm()
    for dtype, moves in ((torch.bfloat16, False), (torch.float32, True)):
        weight = torch.ones((), dtype=dtype)
        for _ in range(100):
            weight += 0.001
        assert (weight > 1.05).item() == moves


@says(
    "autocast PyTorch's automatic mixed precision: inside its context, products of matrices run in"
    " 16 bits, and sensitive functions, the losses of logits among them, in float32.",
)
def autocast_chooses_the_precision() -> None:
    square = torch.ones(4, 4)
    for half in (torch.float16, torch.bfloat16):
        with torch.autocast("cpu", dtype=half):
            assert (square @ square).dtype == F.linear(square, square).dtype == half
            z, labels, targets = square @ square, torch.arange(4), torch.ones(4, 4)
            assert F.cross_entropy(z, labels).dtype == torch.float32
            assert F.binary_cross_entropy_with_logits(z, targets).dtype == torch.float32
    assert (square @ square).dtype == torch.float32


# --- Frameworks ---


@says(
    "buffer A tensor that a PyTorch module saves and moves from device to device with its"
    " parameters, but that no optimizer changes.",
)
def a_buffer_is_saved_and_moved_but_not_changed() -> None:
    layer = torch.nn.Linear(1, 1)
    layer.register_buffer("weights", torch.ones(1))
    layer.plain = torch.ones(1)
    assert "weights" in layer.state_dict()
    assert "plain" not in layer.state_dict()
    assert {name for name, _ in layer.named_parameters()} == {"weight", "bias"}
    optimizer = torch.optim.SGD(layer.parameters(), lr=1)
    step(optimizer, (layer(torch.ones(1)) * layer.get_buffer("weights")).sum())
    assert layer.get_buffer("weights") == 1
    layer.to("meta")
    assert [layer.weight.is_meta, layer.get_buffer("weights").is_meta] == [True, True]
    assert not layer.plain.is_meta


@says(
    "clipping Moving a probability of 0 or 1 a little inwards before its logarithm is taken, as"
    " Keras and scikit-learn do. It makes an infinite loss finite, and in Keras its gradient 0."
    " Losses of logits need no clipping.",
    "from_logits The option of Keras' losses that says what they get: {term}`logits <logit>` if"
    " true, else probabilities.",
)
def keras_clips_probabilities() -> None:
    tf, losses = tensorflow(), keras().losses
    target, sure = tf.constant([[0.0, 1.0]]), tf.Variable([[1.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.CategoricalCrossentropy()(target, sure)
    assert np.isfinite(loss)
    assert (tape.gradient(loss, sure).numpy() == 0).all()
    assert np.isfinite(log_loss([1], [[1.0, 0.0]], labels=[0, 1]))
    with np.errstate(divide="ignore"):
        assert -np.log(0.0) == np.inf
    far = tf.Variable([[400.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.CategoricalCrossentropy(from_logits=True)(target, far)
    assert loss == 400
    assert tape.gradient(loss, far).numpy().tolist() == [[1, -1]]
    sparse = losses.SparseCategoricalCrossentropy
    for loss in (sparse(from_logits=True)(LABELS, LOGITS), sparse()(LABELS, PROBS)):
        assert float(loss) == approx(LOSSES.mean())
    assert float(sparse()(LABELS, LOGITS)) > 2 * LOSSES.mean()


@says(
    "backend The library that computes for Keras, such as TensorFlow, JAX or PyTorch. It is chosen"
    " before Keras is imported, for example by the variable `KERAS_BACKEND`, which is not read"
    " again.",
)
def the_backend_is_chosen_before_the_import() -> None:
    chosen = keras().backend.backend()
    assert type(keras().ops.ones(1)).__module__.startswith(chosen)
    for other in {"tensorflow", "jax", "torch"} - {chosen}:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KERAS_BACKEND", other)
            assert keras().backend.backend() == chosen
            first_import = runpy.run_path(keras().src.backend.config.__file__)
        assert first_import["backend"]() == other


@says(
    "eager execution Each operation runs at once, as Python reaches it. The opposite is to trace a"
    " function into a graph, as `fit` and `tf.function` do, and then to run the graph.",
)
def a_graph_is_traced_once() -> None:
    tf, layers = tensorflow(), keras().layers
    calls: list[Any] = []

    def noted(x: Any) -> Any:
        calls.append(x)
        return 2 * x

    def count(run: Callable[[Any], Any], times: int = 1) -> int:
        before = len(calls)
        for _ in range(times):
            run(tf.ones((8, 1)))
        return len(calls) - before

    assert [count(noted, 3), count(tf.function(noted), 3)] == [3, 1]
    model = keras().Sequential([keras().Input((1,)), layers.Dense(1), layers.Lambda(noted)])
    for eagerly, fewest, most in ((True, 4, 4), (False, 1, 2)):
        model.compile("sgd", "mse", run_eagerly=eagerly)
        steps = count(lambda x: model.fit(x, x, batch_size=2, verbose=0))
        assert fewest <= steps <= most


@says(
    "XLA The compiler behind `jit_compile=True` in TensorFlow and Keras. Compiled code drops some"
    " checks, such as that of labels.",
)
def compiled_code_does_not_check_labels() -> None:
    tf = tensorflow()

    def loss(z: Any) -> Any:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=[7], logits=z)

    z = tf.constant([[2.0, 1.0, 0.0]])
    with pytest.raises(tf.errors.InvalidArgumentError, match="valid range"):
        loss(z)
    compiled = tf.function(loss, jit_compile=True)
    assert "HloModule" in compiled.experimental_get_compiler_ir(z)(stage="hlo")  # of XLA
    assert np.isnan(compiled(z))
    model = keras().Sequential([keras().Input((3,)), keras().layers.Dense(3)])
    for jit in (False, True):
        model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=jit)
        if jit:
            assert not np.isfinite(model.test_on_batch(z, np.array([7])))
        else:
            with pytest.raises(tf.errors.InvalidArgumentError, match="valid range"):
                model.test_on_batch(z, np.array([7]))


NUMBERS: dict[str, Number] = {
    "bfloat16 A floating-point format of 16 bits": Computed(
        lambda: torch.finfo(torch.bfloat16).bits
    ),
    "a probability of 80%, 80% happen": Given("an example"),
    "base 10, about 3.32 bits": Computed(lambda: (10, math.log2(10))),
    "PyTorch ignores −100 unless": Computed(lambda: torch.nn.CrossEntropyLoss().ignore_index),
    "products of matrices run in 16 bits": Computed(lambda: torch.finfo(torch.float16).bits),
    "Computing in 16 bits where that is enough, and in 32 bits": Computed(
        lambda: (torch.finfo(torch.bfloat16).bits, torch.finfo(torch.float32).bits)
    ),
    r"One nat is $1 / \log 2 \approx 1.4427$ bits.": Computed(lambda: 1 / math.log(2)),
}

UNTESTED = {
    "It is also called a ban.": "a name",
    "It is also called self-information or information content.": "names",
    "It is also called efficiency.": "a name",
    "It is also called the logarithmic score {cite}`good1952`.": "a name",
}
