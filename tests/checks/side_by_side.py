"""The chapter that sets the libraries the same questions: its sentences against its tables."""

from __future__ import annotations

import re
from functools import cache
from typing import TypeAlias

import numpy as np
import sklearn.metrics
import torch
from torch.nn import functional as F

from tests.checks import Cited, says
from tests.pages import Json, find, read, texts

Row: TypeAlias = dict[str, str]  # what a row says of each library, with its marks

LIBRARIES = ["crossent", "torch", "Keras", "tf.nn", "optax", "scikit-learn", "SciPy"]
ERROR = re.compile(r"[A-Z]\w+Error")


def cells(name: str) -> list[Json]:
    """Return the cells of a notebook."""
    found: list[Json] = read(find(name))["cells"]
    return found


@cache
def tables() -> dict[str, dict[str, Row]]:
    """Return the tables of the page: by name, row and column."""
    found = {}
    for cell in cells("side_by_side"):
        for output in cell.get("outputs", []):
            text = "".join(output.get("data", {}).get("text/markdown", "")).replace("&nbsp;", " ")
            rows = [
                [word.strip("*") for word in row[2:-2].split(" | ")] for row in text.split("\n")
            ]
            if text:
                (name, *columns), _, *body = rows
                found[name] = {row[0]: dict(zip(columns, row[1:], strict=True)) for row in body}
    return found


def answers(name: str, row: str) -> Row:
    """Return what the libraries say, without those that are not asked."""
    columns = tables()[name][row]
    return {k: text for k, text in columns.items() if k in LIBRARIES and text != "–"}


def exact(name: str, row: str) -> str:
    return tables()[name][row]["exact"]


def everything() -> list[tuple[str, str]]:
    """Return every answer, after what is exact."""
    rows = [(name, row) for name, table in tables().items() for row in table]
    return [(exact(*each), text) for each in rows for text in answers(*each).values()]


def number(text: str) -> list[float]:
    """Return the numbers of an answer."""
    return [float(word) for word in re.sub("[≠†!]", "", text).replace("−", "-").split()]


def marked(name: str, row: str, mark: str = "≠") -> set[str]:
    """Return the libraries whose answer has a mark."""
    return {library for library, text in answers(name, row).items() if text.endswith(mark)}


def refusing(name: str, row: str) -> set[str]:
    """Return the libraries that raise an error."""
    return {library for library, text in answers(name, row).items() if ERROR.match(text)}


# --- How to read a table ---


@says(
    "**≠**: the number is not that value but comes without an error, so nothing would tell you."
    ' Where *exact* says "error", the input makes no sense, and any number is marked.',
    "†: a convention.",
    "A word is the type of the error that the library raises. A dash, or a column that is missing,"
    ' means that the library has no such loss or option; "!" means that a warning came with the'
    " answer. Where *exact* is empty, the row shows conventions, none of which is wrong.",
)
def the_marks_are_set_like_that() -> None:
    kinds = {"wrong": 0, "by design": 0, "error": 0, "warned": 0}
    for truth, text in everything():
        kinds["warned"] += "!" in text
        kinds["by design"] += text.endswith("†")
        if ERROR.match(text):
            kinds["error"] += 1
            assert ERROR.fullmatch(text)
        elif truth in {"", "error"}:
            assert text.endswith(("≠", "†")) == (truth == "error")
        else:
            pair = number(text), number(truth)
            equal = len(pair[0]) == len(pair[1]) and np.allclose(*pair, 0.05, 0, equal_nan=True)
            assert equal != text.endswith(("≠", "†"))
            kinds["wrong"] += text.endswith("≠")
    assert all(kinds.values())


# --- Mean, sum or nothing ---


@says(
    "On sane input, the libraries behave like one library. The exception is scikit-learn, whose"
    " `log_loss` refuses soft targets: it is a metric for labels.",
    "On sane input, the mean losses of all libraries agree to the precision of their dtype.",
)
def on_sane_input_the_libraries_agree() -> None:
    for row in tables()["Mean loss"]:
        assert marked("Mean loss", row) == marked("Mean loss", row, "†") == set()
        soft = "probabilities, soft" in row
        assert refusing("Mean loss", row) == ({"scikit-learn"} if soft else set())
        assert set(answers("Mean loss", row).values()) <= {exact("Mean loss", row), "ValueError"}


