"""The addresses of pages: links by name alone, equation numbers, and what became of old addresses.

A page has a name that no other page of the book has, so that it can move to another part without a
change of what leads to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.domains.math import MathDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

# Pages that stood directly under book/ before the book had parts. Others link there.
ONCE_IN_BOOK = """
    entropy cross_entropy likelihood softmax gradient binary categorical training why_not_mse
    weights smoothing family pytorch tensorflow side_by_side
    symptoms pitfalls notation glossary api bibliography
""".split()  # noqa: SIM905


def name_of(docname: str) -> str:
    """Return the name of a page: its address without the folder."""
    return docname.rpartition("/")[2]


def docname_of(env: BuildEnvironment, name: str) -> str | None:
    """Return where the page with this name stands."""
    return next((each for each in sorted(env.all_docs) if name_of(each) == name), None)


class LinkByName(SphinxPostTransform):
    """Lets ``{doc}`weights``` lead to the page in whatever part it stands, under its short title.

    The title is the one in ``_toc.yml``: the heading of a chapter asks a question, which would stop
    the sentence that the link stands in.
    """

    default_priority = 5  # before Sphinx looks in the page's own folder

    def run(self, **_: Any) -> None:
        """Resolve the links; Sphinx warns of those that lead nowhere."""
        for node in list(self.document.findall(pending_xref)):
            docname = docname_of(self.env, node["reftarget"]) if node["reftype"] == "doc" else None
            if docname is None:
                continue
            title = self.env.external_site_map[docname].title  # type: ignore[attr-defined]
            text = node.astext() if node["refexplicit"] or not title else title
            inner = nodes.inline(text, text, classes=["doc"])
            builder, here = self.app.builder, self.env.docname
            node.replace_self(make_refnode(builder, here, docname, None, inner))


class NamedEquations(MathDomain):
    """Numbers equations with the name of their page: "(softmax 2)" is unique in the book."""

    def note_equation(self, docname: str, labelid: str, location: Any = None) -> None:
        """Give the next number of the page."""
        super().note_equation(docname, labelid, location)
        number = f"{name_of(docname).replace('_', ' ')} {self.equations[labelid][1]}"
        self.equations[labelid] = (docname, cast("int", number))  # Sphinx only prints it


def redirects(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Write a page that leads on at the site's root, and at every address that a page had once."""
    moved = {f"book/{name}": docname_of(app.env, name) for name in ONCE_IN_BOOK}
    for address, docname in ({"index": app.config.root_doc} | moved).items():
        assert docname is not None, f"addresses.py: no page has the name of {address}"  # noqa: S101
        title = app.env.titles[docname].astext()
        target = app.builder.get_relative_uri(address, docname)
        yield address, {"target": target, "name": title}, "redirect.html"
