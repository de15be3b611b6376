"""The glossary: its terms stand once each, in one order."""

import re
from itertools import pairwise

from .pages import find

PAGE = find("glossary")


def test_terms_are_in_order() -> None:
    entries = PAGE.read_text(encoding="utf-8").partition("{glossary}")[2]
    terms = re.findall(r"^(?! |```)(.+)$", entries, re.MULTILINE)
    assert len(terms) >= 60
    for before, after in pairwise(terms):
        message = f"{after!r} belongs before {before!r}, or is there twice"
        assert before.casefold() < after.casefold(), message
