"""What the book claims, restated by somebody who does not believe it: a module for each page.

- A function ``eq_entropy`` checks the displayed equation that is labelled ``eq-entropy``. Its
  docstring is the equation's LaTeX, so that neither can change without the other. It restates the
  claim without ``crossent``; of what only defines a symbol, `definition` says so.
- A function under `says` checks sentences, which it quotes as they stand on the page. In a notebook
  a cell tagged remove-cell does the same: assertions under comments that quote the sentence.
- ``SHOWN`` ties a sentence to the output, in its section, that shows it.
- ``NUMBERS`` says where a number comes from that no cell of its section prints.
- ``UNTESTED`` names a sentence that no run can decide, and why.

A quotation may leave out words: ``…`` stands for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import mpmath
from hypothesis import strategies as st
from mpmath import mp, mpf

from tests.pages import BOOK

if TYPE_CHECKING:
    from collections.abc import Callable

Check = TypeVar("Check", bound="Callable[..., Any]")
Real: TypeAlias = Any  # mpmath has no types
Row: TypeAlias = Sequence[Real]

mp.dps = 60  # digits; cancellation costs some

DEFINITIONS: set[Callable[..., Any]] = set()
SAID: dict[Callable[..., Any], tuple[str, ...]] = {}


def definition(check: Check) -> Check:
    """Mark an equation that gives something its name: nothing in it can be false."""
    DEFINITIONS.add(check)
    return check


def says(*sentences: str) -> Callable[[Check], Check]:
    """Mark the check of sentences, which are quoted from the page."""

    def mark(check: Check) -> Check:
        SAID[check] = sentences
        return check

    return mark


@dataclass(frozen=True)
class Computed:
    """Numbers of a phrase, in their order, computed here."""

    values: Callable[[], float | tuple[float, ...]]


@dataclass(frozen=True)
class Cited:
    """Numbers that somebody else found: a key of the bibliography or an address, and the place."""

    source: str
    place: str


@dataclass(frozen=True)
class Given:
    """Numbers that the text makes up, or that stand for themselves: why no cell prints them."""

    reason: str


Number = Computed | Cited | Given


def same(left: Any, right: Any, digits: int = 25) -> None:
    """Fail unless two numbers of mpmath agree to so many digits."""
    scale = max(abs(left), abs(right), mpmath.mpf(10) ** -digits)
    assert abs(left - right) <= scale * mpmath.mpf(10) ** -digits, f"{left} is not {right}"


# --- What several pages need, taken literally ---
#
# In the letters of formulas: a module, such as entropy, would take the place of a function of its
# name in this package.


def distributions(outcomes: int = 4, least: int = 0) -> st.SearchStrategy[Row]:
    """Draw distributions in shares of at most 12; with least = 1, no outcome is impossible."""
    shares = st.lists(st.integers(least, 12), min_size=outcomes, max_size=outcomes).filter(any)
    return shares.map(lambda row: [mpf(share) / sum(row) for share in row])


def H(p: Row, q: Row | None = None) -> Real:
    """Return the mean of -log q over p: the cross-entropy or, of p alone, the entropy, in nats."""
    terms = zip(p, p if q is None else q, strict=True)
    return mp.fsum(-p_k * mp.log(q_k) for p_k, q_k in terms if p_k > 0)


def KL(p: Row, q: Row) -> Real:
    """Return the mean of log p / q over p, in nats."""
    terms = zip(p, q, strict=True)
    return mp.fsum(p_k * mp.log(p_k / q_k) if q_k else mp.inf for p_k, q_k in terms if p_k > 0)


def reals(least: int = -5, most: int = 5) -> st.SearchStrategy[Real]:
    """Draw eighths, which neither nearly agree nor overflow."""
    return st.integers(8 * least, 8 * most).map(lambda eighths: mpf(eighths) / 8)


def logits(outcomes: int = 4) -> st.SearchStrategy[Row]:
    """Draw a row of real numbers."""
    return st.lists(reals(), min_size=outcomes, max_size=outcomes)


def soft(z: Row) -> Row:
    """Return the softmax: each power of e over the sum of all."""
    powers = [mp.exp(z_k) for z_k in z]
    return [power / mp.fsum(powers) for power in powers]


def sigma(z: Real) -> Real:
    """Return the sigmoid."""
    return 1 / (1 + mp.exp(-z))


def source(key: str) -> str:
    """Return what the bibliography says of a work: its authors, its title and so on."""
    bibliography = (BOOK / "references.bib").read_text(encoding="utf-8")
    found = re.search(rf"^@\w+\{{{key},$(.*?)^\}}$", bibliography, re.MULTILINE | re.DOTALL)
    assert found, f"{key} is not in the bibliography"
    return found[1]
