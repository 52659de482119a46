"""Documents as HTML, as Markdown and as PDF."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.pictures.browser import loaded_by, needs_chromium, widths
from transplant.errors import TransplantError
from transplant.pictures.document.blocks import (
    Bar,
    Bars,
    Code,
    Document,
    Facts,
    HeatMap,
    LineageBlock,
    Paragraph,
    Sample,
    Samples,
    Section,
    TableBlock,
)
from transplant.pictures.document.html import as_html
from transplant.pictures.document.lineage import Edge, Lineage, Node, draw_lineage
from transplant.pictures.document.markdown import as_markdown
from transplant.pictures.document.pdf import as_pdf
from transplant.pictures.heat_map import Grid
from transplant.tables.table import Table

pytest.importorskip("jinja2")
LONG = "a-very-long-name-of-a-module-that-was-moved" * 3
BARS = Bars(
    [
        Bar("candidate", 0.5, 0.4, 0.6, "the moved module", "moved"),
        Bar(LONG, -0.25, note="no interval"),
    ],
    "recovered",
)
LINEAGE = Lineage(
    (
        Node("donor", "backbone", "a" * 64),
        Node(LONG, "module", "b" * 64, held=False),
        Node("m@t", "module", "b" * 64),
    ),
    (Edge(0, 2, "donor backbone"), Edge(1, 2, "module")),
)
CELL = {"target": "head:0.1", "effect": 0.2, "measured": True, "interval": [0.1, 0.3]}


@pytest.fixture(scope="module")
def document() -> Document:
    grid = Grid("head", tuple(map(str, range(40))), ((CELL, *(None,) * 39),) * 2)
    table = Table("", "system", "perplexity", "recovered", "95 %")
    table.add(LONG, "1.00", "2", "3 .. 4")
    blocks = [
        Paragraph("text <b>&amp;"), Facts([("seed", "0"), (LONG, LONG)]), BARS,
        TableBlock(table),
        HeatMap(grid), LineageBlock(LINEAGE), Code("abi transfer --module " + LONG),
        Samples([Sample("def f(", [("raw", "x" * 300), ("moved", "```y")])]),
    ]  # fmt: skip
    sections = [Section("Evidence", blocks), Section("Traces", (), ["a trace: <none>"])]
    return Document(f"Report: {LONG}", "It recovers .5 | of * it.", "Made now.", sections)


def test_a_page_loads_nothing_and_leads_nowhere(document):
    page = as_html(document)
    assert loaded_by(page) == []
    assert page.count('href="#') == len(document.sections)


@pytest.mark.parametrize(
    "planted",
    [
        '<img src="https://x.y/z.png">', "<link rel=stylesheet>", "<script>1</script>",
        "body { background: url(//x.y/z) }", '<a href="/etc/passwd">', '@import "x.css"',
    ],
)  # fmt: skip
def test_what_a_page_would_load_is_noticed(planted):
    assert loaded_by(f"<style></style>{planted}")
    assert loaded_by('<a href="#here"><img src="data:image/png;base64,AA">') == []


@needs_chromium
def test_no_page_is_wider_than_a_telephone_or_a_desk(document, tmp_path):
    assert widths(as_html(document), tmp_path, 390, 1280) == [0, 0]
    assert min(widths("<p style='width:1500px'>wide", tmp_path, 390, 1280)) > 0  # the control


def test_what_was_written_by_others_is_escaped(document):
    page = as_html(document)
    assert "text &lt;b&gt;&amp;amp;" in page
    assert "Missing: a trace: &lt;none&gt;" in page


def test_bars_lie_on_one_axis_from_the_least_to_the_most():
    assert BARS.reach == (-0.25, 0.6)
    assert BARS.place(-0.25) == 0
    assert BARS.place(0.6) == pytest.approx(100)
    assert (BARS.bounds(BARS.bars[0]), BARS.bounds(BARS.bars[1])) == ("0.400 .. 0.600", "")
    assert Bars([Bar("none", 0.0)], "of").place(0) == 0


def test_a_lineage_names_each_artifact_its_hash_and_its_parents():
    drawn = draw_lineage(LINEAGE)
    assert drawn.count("<rect") == 3
    assert drawn.count("stroke-dasharray") == 1
    assert drawn.count('class="edge"') == 2
    assert "from donor backbone 1, module 2" in drawn
    assert drawn.count("sha256 " + "b" * 16) == 2
    words = [float(size) for size in re.findall(r'font-size="(\d+)"', drawn)]
    assert min(words) * 390 / float(drawn.split('viewBox="0 0 ')[1].split()[0]) > 9  # pixels


def test_markdown_has_the_same_content_and_no_broken_table(document):
    text = as_markdown(document)
    assert "**It recovers .5 | of \\* it.**" in text
    assert "*Missing:* a trace: \\<none\\>" in text
    rows = [line for line in text.splitlines() if line.startswith("| candidate")]
    assert rows == ["| candidate | 0.500 | 0.400 .. 0.600 | the moved module |"]
    assert "b" * 64 in text
    assert "````\n```y\n````" in text
    assert "abi transfer --module " + LONG in text


def test_a_pdf_holds_the_words_of_the_page(document, tmp_path):
    pytest.importorskip("weasyprint", exc_type=Exception)
    written = as_pdf(as_html(document))
    assert written.startswith(b"%PDF")
    if shutil.which("pdftotext") is None:
        pytest.skip("no pdftotext on this machine")
    (tmp_path / "a.pdf").write_bytes(written)
    words = subprocess.run(
        ["pdftotext", str(tmp_path / "a.pdf"), "-"], capture_output=True, text=True, check=True
    ).stdout
    assert "It recovers .5 | of * it." in " ".join(words.split())
    assert "candidate" in words


def test_a_pdf_fetches_nothing():
    pytest.importorskip("weasyprint", exc_type=Exception)
    from transplant.pictures.document.pdf import as_pdf

    page = "<p>words</p><img src='{}'>"
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
    assert as_pdf(page.format(dot)).startswith(b"%PDF")
    for address in ("file:///etc/passwd", "http://127.0.0.1:9/x.png"):
        with pytest.raises(TransplantError, match="refers to"):
            as_pdf(page.format(address))
