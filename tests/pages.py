"""The pages of the book as the tests read them: sections, sentences, equations, numbers."""

from __future__ import annotations

import doctest
import inspect
import itertools
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import nbformat
from myst_parser.mdit_to_docutils.base import default_slugify

import crossent

if TYPE_CHECKING:
    from collections.abc import Iterator

Json: TypeAlias = dict[str, Any]  # a notebook or a part of it, with the lines of a source joined

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
VEGA_LITE = "application/vnd.vegalite.v5+json"
CHECKED = "remove-cell"  # the tag of a cell of assertions, which the site leaves out

HEADING = re.compile(
    r"^(?:\((?P<label>[\w-]+)\)=\n+)?(?P<marks>#{1,4}) (?P<title>.+)$", re.MULTILINE
)
EQUATION = re.compile(r"\$\$\n?(?P<latex>.+?)\n?\$\$(?: *\((?P<label>[\w-]+)\))?", re.DOTALL)
FENCE = re.compile(r"(`{3,}|:{3,})(.*)")
SENTENCE_END = re.compile(
    r"(?:(?<=[.!?])[*_”\")]*\s+(?=[*_“\"(\[`{$]*[A-Z0-9α-ωσ$`{])|(?<=:)\s+(?=[*_“\"(]*[A-Z]))"
)
ABBREVIATIONS = re.compile(r"(?:\be\.g|\bi\.e|\bcf|\bvs|\bet al|\bp|\bpp|\bno|\b[A-Z])\.$")


def read(path: Path) -> Json:
    """Read a notebook, or a page in Markdown as a notebook of one cell."""
    if path.suffix == ".md":
        return {"cells": [markdown(path.read_text(encoding="utf-8"))]}
    notebook: Json = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return notebook


def words(text: str) -> str:
    """Return the text on one line."""
    return " ".join(text.split())


@dataclass
class Section:
    """What stands under a heading, up to the next heading of any level."""

    title: str
    level: int
    label: str | None = None
    cells: list[Json] = field(default_factory=list)
    parts: list[Section] = field(default_factory=list)  # the sections inside

    @property
    def anchor(self) -> str:
        """The anchor that MyST gives the heading: formulas do not count."""
        return default_slugify(re.sub(r"\$[^$]*\$|`", "", self.title))

    def all_cells(self) -> list[Json]:
        return [*self.cells, *(cell for part in self.parts for cell in part.all_cells())]

    def walk(self) -> Iterator[Section]:
        yield self
        for part in self.parts:
            yield from part.walk()

    @property
    def prose(self) -> str:
        """The Markdown of the section itself, without the code of tabs and the like."""
        texts = [c["source"] for c in self.cells if c["cell_type"] == "markdown"]
        return "\n\n".join(map(without_code, texts))

    @property
    def descriptions(self) -> list[str]:
        """What the figures of the section say to those who do not see them."""
        return [text for cell in self.cells for text in descriptions(cell)]

    @property
    def text(self) -> str:
        """All that a reader reads in the section, on one line."""
        return words("\n\n".join([self.title, self.prose, *self.descriptions]))


@dataclass
class Page:
    """A page of the book."""

    path: Path
    top: Section

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def sections(self) -> list[Section]:
        return list(self.top.walk())

    @property
    def chapters(self) -> list[Section]:
        """The opening of the page, and its sections of the second level with all that they hold."""
        return [Section(self.top.title, 1, self.top.label, self.top.cells), *self.top.parts]


def texts(cell: Json) -> list[str]:
    """Return what a cell printed or displayed as text."""
    outputs = cell.get("outputs", [])
    return ["".join(o.get("text") or o["data"].get("text/plain", "")) for o in outputs]