@says(
    "The default is the mean in four of the seven. The others leave the mean to you: the softmax"
    " losses of tf.nn and optax return one value per row, and so do Keras' functions in lower case;"
    " their sigmoid losses return one per entry."
)
def the_default_is_mostly_the_mean() -> None:
    asked = answers("Reduction", "not asked for")
    means = {library for library, text in asked.items() if text == exact("Reduction", "mean")}
    assert means == {"crossent", "torch", "Keras", "scikit-learn"}
    assert len(asked) == 7
    per_row = exact("Reduction", "none")
    assert {asked["tf.nn"], asked["optax"], asked["SciPy"]} == {per_row}
    assert answers("Reduction", "not asked for, Keras' function") == {"Keras": per_row}
    assert len(number(per_row)) == 4
    several = answers("Reduction", "several, none")
    assert len(number(several["tf.nn"])) == len(number(several["optax"])) == 6


@says(
    "The second half of the table has three yes-or-no questions per row.",
    "A binary loss in Keras is averaged over the last axis *before* any reduction: `none` has one"
    " number per row, and `sum` is the torch sum divided by the number of questions, here 3.",
)
def keras_averages_the_questions() -> None:
    none, total = answers("Reduction", "several, none"), answers("Reduction", "several, sum")
    rows = np.reshape(number(none["torch"]), (2, 3))
    assert np.allclose(number(none["Keras"]), rows.mean(axis=1), atol=1e-4)
    second_half = [row for row in tables()["Reduction"] if row.startswith("several")]
    assert list(tables()["Reduction"])[-3:] == second_half
    assert np.isclose(number(total["Keras"])[0], number(total["torch"])[0] / 3, atol=1e-4)


# --- Weights and smoothing ---


@says(
    "torch divides by the sum of the weights for integer labels, and by the number of rows or"
    " entries for everything else; scikit-learn's mean is the weighted one (its reference leaves"
    " the divisor open); Keras divides by the number of rows unless you ask for"
    " `mean_with_sample_weight`. The ratio of the two means is the mean weight of the batch, here"
    " 14/4, and in the weighted mean a batch of one loses its weight altogether.",
    "Weighted means divide by $N$ (Keras, `crossent`'s `mean`, torch with one-hot targets) or by Σw"
    " (torch with integer labels, scikit-learn, `weighted_mean`).",
)
def what_the_weighted_means_divide_by() -> None:
    name, labels = "Weights", "class weights, integer labels, "
    over_n, over_weights = exact(name, labels + "mean"), exact(name, labels + "weighted mean")
    assert np.isclose(float(over_n) / float(over_weights), 14 / 4, rtol=1e-3)
    mean = answers(name, labels + "mean")
    assert mean["Keras"] == mean["crossent"] == over_n
    assert {mean["torch"], mean["scikit-learn"]} == {f"{over_weights} †"}
    asked_for = answers(name, labels + "weighted mean")
    assert set(asked_for.values()) == {over_weights}
    one_hot = answers(name, "class weights, one-hot, mean")
    assert one_hot["torch"] == one_hot["Keras"] == one_hot["crossent"] == over_n
    assert one_hot["scikit-learn"] == f"{over_weights} †"
    entries = "sample weights, yes or no, mean"
    assert answers(name, entries)["torch"] == exact(name, entries)
    assert marked(name, entries, "†") == {"scikit-learn"}
    alone = answers(name, "a batch of one, weight 10, mean")
    assert alone["torch"] == alone["scikit-learn"] == "0.0360 †"
    assert np.isclose(float(alone["Keras"]), 10 * 0.0360, rtol=1e-3)  # 0.0360 is its loss
    told = " ".join((sklearn.metrics.log_loss.__doc__ or "").split())
    assert "sample_weight : array-like of shape (n_samples,), default=None Sample weights." in told


@says(
    "`binary_cross_entropy_with_logits` with `pos_weight`. This is the last row; it is not softmax"
    " with class weights."
)
def pos_weight_is_the_last_row() -> None:
    assert list(tables()["Weights"])[-1] == "`pos_weight` 3, mean"
    row = answers("Weights", "`pos_weight` 3, mean")
    assert row["torch"] == row["tf.nn"] == exact("Weights", "`pos_weight` 3, mean")


