"""What is not checked on a page: equations, numbers, sentences; a complaint for each.

``python -m tests.guards book/course/entropy.ipynb`` prints what still needs a check.
"""

from __future__ import annotations

import ast
import importlib
import io
import re
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests import checks
from tests.figures import FIGURES
from tests.figures.positions import without_controls
from tests.pages import (
    BOOK,
    CHECKED,
    ROOT,
    Json,
    Page,
    Section,
    blocks,
    equations,
    page,
    pages,
    sentences,
    texts,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.checks import Number

CHECKS = ROOT / "tests" / "checks"
FAIL = {"same", "close", "follow", "raises"}  # functions that fail for a check


# --- The checks of a page ---


@dataclass(frozen=True)
class Checks:
    """What the module of a page holds."""

    functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    numbers: Mapping[str, Number] = field(default_factory=dict)
    untested: Mapping[str, str] = field(default_factory=dict)

    @property
    def equations(self) -> dict[str, Callable[..., Any]]:
        """The checks of equations, by label."""
        found = {name: f for name, f in self.functions.items() if name.startswith("eq_")}
        return {name.replace("_", "-"): function for name, function in found.items()}


@cache
def checks_of(name: str) -> Checks:
    """Return the checks of the page with this name."""
    if not (CHECKS / f"{name}.py").exists():
        return Checks()
    module = importlib.import_module(f"tests.checks.{name}")
    known = checks.SAID.keys() | checks.DEFINITIONS
    functions = {
        name: value
        for name, value in vars(module).items()
        if callable(value) and (name.startswith("eq_") or value in known)
    }
    constants = (getattr(module, each, {}) for each in ("SHOWN", "NUMBERS", "UNTESTED"))
    return Checks(functions, *constants)


# --- Equations ---


def equation_complaints(found: Page, known: Checks) -> Iterator[str]:
    """Yield the equations that have no check or another one, and the checks without equation."""
    everything = [equation for section in found.sections for equation in equations(section)]
    for equation in everything:
        if equation.label is None:
            yield f"an equation without a label: $$ {equation.latex[:60]} $$ (eq-…)"
        elif equation.label not in known.equations:
            name = equation.label.replace("-", "_")
            yield f"no check: write {name} in tests/checks/{found.name}.py"
        elif words(known.equations[equation.label].__doc__ or "") != equation.latex:
            yield f"{equation.label}: the page and the docstring of its check differ"
    labels = Counter(equation.label for equation in everything)
    yield from (f"{label}: {n} equations" for label, n in labels.items() if label and n > 1)
    for label in known.equations.keys() - labels.keys():
        yield f"{label}: a check, but no equation on the page"


def source_complaints(source: str) -> Iterator[str]:
    """Yield the checks that cannot fail, and the equations' checks that ask crossent."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        marks = {ast.unparse(mark).partition("(")[0] for mark in node.decorator_list}
        equation = node.name.startswith("eq_")
        if not equation and "says" not in marks:
            continue  # a helper
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        raises = any(isinstance(e, ast.Attribute) and e.attr == "raises" for e in ast.walk(node))
        fails = any(isinstance(each, ast.Assert) for each in ast.walk(node))
        if "definition" not in marks and not (fails or raises or names & FAIL):
            yield f"{node.name}: asserts nothing"
        if equation and "crossent" in names:
            yield f"{node.name}: restates the equation with crossent, which the book is to explain"


# --- Numbers ---

NUMBER = re.compile(
    r"(?<![\w.,^/-])[-−]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[-−+]?\d+)?(?:\s?%)?(?!\w|-[a-z])"
)
PRINTED = re.compile(r"(?<![\w.])[-−]?\d[\d,_]*(?:\.\d*)?(?:e[-+−]?\d+)?")
TEN = re.compile(r"(?<![\w.])10\^\{?([-−]?\d+)\}?")
POWER = re.compile(r"(\d+(?:\.\d+)?) *(?:\\cdot|\\times|·|×) *10\^\{?([-−]?\d+)\}?")


def readable(text: str) -> str:
    """Return a sentence without what is not one of its numbers: code, indices and the like."""
    text = re.sub(
        r"`([^`]*)`", lambda m: m[1] if re.fullmatch(r"[-−+.\de%, ]+", m[1]) else " ", text
    )
    text = re.sub(r"\[[^\]]*#(\d+)\]\([^)]*/\1\)", " ", text)  # a thread and its address
    text = re.sub(r"\]\([^)]*\)", "]", re.sub(r"\{[a-z][\w:-]*\}(?=`)", " ", text))
    text = text.replace("{,}", ",").replace("\\%", "%").replace("\\,", "")
    text = TEN.sub(r"1e\1", POWER.sub(r"\1e\2", text))
    text = re.sub(r"\\[dt]?frac\s*(\{[^{}]*\}|\w)\s*(\{[^{}]*\}|\w)", " ", text)
    return re.sub(r"[\^_](\{[^{}]*\}|\w)", " ", text)


def numbers(sentence: str) -> Iterator[str]:
    """Yield the numbers of a sentence: all of two digits or more, and percentages."""
    for match in NUMBER.finditer(readable(sentence)):
        number = re.sub(r"[\s,]", "", match[0]).replace("−", "-")
        if len(number.strip("-%")) > 1 or "%" in number:
            yield number


def is_value(number: str, value: float) -> bool:
    """Say whether a number of the text is this value, as rounded as the text has it.

    Whole numbers must be exact, but for percentages.
    """
    mantissa, _, exponent = number.strip("%-").partition("e")
    decimals = len(mantissa.partition(".")[2]) - int(exponent or 0)
    percent = "%" in number
    half = 0.5 * 10.0**-decimals if percent or decimals else 0.0
    candidates = (value, 100.0 * value) if percent else (value,)
    wanted = float(number.strip("%-"))
    return any(abs(abs(one) - wanted) <= half + 1e-9 * wanted for one in candidates)


def printed(text: str) -> set[float]:
    """Return the numbers that stand in code or in an output."""
    found = set()
    for match in PRINTED.finditer(text):
        try:
            found.add(float(re.sub("[,_]", "", match[0]).replace("−", "-")))
        except ValueError:  # 1.2.3
            continue
    return found


@cache
def code(source: str) -> str:
    """Return code without its comments, which nobody runs."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    text = " ".join(token.string for token in tokens if token.type != tokenize.COMMENT)
    return re.sub(r"\b10(?:\.0)? \*\* (-?) ?(\d+)", r"1e\1\2", text)


def output(cell: Json) -> str:
    """Return what a cell shows as text."""
    tables = ("".join(o.get("data", {}).get("text/markdown", "")) for o in cell.get("outputs", []))
    return "\n".join([*texts(cell), *tables])


def evidence(section: Section) -> set[float]:
    """Return the numbers of a section's code and outputs."""
    cells = [cell for cell in section.all_cells() if cell["cell_type"] == "code"]
    return printed("\n".join(f"{code(cell['source'])}\n{output(cell)}" for cell in cells))


def number_complaints(found: Page, known: Checks) -> Iterator[str]:
    """Yield the numbers of prose and descriptions that come from nowhere."""
    for chapter in found.chapters:
        whole = chapter.level == 1 or chapter.title == "Summary"
        shown = evidence(found.top if whole else chapter)
        for section in chapter.walk():
            for sentence in [section.title, *sentences(section.prose), *section.descriptions]:
                seen = shown | linked_evidence(sentence)
                for number in numbers(sentence):
                    if any(is_value(number, value) for value in seen):
                        continue
                    if not any(number in covered(phrase, sentence) for phrase in known.numbers):
                        yield f"{number} comes from nowhere: {sentence[:100]}"


def linked_evidence(sentence: str) -> set[float]:
    """Return the numbers of the sections that a sentence or a row of a table links to."""
    found: set[float] = set()
    for target in links(sentence):
        if target in targets():
            found |= evidence(targets()[target])
    return found


def links(text: str) -> list[str]:
    """Return what a text links to, as `targets` has it: without the folder of a page."""
    refs = re.findall(r"\{(?:ref|doc|numref)\}`(?:[^`<]*<)?([\w./-]+)>?`", text)
    return [*refs, *re.findall(r"\]\((?:[\w.]+/)*([\w.]*(?:#[^)\s]+)?)\)", text)]


@cache
def targets() -> dict[str, Section]:
    """Return the sections of all pages by label, by file and anchor, and the pages by name."""
    found: dict[str, Section] = {}
    for path in pages():
        one = page(path)
        found |= {one.name: one.top, path.name: one.top}
        for section in one.sections:
            found[f"{path.name}#{section.anchor}"] = section
            if section.label:
                found[section.label] = section
    return found


def covered(phrase: str, sentence: str) -> list[str]:
    """Return the numbers of a declared phrase, if the sentence holds it."""
    return list(numbers(phrase)) if quoted(phrase, sentence) else []


def declaration_complaints(found: Page, known: Checks, keys: set[str]) -> Iterator[str]:
    """Yield the declared numbers that are not on the page, or not what is computed."""
    text = " ".join(section.text for section in found.sections)
    for phrase, number in known.numbers.items():
        if not quoted(phrase, text):
            yield f"NUMBERS: {phrase!r} is not on the page"
        elif isinstance(number, checks.Computed):
            values = number.values()
            values = values if isinstance(values, tuple) else (values,)
            stated = list(numbers(phrase))
            if len(values) != len(stated) or not all(map(is_value, stated, values)):
                yield f"NUMBERS: {phrase!r} is computed as {values}"
        elif isinstance(number, checks.Cited) and not (
            number.source in keys or number.source.startswith("https://")
        ):
            yield f"NUMBERS: {phrase!r} has no source {number.source!r} in the bibliography"


# --- Sentences ---


def quoted(phrase: str, text: str) -> bool:
    """Say whether a phrase stands in a text; … stands for any words."""
    parts = [re.escape(words(part)) for part in phrase.split("…")]
    return re.search(".*?".join(parts), words(text)) is not None


def claims(cell: Json) -> Iterator[tuple[str, bool]]:
    """Yield the sentences that a cell of assertions quotes, and whether an assertion follows.

    A quotation starts at the beginning of a comment and ends at the end of one. Several of them in
    a row are held by the same assertions.
    """
    quotes: list[str] = []
    open_ = asserted = False
    for line in cell["source"].splitlines():
        text = line.removeprefix("#").strip()
        if line.startswith("#") and (open_ or text.startswith('"')):
            if asserted:
                yield from ((words(quote.strip('"')), True) for quote in quotes)
                quotes, asserted = [], False
            quotes = [*quotes[:-1], f"{quotes[-1]} {text}"] if open_ else [*quotes, text]
            open_ = not text.endswith('"')
        asserted |= line.lstrip().startswith("assert ")
    yield from ((words(quote.strip('"')), asserted) for quote in quotes)


def pinned(found: Page, known: Checks) -> Iterator[tuple[str, str, Section]]:
    """Yield each quotation of a sentence of the page: where it is made, and where it must stand."""
    for phrases in (checks.SAID.get(f, ()) for f in known.functions.values()):
        yield from (("says", phrase, found.top) for phrase in phrases)
    yield from (("SHOWN", phrase, found.top) for phrase in known.shown)
    yield from (("UNTESTED", phrase, found.top) for phrase in known.untested)
    for chapter in found.chapters:
        for section in chapter.walk():
            for cell in section.cells:
                if is_checked(cell):
                    for phrase, _ in claims(cell):
                        yield f"cell {cell['id']}", phrase, chapter


def is_checked(cell: Json) -> bool:
    """Say whether a cell holds the assertions of sentences."""
    return cell["cell_type"] == "code" and CHECKED in cell["metadata"].get("tags", [])


def everything(section: Section) -> str:
    """Return all that is read in a section and the sections inside."""
    return words(" ".join(part.text for part in section.walk()))


def claim_complaints(found: Page, known: Checks) -> Iterator[str]:
    """Yield the quotations that are not on the page, and cells that quote and assert nothing."""
    for place, phrase, section in pinned(found, known):
        if not quoted(phrase, everything(section)) and not any(
            quoted(phrase, row) for row in rows_to(section)
        ):
            yield f"{place}: not in the text: {phrase!r}"
    for section in found.sections:
        for cell in filter(is_checked, section.cells):
            made = list(claims(cell))
            if not made:
                yield f"cell {cell['id']}: quotes no sentence"
            yield from (
                f"cell {cell['id']}: {p!r} without an assert" for p, done in made if not done
            )
    for phrase, shown in known.shown.items():
        holders = [c for c in found.chapters if quoted(phrase, everything(c))]
        cells = [cell for c in holders for cell in c.all_cells()]
        cells += [
            cell for t in links(phrase) if t in targets() for cell in targets()[t].all_cells()
        ]
        if not any(quoted(shown, output(cell)) for cell in cells if cell["cell_type"] == "code"):
            yield f"SHOWN: no output beside {phrase!r} shows {shown!r}"


@cache
def _rows() -> tuple[tuple[str, str], ...]:
    """Return the blocks of the pages in Markdown, each with what it links to."""
    markdown = [path for path in pages() if path.suffix == ".md"]
    found = [b for p in markdown for s in page(p).sections for b in blocks(s.prose)]
    return tuple((target, block) for block in found for target in links(block))


def rows_to(section: Section) -> list[str]:
    """Return the rows and paragraphs in Markdown pages that lead to a section: it shows them."""
    inside = {id(part) for part in section.walk()}
    return [block for target, block in _rows() if id(targets().get(target)) in inside]


# --- Which sentences need a check ---

QUESTION = re.compile(r"\?[*_”\"]*$")
# Pages, and sections of any page, of which every sentence needs a check
WHOLE = {"api", "glossary", "notation", "Summary"}
LABELS = ("**Why.**", "**Fix.**", "**Read on.**", "*Dated:*")


def required(found: Page) -> Iterator[str]:
    """Yield the sentences that must be tied to a check.

    They are the bold ones, the first of an answer to a bold question, those of reasons and fixes,
    of solutions, of summaries and of figures' descriptions, the causes and cures of symptoms, and
    all entries of glossary and notation. The tests of live figures compare their descriptions.
    """
    solution = False
    for section in found.sections:
        for description in section.descriptions:
            if not is_live(description):
                yield from sentences(description)
        for cell in section.cells:
            if cell["cell_type"] != "markdown":
                continue
            solution |= "{solution-start}" in cell["source"]
            all_of_it = solution or section.title in WHOLE or found.name in WHOLE
            for block in blocks(Section("", 0, cells=[cell]).prose):
                if block.startswith("|"):
                    yield from required_of_row(found.name, block)
                else:
                    yield from required_of(block, all_of_it=all_of_it)
            solution &= "{solution-end}" not in cell["source"]


def is_live(description: str) -> bool:
    """Say whether it describes a live figure, whose tests compare what is drawn with it."""
    return bool(without_controls(description)[1])


def figure_complaints(found: Page) -> Iterator[str]:
    """Yield the descriptions of live figures that no class has."""
    for section in found.sections:
        for description in filter(is_live, section.descriptions):
            text, _ = without_controls(description)
            if not any(first.is_described(text) for first, _ in FIGURES):
                yield f"FIGURES in tests/figures has no class with the docstring: {text}"


def required_of(block: str, *, all_of_it: bool) -> Iterator[str]:
    """Yield the sentences of a paragraph that need a check."""
    all_of_it &= not block.startswith("**Read on.**")
    all_of_it |= block.startswith(("**Why.**", "**Fix.**"))
    answers = False
    for sentence in sentences(block):
        bold = "**" in sentence and not sentence.startswith(LABELS)
        if QUESTION.search(sentence):
            answers = bold
        elif (all_of_it or bold or answers) and len(sentence.split()) > 2:
            yield sentence
            answers = False


def required_of_row(name: str, row: str) -> Iterator[str]:
    """Yield what needs a check of a row: its cause and its cure, or all of it."""
    if name == "symptoms" and not row.startswith("| what you see |"):
        yield from row.strip("| ").split(" | ")[1:3]
    elif name in WHOLE:
        yield row


def unpinned(found: Page, known: Checks) -> Iterator[str]:
    """Yield the sentences that need a check and have none."""
    phrases = [words(phrase) for _, phrase, _ in pinned(found, known)]
    if found.path.suffix == ".md":  # its rows lead to sections of notebooks, whose cells quote them
        phrases += quotations()
    together = " ".join(phrases)
    for sentence in required(found):
        bare = re.sub(rf"^({'|'.join(map(re.escape, LABELS))}) *", "", sentence)
        if bare not in together and not any("…" in p and quoted(p, bare) for p in phrases):
            yield bare


@cache
def quotations() -> list[str]:
    """Return what the cells of all notebooks quote."""
    cells = [cell for p in pages() for section in page(p).sections for cell in section.cells]
    return [words(phrase) for cell in filter(is_checked, cells) for phrase, _ in claims(cell)]


# --- All of it ---


def complaints(found: Page, known: Checks, keys: set[str]) -> list[str]:
    """Return all that is wrong with a page."""
    return [
        *equation_complaints(found, known),
        *number_complaints(found, known),
        *declaration_complaints(found, known, keys),
        *claim_complaints(found, known),
        *figure_complaints(found),
        *(f"needs a check: {sentence}" for sentence in unpinned(found, known)),
    ]


def bibliography() -> set[str]:
    """Return the keys of the bibliography."""
    entries = (BOOK / "references.bib").read_text(encoding="utf-8")
    return set(re.findall(r"^@\w+\{([\w-]+),", entries, re.MULTILINE))


if __name__ == "__main__":
    for name in map(Path, sys.argv[1:]):
        left = complaints(page(name.resolve()), checks_of(name.stem), bibliography())
        print(*left, f"{name}: {len(left)} complaints", sep="\n")
