"""The games that examples/make_games.py plays are chess, and the corpus reader takes them all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from transplant.text.documents import read_documents

pgn = pytest.importorskip("chess.pgn")

SCRIPT = Path(__file__).parents[2] / "examples" / "make_games.py"
GAMES = 12


def make_games(*options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ) if path is None else {**os.environ, "PYTHONPATH": str(path)}
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def write_games(out: Path, seed: int, games: int = GAMES) -> Path:
    ran = make_games("--games", str(games), "--seed", str(seed), "--out", str(out))
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
    return out


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_games(tmp_path_factory.mktemp("games") / "zero.pgn", seed=0)


def test_a_seed_gives_its_own_bytes(tmp_path: Path, played: Path) -> None:
    again = write_games(tmp_path / "again.pgn", seed=0)
    other = write_games(tmp_path / "other.pgn", seed=1)
    assert again.read_bytes() == played.read_bytes() != other.read_bytes()


def test_a_longer_file_begins_with_the_shorter_one(tmp_path: Path, played: Path) -> None:
    short = write_games(tmp_path / "short.pgn", seed=0, games=3).read_bytes()
    assert played.read_bytes().startswith(short)
    assert len(short) < len(played.read_bytes())


def test_every_game_is_legal_and_ends_as_its_header_says(played: Path) -> None:
    mates = 0
    with played.open() as file:
        games = list(iter(lambda: pgn.read_game(file), None))
    assert len(games) == GAMES
    for game in games:
        board = game.end().board()
        assert game.errors == []
        assert 4 <= board.ply() <= 120
        if board.is_checkmate():
            mates += 1
            assert game.headers["Result"] == board.result()
        assert board.ply() == 120 or board.is_game_over(claim_draw=True)
    assert mates


def test_lines_are_short_and_all_headers_there(played: Path) -> None:
    lines = played.read_text("ascii").splitlines()
    assert max(map(len, lines)) < 80
    for tag in ("Event", "Site", "Date", "Round", "White", "Black", "Result"):
        assert sum(line.startswith(f"[{tag} ") for line in lines) == GAMES


def test_every_game_is_one_document_of_moves_alone(played: Path) -> None:
    with played.open() as file:
        games = list(iter(lambda: pgn.read_game(file), None))
    exporter = {"headers": False, "columns": None}
    expected = [game.accept(pgn.StringExporter(**exporter)) for game in games]
    assert len(set(expected)) == GAMES
    assert [document.text for document in read_documents(str(played))] == expected


def test_a_file_that_cannot_be_written_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken.pgn").mkdir()
    for out in (tmp_path / "no" / "folder.pgn", tmp_path / "taken.pgn"):
        ran = make_games("--games", "1", "--out", str(out))
        assert ran.returncode == 1
        assert ran.stderr.splitlines()[-1].startswith(f"cannot write {out}: ")
    assert list(tmp_path.iterdir()) == [tmp_path / "taken.pgn"]


def test_without_chess_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "chess.py").write_text("raise ImportError")
    ran = make_games("--out", str(tmp_path / "x.pgn"), path=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr == "make_games.py needs chess: pip install 'abi-transplant[chess]'\n"
