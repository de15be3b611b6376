"""What the book claims is checked: its equations, numbers, sentences and descriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from . import guards
from .checks import DEFINITIONS, Cited, Computed, Given
from .guards import (
    CHECKS,
    Checks,
    bibliography,
    checks_of,
    complaints,
    is_value,
    numbers,
    required_of_row,
    source_complaints,
)
from .pages import find, page, pages, sentences

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODULES = sorted(path.stem for path in CHECKS.glob("[!_]*.py"))
FUNCTIONS = [
    pytest.param(function, id=f"{name}-{function.__name__}")
    for name in MODULES
    for function in checks_of(name).functions.values()
    if function not in DEFINITIONS
]


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_all_that_the_page_claims_is_checked(path: Path) -> None:
    found = complaints(page(path), checks_of(path.stem), bibliography())
    assert not found, "\n".join(found)


@pytest.mark.parametrize("check", FUNCTIONS)
def test_the_claim_holds(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("name", MODULES)
def test_the_checks_of_a_page_can_fail(name: str) -> None:
    message = f"tests/checks/{name}.py is for a page {name} that _toc.yml does not list"
    assert name in {path.stem for path in pages()}, message
    found = [*source_complaints((CHECKS / f"{name}.py").read_text(encoding="utf-8"))]
    assert not found, "\n".join(found)


# --- The guards can fail: a sound page, spoiled in every way ---

PAGE = r"""
# Halves

**A half of a half is 0.25.**

$$
\tfrac12 \cdot \tfrac12 = \tfrac14
$$ (eq-halves)
===
# "**A half of a half
# is 0.25.**"
assert 0.5 * 0.5 == 0.25
===
## Does it go on?

It halves to 12.5%, as {cite}`shannon1948` says on page 30. **Is that all?** It never ends.
===
print("a half of a half")
===
# "It never ends."
assert 0.25 / 2 > 0
# "One bar … high."
half = 0.25 / 2
assert half * 2 == 0.25
===
## Summary

- Halves of halves shrink.

```{solution-start} ex
```

Halve it again.

