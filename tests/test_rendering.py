"""Drawings lie in the pages, and nothing on a page names another host."""

from types import SimpleNamespace

from paper_code.rendering import drop_thebe, inline_drawings, inline_svg

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
