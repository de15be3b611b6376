"""The committed notebooks: executed once, in order, with all outputs, and none left to chance."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from .pages import BOOK, ROOT, VEGA_LITE, Json, pages, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTEBOOKS = sorted(BOOK.rglob("*.ipynb"))
# All that a cell may show. Widgets and HTML are left out: their ids are random, or they ask a CDN.
# Markdown is for tables, which strict nbval compares as text.
TYPES = {"text/plain", "text/markdown", "image/svg+xml", "image/png", VEGA_LITE}
LINES = 20


def complaints(notebook: Json) -> Iterator[str]:
    """Yield what is wrong with a notebook, one sentence at a time."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    counts = [cell["execution_count"] for cell in code]
    if counts != list(range(1, len(code) + 1)):
        yield f"not executed once from top to bottom: the cells have the counts {counts}"
    for number, cell in enumerate(code, start=1):
        for sentence in cell_complaints(cell):
            yield f"code cell {number}: {sentence}"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown" and re.search(r"!\[\s*\]\(", cell["source"]):
            yield f"an image without alt text in the cell that starts {cell['source'][:40]!r}"


def cell_complaints(cell: Json) -> Iterator[str]:
    """Yield what is wrong with a code cell."""
    lines = len(cell["source"].splitlines())
    if lines > LINES:
        yield f"{lines} lines; split it, {LINES} are enough for one idea"
    if expects_output(cell["source"]) and not cell["outputs"]:
        yield "prints or shows something, but its outputs were stripped"
    if "remove-cell" in cell["metadata"].get("tags", []) and cell["outputs"]:
        yield "is left out by the site, but prints or shows something"
    for output in cell["outputs"]:
        if output["output_type"] == "error":
            yield f"ends in an error: {output['ename']}: {output['evalue']}"
        elif output["output_type"] == "stream":
            if output["name"] == "stderr":
                yield f"writes to stderr: {output['text'][:60]!r}"
        else:
            yield from display_complaints(cell, set(output["data"]))


def expects_output(source: str) -> bool:
    """Say whether the source prints or plots, outside of any function."""
    calls: set[str] = set()
    statements: list[ast.AST] = list(ast.parse(source).body)
    while statements:
        node = statements.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call):
            calls.add(ast.unparse(node.func))
        statements.extend(ast.iter_child_nodes(node))
    return bool(calls & {"print", "plt.show", "display"})


def display_complaints(cell: Json, types: set[str]) -> Iterator[str]:
    """Yield what is wrong with what a cell displays."""
    if unknown := types - TYPES:
        yield f"shows {sorted(unknown)}; the book shows only {sorted(TYPES)}"
    if VEGA_LITE in types and types != {VEGA_LITE, "text/plain"}:
        yield f"an interactive figure comes as {sorted(types)}, not as Vega-Lite and text/plain"
    if any(kind.startswith("image/") for kind in types):
        alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
        if len(alt.split()) < 3:
            yield f"its image has the alt text {alt!r}; tell what it shows in mystnb.image.alt"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_is_as_executed(path: Path) -> None:
    found = [*complaints(read(path))]
    assert not found, "\n".join(found)


def test_every_notebook_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    listed = {ROOT / file for file in re.findall(r"(?:file|root): *(\S+)", contents)}
    missing = {
        path.name for path in NOTEBOOKS if path.with_suffix("") not in listed and path not in listed
    }
    assert not missing, f"list {missing} in _toc.yml, without the ending"
    absent = {
        path.name
        for path in listed
        if not any(path.with_suffix(suffix).exists() for suffix in (".ipynb", ".md"))
    }
    assert not absent, f"_toc.yml lists {absent}, and there is no such file"


def test_no_two_pages_have_one_name() -> None:
    """A link names a page without its folder."""
    names = [path.stem for path in pages()]
    assert sorted(names) == sorted(set(names))


# --- The checks can fail: one good cell, spoiled in every way ---

PRINTED: Json = {"output_type": "stream", "name": "stdout", "text": "0.5\n"}


def notebook(**changes: object) -> Json:
    """Return a sound notebook of two code cells, the second of them changed."""
    cell = {"cell_type": "code", "metadata": {}, "source": "print(0.5)", "outputs": [PRINTED]}
    return {"cells": [cell | {"execution_count": 1}, cell | {"execution_count": 2} | changes]}


def displayed(*types: str) -> list[Json]:
    return [{"output_type": "display_data", "metadata": {}, "data": dict.fromkeys(types, "x")}]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"outputs": displayed(VEGA_LITE, "text/plain")},
        {"source": "def f():\n    print(1)", "outputs": []},
    ],
)
def test_a_sound_notebook_is_accepted(changes: dict[str, object]) -> None:
    assert list(complaints(notebook(**changes))) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"execution_count": None, "outputs": []}, "not executed once from top to bottom"),
        ({"execution_count": 1}, "not executed once from top to bottom"),
        ({"execution_count": 7}, "not executed once from top to bottom"),
        ({"outputs": []}, "outputs were stripped"),
        ({"source": "x = 1\n" * 21}, "21 lines"),
        ({"outputs": [PRINTED | {"name": "stderr"}]}, "writes to stderr"),
        ({"metadata": {"tags": ["remove-cell"]}}, "is left out by the site"),
        ({"outputs": [{"output_type": "error", "ename": "E", "evalue": "no"}]}, "error: E: no"),
        ({"outputs": displayed("image/png", "text/plain")}, "alt text ''"),
        ({"outputs": displayed("text/html", "text/plain")}, "text/html"),
        ({"outputs": displayed(VEGA_LITE)}, "interactive figure"),
        ({"outputs": displayed(VEGA_LITE, "image/png", "text/plain")}, "interactive figure"),
        ({"outputs": displayed("application/vnd.jupyter.widget-view+json")}, "widget-view"),
        ({"cell_type": "markdown", "source": "![](x.png)"}, "an image without alt text"),
    ],
)
def test_an_unsound_notebook_is_refused(changes: dict[str, object], complaint: str) -> None:
    assert complaint in " ".join(complaints(notebook(**changes)))