@says(
    "All four mix the target with the uniform distribution over all $K$ classes, the label among"
    " them. optax has a function for it, `smooth_labels`, which takes one-hot rows. Keras has no"
    " smoothing for integer labels (the `TypeError`: no such option), so make them one-hot. With"
    " class weights, torch's two means differ again, because the divisor is still the one without"
    " smoothing. A wrong ε passes where you would not expect it: Keras and optax extrapolate, and"
    " torch silently takes a negative one for 0."
)
def how_they_smooth() -> None:
    name = "Smoothing"
    assert set(answers(name, "ε = 0.1, one-hot")) == {"crossent", "torch", "Keras", "optax"}
    for row in ("ε = 0.1, one-hot", "ε = 0.1, soft targets"):
        assert set(answers(name, row).values()) == {exact(name, row)}
    integers = answers(name, "ε = 0.1, integer labels")
    assert integers["Keras"] == "TypeError"
    assert integers["torch"] == answers(name, "ε = 0.1, one-hot")["Keras"] == "0.5105"
    labels, one_hot = (
        answers(name, f"ε = 0.1, class weights, {kind}, mean")["torch"]
        for kind in ("integer labels", "one-hot")
    )
    assert np.isclose(number(one_hot)[0] / number(labels)[0], 14 / 4, rtol=1e-3)
    assert marked(name, "ε = 1.5") == {"Keras", "optax"}
    assert marked(name, "ε = −0.1") == {"torch", "Keras", "optax"}
    unsmoothed = exact("Mean loss", "logits, one-hot")
    assert answers(name, "ε = −0.1")["torch"] == f"{unsmoothed} ≠"
    half = float(exact(name, "ε = 0.1, one-hot")) - float(unsmoothed)  # linear in ε
    for epsilon, row in [(1.5, "ε = 1.5"), (-0.1, "ε = −0.1")]:
        line = float(unsmoothed) + half * epsilon / 0.1
        for library in ("Keras", "optax"):
            assert np.isclose(number(answers(name, row)[library])[0], line, atol=2e-3)


# --- Labels ---


@says(
    "All three divide by the number of labels that are left. They differ when none is left: torch"
    " returns `nan`, which poisons a running mean, `crossent` returns the same with a warning, and"
    " Keras returns 0.0, which flatters the mean.",
    "tf.nn, optax, scikit-learn and SciPy have no such option",
)
def what_they_do_with_ignored_labels() -> None:
    name = "Ignored labels"
    for row in tables()[name]:
        assert set(answers(name, row)) == {"crossent", "torch", "Keras"}
        if row != "every label, mean":
            assert set(answers(name, row).values()) == {exact(name, row)}
    none_left = {"crossent": "nan !", "torch": "nan", "Keras": "0 ≠"}
    assert answers(name, "every label, mean") == none_left
    assert np.isnan(np.mean([0.5, np.nan])), "a nan poisons a mean"
    assert np.mean([0.5, 0]) < 0.5


