"""Chess games become their movetext, however a PGN file is annotated, laid out or encoded."""

from pathlib import Path

import pytest

from transplant.errors import CorpusError
from transplant.text.documents import read_documents
from transplant.text.pgn import read_games

SPANISH = "1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 5. O-O Be7 1-0"
FRENCH = "1. e4 e6 2. d4 d5 3. Nc3 Bb4 4. e5 c5 5. a3 Bxc3+ 1/2-1/2"


def games(tmp_path: Path, content: str | bytes) -> list[tuple[int, str]]:
    path = tmp_path / "games.pgn"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_games(path))


def texts(tmp_path: Path, content: str | bytes) -> list[str]:
    return [text for _, text in games(tmp_path, content)]


def test_each_game_of_a_file_is_a_document_named_by_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "two.pgn"
    path.write_text(f'\n[Event "A"]\n[White "B"]\n\n{SPANISH}\n\n[Event "C"]\n\n{FRENCH}\n')
    documents = read_documents(str(path))
    assert [document.text for document in documents] == [SPANISH, FRENCH]
    assert [document.source for document in documents] == [f"{path}:2", f"{path}:7"]


def test_games_in_a_folder_stand_beside_other_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("[Event is no tag here] 1. e4")
    (tmp_path / "OLD.PGN").write_text(f'[Event "A"]\n{SPANISH}\n{FRENCH}')
    found = [document.text for document in read_documents(str(tmp_path))]
    assert found == [SPANISH, FRENCH, "[Event is no tag here] 1. e4"]


@pytest.mark.parametrize(
    "aside",
    [
        "{a comment}",
        "{over\nthree\nlines}",
        "{[%clk 0:01:00] [Event} ",
        '{[Event "not a tag"]}',
        "{; no line comment} {%} {( no variation} {1-0}",
        "{\n[Event no tag\n% no escape }",
        "; to the end } ) of the line 1-0\n",
        "\n% escaped { ( [ 1-0\n",
        "$5 $142",
        "!?",
        "(2. d4 exd4)",
        "(2. d4 (2. f4 {King's (} exf4) (2. Nc3) exd4 1-0)",
        "(2. d4 ; no end ) here\n)",
        "\n\n \t ",
    ],
)
@pytest.mark.parametrize("joint", ["e4 ", "e5 ", "Be7 "])
def test_what_is_no_move_leaves_no_trace(tmp_path: Path, aside: str, joint: str) -> None:
    assert texts(tmp_path, SPANISH.replace(joint, joint.strip() + aside + " ")) == [SPANISH]


@pytest.mark.parametrize(
    "written",
    [
        "1.e4 e5 2.Nf3 Nc6 3.Bb5 1-0",
        "1 e4 e5 2 Nf3 Nc6 3 Bb5 1-0",
        "1. e4 {a} 1... e5 2. Nf3 {b} 2. ... Nc6 3. Bb5 1-0",
        "1.\ne4\ne5 2.\tNf3    Nc6\n\n\n3. Bb5\n1-0",
    ],
)
def test_moves_are_numbered_in_one_way(tmp_path: Path, written: str) -> None:
    assert texts(tmp_path, written) == ["1. e4 e5 2. Nf3 Nc6 3. Bb5 1-0"]


def test_a_game_that_black_begins_says_so(tmp_path: Path) -> None:
    assert texts(tmp_path, '[FEN "x"]\n\n12...Kf7 13. e5 *') == ["12... Kf7 13. e5 *"]


@pytest.mark.parametrize(
    "headers",
    [
        r'[Event "the \"Immortal\" game"]',
        r'[Event "a bracket ] and a { brace"]',
        r'[Event "a backslash \\"]',
        '[Event "a "quoted" [word]"]',
        '[Event "5" board, "one mark too many"]',
        '[Event\n"over"\n]',
        '[Event "a string\nover lines"]',
        '[Event "A"][Site "B"] [Round "1"]',
        '[ Event "spaced" ]',
        '[Event ""]',
    ],
)
def test_a_header_is_dropped_whatever_is_in_it(tmp_path: Path, headers: str) -> None:
    assert texts(tmp_path, f"{headers}\n{SPANISH}\n{headers}\n\n{FRENCH}") == [SPANISH, FRENCH]


def test_movetext_may_follow_a_header_on_its_line(tmp_path: Path) -> None:
    content = rf'[Event "A"] {SPANISH} [Event "an escaped \"] in a string"] {FRENCH}'
    assert games(tmp_path, content) == [(1, SPANISH), (1, FRENCH)]


