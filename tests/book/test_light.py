"""What the pages load is what they use."""

from io import BytesIO

import matplotlib
import pytest
from fontTools.ttLib import TTFont

from paper_code.book.light import lightened, pruned, read, woff

PAGE = """<html data-theme="auto"><head>
  <script data-cfasync="false">theme()</script>
  <link href="a.css" rel="stylesheet" />
  <link rel="preload" as="script" href="b.js" />
  <script src="b.js"></script>
  <link rel="icon" href="c.svg" />
</head><body>
  <link rel="stylesheet" href="d.css">
  <script type="application/json" class="interactive-chart">{}</script>
  <pre>a
    b</pre>
  <script defer src="e.js"></script>
</body></html>
"""


def test_a_page_asks_for_one_style_sheet_and_one_script():
    page = lightened(PAGE, ["search.js"])
    assert not any(name in page for name in ("a.css", "b.js", "d.css", "e.js", "theme()", "data-theme="))
    assert [page.count(name) for name in ("style.css", "script.js", "search.js", "c.svg")] == [1, 1, 1, 1]
    assert '<script type="application/json" class="interactive-chart">{}</script>\n<pre>a\n    b</pre>' in page


def test_cells_and_rows_end_where_the_next_begin():
    table = "<table><tbody>\n  <tr>\n    <td>a</td>\n    <td>b\n c</td>\n  </tr>\n</tbody></table>"
    assert "<table><tbody><tr><td>a<td>b\nc\n</tbody></table>" in lightened("<head></head>" + table)


def test_a_page_that_is_light_stays_as_it_is():
    page = lightened(PAGE)
    assert lightened(page) == page


def test_rules_and_variables_that_no_page_uses_are_left_out():
    style = ":root{--a:#fff;--b:var(--a);--c:url('x;y')}.used{color:var(--d)}.used .not{top:0}p{left:0}.not{top:0}"
    expected = ":root{--c:url(x;y)}.used{color:var(--d)}p{left:0}html{--d:red}"
    assert pruned(style + "html{--d:red}", {"used"}) == expected


def test_a_font_keeps_the_glyphs_that_are_asked_for():
    path = matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans.ttf"
    font = TTFont(BytesIO(woff(path, {"a", "Σ", "\ue123"})))
    assert set(font.getBestCmap()) == {ord("a"), ord("Σ")}
    assert font.flavor == "woff"


def test_a_file_that_the_theme_does_not_have_is_named(tmp_path):
    (tmp_path / "basic.css").write_text("a{}")
    assert read(tmp_path, ["bas*"], ".css") == ["a{}"]
    with pytest.raises(FileNotFoundError, match=r"lacks gone\.css"):
        read(tmp_path, ["basic", "gone"], ".css")