```{solution-end}
```
===
# "Halves of halves shrink."
# "Halve it again."
assert 0.5 * 0.5 < 0.5
"""


def eq_halves() -> None:
    r"""\tfrac12 \cdot \tfrac12 = \tfrac14"""


def sound(**changes: Any) -> Checks:
    """Return the checks of the page, or others."""
    numbers = {"halves to 12.5%": Computed(lambda: 0.125), "page 30": Cited("shannon1948", "p. 30")}
    shown = {"It halves to 12.5%": "a half of a half"}
    checks: dict[str, Any] = {"functions": {"eq_halves": eq_halves}, "numbers": numbers}
    return Checks(**checks | {"shown": shown} | changes)


def complain(folder: Path, source: str, known: Checks) -> str:
    """Return what the guards say of a page."""
    new: Any = nbformat.v4
    notebook = new.new_notebook()
    for number, text in enumerate(source.strip().split("\n===\n")):
        hidden = {"tags": ["remove-cell"]} if text.startswith('# "') else {}
        if text.startswith("#") and not hidden:
            cell = new.new_markdown_cell(text, id=f"cell-{number}")
        else:
            cell = new.new_code_cell(text, id=f"cell-{number}", metadata=hidden)
        if text.startswith("print"):
            cell.metadata["mystnb"] = {"image": {"alt": "One bar, 0.25 high."}}
            picture = {"image/svg+xml": "<svg/>", "text/plain": "a half of a half"}
            cell.outputs = [new.new_output("display_data", picture)]
        notebook.cells.append(cell)
    path = folder / "halves.ipynb"
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return "\n".join(complaints(page(path), known, {"shannon1948"}))


def test_a_sound_page_is_accepted(tmp_path: Path) -> None:
    assert complain(tmp_path, PAGE, sound()) == ""


@pytest.mark.parametrize(
    ("here", "there", "complaint"),
    [
        (r"= \tfrac14", r"= \tfrac13", "eq-halves: the page and the docstring of its check differ"),
        (" (eq-halves)", "", "an equation without a label"),
        ("(eq-halves)", "(eq-thirds)", "no check: write eq_thirds"),
        ("(eq-halves)", "(eq-thirds)", "eq-halves: a check, but no equation"),
        ("12.5%", "12.6%", "12.6% comes from nowhere"),
        ("12.5%", "12.6%", "NUMBERS: 'halves to 12.5%' is not on the page"),
        ("page 30", "page 31", "31 comes from nowhere"),
        ("## Does it go on?", "## Does it go on to 0.06?", "0.06 comes from nowhere"),
        ("is 0.25.**\n\n", "is 0.26.**\n\n", "0.26 comes from nowhere"),
        ("all?** It never ends.", "all?** It always ends.", "not in the text: 'It never ends.'"),
        ("all?** It never ends.", "all?** It always ends.", "needs a check: It always ends."),
        ("Halve it again.\n\n", "Double it again.\n\n", "needs a check: Double it again."),
        ("- Halves of halves", "- Doubles of halves", "needs a check: Doubles of halves shrink."),
        ("assert 0.5 * 0.5 == 0.25", "print(1)", "is 0.25.**' without an assert"),
        ('# "One bar … high."\n', "", "needs a check: One bar, 0.25 high."),
        ("One bar …", "Two bars …", "not in the text: 'Two bars … high.'"),
    ],
)
def test_a_spoiled_page_is_refused(tmp_path: Path, here: str, there: str, complaint: str) -> None:
    assert here in PAGE
    assert complaint in complain(tmp_path, PAGE.replace(here, there, 1), sound())


def test_a_live_figure_without_a_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "FIGURES", [])
    found = complaints(page(find("entropy")), checks_of("entropy"), bibliography())
    assert "no class with the docstring: A bar for each outcome" in "".join(found)


@pytest.mark.parametrize(
    ("checks", "complaint"),
    [
        ({"functions": {}}, "no check: write eq_halves"),
        ({"numbers": {"page 30": Given("why")}}, "12.5% comes from nowhere"),
        ({"numbers": {"halves to 12.5%": Computed(lambda: 0.126)}}, "is computed as (0.126,)"),
        ({"numbers": {"page 30": Cited("shannon1949", "p. 30")}}, "no source 'shannon1949'"),
        ({"shown": {"It halves to 12.5%": "a third"}}, "no output beside"),
        ({"shown": {"It halves to 13%": "a half"}}, "SHOWN: not in the text: 'It halves to 13%'"),
        ({"untested": {"It is so": "why"}}, "UNTESTED: not in the text: 'It is so'"),
    ],
)
def test_spoiled_checks_are_refused(tmp_path: Path, checks: dict[str, Any], complaint: str) -> None:
    assert complaint in complain(tmp_path, PAGE, sound(**checks))


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("def eq_x() -> None:\n    print(1)", "eq_x: asserts nothing"),
        ("@says('x')\ndef x() -> None:\n    print(1)", "x: asserts nothing"),
        ("def eq_x() -> None:\n    assert crossent.entropy([1.0]) == 0", "eq_x: restates the"),
        ("def eq_x() -> None:\n    same(1, 1)", ""),
        ("@says('x')\ndef x() -> None:\n    with pytest.raises(KeyError):\n        {}[1]", ""),
        ("@definition\ndef eq_x() -> None:\n    pass", ""),
        ("def helper() -> None:\n    pass", ""),
    ],
)
def test_a_check_must_be_able_to_fail(source: str, complaint: str) -> None:
    found = list(source_complaints(source))
    assert len(found) == bool(complaint)
    assert complaint in "".join(found)


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("about 1,773 letters, 51 %, and 0.5", ["1773", "51%", "0.5"]),
        ("one of 3 classes, `z[12]`, {doc}`a12 <b13>`, [x](y14)", []),
        (r"$e^{12}$, $x_{13}$, $\tfrac{14}{15}$ and $-0.25$", ["-0.25"]),
        (r"$4.2 \cdot 10^{-18}$ or 4.2e−18", ["4.2e-18", "4.2e-18"]),
        (r"$10^{-308}$ and $10^6$", ["1e-308", "1e6"]),
        ("see [pytorch#24933](https://github.com/pytorch/pytorch/issues/24933)", []),
        ("`16.118` from `log(16)`", ["16.118"]),
        ("a 16-bit type", []),
    ],
)
def test_the_numbers_of_a_sentence(sentence: str, found: list[str]) -> None:
    assert list(numbers(sentence)) == found


@pytest.mark.parametrize(
    ("number", "value", "is_it"),
    [
        ("0.67", 0.671, True),
        ("0.67", 0.676, False),
        ("51%", 0.512, True),
        ("51%", 51.2, True),
        ("12", 12.3, False),
        ("12", 12.0, True),
        ("-0.5", 0.5, True),
        ("4.2e-18", 4.2484e-18, True),
        ("4.3e-18", 4.2484e-18, False),
        ("38107", 38106.0, False),
    ],
)
def test_a_number_is_a_value_or_not(number: str, value: float, *, is_it: bool) -> None:
    assert is_value(number, value) == is_it


def test_a_row_of_symptoms_needs_its_cause_and_its_cure() -> None:
    head = "| what you see | common causes | fix | the run |"
    row = "| `0.5`, stuck | 1. a half; 2. two | 1. double it; 2. none | {ref}`run <a>` |"
    assert list(required_of_row("symptoms", head)) == []
    assert list(required_of_row("symptoms", row)) == ["1. a half; 2. two", "1. double it; 2. none"]


def test_sentences_end_where_they_do() -> None:
    prose = (
        "Of W. Weaver, e.g. 0.5. So?\n**It is.** - no\n\n- item\n  goes on\n\n| a | b |\n|--|--|\n"
    )
    found = list(sentences(prose))
    assert found == [
        "Of W. Weaver, e.g. 0.5.",
        "So?",
        "**It is.** - no",
        "item goes on",
        "| a | b |",
    ]
