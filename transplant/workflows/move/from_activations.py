"""A move that reads captured files: the backbones do not run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

from transplant.calibration.config import CONTINUED, NOTHING, MoveConfig
from transplant.errors import InputError
from transplant.workflows.move.inputs import gain_tokens
from transplant.workflows.move.move import Move

M = TypeVar("M", bound=Move)


@contextmanager
def reading_files(move: M, paired: tuple[Path, Path], domain: Path | None) -> Iterator[M]:
    """The move with rows of files, which are open inside the block.

    Args:
        move: its pairing text is not read.
        paired: rows of the donor and of the target on the same text.
        domain: rows of the target on the domain, whose calibration split chooses the gain; where
            there are none, `paired` has them or the target reads that split.

    Raises:
        InputError: a file of another backbone, of other text, or without the layers that are read.
    """
    from transplant.activations.splits import fingerprint_of, windows_by_side
    from transplant.calibration.pairs_from_files import pair_captured
    from transplant.training.file_rows import file_rows

    with ExitStack() as stack:
        donor, target = (stack.enter_context(move.work.activations(path)) for path in paired)
        if donor.header.corpus != target.header.corpus:
            raise InputError(
                "`activations` takes two files of the same text",
                expected=donor.header.corpus,
                found=target.header.corpus,
                hint=f"`capture(backbone={move.to!r}, data={donor.header.corpus!r}, taps='all', "
                "out='FILE')`",
            )
        move = move.taking(fitting=_from_rows(move))
        with move.step("pair"):
            pairing = pair_captured(
                move.donor, move.target, (donor, target), move.token_counts, move.fitting
            )
        move = move.taking(
            pairing=pairing, data=donor.header.corpus,
            pairing_split=fingerprint_of(donor, windows_by_side(donor)),
        )  # fmt: skip
        rows = target if domain is None else stack.enter_context(move.work.activations(domain))
        if domain is not None and rows.header.corpus != move.domain_source:
            raise InputError(
                f"{domain} holds other text than the domain's",
                expected=move.domain_source,
                found=rows.header.corpus,
                hint=f"`domain_data={rows.header.corpus!r}`, if that is the domain too",
            )
        if rows.header.corpus == move.domain_source:
            rows.check_made_by(move.target, move.target.name)
            taps = pairing.fitted.batches[0].target.taps
            sides = windows_by_side(rows)
            budget = gain_tokens(move.target)
            held = file_rows(move.target, rows, sides["calibration"], taps, budget)
            move = move.taking(domain_split=fingerprint_of(rows, sides), calibration_text=held)
        yield move


def _from_rows(move: Move) -> MoveConfig:
    """What suits the target, of rows whose text is not there to tell how a token goes on."""
    fitting = move.fitting
    if move.config.inside is None and fitting.inside == CONTINUED:
        return dataclasses.replace(fitting, inside=NOTHING)
    return fitting
