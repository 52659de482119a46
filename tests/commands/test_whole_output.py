"""Nothing that is read or copied is cut at the terminal's edge, and COLUMNS is heeded."""

from __future__ import annotations

import pytest
from rich.console import Console

from commands.output import Output
from commands.render.table import drawn
from transplant.tables.table import Table, prose

NAME, HASH = "a-very-long-name-of-a-module@a-very-long-backbone", "0123456789abcdef" * 4
NOTE = "prose that may wrap where there is no room for it, word by word"


def lines_of(width: int) -> list[str]:
    title = "a title that is longer than forty columns are, surely"
    shown = Table(title, "name", "sha256", prose(""))
    shown.add(NAME, HASH, NOTE)
    shown.note("a caption that is longer than forty columns are, and is not cut to the table")
    console = Console(width=width)
    with console.capture() as found:
        console.print(drawn(shown), crop=False)
    return found.get().splitlines()


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_table_cuts_no_name_and_no_hash_and_wraps_prose_between_words(width):
    lines = lines_of(width)
    assert any(NAME in line and HASH in line for line in lines)
    text = " ".join(" ".join(lines).split())
    assert "…" not in text
    assert all(word in text for word in NOTE.split())


@pytest.mark.parametrize(("width", "fits"), [(40, False), (66, True), (80, True), (120, True)])
def test_prose_is_narrower_before_a_line_is_longer_and_no_line_ends_in_blanks(width, fits):
    """A terminal would break each line of a table that is a little wider than it is."""
    shown = Table("t", "system", "perplexity", "95 %", prose(""))
    shown.add("module-attributable", "1234.56", "-0.883 .. -0.512", NOTE)
    shown.add("raw", "569.38", "", "")
    console = Console(width=width)
    with console.capture() as found:
        console.print(drawn(shown), crop=False)
    lines = found.get().splitlines()
    assert (max(map(len, lines)) <= width) == fits
    assert all(line == line.rstrip() for line in lines)
    assert all(word in " ".join(lines).split() for word in NOTE.split())


def test_a_caption_is_as_wide_as_the_terminal():
    narrow = Table("t", "a")
    narrow.add("1")
    narrow.note("a caption of some seventy columns, far wider than the table above it is")
    console = Console(width=80)
    with console.capture() as found:
        console.print(drawn(narrow), crop=False)
    assert narrow.notes[0] in [line.strip() for line in found.get().splitlines()]


@pytest.mark.parametrize(("columns", "width"), [("64", 64), ("200", 200), (None, 120), ("x", 120)])
def test_a_pipe_is_as_wide_as_columns_says(columns, width, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    assert Output().stdout.width == width


def test_a_long_path_stays_on_one_line(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    path = "/a/folder/" + "that-is-long/" * 8 + "file.json"
    Output().result({}, f"\n{path}")
    assert path in capsys.readouterr().out.splitlines()


def test_verify_shows_whole_tolerances_and_hashes_at_eighty_columns(monkeypatch, capsys):
    from transplant.tables.recomputed import results_sheet

    monkeypatch.setenv("COLUMNS", "50")
    number = {"name": "recovered.a_control_of_a_long_name", "recorded": 0.5, "recomputed": 0.5,
              "tolerance": 0.0001, "agrees": True}  # fmt: skip
    hashes = {"donor": HASH, "target": HASH}
    move = {
        "donor": "law@a", "name": "law-from-a@b", "numbers": [number], "not_recomputed": [],
        "module_sha256": {"recorded": hashes, "found": hashes},
        "split": {"recorded": HASH, "found": HASH, "same": True},
        "control": {"differs": True, "tokens": 2000, "ppl": {"candidate": 1, "sign_flipped": 2}},
    }  # fmt: skip
    report = {"moves": [move], "verdict": "reproduced", "pass": True, "seconds": 1.0,
              "record": "r.json", "command": "abi transfer --module law@a --to b"}  # fmt: skip
    Output().result(report, results_sheet(report))
    shown = capsys.readouterr().out
    for whole in ("+- 0.0001", HASH[:12], "recovered.a control of a long name", report["command"]):
        assert whole in shown