@says(
    "On a CPU, a label of $K$ or more stops every eager library here except optax, whose loss"
    " becomes `nan`. It does not stop XLA, where the loss becomes `nan`, too, nor the `one_hot` of"
    " TensorFlow and JAX, where the label becomes a row of zeros that costs nothing.",
    "−100 is a value like any other except in torch, and in Keras on torch, where it means"
    ' "ignore" by default.',
    "−1 picks the *last* class in optax, as it does in plain NumPy indexing. Keras"
    " truncates 0.9 to class 0 and takes truth values for classes 0 and 1, and"
    " scikit-learn does the latter, too.",
)
def what_they_do_with_labels_that_do_not_fit() -> None:
    name = "Labels that do not fit"
    assert refusing(name, "label 3 of 3 classes") == set(LIBRARIES) - {"optax"}
    assert answers(name, "label 3 of 3 classes")["optax"] == "nan ≠"
    compiled = answers(name, "the same, compiled by XLA")
    assert compiled == {"tf.nn": "nan ≠", "optax": "nan ≠"}
    in_keras_on_torch = "".join(text for cell in cells("tensorflow") for text in texts(cell))
    assert "label -100, not asked for  0.1534" in in_keras_on_torch
    assert round((0.4076 + 0.1698 + 0.0360) / 4, 3) == round(0.1534, 3)  # the fourth costs 0
    sums = [0.4076, 0.1698, 0.8620]  # of the rows that are left
    zero_rows = answers(name, "the same, through `one_hot`")
    for library in ("tf.nn", "optax"):
        assert np.isclose(number(zero_rows[library])[0], sum(sums) / 4, atol=1e-4)
    assert set(LIBRARIES) - refusing(name, "label −100") == {"torch", "optax"}
    assert answers(name, "label −100")["optax"] == "nan ≠"  # as of any label out of range
    (three,) = number(answers(name, "label −100")["torch"])
    assert np.isclose(three, sum(sums) / 3, atol=1e-4)
    assert set(LIBRARIES) - refusing(name, "label −1") == {"optax", "SciPy"}
    right = exact("Mean loss", "logits, integer labels")
    for library in ("optax", "SciPy"):
        assert answers(name, "label −1")[library] == f"{right} ≠"  # in place of 2
    assert set(LIBRARIES) - refusing(name, "label 0.9") == {"Keras"}
    assert answers(name, "label 0.9")["Keras"] == f"{right} ≠"  # in place of 0
    truths = answers(name, "labels True and False, 3 classes")
    assert marked(name, "labels True and False, 3 classes") == {"Keras", "scikit-learn"}
    as_integers = F.cross_entropy(
        torch.tensor([[2.0, 1, 0], [0, 3, 1], [1, 1, 5], [1, 1, 0]]), torch.tensor([1, 0, 1, 0])
    )
    for library in ("Keras", "scikit-learn"):
        assert np.isclose(number(truths[library])[0], as_integers.item(), atol=1e-4)


@says(
    "The last row has labels of shape (N, 1) where one-hot rows belong. tf.nn, optax and NumPy"
    " broadcast them, so a sample of class 2 counts each of the three classes twice, and a"
    " sample of class 0 costs nothing."
)
def a_column_of_labels_is_broadcast() -> None:
    name = "Labels that do not fit"
    row = list(tables()[name])[-1]
    assert row == "a column of labels to the dense loss"
    assert marked(name, row) == {"tf.nn", "optax", "SciPy"}
    z = torch.tensor([[2.0, 1, 0], [0, 3, 1], [1, 1, 5], [1, 1, 0]])
    losses = -torch.log_softmax(z, dim=1) * torch.tensor([[0], [1], [2], [0]])
    for library in ("tf.nn", "optax", "SciPy"):
        (value,) = number(answers(name, row)[library])
        assert np.isclose(value, losses.sum(dim=1).mean().item(), atol=1e-4)


@says(
    "torch is the strictest about dtypes: labels are int64 or uint8; one-hot rows and yes-or-no"
    " targets are floats. Keras takes any dtype, and accepts a column as a vector.",
    "The last row shows why such shapes are better refused: optax and plain NumPy broadcast (N,)"
    " against (N, 1) to all $N^2$ pairs and average over them.",
    "torch is strict about dtypes, Keras about few things",
)
def which_forms_they_take() -> None:
    name, rows = "Right labels, other forms", tables()["Right labels, other forms"]
    refused = {k: [row for row in rows if k in refusing(name, row)] for k in LIBRARIES}
    dtypes = ["int32", "0.0, 1.0, 2.0", "one-hot of integers", "yes or no, integers"]
    assert refused["torch"] == [*dtypes[:2], "of shape (N, 1)", *dtypes[2:], list(rows)[-1]]
    assert answers(name, "uint8")["torch"] == exact(name, "uint8")
    for library in LIBRARIES:
        others = set(refused[library]) & set(dtypes)
        assert len(others) < 4 or library == "torch"
    assert refused["Keras"] == ["one-hot to the sparse loss"]
    assert answers(name, "of shape (N, 1)")["Keras"] == exact(name, "of shape (N, 1)")
    last = list(rows)[-1]
    assert last == "yes or no, (N,) for logits (N, 1)"
    assert refusing(name, last) == {"crossent", "torch", "tf.nn"}
    assert marked(name, last) == {"optax", "SciPy"}
    z, y = np.array([2.0, -1, 0.5, -3]), np.array([1, 0, 0, 1])
    pairs = np.logaddexp(0, z)[:, None] - y * z[:, None]
    assert pairs.shape == (4, 4)
    for library in ("optax", "SciPy"):
        assert np.isclose(number(answers(name, last)[library])[0], pairs.mean(), atol=1e-4)


