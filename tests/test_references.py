"""The bibliography: each work was compared with another source, each citation fits its sentence.

``references.csv`` says what was seen of each work and where; ``citations.csv`` says which words of
the book a work is to support, what it says of them, and how that is known.
"""

from __future__ import annotations

import csv
import inspect
import re
import unicodedata
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import pytest

import crossent

from .guards import quoted
from .pages import BOOK, ROOT, blocks, page, pages, read, sentences, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

Row: TypeAlias = dict[str, str]

ENTRY = re.compile(r"^@\w+\{([^,]+),\n(.*?)^\}", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"^  (\w+) *= \{(.*)\},$", re.MULTILINE)
ROLE = re.compile(r"\{cite(?::\w+)*\}`([^`]+)`")
YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
INITIALS = re.compile(r"^(?:[A-Z]\.[- ]?)+")
PLACE = re.compile(r"(?:(\d+) )?\(?((?:1[89]|20)\d\d)\b\)?(?:, (\w*\d[\d-]*))?")  # 7 (1901), 3-9
BESIDE = 6  # words between a year and a citation
KNOWN = {"read", "abstract read", "title only", "general knowledge"}
FIELDS = ["title", "authors", "year", "pages", "identifier"]

# Names of authors that stand for something else, or for a work that is cited nearby.
APART = {
    "Brier score": "the name of a score; its work is cited where the score is defined",
    "shorter than Huffman's": "the method; its work is cited where the method is shown",
    "Hugging Face's trainer": "the company; its repair is linked",
}


# --- What is compared ---


def plain(text: str) -> str:
    """Return the letters and digits of a text, small and without accents."""
    bare = unicodedata.normalize("NFKD", text.lower().replace("ł", "l"))
    return re.sub(r"[^a-z0-9]", "", bare)


def entries(bibliography: str) -> dict[str, Row]:
    """Return the fields of each entry, with the authors' surnames and the identifiers."""
    found = {}
    for key, body in ENTRY.findall(bibliography):
        fields = {field: re.sub("[{}]", "", text) for field, text in FIELD.findall(body)}
        surnames = (name.partition(",")[0] for name in fields["author"].split(" and "))
        fields["authors"] = "; ".join(surnames)
        identifiers = (fields[each] for each in ("doi", "eprint", "url") if each in fields)
        fields["identifier"] = "; ".join(identifiers)
        found[key] = fields
    assert len(found) == len(re.findall(r"^@", bibliography, re.MULTILINE)), "unread, or twice"
    return found


def table(text: str) -> list[Row]:
    return list(csv.DictReader(text.splitlines()))


def keys(text: str) -> list[str]:
    """Return the keys that a text cites, in its order."""
    return [key.strip() for role in ROLE.findall(text) for key in role.split(",")]


def entry_complaints(works: Mapping[str, Row]) -> Iterator[str]:
    for key, work in works.items():
        if not work["identifier"]:
            yield f"{key}: no DOI, eprint or URL"
        # van den Goorbergh is goorbergh, Loaiza-Ganem is loaiza
        name = work["authors"].split("; ")[0].partition("-")[0].split()
        names = {plain(" ".join(name[start:])) for start in range(len(name))}
        parts = re.fullmatch(r"([a-z]+)(\d{4})[a-z]?", key)
        if not parts or parts[1] not in names or parts[2] != work["year"]:
            yield f"{key}: the key is not the first author and the year"
    for what in ("title", "identifier"):
        values = [plain(each) for work in works.values() for each in work[what].split("; ")]
        for value in (each for each, count in Counter(values).items() if each and count > 1):
            yield f"{value}: one {what} under two keys"


def table_complaints(
    works: Mapping[str, Row], seen: Iterable[Row], docstrings: Mapping[str, str]
) -> Iterator[str]:
    rows = {row["key"]: row for row in seen}
    for key in works.keys() - rows.keys():
        yield f"{key}: not in references.csv"
    for key, row in rows.items():
        if not row["seen"]:
            yield f"{key}: seen nowhere"
        for what in FIELDS if key in works else ():
            if row[what] != works[key].get(what, ""):
                yield f"{key}: {works[key].get(what)!r} is not the {what} that was seen"
        if key not in works and not any(is_of(row, text) for text in docstrings.values()):
            yield f"{key}: neither in the bibliography nor in a docstring"


