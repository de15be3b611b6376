"""The chapter on pitfalls: its hidden cells check most of it, each beside the run it is about."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from tests import guards
from tests.checks import Cited, H, distributions, same, says, soft, source
from tests.pages import Section, equations, find, page, texts

if TYPE_CHECKING:
    from tests.checks import Number, Row


@given(st.integers(2, 20), distributions(5), st.integers(1, 20))
def eq_telltales(C: int, p: Row, digits: int) -> None:
    r"""\begin{aligned}
    &\log C &\;& \text{nothing learned} \\
    &\log(e + C - 1) - 1 &\;& \text{softmax twice} \\
    &-\log \delta &\;& \text{sure and wrong}
    \end{aligned}
    """
    certain = [mpf(1), *[mpf(0)] * (C - 1)]
    same(H(certain, soft([mpf(3)] * C)), mp.log(C))  # equal logits
    same(H(certain, soft(certain)), mp.log(mp.e + C - 1) - 1)
    others = [*p, *[mpf(0)] * C]  # no forecast costs less behind another softmax
    floor = mp.log(mp.e + len(others) - 1) - 1
    assert H([mpf(1), *[mpf(0)] * (len(others) - 1)], soft(others)) >= floor - mpf(10) ** -50
    delta = mpf(10) ** -digits
    clipped = [max(delta, mpf(0)), min(1 - delta, mpf(1))]  # a forecast of 0 for what happens
    same(H([mpf(1), mpf(0)], clipped), -mp.log(delta))


def pitfalls() -> list[Section]:
    sections = page(find("pitfalls")).sections
    return [s for s in sections if s.label and s.level == 3 and s.label.startswith("pitfall-")]


@says(
    "Look up what you see in the {doc}`symptoms`, and read only that section here. Each section"
    " has the wrong run, the reason, the fix and the right run. Many of them use this batch:"
)
def a_pitfall_is_a_wrong_run_a_reason_a_fix_and_a_right_run() -> None:
    batch, using = {"logits", "labels", "z", "y", "onehot"}, 0
    for section in pitfalls():
        seen = [c for c in section.cells if "remove-cell" not in c["metadata"].get("tags", [])]
        _, wrong, why, right = seen  # the first is empty, or says what another library calls it
        assert [c["cell_type"] for c in (wrong, why, right)] == ["code", "markdown", "code"]
        assert why["source"].lstrip().startswith("**Why.**")
        assert "\n\n**Fix.** " in why["source"]
        code = ast.parse(f"{wrong['source']}\n{right['source']}")
        told = " ".join(" ".join(text.split()) for cell in seen for text in texts(cell))
        message = re.match(r"\w+(Error|Warning): (.+)", section.title.replace("`", ""))
        if message and "CUDA" not in section.title:
            assert message[2] in told.replace("`", ""), section.title
        using += bool(batch & {n.id for n in ast.walk(code) if isinstance(n, ast.Name)})
    assert using > len(pitfalls()) / 3


def code_of(name: str) -> str:
    cells = page(find(name)).top.all_cells()
    return "\n".join(cell["source"] for cell in cells)


@says(
    "After this chapter you can",
    "tell from a number, or from an error message, which mistake made it;",
    "run the mistake and its repair in a few lines, and see the right number;",
    "recognize advice that was once true and no longer is;",
    "examine any loss function with four probes.",
    "Here is a number: which pitfall? From ★ to ★★★. Try each before you open its solution.",
    "Which pitfall is it, and why 1.53?",
    "A colleague hands you a function `box(logits, labels)` that returns one number for a batch,"
    " and says that it is the mean cross-entropy.",
)
def what_the_chapter_sets_out_to_do() -> None:
    whole = page(find("pitfalls"))
    named = set(guards.links(find("symptoms").read_text("utf-8")))
    assert {section.label for section in pitfalls()} <= named  # numbers, words and messages
    for section in pitfalls():
        runs = [c["source"] for c in section.cells if c["cell_type"] == "code"]
        assert all(len(run.splitlines()) <= 20 for run in runs)
    dated = [section for section in pitfalls() if "*Dated:*" in section.prose]
    assert len(dated) > 5
    (probes,) = (section for section in whole.sections if section.label == "pitfall-probes")
    assert re.findall(r"^(\d)\. \*", probes.prose, re.MULTILINE) == ["1", "2", "3", "4"]
    (last,) = (section for section in whole.sections if section.title == "Exercises")
    exercises = re.findall(r"^```\{exercise\} .+ (★+)$", last.prose, re.MULTILINE)
    assert exercises == ["★", "★★", "★★★"]
    sources = [c["source"] for c in last.cells]
    assert sum("{solution-start}" in text for text in sources) == len(exercises)
    assert any("def examine_weights(box)" in text for text in sources)


@says(
    "Before you blame the loss, make two more checks: can the model learn ten samples by heart"
    " {cite}`karpathy2019`, and do the labels still belong to the rows after shuffling?",
    "{doc}`binary`, {doc}`categorical` and {doc}`weights` derive what this chapter only repairs;"
    " {doc}`pytorch` and {doc}`tensorflow` build training loops that avoid these mistakes, and"
    " {doc}`training` reads their curves; {doc}`side_by_side` puts every library on one batch."
    " {cite:t}`karpathy2019` describes a way of training in which mistakes show early. The"
    " libraries themselves are described in {cite:t}`paszke2019`, {cite:t}`abadi2016`,"
    " {cite:t}`pedregosa2011` and {cite:t}`virtanen2020`.",
)
def what_others_tell() -> None:
    assert "A Recipe for Training" in source("karpathy2019")
    papers = {"paszke2019": "PyTorch", "abadi2016": "TensorFlow", "virtanen2020": "SciPy"}
    for key, library in (papers | {"pedregosa2011": "Scikit-learn"}).items():
        assert library in source(key)
    for name in ("binary", "categorical", "weights"):
        assert any(map(equations, page(find(name)).sections))
    assert ".backward()" in code_of("pytorch")
    assert "GradientTape" in code_of("tensorflow")
    assert "shuffled" in code_of("training")
    code = code_of("side_by_side")
    for library in ("torch", "tensorflow", "keras", "sklearn", "scipy", "crossent"):
        assert re.search(rf"^(import|from) {library}\b", code, re.MULTILINE)


SHOWN = {
    "{doc}`training` has more causes, such as steps that are too large and labels that belong to"
    " other rows.": "labels shuffled",
    "With TensorFlow: `Received a label value of 3 which is outside the valid range of [0, 3)`.": (
        "Received a label value of 3 which is outside the valid range of [0, 3)."
    ),
    "*A label out of range* is not checked by code compiled with XLA, … its loss is `nan`, and so"
    " is the mean": "loss nan, weights finite: False",
    "On a CPU the same batch says what is wrong:": "IndexError: index out of range in self",
    "For images: `only batches of spatial targets supported`.": (
        "RuntimeError: only batches of spatial targets supported"
    ),
    "A linear layer without `from_logits=True` does this, {ref}`pitfall-keras-clip`.": (
        "linear 4.7827"
    ),
    "Behind its own sigmoid or softmax layer, Keras on TensorFlow finds the logits": (
        "sigmoid 6.0000 softmax 6.0000"
    ),
    "A function such as `tf.nn.softmax` hides them, {ref}`pitfall-one-output`.": (
        "tf.nn.softmax 4.7827"
    ),
}

PYTORCH = "https://github.com/pytorch/pytorch"
TRANSFORMERS = "https://github.com/huggingface/transformers"
NUMBERS: dict[str, Number] = {
    "open since 2024": Cited(f"{PYTORCH}/issues/123339", "the date of the report"),
    "version 1.10 (2021)": Cited(f"{PYTORCH}/releases/tag/v1.10.0", "the date of the release"),
    "Keras 2 (until 2023)": Cited(
        "https://github.com/keras-team/keras/releases/tag/v3.0.0", "the date of Keras 3"
    ),
    "version 1.11 (2022)": Cited(f"{PYTORCH}/releases/tag/v1.11.0", "the date of the release"),
    "the repair of October 2024": Cited(f"{TRANSFORMERS}/pull/34191", "the date of the repair"),
    "[in 2025]": Cited(f"{TRANSFORMERS}/issues/37766", "the date of the report"),
    "[in 2026]": Cited(f"{TRANSFORMERS}/issues/47688", "the date of the report"),
    "version 0.4.1 (2018)": Cited(f"{PYTORCH}/releases/tag/v0.4.1", "the date of the release"),
    "in 2017, … saw 80% with it and 50% with": Cited(
        "https://stackoverflow.com/questions/42081257", "the question, and its date"
    ),
    "deprecated in 1.3 and removed in 1.5 (2024)": Cited(
        "https://scikit-learn.org/stable/whats_new/v1.5.html", "the pull request 28851 and the date"
    ),
}

UNTESTED = {
    "On a GPU the same mistake says {ref}`device-side assert <pitfall-device-assert>`.": (
        "the tests have no GPU"
    ),
    "A GPU cannot raise an error: its kernel stops, and Python hears of it at some later line."
    " What was printed above the traceback names the check: `t < n_classes` points to a"
    " label, `input_val <= one` or `target_val <= one` points to values of `BCELoss` outside [0, 1]"
    ' (or `nan`), and `srcIndex < srcSelectDimSize` or "index out of bounds" points to a token or'
    " position beyond an embedding. From then on everything on the GPU fails"
    f" ([pytorch#2300]({PYTORCH}/issues/2300)). (This book runs on CPUs: these lines are quoted"
    " from reports.)": "the tests have no GPU; the lines stand in PyTorch's kernels",
    "Hugging Face's trainer did this; the repair of October 2024 ([transformers#34191]"
    f"({TRANSFORMERS}/pull/34191)) reached the popular models first, and others were reported"
    f" [in 2025]({TRANSFORMERS}/issues/37766) and [in 2026]({TRANSFORMERS}/issues/47688).": (
        "history, told by the threads"
    ),
}
