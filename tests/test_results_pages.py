"""The pages of `examples/results/`: short, all in the index, every data file on one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "examples/results"
INDEX = FOLDER / "README.md"
PAGES = sorted({*FOLDER.glob("*.md")} - {INDEX})
LONGEST_INDEX, LONGEST_PAGE = 120, 350


def lines_of(page: Path) -> list[str]:
    """The lines of a page."""
    return page.read_text("utf-8").splitlines()


def test_the_index_names_every_page_and_is_short():
    named = set(re.findall(r"\]\(([\w-]+\.md)", INDEX.read_text("utf-8")))
    assert named == {page.name for page in PAGES}
    assert len(lines_of(INDEX)) <= LONGEST_INDEX


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_short_and_no_two_of_its_headings_are_alike(page):
    lines = lines_of(page)
    headings = [line.lstrip("# ") for line in lines if re.match("#+ ", line)]
    assert len(lines) <= LONGEST_PAGE
    assert lines[0].startswith("# ")
    assert len(headings) == len({heading.lower() for heading in headings})


def test_every_data_file_stands_on_a_page():
    text = "".join(page.read_text("utf-8") for page in PAGES)
    files = [path.name for path in sorted(FOLDER.iterdir()) if path.suffix in (".json", ".png")]
    assert files
    assert [name for name in files if name not in text] == []


@pytest.mark.parametrize("page", [INDEX, *PAGES], ids=lambda page: page.name)
def test_rows_of_a_table_have_as_many_cells_as_its_head(page):
    table: list[int] = []
    for number, line in enumerate([*lines_of(page), ""], start=1):
        if line.startswith("|"):
            table.append(line.replace("\\|", "").count("|"))
            assert table[-1] == table[0], f"line {number}: {line}"
        else:
            table = []
