"""The page of symptoms: each number and message stands in an output of the section it leads to.

A symptom is whatever is code in the first column of a row. An ellipsis in it stands for any text.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from .guards import is_checked, targets
from .pages import Json, find, page, read, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = find("symptoms")
WHY_AND_FIX = re.compile(r"\*\*Why\.\*\* .+\n\n\*\*Fix\.\*\* ", re.DOTALL)


# --- The page ---


@dataclass(frozen=True)
class Row:
    """A line of a table: the symptoms, and the section that shows them."""

    symptoms: tuple[str, ...]
    target: str


def rows(page: str) -> Iterator[Row]:
    """Yield the rows of all tables that have four columns."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if not line.startswith("|") or len(cells) != 4 or cells[0] == "what you see":
            continue
        link = re.search(r"\{ref\}`[^<]+<(.+)>`|\[.+\]\((?:[\w.]+/)*(.+)\)", cells[3])
        yield Row(
            symptoms=tuple(re.findall(r"`([^`]+)`", cells[0])),
            target=(link[1] or link[2]) if link else "",
        )


def stands_in(symptom: str, output: str) -> bool:
    """Say whether an output has the symptom as a whole: 16.1181 and -16.118 are not 16.118."""
    parts = [re.escape(" ".join(part.split())) for part in symptom.split("…")]
    whole = rf"(?<![\w.-]){'.*'.join(parts)}(?!\w|\.\d)"
    return re.search(whole, " ".join(output.split())) is not None


ROWS = list(rows(PAGE.read_text(encoding="utf-8")))
SECTIONS = targets()
PITFALLS = sorted(
    label
    for label, section in SECTIONS.items()
    if section.label == label and label.startswith("pitfall-") and label != "pitfall-probes"
)


def cells_of(name: str) -> list[Json]:
    """Return the cells of a section that a reader sees."""
    return [cell for cell in SECTIONS[name].all_cells() if not is_checked(cell)]


def test_there_are_enough_rows() -> None:
    assert len(ROWS) >= 40


def first_symptoms(title: str) -> list[str]:
    """Return the first symptom of each row under a title of the page."""
    part = PAGE.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    return [row.symptoms[0] for row in rows(part)]


def test_numbers_are_sorted_by_size_and_messages_by_their_letters() -> None:
    numbers, messages = first_symptoms("Numbers"), first_symptoms("Error messages")
    assert len(numbers) > 1
    assert len(messages) > 1
    pairs = [(*pair, float(pair[0]) <= float(pair[1])) for pair in pairwise(numbers)]
    pairs += [(*pair, pair[0].casefold() <= pair[1].casefold()) for pair in pairwise(messages)]
    for before, after, sorted_ in pairs:
        assert sorted_, f"the row of {after!r} in symptoms.md belongs before that of {before!r}"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.symptoms))
def test_the_section_shows_the_symptom(row: Row) -> None:
    assert row.symptoms, "quote the number or the message in the first column as code"
    assert row.target in SECTIONS, f"the last column leads to {row.target!r}, which is no section"
    outputs = [text for cell in cells_of(row.target) for text in texts(cell)]
    for symptom in row.symptoms:
        assert any(stands_in(symptom, output) for output in outputs), (
            f"{symptom!r} is in no output of {row.target}:\n" + "\n".join(outputs)
        )


def test_every_pitfall_is_a_symptom_of_something() -> None:
    left_out = {*PITFALLS} - {row.target for row in ROWS}
    assert not left_out, f"no row of symptoms.md leads to {left_out}"


# --- A pitfall: the wrong run, the reason and the fix, the run that is right ---


def test_there_are_enough_pitfalls() -> None:
    assert len(PITFALLS) >= 26


def test_each_section_with_a_reason_has_the_label_of_a_pitfall() -> None:
    for section in page(find("pitfalls")).sections:
        message = f"give {section.title!r} a label that begins with pitfall-"
        assert "**Why.**" not in section.prose or section.label in PITFALLS, message


def shape(cells: list[Json]) -> str:
    """Return the order of a section's parts: (h)eading, (w)hy and fix, (r)un."""

    def kind(cell: Json) -> str:
        if cell["cell_type"] == "code":
            return "r" if "".join(texts(cell)).strip() else "-"
        return "w" if WHY_AND_FIX.match(cell["source"]) else "h"

    return "".join(kind(cell) for cell in cells)


@pytest.mark.parametrize("name", PITFALLS)
def test_a_pitfall_has_its_parts(name: str) -> None:
    cells = cells_of(name)
    assert shape(cells) == "hrwr", (
        f"{name} needs four cells: a (h)eading, the wrong (r)un, **(W)hy.** and **Fix.**, the right"
        f" (r)un, both of which print; it has {shape(cells)!r}"
    )
    wrong, right = (texts(cell) for cell in cells if cell["cell_type"] == "code")
    assert wrong != right, f"the two runs of {name} print the same"


def names(code: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return the names that cells use, and those that they define."""
    found: dict[bool, set[str]] = defaultdict(set)
    for node in ast.walk(ast.parse("\n".join(code))):
        if isinstance(node, ast.Name):
            found[isinstance(node.ctx, ast.Load)].add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[False].add(node.name)
        elif isinstance(node, ast.arg):
            found[False].add(node.arg)
        elif isinstance(node, ast.alias):
            found[False].add((node.asname or node.name).partition(".")[0])
    return found[True], found[False]


def test_a_pitfall_needs_no_other() -> None:
    """A reader who runs the first cells and one section gets what is printed there."""
    cells = read(find("pitfalls"))["cells"]
    start = next(n for n, cell in enumerate(cells) if cell["source"].startswith("## "))
    _, common = names(cell["source"] for cell in cells[:start] if cell["cell_type"] == "code")
    needed, changed = set[str](), set[str]()
    for name in [*PITFALLS, "pitfall-probes"]:
        code = [cell["source"] for cell in SECTIONS[name].cells if cell["cell_type"] == "code"]
        used, defined = names(code)
        foreign = used - defined - common - vars(builtins).keys()
        assert not foreign, f"{name} uses {foreign}, which the page's first cells do not define"
        needed |= used - defined
        changed |= defined
    both = needed & changed
    assert not both, f"one pitfall defines {both} anew, and another one uses it: rename it"


# --- The checks can fail ---


@pytest.mark.parametrize(
    ("symptom", "output", "stands"),
    [
        ("16.118", "Keras 16.118", True),
        ("16.118", "Keras 16.119", False),
        ("16.118", "Keras 16.1180", False),
        ("16.118", "Keras 116.118", False),
        ("0.0", "loss 0.0,", True),
        ("0.0", "loss 0.0e+00", False),
        ("0.0", "loss -0.0", False),
        ("-4.99", "loss -4.99", True),
        ("4.99", "loss -4.99", False),
        ("nan", "[nan]", True),
        ("Target … is out of bounds", "IndexError: Target 3 is out\nof bounds.", True),
        ("Target … is out of bounds", "is out of bounds: Target 3", False),
        ("got Long", "got Float", False),
    ],
)
def test_a_symptom_stands_or_not(symptom: str, output: str, *, stands: bool) -> None:
    assert stands_in(symptom, output) == stands