# --- What is no distribution ---


@says(
    "Looking at every value takes time. `crossent` takes that time, scikit-learn looks at the"
    " probabilities, and the others mostly compute with what they get. Doubled targets double the"
    " loss, a row of zeros is free, and a target outside $[0, 1]$ can make the loss negative.",
    "Given probabilities that do not sum to 1, Keras silently divides by the sum; scikit-learn"
    " warns and goes on; torch just goes on. torch's `BCELoss` refuses the target 2; its loss of"
    " logits does not.",
    "Senseless input raises an error in some libraries and becomes a number in others.",
)
def what_they_do_with_what_is_no_distribution() -> None:
    name = "Not distributions"
    senseless = [row for row in tables()[name] if exact(name, row) == "error"]
    refused = {k: sum(k in refusing(name, row) for row in senseless) for k in LIBRARIES}
    asked = {k: sum(k in answers(name, row) for row in senseless) for k in LIBRARIES}
    assert refused["crossent"] == asked["crossent"] == len(senseless)
    assert refused["torch"] == 1
    assert [refused[k] for k in ("Keras", "tf.nn", "optax", "SciPy")] == [0] * 4
    assert 0 < refused["scikit-learn"] < asked["scikit-learn"]
    (double,) = {answers(name, "soft targets × 2")[k] for k in OTHERS}
    once = float(exact("Mean loss", "logits, soft targets"))
    assert np.isclose(number(double)[0], 2 * once, atol=2e-4)
    left = (0.4076 + 0.1698 + 0.8620) / 4
    assert np.isclose(number(answers(name, "a target row of zeros")["torch"])[0], left, atol=1e-4)
    assert number(answers(name, "yes-or-no target 2")["torch"])[0] < 0
    half = answers(name, "rows of probabilities sum to ½")
    right = exact("Mean loss", "probabilities, integer labels")
    assert half["Keras"] == f"{right} ≠"
    assert np.isclose(number(half["torch"])[0], float(right) + np.log(2), atol=1e-4)
    assert half["scikit-learn"] == half["torch"].replace(" ≠", " ! ≠")
    assert "torch" in refusing(name, "yes-or-no target 2, probability")
    assert "torch" in marked(name, "yes-or-no target 2")


@says(
    "scikit-learn reads 2 and −1 as *names* of classes, sorts them, and scores against those.",
)
def scikit_learn_reads_names() -> None:
    p = 1 / (1 + np.exp([-2.0, 1]))
    for target, row in [(2, "yes-or-no target 2"), (-1, "yes-or-no target −1")]:
        later = [target > 0, target < 0]  # which of the two names is the later one
        losses = np.where(later, -np.log(p), -np.log(1 - p))
        (value,) = number(answers("Not distributions", row)["scikit-learn"])
        assert np.isclose(value, losses.mean(), atol=1e-4)
        assert marked("Not distributions", row, "†") == {"scikit-learn"}