def citation_complaints(
    works: Mapping[str, Row], told: Iterable[Row], prose: Mapping[str, str]
) -> Iterator[str]:
    cited = [
        (name, key, sentence)
        for name, text in prose.items()
        for sentence in sentences(text)
        for key in keys(sentence)
    ]
    for key in works.keys() - {key for _, key, _ in cited}:
        yield f"{key}: not cited"
    stands: Counter[tuple[str, str, str]] = Counter()
    for row in told:
        page_of, key, phrase = row["page"], row["key"], row["words"]
        if row["known"] not in KNOWN or not row["says"]:
            yield f"{page_of}: {key} does not say how its support is known"
        here = [each for each in cited if each[:2] == (page_of, key) and quoted(phrase, each[2])]
        if key not in keys(phrase) or len(here) != 1:
            yield f"{page_of}: {len(here)} citations of {key} have the words {phrase!r}"
        stands.update(here)
    for name, key, sentence in cited:
        if key not in works:
            yield f"{name}: {key} is not in the bibliography"
        if (rows := stands[name, key, sentence]) != 1:
            yield f"{name}: {key} has {rows} rows in citations.csv: {sentence}"


def name_complaints(works: Mapping[str, Row], prose: Mapping[str, str]) -> Iterator[str]:
    by_name: dict[str, set[str]] = {}
    for key, work in works.items():
        for author in work["authors"].split("; "):
            capitals = " ".join(part for part in author.split() if part[0].isupper())
            by_name.setdefault(capitals, set()).add(key)
    names = "|".join(re.escape(name) for name in by_name if name)
    for page_of, text in prose.items():
        for block in blocks(text):
            apart = re.sub("|".join(map(re.escape, APART)), "", block)
            bare = re.sub(r"`[^`]*`|\$[^$]*\$", "", apart)
            for name in re.findall(rf"(?<![\w–-])(?:{names})(?![\w–-])", bare):
                if by_name[name].isdisjoint(keys(block)):
                    yield f"{page_of}: {name} is named, but not cited: {block[:80]}"
        for sentence in sentences(text):
            parts = sentence.split()
            cited = {at: keys(part) for at, part in enumerate(parts) if keys(part)}
            for at, part in enumerate(parts) if cited else ():
                near = min(cited, key=lambda other: abs(other - at))
                right = {works[key]["year"] for key in cited[near] if key in works}
                if abs(near - at) <= BESIDE and set(YEAR.findall(ROLE.sub("", part))) - right:
                    yield f"{page_of}: {part} is not the year of {cited[near]}: {sentence[:80]}"


def is_of(row: Row, references: str) -> bool:
    """Say whether the references of a docstring name the work of a row."""
    titles = map(plain, re.findall(r'"(.+?)"', words(references)))
    return any(title and plain(row["title"]).startswith(title) for title in titles)


def docstring_complaints(
    works: Mapping[str, Row], seen: Iterable[Row], docstrings: Mapping[str, str]
) -> Iterator[str]:
    rows = list(seen)
    for name, references in docstrings.items():
        # A reference ends in a word or a number, an initial does not.
        for one in re.split(r"(?<=[a-z0-9)]\.) (?=[A-Z]\.)", words(references)):
            row = next((row for row in rows if is_of(row, one)), None)
            if not row:
                yield f"{name}: not in references.csv: {one}"
                continue
            meant, first = row["authors"].split("; "), one.partition(', "')[0]
            said = [INITIALS.sub("", each) for each in re.split(", | and | (?=et al)", first)]
            if said != (meant if said[-1] != "et al." else [meant[0], "et al."]):
                yield f"{name}: the authors of {row['key']} are {meant}, not {said}"
            place = PLACE.search(one.rpartition('"')[2])
            volume, year, span = place.groups() if place else ("", "", "")
            if year != row["year"]:
                yield f"{name}: {row['key']} is of {row['year']}, not {year}"
            if volume and volume != works.get(row["key"], {}).get("volume", volume):
                yield f"{name}: {row['key']} is not in volume {volume}"
            if span and span != row["pages"].replace("--", "-"):
                yield f"{name}: {row['key']} has the pages {row['pages']}, not {span}"
            preprint = re.search(r"arXiv:(\d+\.\d+)", one)
            if preprint and preprint[1] not in row["identifier"]:
                yield f"{name}: {row['key']} is not arXiv:{preprint[1]}"


