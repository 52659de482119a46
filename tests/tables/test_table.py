"""Tables as data: aligned text, Markdown and HTML that show words as they are."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from rich.console import Console

from commands.render.table import drawn
from transplant.tables.markdown import inline
from transplant.tables.table import Column, Sheet, Table, left, prose
from transplant.tables.words import bad, call, code, faint, quote, strong

EVIL = "<script>alert(1)</script> [bold]*a*[/bold] | `b` & \\"


def small() -> Table:
    table = Table("a title", "system", "ppl", prose("what it is"))
    table.add(strong("candidate"), "12.5", faint("the moved module"))
    table.end_section()
    table.add("raw", bad("7"))
    table.note("a line", None, "", ("on the mix ", bad("not better")))
    return table


def test_text_is_aligned_and_has_no_emphasis():
    assert str(small()).splitlines() == [
        "a title",
        "system      ppl  what it is",
        "candidate  12.5  the moved module",
        "raw           7",
        "a line",
        "on the mix not better",
    ]


def test_text_is_what_a_wide_terminal_shows():
    wide = Table("", "name", "two\nlines", left("kind"))
    wide.add("日本", "1", "a")
    wide.add("x", "22", "bb")
    nameless = Table("facts", left(""), "")  # no blank line in the place of its headers
    nameless.add("bytes", "12")
    for table in (small(), wide, nameless):
        console = Console(width=500)
        with console.capture() as found:
            console.print(drawn(table))
        assert [line.rstrip() for line in found.get().splitlines()] == str(table).splitlines()


def test_a_row_may_lack_cells_but_has_none_too_many():
    table = Table("", "a", "b")
    table.add("1")
    assert table.rows == [("1", "")]
    with pytest.raises(ValueError, match="3 cells for 2 columns"):
        table.add("1", "2", "3")


def test_a_table_of_markdown_keeps_alignment_emphasis_and_notes():
    assert small().to_markdown().splitlines() == [
        "**a title**",
        "",
        "| system | ppl | what it is |",
        "|---|---:|---|",
        "| **candidate** | 12.5 | the moved module |",
        "| raw | **7** |  |",
        "",
        "a line",
        "",
        "on the mix **not better**",
    ]


class Cells(HTMLParser):
    """The text of each cell, and the tags that were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, _):
        self.tags.add(tag)
        if tag in ("td", "th", "caption"):
            self.cells.append("")

    def handle_data(self, data):
        self.cells[-1] += data


def test_what_words_say_is_no_markup_anywhere():
    table = Table(EVIL, EVIL, Column("b"))
    table.add(EVIL, strong(EVIL))
    table.note(EVIL)
    page = Cells()
    page.feed(table._repr_html_())
    assert page.cells == [EVIL, EVIL, "b", EVIL, EVIL, EVIL]
    assert "script" not in page.tags
    row = table.to_markdown().splitlines()[4]
    assert row.replace("\\|", "").count("|") == 3  # no cell more
    assert "<" not in row.replace("\\<", "")
    console = Console(width=500)
    with console.capture() as found:
        console.print(drawn(table))
    assert found.get().count(EVIL) == 5


def test_html_aligns_numbers_right_and_parts_sections():
    html = small()._repr_html_()
    assert html.count("<tbody>") == 2
    assert '<td style="text-align: right; white-space: nowrap">12.5</td>' in html
    assert '<td style="text-align: left"><span style="opacity: 0.7">the moved module</span>' in html


def test_a_sheet_shows_its_parts_in_order_and_takes_in_other_sheets():
    sheet = Sheet(Sheet(small(), ""), code("run it\nthen"), quote("# said <b>"), "the end")
    assert len(sheet.parts) == 5
    assert str(sheet).endswith("\n\nrun it\nthen\n# said <b>\nthe end")
    assert sheet.to_markdown().endswith(
        "\n\n```\nrun it\nthen\n```\n\n```\n# said <b>\n```\n\nthe end\n"
    )
    assert sheet._repr_html_().endswith(
        "<p></p><pre><code>run it<br>then</code></pre><pre># said &lt;b&gt;</pre><p>the end</p>"
    )


def test_a_call_is_typed_as_a_command_on_a_terminal_alone():
    said = ("first ", call("nib(anchor='a@b', candidate='c@b')"), "; ", call("native='none'"))
    assert str(Sheet(said)) == "first `nib(anchor='a@b', candidate='c@b')`; `native='none'`"
    console = Console(width=500)
    with console.capture() as found:
        console.print(drawn(said))
    assert found.get() == "first abi nib --anchor a@b --candidate c@b; --native none\n"


@pytest.mark.parametrize(
    ("words", "styled"),
    [
        ((strong("a"), " b"), "\x1b[1ma\x1b[0m b\n"),
        (faint("a ", strong("b")), "\x1b[2ma \x1b[0m\x1b[1;2mb\x1b[0m\n"),
        (faint("a (", call("x=1"), ")"), "\x1b[2ma (--x 1)\x1b[0m\n"),
        ("a", "a\n"),
    ],
)
def test_emphasis_is_a_style_on_a_terminal(words, styled):
    console = Console(width=80, force_terminal=True, color_system="standard")
    with console.capture() as found:
        console.print(drawn(words))
    assert found.get() == styled


def test_a_command_is_not_broken_and_a_long_word_of_a_text_is():
    console = Console(width=10)
    for words, lines in ((code("a" * 8 + " " + "b" * 8), 1), (quote("a" * 25), 3)):
        with console.capture() as found:
            console.print(drawn(words), crop=False, overflow="ignore")
        assert len(found.get().splitlines()) == lines


@pytest.mark.parametrize(
    ("text", "said"),
    [("shuffled_pairs", "shuffled_pairs"), ("__init__", r"\_\_init\_\_"), ("_a b_", r"\_a b\_")],
)
def test_markdown_keeps_a_line_within_a_word_and_takes_it_for_no_emphasis(text, said):
    assert inline(text) == said