def descriptions(cell: Json) -> list[str]:
    """Return the alt text of a cell's picture, or the description of its live figure."""
    kinds = [o["data"] for o in cell.get("outputs", []) if "data" in o]
    found = ["".join(data["text/plain"]) for data in kinds if VEGA_LITE in data]
    if any(kind.startswith("image/") for data in kinds for kind in data):
        found.append(cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", ""))
    return found


def without_code(source: str) -> str:
    """Return Markdown without its fenced code; directives and what they hold stay."""
    open_: list[tuple[str, bool]] = []  # the fences around a line, and whether they hold code
    kept = []
    for line in source.splitlines():
        fence = FENCE.fullmatch(line.strip())
        if fence and open_ and line.strip() == open_[-1][0]:
            open_.pop()
        elif fence:
            open_.append((fence[1], fence[1][0] == "`" and not fence[2].startswith("{")))
            kept.append("" if open_[-1][1] else line)
        else:
            kept.append("" if any(code for _, code in open_) else line)
    return "\n".join(kept)


def split_at_headings(source: str) -> Iterator[tuple[re.Match[str] | None, str]]:
    """Yield the text before the first heading, and each heading with the text after it."""
    heads = list(HEADING.finditer(without_code(source)))
    heads = [head for head in HEADING.finditer(source) if head[0] in {h[0] for h in heads}]
    starts = [0, *(m.start() for m in heads), len(source)]
    if source[: starts[1]].strip():
        yield None, source[: starts[1]]
    for head, stop in zip(heads, starts[2:], strict=True):
        yield head, source[head.end() : stop]


@cache
def page(path: Path) -> Page:
    """Read a page and find its sections."""
    top = Section("", 0)
    open_ = [top]
    for cell in read(path)["cells"]:
        if cell["cell_type"] != "markdown":
            open_[-1].cells.append(cell)
            continue
        for head, source in split_at_headings(cell["source"]):
            if head:
                section = Section(head["title"], len(head["marks"]), head["label"])
                while open_[-1].level >= section.level:
                    open_.pop()
                open_[-1].parts.append(section)
                open_.append(section)
            open_[-1].cells.append(cell | {"source": source})
    (title,) = top.parts
    if path.stem == "api":  # its directives write the docstrings
        title.parts.extend(docstring(name) for name in crossent.__all__)
    return Page(path, title)


def pages() -> list[Path]:
    """Return the files of all pages, in the order of the table of contents."""
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    stems = [ROOT / file for file in re.findall(r"(?:file|root): *(\S+)", contents)]
    return [
        next(s.with_suffix(x) for x in (".ipynb", ".md") if s.with_suffix(x).exists())
        for s in stems
    ]


def find(name: str) -> Path:
    """Return the file of the page with this name, in whatever part of the book it stands."""
    return next(path for path in pages() if path.stem == name)


def docstring(name: str) -> Section:
    """Return a function's docstring as a section of the API page, with its examples as a cell.

    Its formulas have the labels eq-api-entropy, eq-api-entropy-2 and so on, after the function.
    """
    text = inspect.getdoc(getattr(crossent, name)) or ""
    label = f"eq-api-{name.replace('_', '-')}"
    count = itertools.count(1)

    def displayed(math: re.Match[str]) -> str:
        number = next(count)
        return f"\n$$ {words(math[1])} $$ ({label}{f'-{number}' * (number > 1)})\n"

    text = re.sub(r"^\.\. math::((?:.*\n)(?:\n?(?: +.*\n))*)", displayed, text, flags=re.MULTILINE)
    first, *rest = re.split(r"^(\w[\w ]+)\n-+\n", text, flags=re.MULTILINE)
    section = Section(name, 2, cells=[markdown(first)])
    for title, body in zip(rest[::2], rest[1::2], strict=True):
        if title == "Examples":
            examples = doctest.DocTestParser().get_examples(body)
            outputs = [{"text": example.want} for example in examples if example.want]
            source = "".join(example.source for example in examples)
            section.cells.append(
                {"cell_type": "code", "metadata": {}, "source": source, "outputs": outputs}
            )
        elif title != "References":
            # The lines that name a parameter and its type are not indented.
            told = (
                re.sub(r"^\S.*$", "", body, flags=re.MULTILINE) if title == "Parameters" else body
            )
            section.parts.append(Section(title, 3, cells=[markdown(told)]))
    return section


def markdown(source: str) -> Json:
    """Return a cell of text."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


@dataclass(frozen=True)
class Equation:
    """A displayed equation."""

    latex: str  # on one line
    label: str | None


def equations(section: Section) -> list[Equation]:
    """Return the displayed equations of a section."""
    return [Equation(words(m["latex"]), m["label"]) for m in EQUATION.finditer(section.prose)]


# --- Sentences ---


def blocks(prose: str) -> Iterator[str]:
    """Yield the paragraphs, list items and rows of tables, each on one line, without directives."""
    prose = EQUATION.sub("\n\n", prose)
    block: list[str] = []
    for line in [*prose.splitlines(), ""]:
        text = line.strip()
        directive = re.match(r"(:{3,}|`{3,}|:[\w-]+:(?!`)|\([\w-]+\)=$|\|[-:| ]+\|$)", text)
        starts = re.match(r"([-*] |\d+\. |\|)", text)
        if (not text or directive or starts) and block:
            yield words(" ".join(block))
            block = []
        if text and not directive:
            block.append(re.sub(r"^([-*] |\d+\. )", "", text))


def sentences(prose: str) -> Iterator[str]:
    """Yield the sentences of a text, each on one line; a row of a table is one."""
    for block in blocks(prose):
        if block.startswith("|"):
            yield block
            continue
        start = 0
        for end in SENTENCE_END.finditer(block):
            if not ABBREVIATIONS.search(block[start : end.start()]):
                yield block[start : end.end()].strip()
                start = end.end()
        yield block[start:].strip()
