"""Drawings and equations lie in the pages, nothing on a page names another host, and what changes another page is built
again."""

from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

from paper_code.book import rendering
from paper_code.book.rendering import (
    BUNDLED,
    PREVIEW,
    describe,
    drop_launchers_without_a_place,
    drop_thebe,
    flatten_buttons,
    inline_drawings,
    inline_svg,
    licences,
    mathml,
    mend_lists,
    name_folds,
    read_users_of_values,
    rendered_by,
    write_all_if_names_changed,
)

PROJECT = Path(__file__).parents[2]
SVG = (
    '<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns="http://www.w3.org/2000/svg" width="388pt" height="200pt"'
    ' viewBox="0 0 388 200" role="img" aria-label="two > one">\n <metadata><x/></metadata><path stroke-width="2"'
    ' width="7"/></svg>\n'
)


def test_an_svg_in_a_page_is_the_element_alone_as_wide_as_its_place():
    assert inline_svg(SVG) == (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 388 200" role="img" aria-label="two > one">\n'
        ' <path stroke-width="2" width="7"/></svg>\n'
    )


def test_a_drawing_has_the_colours_of_the_page():
    svg = inline_svg(
        '<svg><path style="fill: #ffffff; stroke: #262626"/><text style="fill: #1a1a1a">#de8f05</text></svg>'
    )
    assert 'style="fill:var(--pst-color-background, #ffffff);stroke:currentColor"' in svg
    assert '<text style="fill:currentColor">#de8f05' in svg


def test_only_images_of_svg_are_replaced(tmp_path):
    (tmp_path / "a.svg").write_text(SVG, encoding="utf-8")
    app = SimpleNamespace(srcdir=tmp_path, builder=SimpleNamespace(images={"a.svg": "hash.svg", "b.png": "b.png"}))
    context = {"body": '<figure><img alt="x" src="_images/hash.svg" /></figure><img src="_images/b.png"/>'}
    inline_drawings(app, "page", "page.html", context, None)
    assert context["body"] == f'<figure>{inline_svg(SVG)}</figure><img src="_images/b.png"/>'


def test_the_launcher_of_live_code_is_left_out():
    own, launcher = (SimpleNamespace(filename="", attributes={"body": body}) for body in ("own", "THEBE_URL"))
    context = {"script_files": [own, launcher, "_static/sphinx-thebe.js"], "css_files": ["a.css"]}
    drop_thebe(None, "page", "page.html", context, None)
    assert context == {"script_files": [own], "css_files": ["a.css"]}


@pytest.mark.parametrize(("url", "offered"), [("", []), ("https://github.com/a/b", ["binderhub_url", "colab_url"])])
def test_binder_and_colab_are_offered_where_the_repository_is_named(url, offered):
    buttons = {
        "thebe": False,
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
    }
    options = {"repository_url": url, "launch_buttons": buttons}
    drop_launchers_without_a_place(None, SimpleNamespace(html_theme_options=options))
    assert [name for name in buttons if name != "thebe"] == offered


def test_references_are_no_list_without_items():
    context = {"body": '<div role="list" class="citation-list">\n<div class="citation" role="doc-biblioentry">'}
    mend_lists(None, "page", "page.html", context, None)
    assert 'role="list"' not in context["body"]
    assert 'role="doc-biblioentry"' in context["body"]


def test_coordinates_keep_two_decimals_and_texts_all_of_theirs():
    svg = '<svg><g id="a"><path d="M 1.23456 2 \nL 3 -4.5678 \nz\n" clip-path="url(#b)"/></g><clipPath id="b"/>'
    assert inline_svg(svg + '<text x="7.00123">0.12345</text></svg>') == (
        '<svg><g><path d="M1.23 2L3 -4.56z" clip-path="url(#b)"/></g><clipPath id="b"/>'
        '<text x="7.00">0.12345</text></svg>'
    )


def test_the_style_of_a_text_is_short():
    font = "font-family: 'DejaVu Sans', 'Verdana', sans-serif"
    svg = inline_svg(
        f'<svg><text style="font-size: 9px; {font}; fill: #fff" transform="rotate(-0 1.5 2)">a: b</text></svg>'
    )
    assert svg == '<svg><text style="font-size:9px;fill:#fff">a: b</text></svg>'


def test_a_page_is_described_by_its_first_paragraph_without_an_equation():
    texts = [
        nodes.paragraph("", "", nodes.math("", "x")),
        nodes.paragraph("", 'Is "1 < 2"?'),
        nodes.paragraph("", "No"),
    ]
    for doctree, expected in ((nodes.section("", *texts), "Is &quot;1 &lt; 2&quot;?"), (None, "The book")):
        context = {"metatags": "<meta>"}
        describe(app_at(""), "page", "page.html", context, doctree)
        assert context["metatags"].startswith(f'<meta><meta name="description" content="{expected}">')
        assert f'<meta property="og:description" content="{expected}">' in context["metatags"]