def complaints(
    bibliography: str,
    references: str,
    citations: str,
    prose: Mapping[str, str],
    docstrings: Mapping[str, str],
) -> list[str]:
    """Return all that is wrong with a bibliography, its tables, the pages and the docstrings."""
    works, seen = entries(bibliography), table(references)
    return [
        *entry_complaints(works),
        *table_complaints(works, seen, docstrings),
        *citation_complaints(works, table(citations), prose),
        *name_complaints(works, prose),
        *docstring_complaints(works, seen, docstrings),
    ]


# --- The book ---


def test_each_work_was_seen_and_each_citation_fits() -> None:
    found = complaints(
        (BOOK / "references.bib").read_text(encoding="utf-8"),
        (ROOT / "tests" / "references.csv").read_text(encoding="utf-8"),
        (ROOT / "tests" / "citations.csv").read_text(encoding="utf-8"),
        prose(),
        docstrings(),
    )
    assert not found, "\n".join(found)


@cache
def prose() -> dict[str, str]:
    """Return the text of each page."""
    return {
        path.stem: "\n\n".join(section.prose for section in page(path).sections) for path in pages()
    }


def docstrings() -> dict[str, str]:
    """Return what stands under References in the docstrings."""
    section = re.compile(r"^References\n-+\n(.+?)(?:\n\n\w+\n-+\n|\Z)", re.MULTILINE | re.DOTALL)
    texts = {name: inspect.getdoc(getattr(crossent, name)) or "" for name in crossent.__all__}
    return {name: found[1] for name, text in texts.items() if (found := section.search(text))}


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.stem)
def test_no_citation_stands_where_sentences_are_not_looked_for(path: Path) -> None:
    found = [role for sentence in sentences(prose()[path.stem]) for role in ROLE.findall(sentence)]
    sources = [cell["source"] for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    message = "cite in paragraphs, lists and tables: nowhere else can citations.csv be for it"
    assert len(found) == "".join(sources).count("{cite"), message


def test_names_apart_are_needed() -> None:
    text = " ".join(prose().values())
    gone = [phrase for phrase in APART if phrase not in text]
    assert not gone, f"no page has these words any more; take them out of APART: {gone}"


# --- The rules can fail: a sound bibliography, spoiled in every way ---

SOUND = {
    "bibliography": """
@article{codd1901,
  author  = {van der Codd, Ann and Lee-Ray, Bo},
  title   = {On {Halves}},
  volume  = {7},
  year    = {1901},
  pages   = {3--9},
  doi     = {10.1/12},
}

@misc{muller1902,
  author = {Müller, Cy and others},
  title  = {More on Halves},
  year   = {1902},
  url    = {https://half.example/2},
}
""",
    "references": """key,title,authors,year,pages,identifier,seen,note
codd1901,On Halves,van der Codd; Lee-Ray,1901,3--9,10.1/12,https://halves.example,
muller1902,More on Halves,Müller; others,1902,,https://half.example/2,a/b: c.bib,
page1903,Halves Again: a Review,Page,1903,1--2,10.1/13,https://halves.example,only in a docstring
""",
    "citations": """page,key,words,says,known
halves,codd1901,Codd halved in 1901 {cite}`codd1901`,she did,read
halves,muller1902,and {cite:t}`muller1902` … again,twice,general knowledge
halves,codd1901,"Halves of halves {cite}`codd1901,muller1902`",both,title only
halves,muller1902,"Halves of halves {cite}`codd1901,muller1902`",both,title only
""",
    "page": """
# Halves

Codd halved in 1901 {cite}`codd1901`, and {cite:t}`muller1902` halved it again.

Halves of halves {cite}`codd1901,muller1902` are small. The Codd–Page rule is of 1850.
""",
    "docstring": """
A. van der Codd and B. Lee-Ray, "On halves", Journal 7 (1901), 3-9. C. Müller et al., "More on
halves", CVPR 1902, for the rest. D.-E. Page, "Halves again", Journal 8 (1903), 1-2.
""",
}


def complain(texts: Mapping[str, str]) -> str:
    """Return what the rules say of a miniature."""
    tables = texts["bibliography"], texts["references"], texts["citations"]
    return "\n".join(complaints(*tables, {"halves": texts["page"]}, {"half": texts["docstring"]}))


def test_a_sound_bibliography_is_accepted() -> None:
    assert complain(SOUND) == ""


@pytest.mark.parametrize(
    ("text", "here", "there", "complaint"),
    [
        ("bibliography", "  doi     = {10.1/12},\n", "", "codd1901: no DOI, eprint or URL"),
        ("bibliography", "{10.1/12}", "{10.1/11}", "'10.1/11' is not the identifier that was seen"),
        ("bibliography", "{3--9}", "{3--8}", "'3--8' is not the pages that was seen"),
        ("bibliography", "van der Codd", "Dodd", "codd1901: the key is not the first author"),
        ("bibliography", "Lee-Ray, Bo", "Ray, Bo", "is not the authors that was seen"),
        ("bibliography", "{1901}", "{1902}", "codd1901: the key is not the first author and the"),
        ("bibliography", "More on H", "On H", "onhalves: one title under two keys"),
        ("bibliography", "https://half.example/2", "10.1/12", "one identifier under two keys"),
        ("bibliography", "{muller1902,", "{muller1902b,", "muller1902b: not in references.csv"),
        ("bibliography", "{muller1902,", "{muller1902b,", "halves: muller1902 is not in the bib"),
        ("references", "a/b: c.bib", "", "muller1902: seen nowhere"),
        ("references", "Review,Page,1903", "Review,Page,1904", "page1903 is of 1904, not 1903"),
        ("citations", ",read", ",guess", "codd1901 does not say how its support is known"),
        ("citations", "again,twice", "no more,twice", "0 citations of muller1902 have the words"),
        (
            "citations",
            "Codd halved in 1901 {cite}`codd1901`",
            "{cite}`codd",
            "2 citations of codd1901",
        ),
        ("page", "{cite:t}`muller1902`", "they", "halves: 0 citations of muller1902"),
        ("page", "{cite}`codd1901,m", "{cite}`m", "0 citations of codd1901 have the words"),
        ("page", "small.", "small. So it {cite}`codd1901` is.", "codd1901 has 0 rows in citations"),
        ("page", "in 1901", "in 1900", "1900 is not the year of ['codd1901']"),
        ("page", "{cite}`codd1901`,", "then,", "0 citations of codd1901 have the words"),
        ("page", "# Halves", "# Halves\n\nMüller halved.", "Müller is named, but not cited"),
        ("docstring", "B. Lee-Ray", "B. Ray", "the authors of codd1901 are"),
        ("docstring", "Müller et al.", "Müller", "the authors of muller1902 are"),
        ("docstring", "Journal 7", "Journal 6", "codd1901 is not in volume 6"),
        ("docstring", "(1901)", "(1911)", "codd1901 is of 1901, not 1911"),
        ("docstring", "3-9", "3-19", "codd1901 has the pages 3--9, not 3-19"),
        ("docstring", "for the", "arXiv:1902.00001, for the", "muller1902 is not arXiv:1902.00001"),
        ("docstring", "Halves again", "Halves at last", "half: not in references.csv"),
        ("docstring", "Halves again", "Halves at last", "page1903: neither in the bibliography"),
    ],
)
def test_a_spoiled_bibliography_is_refused(
    text: str, here: str, there: str, complaint: str
) -> None:
    assert here in SOUND[text]
    assert complaint in complain(SOUND | {text: SOUND[text].replace(here, there, 1)})


def test_two_keys_exchanged_are_refused() -> None:
    exchanged = {"codd1901": "muller1902", "muller1902": "codd1901"}
    for role in re.findall(r"\{cite.*?\}`.+?`", SOUND["page"]):
        turned = re.sub("|".join(exchanged), lambda key: exchanged[key[0]], role)
        assert complain(SOUND | {"page": SOUND["page"].replace(role, turned, 1)})
