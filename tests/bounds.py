"""The error that a docstring allows, in units of the last place: read there, and nowhere else.

The sentence is "Within 4 ulp (float16: 1 ulp)", or "at most"; another one, of "more than 2,048
logits", or "probabilities", may follow it. A bound may grow with a quantity: "within 5 + γ ulp".
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

import crossent
from crossent import _spans

SENTENCE = re.compile(
    r"(?P<large>[Mm]ore than 2,048 (?:logits|probabilities) )?"
    r"(?:[Ww]ithin|at most) (?P<usual>[^()]+?) ulp"
    r"(?: \((?P<dtype>float\d\d): (?P<other>.+?) ulp)?"
)
TERMS = re.compile(r"(?::math:`)?([\d.]+)(?: \+ ([\d.]*) ?(\S[^`]*))?`?")
LARGEST = r"\max_k |z_k|"


@cache
def _stated(function: str) -> dict[str, dict[str, str]]:
    """What the docstring says of small and of large arrays: by dtype, "" for any other."""
    text = " ".join((getattr(crossent, function).__doc__ or "").split())
    result: dict[str, dict[str, str]] = {}
    for found in SENTENCE.finditer(text):
        said = {"": found["usual"]} | ({found["dtype"]: found["other"]} if found["dtype"] else {})
        result.setdefault("large" if found["large"] else "small", said)
    return result


def ulp(
    function: str, dtype: Any, quantities: Mapping[str, Any] | None = None, *, size: int = 0
) -> Any:
    """The bound for an array of so many logits, and for what it may depend on, by its symbol."""
    stated, name = _stated(function), np.dtype(dtype).name
    said = stated.get("large", stated["small"]) if size > _spans.LARGE else stated["small"]
    bound = said.get(name) or stated["small"].get(name) or said[""]
    terms = TERMS.fullmatch(bound)
    assert terms, f"{function} states a bound of {bound!r}"
    constant, factor, symbol = terms.groups()
    return float(constant) + (float(factor or 1) * (quantities or {})[symbol] if symbol else 0.0)


def largest(z: Any) -> dict[str, float]:
    """The quantity that counts in sums of exponentials: the largest logit, 88 at most."""
    return {LARGEST: min(float(np.max(np.abs(z), where=np.isfinite(z), initial=0.0)), 88.0)}


DIVERGENCES = {"kl_divergence": "D", "js_divergence": "J"}
LEAST = 2.0**-14  # in nats: no divergence counts for less


def of_divergence(function: str, dtype: Any, size: int, nats: Any) -> Any:
    """The bounds of divergences, which may depend on them."""
    root = rf"/ \sqrt{{{DIVERGENCES.get(function)}}}"
    constant, more = (ulp(function, dtype, {root: x}, size=size) for x in (0.0, 1.0))
    return constant + (more - constant) / np.sqrt(np.maximum(nats, LEAST))