def test_a_line_is_escaped_in_its_first_column_only(tmp_path: Path) -> None:
    assert texts(tmp_path, "1. e4\n%x\n %y e5 *") == ["1. e4 %y e5 *"]


def test_a_result_ends_a_game_and_a_header_begins_one(tmp_path: Path) -> None:
    content = f'{SPANISH}\n1. d4 *\n1. c4\n[Event "A"]\n1. f4 0-1 {{resigns}}\n1. Nf3'
    assert games(tmp_path, content) == [
        (1, SPANISH),
        (2, "1. d4 *"),
        (3, "1. c4"),
        (4, "1. f4 0-1"),
        (6, "1. Nf3"),
    ]


@pytest.mark.parametrize("empty", ['[Event "A"]\n\n*', "1-0", "1. *", "Games of 1999.", '[A "B"]'])
def test_a_game_without_a_move_is_skipped(tmp_path: Path, empty: str) -> None:
    assert texts(tmp_path, f'{empty}\n[Event "B"]\n\n{SPANISH}') == [SPANISH]


@pytest.mark.parametrize("content", ["", "\n\n", '[Event "A"]\n\n1-0\n', "{only a comment}", "*"])
def test_a_file_without_a_game_is_an_empty_corpus(tmp_path: Path, content: str) -> None:
    (tmp_path / "none.pgn").write_text(content)
    with pytest.raises(CorpusError, match=r"none\.pgn' is empty.*\.pgn"):
        read_documents(str(tmp_path / "none.pgn"))


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("after", [b"", b"\x1a"])
def test_line_ends_and_marks_of_other_systems_are_not_text(
    tmp_path: Path, ends: str, before: bytes, after: bytes
) -> None:
    lines = ["1. e4 ; best", "e5 *", "", "% escaped", '[Event "A"]', "", "1. d4 1-0"]
    content = before + ends.join(lines).encode() + after
    assert games(tmp_path, content) == [(1, "1. e4 e5 *"), (5, "1. d4 1-0")]


def test_latin_1_and_utf_8_may_stand_in_one_file(tmp_path: Path) -> None:
    latin = '[White "Müller"]\n1. e4 {gefährlich} é5 *\n'.encode("latin-1")
    utf_8 = '[White "Müller"]\n1. ♘f3 {gefährlich} *\n'.encode()
    assert texts(tmp_path, latin + utf_8) == ["1. e4 é5 *", "1. ♘f3 *"]


@pytest.mark.parametrize(
    ("content", "line", "expected", "found"),
    [
        (f"{SPANISH}\n1. e4 {{no\nend (", 2, "'}'", "the end of the file"),
        (f"{SPANISH}\n\n1. e4 (1. d4 (1. c4)\n{FRENCH}", 3, r"'\)'", "the end of the file"),
        (f'1. e4 (1. d4\n\n[Event "A"]\n{FRENCH}', 1, r"'\)'", "a tag pair"),
        (f'{SPANISH}\n[Event "A"\n\n1. e4 *\n', 2, "']'", "an empty line"),
        (f"{SPANISH}\n[Event", 2, "']'", "the end of the file"),
        ("1. e4\ne5) 2. Nf3", 2, "movetext", r"a '\)' that closes nothing"),
        ("1. e4 {one {two} three}", 1, "movetext", "a '}' that closes nothing"),
    ],
)
def test_what_is_not_closed_is_named_by_its_line(
    tmp_path: Path, content: str, line: int, expected: str, found: str
) -> None:
    with pytest.raises(
        CorpusError, match=rf"games\.pgn:{line} is not PGN: expected {expected}.*, found {found}"
    ):
        games(tmp_path, content)


@pytest.mark.parametrize("content", [b"1. e4 e5\n2. Nf3\0 *", b"1. e4\n{\0} *"])
def test_null_bytes_are_refused_by_line(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CorpusError, match=r"games\.pgn:2 is not text.*null bytes"):
        games(tmp_path, content)


def test_games_come_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "long.pgn"
    path.write_bytes(f"{SPANISH}\n".encode() * 2_000 + b"\0")
    reading = read_games(path)
    assert next(reading) == (1, SPANISH)
    assert len(read_documents(str(path), max_chars=len(SPANISH))) == 1
    with pytest.raises(CorpusError, match="null bytes"):
        list(reading)