@says(
    "**Logits where probabilities belong** give 0.7945 in Keras with integer labels and another"
    " number with one-hot ones, because the first clips each number to at most 1, and the second"
    " divides by the sum of the row.",
    "The reverse, **probabilities where logits belong**, cannot be refused by anyone: every row of"
    " numbers is a valid row of logits. Check it yourself: a loss of logits does not change if you"
    " add 5 to a row.",
)
def logits_and_probabilities_in_each_others_place() -> None:
    name = "Not distributions"
    z = np.array([[2.0, 1, 0], [0, 3, 1], [1, 1, 5], [1, 1, 0]])
    labels = np.array([0, 1, 2, 0])
    clipped = z.clip(1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    divided = z / z.sum(axis=1, keepdims=True)
    for kind, shares in [("integer labels", clipped), ("one-hot", divided)]:
        (value,) = number(answers(name, f"logits for probabilities, {kind}")["Keras"])
        assert np.isclose(value, -np.log(shares[range(4), labels]).mean(), atol=1e-4)
    assert answers(name, "logits for probabilities, integer labels")["Keras"] == "0.7945 ≠"
    reverse = answers(name, "probabilities for logits")
    assert set(reverse.values()) == {"0.7616 ≠"}
    assert set(reverse) == set(LIBRARIES) - {"scikit-learn"}  # which takes no logits
    targets = torch.tensor(labels)
    rows = torch.tensor(z)
    moved = F.cross_entropy(rows + 5, targets)
    assert torch.isclose(moved, F.cross_entropy(rows, targets))
    log_p = rows.log_softmax(dim=1)
    moved = F.nll_loss((log_p.exp() + 5).log(), targets)  # of probabilities
    assert not torch.isclose(moved, F.nll_loss(log_p, targets))


# --- Probability 0, and extreme logits ---


@says(
    "Keras clips the probability at $10^{-7}$ in every dtype (its reference does not say so),"
    " scikit-learn at the machine epsilon of the dtype it is given, and torch's binary loss clips"
    " the logarithm at −100; its `nll_loss` does not clip.",
    "Each finite number comes from some library's clip.",
    "The model calls an outcome impossible, and then it happens. The true loss is infinite:",
    "Losses of probabilities mostly clip: Keras at $10^{-7}$, scikit-learn at the epsilon of the"
    " dtype, torch's `BCELoss` at a loss of 100.",
)
def whose_clip_it_is() -> None:
    name = "Probability 0"
    for row in tables()[name]:
        assert exact(name, row) == "inf"
        clips = answers(name, row)
        dtype = np.dtype(row.rsplit(", ", 1)[1])
        top = np.float32(1) - np.float32(1 - 1e-7) if row.startswith("p = 1") else 1e-7
        assert np.isclose(number(clips["Keras"])[0], -np.log(top), atol=1e-4)
        epsilon = float(np.finfo(dtype).eps)
        assert np.isclose(number(clips["scikit-learn"])[0], -np.log(epsilon), rtol=5e-4)
        binary = row.startswith("p =")
        assert clips["torch"] == ("100 †" if binary else "inf")
        assert clips["crossent"] == "inf"
        assert clips.get("SciPy", "inf") == "inf"
    assert {row.rsplit(", ", 1)[1] for row in tables()[name]} == {"float64", "float32", "float16"}


EXTREME = "Extreme logits"
OTHERS = ("torch", "Keras", "tf.nn", "optax", "SciPy")


@says(
    "**A huge loss is right everywhere**, as long as you pass logits.",
    "**A tiny loss vanishes**: where softmax is nearly certain, log-sum-exp rounds to the largest"
    " logit, and five of six libraries return exactly 0. The binary losses keep it, because they"
    " use `log1p`.",
    "**A large offset hides differences in Keras**, which rounds float64 logits to float32, where"
    " $10^9 + 3$ and $10^9$ are the same number. In float32, optax with integer labels is off at"
    " $10^6$ already, because it takes the difference of two large numbers.",
)
def huge_and_tiny_losses() -> None:
    others = set(OTHERS)
    huge = "(10⁴, −10⁴), class 1"
    assert set(answers(EXTREME, huge).values()) == {exact(EXTREME, huge)} == {"20000"}
    for row, dtype in [
        ("(20, 0), class 0, float32", np.float32),
        ("(40, 0), class 0, float64", np.float64),
    ]:
        tiny = answers(EXTREME, row)
        assert marked(EXTREME, row) == others
        assert {tiny[library] for library in others} == {"0 ≠"}
        assert len(tiny) == 6
        lead = np.array([float(row[1:3]), 0], dtype)
        assert np.log(np.exp(lead - lead[0]).sum()) == 0  # what log-sum-exp adds to it
        assert np.log1p(np.exp(lead[1] - lead[0])) > 0
    assert marked(EXTREME, "logit 20, yes, float32") == set()
    offset = "(3, 0) + 10⁹, class 0, float64"
    assert marked(EXTREME, offset, "†") == {"Keras"}
    assert marked(EXTREME, offset) == set()
    assert np.float32(1e9 + 3) == np.float32(1e9)
    assert number(answers(EXTREME, offset)["Keras"])[0] == round(np.log(2), 4)
    (off,) = number(answers(EXTREME, "(3, 0) + 10⁶, class 0, float32")["optax"])
    assert marked(EXTREME, "(3, 0) + 10⁶, class 0, float32") == {"optax"}
    top = np.float32(1e6 + 3)
    assert off == round(float(np.float32(top + np.log1p(np.exp(-3))) - top), 4)


@says(
    "**A class masked with −∞** costs nothing with integer labels. With one-hot targets,"
    r" $0 \cdot \infty$ is `nan` in five libraries. Use integer labels, or mask *after* a cast to"
    " float32 with the lowest finite number, in torch `torch.finfo(z.dtype).min`.",
    r"**A logit of +∞ mostly gives `nan`**, from $\infty - \infty$. The limit exists, 0 or ∞, and"
    " `crossent` returns it.",
    "The frameworks' softmax losses lose what is below the rounding of log-sum-exp, and return"
    " `nan` for many infinities.",
)
def infinite_logits() -> None:
    others = set(OTHERS)
    rows = tables()[EXTREME]
    assert set(answers(EXTREME, "(0, 1, −∞), class 0").values()) == {"1.3133"}
    assert marked(EXTREME, "(0, 1, −∞), one-hot 0") == others
    assert np.isnan(0 * np.inf)
    assert np.isnan(np.inf - np.inf)
    cured = "the same, −3.4·10³⁸, float32"
    assert set(answers(EXTREME, cured).values()) == {exact(EXTREME, cured)} == {"1.3133"}
    assert torch.finfo(torch.float32).min == float(np.finfo(np.float32).min) < -3.4e38
    plus = [row for row in rows if row.startswith(("(∞", "logit ∞"))]
    assert len(plus) == 3
    wrong = [text for row in plus for k, text in answers(EXTREME, row).items() if k in others]
    nans = sum(text.startswith("nan") for text in wrong)
    assert len(wrong) / 2 < nans < len(wrong)
    assert {answers(EXTREME, row)["crossent"] for row in plus} == {"0", "inf"}
    softmax = [row for row in rows if row.startswith("(") and "∞" in row]
    for library in others - {"SciPy"}:
        lost = sum(answers(EXTREME, row)[library].startswith("nan") for row in softmax)
        assert len(softmax) / 2 <= lost < len(softmax)


@says(
    "What the loss loses, its gradient loses, too",
    "The other class still gets its push, but the true class gets none: the two no longer cancel,"
    " and the mean logit drifts.",
)
def the_gradient_of_a_tiny_loss() -> None:
    name, row = "Gradient, both classes", "(20, 0), class 0, float32"
    truth = number(exact(name, row))
    assert truth[0] == -truth[1] < 0
    for library in ("torch", "Keras", "tf.nn", "optax"):
        slopes = number(answers(name, row)[library])
        assert slopes == [0, truth[1]]
        assert sum(slopes) > 0  # so that a step lowers the mean
    assert number(answers(name, row)["crossent"]) == truth


# --- Sequences, divergences, focal losses ---


@says(
    "torch expects the classes at axis 1; Keras and tf.nn expect them last for integer labels (for"
    " one-hot ones, `axis=1` works in both); optax takes `axis=1` for either. If the"
    " number of tokens happens to equal the number of classes, torch cannot notice:"
    " it returns a wrong number without an error.",
)
def where_the_class_axis_is() -> None:
    name = "Sequences"
    both = {"Keras", "tf.nn"}
    assert refusing(name, "(N, C, L), integer labels") == both
    assert refusing(name, "(N, L, C), integer labels") == {"torch"}
    for row in ("(N, C, L), one-hot", "(N, C, L), integer labels", "(N, L, C), integer labels"):
        rest = [text for text in answers(name, row).values() if not ERROR.match(text)]
        assert set(rest) == {exact(name, row)}
    assert both <= set(answers(name, "(N, C, L), one-hot"))
    assert marked(name, "(N, L, C) with L = C", "†") == {"torch"}
    assert not refusing(name, "(N, L, C) with L = C")


@says(
    "The table is for $p = (0.5, 0.25, 0.25)$ and $q = (0.7, 0.2, 0.1)$. The exact values are"
    " computed with `mpmath` from the definitions.",
    "No, it is the KL divergence. The `kl_div` of torch and the `kl_divergence` of optax take the"
    " *log*-probabilities of $q$ first, then $p$; torch's `mean` divides by the number of classes"
    " as well (it warns): use `batchmean`. Keras clips $p$ and $q$ at $10^{-7}$. SciPy's"
    " `jensenshannon` is the square root of the divergence. SciPy and torch turn counts into"
    " frequencies; `crossent` asks you to do so.",
)
def which_argument_is_which() -> None:
    name = "Divergences"
    p, q, sure = np.array([0.5, 0.25, 0.25]), np.array([0.7, 0.2, 0.1]), np.array([1.0, 0, 0])
    assert answers(name, "H(p, q)")["SciPy"] == f"{exact(name, 'KL(p, q)')} †"
    tensors = torch.tensor(p), torch.tensor(q)
    kl = float((p * np.log(p / q)).sum())
    middle = (p + q) / 2
    js_nats = (p * np.log(p / middle) + q * np.log(q / middle)).sum() / 2
    own = {"H(p)": -(p * np.log(p)).sum(), "H(p, q)": -(p * np.log(q)).sum(), "KL(p, q)": kl}
    for row, value in (own | {"JS(p, q)": js_nats}).items():
        assert float(exact(name, row)) == round(float(value), 4)
    assert np.isclose(F.kl_div(tensors[1].log(), tensors[0], reduction="sum").item(), kl)
    by_rows = F.kl_div(tensors[1].log()[None], tensors[0][None], reduction="batchmean")
    assert np.isclose(by_rows.item(), kl)
    swapped = answers(name, "KL(p, q), `kl_div` of p and q as they stand")["torch"]
    assert swapped.endswith("†")
    mean = answers(name, "KL(p, q), torch's `mean`")["torch"]
    assert "!" in mean
    assert np.isclose(number(mean)[0], kl / 3, atol=1e-4)
    clipped = sure.clip(1e-7, 1)
    (value,) = number(answers(name, "KL(p, q) where q = 0 < p")["Keras"])
    assert np.isclose(value, (p * np.log(p / clipped)).sum(), atol=1e-3)
    js = answers(name, "JS(p, q)")
    assert np.isclose(number(js["SciPy"])[0] ** 2, float(exact(name, "JS(p, q)")), rtol=5e-3)
    counts = answers(name, "H of the counts (2, 1, 1)")
    assert counts["SciPy"] == counts["torch"] == f"{exact(name, 'H(p)')} †"
    assert ERROR.match(counts["crossent"])


@says(
    "By its formula, yes: the focusing factor $(1 - p)^0$ is 1.",
    "The binary loss is. Keras' categorical one is a quarter of it: its `alpha` defaults to 0.25"
    " and multiplies *every* class.",
    "Because it needs `apply_class_balancing=True`.",
)
def focal_losses_without_focus() -> None:
    name, plain = "Focal loss", "softmax, γ = 0, against cross-entropy"
    assert all((1 - p) ** 0 == 1 for p in (0.0, 0.3, 1.0))
    binary = "yes or no, γ = 0, against cross-entropy"
    assert set(answers(name, binary).values()) == {exact(name, binary)}
    assert exact(name, binary) == exact("Mean loss", "logits, yes or no")
    (quarter,) = number(answers(name, plain)["Keras"])
    assert np.isclose(quarter, 0.25 * float(exact(name, plain)), atol=1e-4)
    assert answers(name, "the same with `alpha=1`")["Keras"] == exact(name, plain)
    waits = "yes or no, γ = 2, `alpha=0.25`"
    without = answers(name, "yes or no, γ = 2")["Keras"]
    assert answers(name, waits)["Keras"] == f"{without} †"
    balanced = answers(name, "the same with `apply_class_balancing`")["Keras"]
    assert balanced == exact(name, waits) != without


@says("This chapter asks seven libraries the same questions, hundreds of them, and marks")
def it_asks_seven_libraries_hundreds_of_questions() -> None:
    columns = {k for table in tables().values() for row in table.values() for k in row}
    assert columns == {"exact", *LIBRARIES}
    assert len(LIBRARIES) == 7
    assert 200 < len(everything()) < 1000


NUMBERS = {
    "This report of 2020": Cited(
        "https://github.com/scikit-learn/scikit-learn/issues/18665", "opened in the autumn of 2020"
    ),
}

UNTESTED = {
    'and torch stops with "device-side assert triggered".': "needs a GPU",
    "Behavior changes from one release to the next, and answers on the web seldom say which"
    " release they are about.": "history, and what people write",
}
