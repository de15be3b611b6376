"""The first page: what cross-entropy is, what the figure shows, what the book promises."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from torch.nn import functional as F

import crossent
from tests.checks import Computed, H, Real, Row, distributions, logits, same, says, soft
from tests.drawing import drawn
from tests.guards import is_checked, links
from tests.pages import BOOK, ROOT, Json, Page, equations, find, page, pages, sentences

sys.path.append(str(Path(__file__).parents[2] / "book" / "_ext"))

from reading_time import WORDS_A_MINUTE

NUMBERS = {"200 words a minute": Computed(lambda: WORDS_A_MINUTE)}

# --- Cross-entropy ---


@says(
    "Cross-entropy is the mean surprise, in nats or bits, of a forecaster who believes $q$ while"
    " the world follows $p$.",
)
@given(st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any), distributions(4, least=1))
def eq_index_cross_entropy(days: list[int], q: Row) -> None:
    r"""H(p, q) = -\sum_{k=1}^{K} p_k \log q_k"""
    weather = [k for k, n in enumerate(days) for _ in range(n)]  # as the world has it
    p = [mpf(n) / len(weather) for n in days]
    for base in (2, mp.e):
        surprise = mp.fsum(-mp.log(q[k], base) for k in weather) / len(weather)
        terms = [p_k * mp.log(q_k, base) for p_k, q_k in zip(p, q, strict=True)]
        same(-mp.fsum(terms), surprise)
    target, belief = (torch.tensor([[float(x) for x in row]]).double() for row in (p, q))
    assert abs(F.cross_entropy(belief.log(), target).item() - surprise) < 1e-6  # by now in nats


@says(
    "As a loss, it is one number per example: minus the logarithm of the probability that the"
    " model gave to what was true.",
)
@given(logits(3), st.integers(0, 2))
def a_loss_asks_for_one_number(z: Row, y: int) -> None:
    one_hot = [mpf(k == y) for k in range(3)]
    surprise = -mp.log(soft(z)[y])
    same(H(one_hot, soft(z)), surprise)
    scores = torch.tensor([[float(z_k) for z_k in z]] * 5, dtype=torch.float64)
    each = F.cross_entropy(scores, torch.full((5,), y), reduction="none")
    assert each.shape == (5,)
    assert abs(each - float(surprise)).max() < 1e-13


@says(
    "Move the scores. The picture shows a cat, so the loss looks only at the cat's bar, but every"
    " score moves that bar.",
)
def the_figure_shows_the_price_of_the_cats_bar() -> None:
    spec = json.loads((BOOK / "index_figure.json").read_text(encoding="utf-8"))
    controls = {each["name"]: each["bind"]["input"] for each in spec["params"] if "bind" in each}
    assert controls == {"cat": "range", "dog": "range", "owl": "range", "truth": "select"}
    assert spec["description"] == (
        "Three horizontal bars: the probabilities that softmax gives to cat, dog and owl. Three"
        " sliders set the scores, a menu sets the true class. The heading tells the loss, minus"
        " the logarithm of the true class's probability."
    )
    scores = {each["name"]: each["value"] for each in spec["params"][:3]}
    assert next(each["value"] for each in spec["params"] if each["name"] == "truth") == "cat"
    for moved in ({}, {"dog": 3, "owl": 1}):
        at = [mpf(score) for score in (scores | moved).values()]
        bars = soft(at)
        loss = -mp.log(bars[0])
        (drawing,) = drawn(spec, moved)
        heading = f"loss = −log {float(bars[0]):.3f} = {float(loss):.3f} nats"
        assert drawing.numbers == [heading, *(f"{float(bar):.3f}" for bar in bars)]
        for k, bar in enumerate(bars):  # every score moves it
            aside = [score + (j == k) * mpf(10) ** -20 for j, score in enumerate(at)]
            slope = (-mp.log(soft(aside)[0]) - loss) * mpf(10) ** 20
            same(slope, bar - (k == 0), 15)
            assert abs(slope) > 0.01


# --- What the book promises ---


def chapters() -> list[Page]:
    return [page(path) for path in pages() if path.suffix == ".ipynb"]


def code_of(chapter: Page) -> str:
    return "\n".join(c["source"] for c in chapter.top.all_cells() if c["cell_type"] == "code")


def part(folder: str) -> list[str]:
    """Return the names of the chapters in a part, in order."""
    return [chapter.name for chapter in chapters() if chapter.path.parent.name == folder]


def needed(name: str) -> set[str]:
    """Return the chapters that the opening of a chapter asks for."""
    opening = page(find(name)).chapters[0].prose
    return {each for ask in re.findall(r"You need[^.]*\.", opening) for each in links(ask)}


@says(
    "Read {doc}`entropy`, {doc}`cross_entropy`, {doc}`softmax` and {doc}`gradient`:"
    " {reading-time}`entropy cross_entropy softmax gradient`. After these four chapters you know"
    " what the loss measures, what goes into it, and why its slope is the prediction minus the"
    " target. You may stop there the first time.",
    "The course is for whoever wants to understand cross-entropy from the beginning, student or"
    " teacher, and takes {reading-time}`course`. Read it in order; it starts with the surprise of"
    " a single draw.",
    "The variations are for those who know the course and have rare classes, uncertain labels, or"
    " a loss that goes by another name. They take {reading-time}`variations`, and each chapter can"
    " be read on its own.",
)
def what_is_read_before_what() -> None:
    course, shortest = part("course"), ["entropy", "cross_entropy", "softmax", "gradient"]
    assert "next draw" in page(find(course[0])).top.title
    for names in (course, shortest):
        for position, name in enumerate(names):
            before = names[:position]
            assert needed(name) <= {*before}, f"{name} needs {needed(name)}, but after {before}"
    assert [name for name in course if name in shortest] == shortest
    for name in part("variations"):
        assert needed(name) <= {*course}, f"{name} needs {needed(name)}, not only the course"


@says(
    "Every chapter answers a question. After reading it, you can compute the answer by hand, in"
    " NumPy and with `crossent`, and say what the number means; where PyTorch, Keras or"
    " scikit-learn gives another number, you know why.",
)
def a_chapter_answers_a_question() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    theory = contents.partition("caption: Practice")[0]
    assert chapters()[0].name == "entropy"
    for chapter in chapters():
        name, top = chapter.name, chapter.top
        assert "?" in top.title, f"{name}: the title asks no question"
        told = "After this chapter you can"
        assert told in top.text, f"{name}: the opening has no list under {told!r}"
        for line in ("import numpy as np", "import crossent"):
            assert line in code_of(chapter).splitlines(), f"{name}: no cell has {line!r}"
        if f"/{name}\n" in theory:
            assert any(map(equations, chapter.sections)), f"{name}: no displayed equation"
            assert any(section.descriptions for section in chapter.sections), f"{name}: no figure"
    # Why a mean with weights is another one: it is divided by another number.
    z, labels, weights = np.array([[2.0, 1, 0], [0, 3, 1]]), np.array([0, 2]), np.array([1.0, 2, 9])
    ours = crossent.sparse_categorical_cross_entropy_with_logits(z, labels, class_weight=weights)
    of_torch = F.cross_entropy(
        torch.tensor(z), torch.tensor(labels), weight=torch.tensor(weights)
    ).item()
    assert abs(ours - of_torch) > 1
    assert abs(ours * len(labels) - of_torch * weights[labels].sum()) < 1e-12


@says(
    "These chapters are for people who train models in PyTorch, TensorFlow or Keras. They take"
    " {reading-time}`practice`, but you need only the one on your library and the one on your"
    " trouble. {doc}`side_by_side` shows how seven libraries, JAX with optax among them, answer the"
    " same questions. {doc}`language_models`, {doc}`half_precision`, {doc}`scale` and"
    " {doc}`devices` each begin with code to copy.",
    "These pages are for everybody, one answer at a time. You find a number or an error message in"
    " {doc}`symptoms`, and its cause and its cure in {doc}`pitfalls`. Words are in the"
    " {doc}`glossary <glossary>`, symbols in the {doc}`notation <notation>`, and sources in the"
    " {doc}`bibliography <bibliography>`.",
)
def where_to_look_it_up() -> None:
    assert {"pytorch", "tensorflow"} < {*part("practice")}
    titles = {section.title for section in page(find("symptoms")).sections}
    assert {"Numbers", "Error messages"} <= titles
    libraries = re.findall(
        r"^LIBRARIES \+?= (\[.*\])$", code_of(page(find("side_by_side"))), re.MULTILINE
    )
    assert sum(len(json.loads(some)) for some in libraries) == 7
    for name in ("language_models", "half_precision", "scale", "devices"):
        assert name in part("practice")
        top = page(find(name)).top
        assert "literalinclude" in top.text or any(
            cell["cell_type"] == "code" and not is_checked(cell) for cell in top.cells
        ), f"{name} does not begin with code"
    texts = {name: find(name).read_text("utf-8") for name in ("glossary", "notation")}
    assert "```{glossary}" in texts["glossary"]
    assert "| symbol |" in texts["notation"]
    assert "{bibliography}" in find("bibliography").read_text(encoding="utf-8")


@says(
    "The package `crossent` computes losses, entropies and divergences in NumPy, right to the last"
    " few digits. Its page says {doc}`what every function computes and refuses <api>`.",
)
@given(distributions(4, least=1), distributions(4, least=1))
def crossent_is_right_to_the_last_few_digits(p: Row, q: Row) -> None:
    p, q = ([mpf(float(x)) for x in row] for row in (p, q))  # as NumPy has them
    p_floats, q_floats = (np.array(row, dtype=float) for row in (p, q))
    exact: list[tuple[Real, Real]] = [
        (crossent.entropy(p_floats), H(p)),
        (crossent.cross_entropy(p_floats, q_floats), H(p, q)),
        (crossent.categorical_cross_entropy(q_floats[None], p_floats[None]), H(p, q)),
    ]
    for computed, true in exact:
        assert isinstance(computed, np.float64 | float)
        assert abs(mpf(float(computed)) - true) <= 8 * np.spacing(float(true))
    for name in crossent.__all__:
        function = getattr(crossent, name)
        told = inspect.getdoc(function) or ""
        assert told.splitlines()[0].endswith(".")
        assert "\nRaises\n" in told or not inspect.signature(function).parameters


@says(
    "Every chapter is a notebook: download it with the arrow at its top. Below each cell you see"
    " what it printed, and tests run all cells again at every change.",
)
def a_chapter_is_a_notebook_whose_solutions_run() -> None:
    buttons = (BOOK / "_templates" / "article-header-buttons.html").read_text(encoding="utf-8")
    assert "Download this chapter as a notebook" in buttons
    assert "push:" in (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "\nmake test\n" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest: ")[2]
    assert "$(BIN)/python -m pytest --quiet --nbval" in recipe.partition("\n\n")[0]
    for chapter in chapters():
        sections = {section.title: section for section in chapter.top.parts}
        message = f"{chapter.name}: has the sections {list(sections)}, not Exercises and Summary"
        assert {"Exercises", "Summary"} <= set(sections), message
        exercises = sections["Exercises"]
        solutions: list[list[Json]] = []
        for cell in exercises.all_cells():
            if "{solution-start}" in cell["source"]:
                solutions.append([])
            elif solutions and cell["cell_type"] == "code" and not is_checked(cell):
                solutions[-1].append(cell)
        message = f"{chapter.name}: needs three exercises, and each solution a cell that is run"
        assert len(solutions) >= 3 and all(solutions), message  # noqa: PT018
        for cell in chapter.top.all_cells():
            if cell["cell_type"] == "code" and re.search(r"^print\(", cell["source"], re.MULTILINE):
                assert cell["outputs"]


ENDING = (
    "Summary",
    "Five questions to recall",
    "Exercises",
    "Questions people ask",
    "Read on",
)


@says(
    "A chapter of the course is a straight road. It ends with a summary, five questions to recall,"
    " and exercises in three grades of difficulty, whose solutions run. The questions that people"
    " ask come after them, each with its answer first, and you need none of them to read on.",
)
def a_chapter_of_the_course_is_a_straight_road() -> None:
    for name in part("course"):
        sections = page(find(name)).chapters
        projects = [section for section in sections if section.title.startswith("Project")]
        sections = [section for section in sections if section not in projects]
        ending = [section.title for section in sections[-len(ENDING) :]]
        assert ending == [*ENDING], f"{name}: ends with {ending}, not with {[*ENDING]}"
        _, recall, exercises, asked, _ = sections[-len(ENDING) :]
        recalled, told = (
            "\n".join(cell["source"] for section in those for cell in section.all_cells())
            for those in ([recall], [exercises, *projects])
        )
        questions = re.findall(r"^:::\{dropdown\} \d\. .+$", recalled, re.MULTILINE)
        assert len(questions) == 5, f"{name}: {len(questions)} questions to recall, not 5"
        titles = re.findall(r"^[`:]{3,}\{exercise\} .+$", told, re.MULTILINE)
        grades = {title.count("★") for title in titles}
        assert len(titles) >= 6, f"{name}: {len(titles)} exercises, not 6"
        assert grades == {1, 2, 3}, f"{name}: exercises of the grades {grades}, not of all three"
        assert len(asked.parts) >= 6, f"{name}: {len(asked.parts)} questions that people ask"
        for question in asked.parts:
            first = next(sentences(question.prose), "")
            assert first, f"{name}: {question.title!r} has no answer"
            assert not first.endswith("?"), (
                f"{name}: {question.title!r} does not begin with an answer"
            )
