"""Writing of a donor as the text that a move is paired on: synthetic, and the best of it kept."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.errors import InputError
from transplant.progress import part_of
from transplant.ranks import current
from transplant.workflows.corpus import DONOR

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel
    from transplant.progress import Progress
    from transplant.text.documents import Document
    from transplant.text.splits import Splits

LEAST_WRITTEN = 60  # documents: some must be held out


@dataclass(frozen=True)
class Writing:
    """What a donor has written, split, and what is said of it."""

    text: Splits
    written: int
    """Documents."""
    kept: int
    """Of these."""
    guidance: float = 1.0
    """The factor on what the donor learned while it wrote."""
    gain: float | None = None
    """log p1 - log p0 of the kept ones by the donor itself, in nats per token; None where all were
    kept and none was scored."""
    gain_of_all: float | None = None

    def facts(self) -> dict[str, Any]:
        """For manifests and reports."""
        named: dict[str, Any] = {"synthetic": True, "written": self.written, "kept": self.kept}
        if self.guidance != 1:
            named["guidance"] = self.guidance
        if self.gain is not None:
            named |= {"donor_gain": self.gain, "donor_gain_of_all": self.gain_of_all}
        return named


def check_text(data: str, config: MoveConfig, *, text_free: bool) -> None:
    """Refuses what only the writing of a donor can be asked for, of any other text.

    Raises:
        InputError: it names the parameter.
    """
    asked = {"keep": config.keep < 1, "guidance": config.guidance != 1, "text_free": text_free}
    for name, is_asked in asked.items():
        if is_asked and data != DONOR:
            raise InputError(
                f"`{name}` is about what the donor writes",
                expected=f"`data={DONOR!r}`", found=data,
            )  # fmt: skip


def write_text(
    donor: HostedModel, counts: Mapping[str, int] | None, config: MoveConfig, progress: Progress
) -> Writing:
    """Lets a donor write, and keeps the share of it that it gained most on.

    Of a share of one half twice as much is written: what is kept is as much as without a choice,
    enough that the excerpts can be cut from its training split.

    Args:
        donor: a hosted module, or a base and a tuned copy of it.
        counts: the domain's token counts, from which first tokens are drawn; None: the donor draws
            them, too.
        config: how many excerpts, of how many characters, with which guidance, which share is kept,
            and the seed.
        progress: is told of the documents.
    """
    return write_panel([donor], [counts], config, progress)


def write_panel(
    donors: Sequence[HostedModel], counts: Sequence[Mapping[str, int] | None], config: MoveConfig,
    progress: Progress,
) -> Writing:  # fmt: skip
    """The same of several donors, each of which writes an equal part and is judged by itself.

    Of several processes the first one has them write, and all read what it has: what is drawn may
    differ from machine to machine.

    Args:
        donors: hosted modules, or bases and tuned copies of them.
        counts: the domain's token counts of each, or None.
        config: as above.
        progress: is told of the documents.
    """
    from transplant.calibration.donor_text import write_documents
    from transplant.calibration.gained_text import gained_most, gains_on
    from transplant.text.document import Document
    from transplant.text.splits import CALIBRATION_SHARE, EVAL_SHARE, split_documents

    ranks = current()
    train_share = 1 - CALIBRATION_SHARE - EVAL_SHARE
    wanted = max(LEAST_WRITTEN, math.ceil(config.excerpts / train_share))
    kept = math.ceil(wanted / len(donors))
    count = math.ceil(kept / config.keep)
    best: list[Document] = []
    gains, known = 0.0, [0.0, 0.0]  # of the kept ones; of all, and how many
    for number, (donor, own) in enumerate(zip(donors, counts, strict=True)):
        written: list[Document] = []
        if ranks.first:
            written = write_documents(
                donor, own, count, chars=config.excerpt_chars, guidance=config.guidance,
                seed=config.seed + number,
                progress=part_of(progress, number * count, count, len(donors) * count),
            )  # fmt: skip
        texts = ranks.from_first([document.text for document in written])
        written = [Document(text, f"written by {donor.name}") for text in texts]
        if count > kept:
            found = gains_on(donor, written)
            written, mean = gained_most(written, found, kept)
            scored = [gain for gain in found if gain > -math.inf]
            gains += mean / len(donors)
            known = [known[0] + sum(scored), known[1] + len(scored)]
        best += written
    total, of = len(donors) * count, len(donors) * kept
    if count == kept:
        return Writing(split_documents(best), total, of, config.guidance)
    return Writing(split_documents(best), total, of, config.guidance, gains, known[0] / known[1])
