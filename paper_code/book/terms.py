"""A term's definition on hover, where the term first stands on a page."""

import re
from html import escape

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

GLOSSARY = "notation"
LINK = re.compile(r'<a class="reference internal" href="(?:notation\.html)?#(term-[^"]+)"(?![^>]*title=)')
TEX = {r"\\(?:mathbf|mathrm|boldsymbol)\b": "", r"\\min\b": "min", r"\\times\b": " times", r"\\rightarrow\b": "→"}


def define_terms(app: Sphinx, page: str, template: str, context: dict, doctree) -> None:
    """Give the first link to a term of the glossary its definition as a title, on every page but the glossary."""
    if "body" not in context or page == GLOSSARY:
        return
    defined, seen = app.env.definitions, set()

    def titled(link: re.Match) -> str:
        term = link[1]
        if term in seen or term not in defined:
            return link[0]
        seen.add(term)
        return f'{link[0]} title="{escape(defined[term])}"'

    context["body"] = LINK.sub(titled, context["body"])


def definitions(env: BuildEnvironment) -> dict[str, str]:
    """The first two sentences of every term's definition, by the term's anchor; of a book without a glossary none."""
    if GLOSSARY not in env.found_docs:
        return {}
    found = {}
    for item in env.get_doctree(GLOSSARY).findall(nodes.definition_list_item):
        text = first_sentences(item.next_node(nodes.definition).astext())
        for term in item.findall(nodes.term):
            found |= dict.fromkeys(term["ids"], text)
    return found


def first_sentences(text: str, number: int = 2) -> str:
    """The sentences as plain text, formulas as letters."""
    for pattern, plain in TEX.items():
        text = re.sub(pattern, plain, text)
    text = re.sub(r"[{}$]", "", " ".join(text.split()))
    return " ".join(re.split(r"(?<=[.:]) (?=[A-Z])", text)[:number])
