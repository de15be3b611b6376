"""The checks of what the book claims, as pages that the mark beside an equation leads to."""

from __future__ import annotations

import ast
import functools
import html
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.builders.html import StandaloneHTMLBuilder
    from sphinx.domains.math import MathDomain
    from sphinx.writers.html5 import HTML5Translator

SOURCES = Path(__file__).parents[2] / "tests" / "checks"
INTRODUCTION = (
    "Each equation of {} that claims something is restated here without <code>crossent</code>, "
    "by a test that runs at every change of the book."
)


@dataclass(frozen=True)
class Check:
    """The function in ``tests/checks`` that checks an equation."""

    page: str
    source: str


@functools.cache
def checks() -> dict[str, Check]:
    """Return the checks of all equations by label; a definition has none."""
    found = {}
    for path in sorted(SOURCES.glob("[!_]*.py")):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if not isinstance(node, ast.FunctionDef) or not node.name.startswith("eq_"):
                continue
            if "definition" in map(ast.unparse, node.decorator_list):
                continue
            start = min([node.lineno, *(mark.lineno for mark in node.decorator_list)])
            source = "\n".join(lines[start - 1 : node.end_lineno])
            found[node.name.replace("_", "-")] = Check(path.stem, source)
    return found


def mark(translator: HTML5Translator, node: nodes.math_block) -> str:
    """Return the link from an equation to its check, if it has one."""
    check = checks().get(node["label"] or "")
    if check is None:
        return ""
    address = translator.builder.get_relative_uri(node["docname"], f"checks/{check.page}")
    return (
        f'<a class="checked" href="{address}#{node["label"]}" '
        'aria-label="How this equation is checked" title="How this equation is checked">✓</a>'
    )


def pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield a page for the checks of each page of the book."""
    builder = cast("StandaloneHTMLBuilder", app.builder)
    equations = cast("MathDomain", app.env.get_domain("math")).equations
    by_page: dict[str, dict[str, Check]] = {}
    for label, check in checks().items():
        by_page.setdefault(check.page, {})[label] = check
    for page, found in by_page.items():
        docname = equations[next(iter(found))][0]
        name = f"checks/{page}"
        address = builder.get_relative_uri(name, docname)
        title = html.escape(app.env.titles[docname].astext())
        link = f'<a href="{address}">{title}</a>'
        body = f"<h1>Checked equations: {title}</h1><p>{INTRODUCTION.format(link)}</p>"
        for label, check in found.items():
            number = f'<a href="{address}#equation-{label}">Equation ({equations[label][1]})</a>'
            source = builder.highlighter.highlight_block(check.source, "python")
            body += f'<section id="{label}"><h2>{number}</h2>{source}</section>\n'
        yield name, {"title": f"Checked equations: {title}", "body": body}, "page.html"
