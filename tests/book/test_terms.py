"""Definitions on hover."""

import re

from paper_code.book.terms import first_sentences


def test_a_definition_is_cut_after_two_sentences_and_without_tex():
    text = r"The number $D_i$ of $\mathbf{E}_i^{\rightarrow j}$. It is" + "\n" + r"$\min(D, K)$, or $2\times$. No more."
    assert first_sentences(text) == "The number D_i of E_i^→ j. It is min(D, K), or 2 times."


def test_a_term_is_defined_where_it_first_stands_on_a_page_and_only_there(html):
    page = (html / "fig02_collapse.html").read_text(encoding="utf-8")
    links = re.findall(r'<a [^>]*#term-information-abundance"[^>]*>', page)
    assert len(links) > 1
    assert [" title=\"The sum of a matrix's singular values" in link.replace("&#x27;", "'") for link in links] == [
        True,
        *[False] * (len(links) - 1),
    ]
