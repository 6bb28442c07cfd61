"""Definitions on hover."""

import re

from paper_code.book.terms import first_sentences

LINK = re.compile(r'(<a class="reference internal" [^>]*#(term-[^"]*)"[^>]*>)')


def test_a_definition_is_cut_after_two_sentences_and_without_tex():
    text = r"The number $D_i$ of $\mathbf{E}_i^{\rightarrow j}$. It is" + "\n" + r"$\min(D, K)$, or $2\times$. No more."
    assert first_sentences(text) == "The number D_i of E_i^→ j. It is min(D, K), or 2 times."


def test_a_term_is_defined_where_it_first_stands_on_a_page_and_only_there(html):
    repeated = 0
    for path in html.glob("*.html"):
        if path.stem in ("notation", "genindex"):
            continue
        links = {}
        for link, term in LINK.findall(path.read_text("utf-8")):
            links.setdefault(term, []).append("title=" in link)
        for titled in links.values():
            assert titled == [True, *[False] * (len(titled) - 1)], path
            repeated += len(titled) > 1
    assert repeated
