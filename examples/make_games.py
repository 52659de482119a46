#!/usr/bin/env python3
"""Plays chess games between two beginners and writes them as PGN: a corpus with rules to learn.

    python examples/make_games.py --games 2000 --seed 0 --out games.pgn

Each player looks one move ahead: at what a move takes, what it leaves to be taken, at mate, check,
castling, development and the centre. It then draws a move by softmax, so that openings vary and
pieces are blundered. The same seed gives the same bytes; a longer file begins with the shorter one.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

try:
    import chess
except ImportError:
    print("make_games.py needs chess: pip install 'abi-transplant[chess]'", file=sys.stderr)
    raise SystemExit(2) from None

PLIES = 120  # then the game is adjudicated
WINNING = 5.0  # pawns: a lead that wins a game that is cut short
OPENING = 12  # plies in which the players are less careful, and opening moves count
TEMPERATURE = {True: 0.3, False: 0.2}  # pawns; in the opening, and after it
MATE = 100.0

PIECES = (chess.PAWN, chess.KNIGHT, chess.BISHOP, chess.ROOK, chess.QUEEN, chess.KING)
VALUES = (0.0, 1.0, 3.0, 3.0, 5.0, 9.0, 100.0)  # by type of piece; pawns
CENTRE = [3.5 - max(abs(s % 8 - 3.5), abs(s // 8 - 3.5)) for s in chess.SQUARES]  # 0 to 3


class Attacks:
    """The squares that one side attacks: by each type of piece, and more than once."""

    def __init__(self, board: chess.Board, color: chess.Color) -> None:
        self.by_type = [chess.BB_EMPTY] * 7
        self.once = self.twice = chess.BB_EMPTY
        for piece in PIECES:
            for square in chess.scan_forward(board.pieces_mask(piece, color)):
                mask = board.attacks_mask(square)
                self.by_type[piece] |= mask
                self.twice |= self.once & mask
                self.once |= mask

    def cheapest(self, square: chess.Square) -> float:
        """The value of the least piece that attacks the square."""
        return next(VALUES[p] for p in PIECES if self.by_type[p] & chess.BB_SQUARES[square])


class Position:
    """What both sides attack, and how good each move looks to a beginner."""

    def __init__(self, board: chess.Board) -> None:
        self.board = board
        self.opening = board.ply() < OPENING
        self.mine = Attacks(board, board.turn)
        self.theirs = Attacks(board, not board.turn)
        king = board.king(not board.turn)
        assert king is not None
        self.king = king
        # Whence each type of piece would give check; a discovered check is overlooked.
        straight = chess.BB_RANK_ATTACKS[king][chess.BB_RANK_MASKS[king] & board.occupied]
        straight |= chess.BB_FILE_ATTACKS[king][chess.BB_FILE_MASKS[king] & board.occupied]
        oblique = chess.BB_DIAG_ATTACKS[king][chess.BB_DIAG_MASKS[king] & board.occupied]
        pawns = chess.BB_PAWN_ATTACKS[not board.turn][king]
        knights = chess.BB_KNIGHT_ATTACKS[king]
        self.checks = (0, pawns, knights, oblique, straight, straight | oblique, 0)

    def score(self, move: chess.Move) -> float:
        """How good the move looks, in pawns."""
        piece = self.board.piece_type_at(move.from_square)
        assert piece is not None
        becomes = move.promotion or piece
        sideways = move.from_square % 8 != move.to_square % 8
        score = self._takes(move, passing=piece == chess.PAWN and sideways)
        score += VALUES[becomes] - VALUES[piece]
        score -= self._leaves(move.to_square, becomes, moved=piece != chess.PAWN or sideways)
        score += self._leaves(move.from_square, piece, moved=False)  # as it stands now
        score += self._placement(move, piece)
        if self.checks[becomes] & chess.BB_SQUARES[move.to_square]:
            score += MATE if self._mates(move) else 0.3
        return score

    def _takes(self, move: chess.Move, *, passing: bool) -> float:
        taken = self.board.piece_type_at(move.to_square)
        if taken is None and passing:  # a pawn leaves its file for an empty square
            taken = chess.PAWN
        return VALUES[taken or 0]

    def _leaves(self, square: chess.Square, piece: chess.PieceType, *, moved: bool) -> float:
        """What the opponent gains by taking a piece of this type on the square."""
        mask = chess.BB_SQUARES[square]
        if piece == chess.KING or not self.theirs.once & mask:
            return 0.0
        # What moves to a square attacked it before, save a pawn that advances.
        defended = (self.mine.twice if moved else self.mine.once) & mask
        gain = VALUES[piece] - (self.theirs.cheapest(square) if defended else 0.0)
        return max(0.0, gain)

    def _placement(self, move: chess.Move, piece: chess.PieceType) -> float:
        start, end = move.from_square, move.to_square
        if piece == chess.KING:
            castles = abs(end - start) == 2
            return 1.5 if castles else -0.5 if self.opening else 0.0
        if self.opening:
            developed = piece in (chess.KNIGHT, chess.BISHOP) and start // 8 in (0, 7)
            early = -0.4 if piece in (chess.QUEEN, chess.ROOK) else 0.0
            return 0.35 * (CENTRE[end] - CENTRE[start]) + 0.1 * developed + early
        if piece == chess.PAWN:
            rank = end // 8 if self.board.turn else 7 - end // 8
            return 0.03 * rank * rank
        return 0.1 * (
            chess.square_distance(start, self.king) - chess.square_distance(end, self.king)
        )

    def _mates(self, move: chess.Move) -> bool:
        self.board.push(move)
        mates = self.board.is_checkmate()
        self.board.pop()
        return mates


def play(draw: random.Random) -> tuple[list[str], str]:
    """Plays one game and returns its moves in SAN and its result."""
    board = chess.Board()
    moves: list[str] = []
    while len(moves) < PLIES:
        legal = list(board.legal_moves)
        if not legal:
            lost = "0-1" if board.turn else "1-0"
            return moves, lost if board.is_check() else "1/2-1/2"
        if board.is_insufficient_material() or board.is_repetition() or board.is_fifty_moves():
            return moves, "1/2-1/2"
        position = Position(board)
        scores = [position.score(move) for move in legal]
        best, temperature = max(scores), TEMPERATURE[position.opening]
        weights = [math.exp((score - best) / temperature) for score in scores]
        moves.append(board.san_and_push(draw.choices(legal, weights)[0]))
    return moves, adjudicate(board)


def adjudicate(board: chess.Board) -> str:
    """The result of an unfinished game: a win for who leads by `WINNING` pawns, or a draw."""
    lead = sum(
        VALUES[piece] * (len(board.pieces(piece, True)) - len(board.pieces(piece, False)))
        for piece in PIECES
    )
    return "1-0" if lead >= WINNING else "0-1" if lead <= -WINNING else "1/2-1/2"


def pgn(number: int, seed: int) -> str:
    """One game as PGN; it depends on its number and the seed alone."""
    moves, result = play(random.Random(f"{seed}/{number}"))
    tags = {
        "Event": f"Beginners, seed {seed}",
        "Site": "make_games.py",
        "Date": "????.??.??",
        "Round": str(number),
        "White": "Beginner A",
        "Black": "Beginner B",
        "Result": result,
    }
    tokens = [f"{ply // 2 + 1}. {san}" if ply % 2 == 0 else san for ply, san in enumerate(moves)]
    movetext = textwrap.wrap(
        " ".join([*tokens, result]), 79, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(
        [*(f'[{tag} "{value}"]' for tag, value in tags.items()), "", *movetext, "", ""]
    )


def write(games: Iterator[str], out: Path) -> None:
    """Writes to a temporary name beside `out`, then renames: `out` is whole or is not there."""
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="ascii", newline="\n") as file:
            file.writelines(games)
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def reported(games: int, seed: int) -> Iterator[str]:
    """The games one by one, with progress on stderr."""
    for number in range(1, games + 1):
        yield pgn(number, seed)
        if number % 100 == 0 or number == games:
            print(f"{number} of {games} games", file=sys.stderr)


def positive(text: str) -> int:
    """A number of games."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {value}")
    return value


def main() -> int:
    """Reads the options and writes the file."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--games", type=positive, default=2000, help="how many (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (default 0)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, .pgn")
    options = parser.parse_args()
    try:
        write(reported(options.games, options.seed), options.out)
    except OSError as error:
        print(f"cannot write {options.out}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
