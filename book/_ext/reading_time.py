"""How long the book takes to read, counted in the words of its text when it is built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from addresses import name_of
from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from sphinx.environment import BuildEnvironment

WORDS_A_MINUTE = 200
NOT_READ_AS_WORDS = (nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment)

logger = logging.getLogger(__name__)


class ReadingTime(nodes.Inline, nodes.Element):
    """The time for the pages and parts in the attribute ``pages``."""


class Chapters(nodes.General, nodes.Element):
    """The list of the pages of the parts in the attribute ``pages``, each with its time."""


class ReadingTimeRole(SphinxRole):
    """``{reading-time}`course```, or the names of several parts or pages: "2 hours"."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Leave the sum for when all pages are read."""
        node = ReadingTime(pages=self.text.split())
        self.set_source_info(node)
        return [node], []


class ChaptersDirective(SphinxDirective):
    """``{chapters} course``: the pages of a part, each with the question it asks and its time."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Leave the list for when all pages are read."""
        node = Chapters(pages=self.arguments)
        self.set_source_info(node)
        return [node]


class TellReadingTimes(SphinxPostTransform):
    """Writes times and lists, now that all pages are read."""

    default_priority = 5

    def run(self, **_: Any) -> None:
        """Replace what the role and the directive left."""
        for time in list(self.document.findall(ReadingTime)):
            minutes = sum(self._minutes(docname) for docname in self._docnames(time))
            time.replace_self(nodes.Text(duration(minutes)))
        for chapters in list(self.document.findall(Chapters)):
            entries = [self._entry(docname) for docname in self._docnames(chapters)]
            chapters.replace_self(nodes.bullet_list("", *entries))

    def _docnames(self, node: nodes.Element) -> list[str]:
        names = node["pages"]
        found = [
            docname
            for docname in contents(self.env)
            if name_of(docname) in names or docname.split("/")[-2] in names
        ]
        if not found:
            logger.warning("no part and no page has the name %s", names, location=node)
        return found

    def _minutes(self, docname: str) -> float:
        return count_words(self.env.get_doctree(docname)) / WORDS_A_MINUTE

    def _entry(self, docname: str) -> nodes.list_item:
        title = self.env.titles[docname].astext()
        link = make_refnode(
            self.app.builder, self.env.docname, docname, None, nodes.inline(title, title)
        )
        time = nodes.Text(f" · {self._minutes(docname):.0f}\N{NO-BREAK SPACE}min")
        return nodes.list_item("", nodes.paragraph("", "", link, time))


def contents(env: BuildEnvironment) -> list[str]:
    """Return the pages in the order of the table of contents."""
    parts = env.external_site_map.root.subtrees  # type: ignore[attr-defined]
    return [str(docname) for part in parts for docname in part.items]


def count_words(node: nodes.Node) -> int:
    """Count the words of a text, without formulas, and without code and what it prints."""
    cell = isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"
    if cell or isinstance(node, NOT_READ_AS_WORDS):
        return 0
    if isinstance(node, nodes.Text):
        return len(node.split())
    return sum(map(count_words, node.children))


def duration(minutes: float) -> str:
    """Say a time as one would: in steps of five minutes, from an hour on of half an hour."""
    if minutes < 57.5:
        return f"{max(5, 5 * round(minutes / 5))} minutes"
    halves = round(minutes / 30)
    number = f"{halves // 2}{'½' * (halves % 2)}"
    return f"{number} hour{'s' * (halves > 2)}"