def app_at(address: str) -> SimpleNamespace:
    return SimpleNamespace(config=SimpleNamespace(html_title="The book", html_baseurl=address))


@pytest.mark.parametrize("address", ["", "https://example.org/book/"])
@pytest.mark.parametrize(
    ("body", "picture"), [('<a href="figures/toy.png" download>', "figures/toy.png"), ("", PREVIEW)]
)
def test_a_preview_of_a_page_has_its_title_and_its_first_figure(address, body, picture):
    context = {"title": "Where <em>IA</em> &lt; 2", "body": body and f'{body}<a href="figures/other.png" download>'}
    describe(app_at(address), "page", "page.html", context, None)
    assert '<meta property="og:title" content="Where IA &lt; 2">' in context["metatags"]
    assert f'<meta property="og:image" content="{address}{picture}">' in context["metatags"]


def test_buttons_of_a_menu_stand_beside_the_others():
    context = {
        "header_buttons": [{"type": "group", "buttons": [{"label": "source"}, {"label": "pdf"}]}, {"label": "all"}]
    }
    flatten_buttons(None, "page", "page.html", context, None)
    assert [button["label"] for button in context["header_buttons"]] == ["source", "pdf", "all"]


def test_what_unfolds_the_table_of_contents_has_a_name():
    context = {"generate_toctree_html": lambda kind, depth: f"<details><summary>{kind} {depth}</summary></details>"}
    name_folds(None, "page", "page.html", context, None)
    text = context["generate_toctree_html"]("sidebar", depth=2)
    assert text == '<details><summary aria-label="pages below">sidebar 2</summary></details>'


def test_an_equation_is_mathml():
    assert mathml(nodes.math("", "x_i"), displaystyle=False) == "<math><msub><mi>x</mi><mi>i</mi></msub></math>"


def test_an_equation_that_is_not_understood_is_shown_as_written_with_a_warning(caplog):
    assert mathml(nodes.math("", r"\nosuch < 1"), displaystyle=True) == r"<code>\nosuch &lt; 1</code>"
    assert "nosuch" in caplog.text


def test_every_bundled_package_states_its_licence_and_is_on_the_page_of_notices():
    page = (PROJECT / "book" / "cite.md").read_text(encoding="utf-8")
    text = licences()
    for name in BUNDLED:
        assert f"{name} {version(name)}\n" in text
        assert name.lower() in page.lower()
    assert text.count("Redistribution and use") + text.count("Permission is hereby granted") >= len(BUNDLED)


def test_licences_of_other_scripts_are_files_beside_them_and_on_the_page():
    page = (PROJECT / "book" / "cite.md").read_text(encoding="utf-8")
    for path in (PROJECT / "book" / "_static").glob("*.LICENSE.txt"):
        assert f"`{path.name}`" in page


def test_pages_that_show_values_of_a_changed_notebook_are_read_again(tmp_path):
    pages = {"claims": "# Claims", "index": "{glue:text}`claims.ipynb::verdicts:s`", "how_to": "[](claims.ipynb)"}
    for name, text in pages.items():
        (tmp_path / name).write_text(text)
    env = SimpleNamespace(found_docs=set(pages), doc2path=lambda name: tmp_path / name)
    for changed, expected in ((["claims"], ["claims", "index"]), (["how_to"], ["how_to"]), ([], [])):
        read_users_of_values(None, env, changed)
        assert changed == expected


@pytest.mark.parametrize("change", ["title", "number", "place", "definition"])
def test_all_pages_are_written_again_if_what_they_call_each_other_changed(change, monkeypatch):
    defined = {"term-log": "A table."}
    monkeypatch.setattr(rendering, "definitions", lambda env: defined.copy())
    std = SimpleNamespace(data={"labels": {"fig-toy": ("toy", "fig-toy", "The toy")}})
    env = SimpleNamespace(
        found_docs={"index", "toy"},
        titles={"toy": nodes.title("", "The toy")},
        toctree_includes={"index": ["toy"]},
        toc_fignumbers={"toy": {"figure": {"fig-toy": (1,)}}},
        get_domain=lambda name: std,
    )
    assert write_all_if_names_changed(None, env) == env.found_docs
    assert write_all_if_names_changed(None, env) == []
    if change == "title":
        env.titles["toy"] = nodes.title("", "A toy")
    elif change == "number":
        env.toc_fignumbers["toy"]["figure"]["fig-toy"] = (2,)
    elif change == "definition":
        defined["term-log"] = "A table of what was shown."
    else:
        std.data["labels"]["fig-toy"] = ("other", "fig-toy", "The toy")
    assert write_all_if_names_changed(None, env) == env.found_docs
    assert write_all_if_names_changed(None, env) == []


def test_all_pages_are_read_again_if_a_style_changed(tmp_path):
    (tmp_path / "book.css").write_text("a {}")
    before = rendered_by(tmp_path)
    assert rendered_by(tmp_path) == before
    (tmp_path / "book.css").write_text("b {}")
    assert rendered_by(tmp_path) != before
