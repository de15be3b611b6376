"""The chapter on language models."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf

from tests.checks import Cited, Given, Row, distributions, same

TEXTS = st.lists(st.integers(0, 2), min_size=2, max_size=6)


@given(TEXTS, st.lists(distributions(3, least=1), min_size=4, max_size=4), st.data())
def eq_lm_loss(text: list[int], rows: list[Row], data: st.DataObject) -> None:
    r"""L = -\frac{1}{N} \sum_{t \,:\, x_{t+1} \text{ counts}}
    \log \hat y(x_{t+1} \mid x_1, \dots, x_t) .
    """
    counts = [data.draw(st.booleans()) for _ in text[1:]]
    if not any(counts):
        counts[0] = True

    def belief(before: list[int], token: int) -> mpf:
        return rows[sum(before) % 4][token]  # any function of all tokens before

    # The probability of the tokens that count, each given all before it, is a product.
    product = mp.fprod(belief(text[:t], text[t]) for t in range(1, len(text)) if counts[t - 1])
    N = sum(counts)
    terms = [-mp.log(belief(text[:t], text[t])) for t in range(1, len(text)) if counts[t - 1]]
    same(mp.fsum(terms) / N, -mp.log(product) / N)


MADE_UP = Given("the text makes it up")

NUMBERS = {
    "What is a perplexity of 15, and why does another program say 18?": Given("the question"),
    "as if it chose among 15 equally likely tokens": Given("the perplexity of the question"),
    "mark the prompt with −100": Given("PyTorch's mark for an ignored label"),
    "Mark the first token of each text with −100": Given("PyTorch's mark for an ignored label"),
    "a multiple of 64": Given("what is usual"),
    "a text of 1,000 tokens": MADE_UP,
    "asked when 6 was compared with 18": Cited(
        "https://github.com/huggingface/transformers/issues/3927", "6.12 and 18.34"
    ),
    "token 17 is not close to token 18": MADE_UP,
    "the loss is 0.01 after an hour": MADE_UP,
    "A model with a vocabulary of 128,256": MADE_UP,
}
