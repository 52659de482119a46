"""Options of a move (module, target, text): `transfer`, `calibrate`, `ablate`, `bridge-align`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options.shared import NameOption, parse_taps
from transplant.calibration.changes.spec import AUTO, CHANGES, changes_of
from transplant.calibration.config import METHODS, MoveConfig

if TYPE_CHECKING:
    from commands.session import Session
    from transplant.workflows.move.whole import WholeMove

MOVE = MoveConfig()

ModuleOption = Annotated[
    str, typer.Option("--module", help="The module to move, as in python@ref-gpt2.")
]
TargetOption = Annotated[str, typer.Option("--to", help="The backbone it moves to.")]
PairingData = Annotated[
    str,
    typer.Option(
        "--pair-data",
        "--data",
        help="Text to pair on: prose, python, a file, a folder, a data set; donor for what the "
        "donor itself writes.",
    ),
]
DomainData = Annotated[
    str | None,
    typer.Option(
        "--domain-data", help="The module's domain text; default: what it was trained on."
    ),
]
Excerpts = Annotated[int, typer.Option("--excerpts", min=1, help="Excerpts of text to pair on.")]
ExcerptChars = Annotated[
    int,
    typer.Option(
        "--excerpt-chars",
        min=40,
        help="Characters of an excerpt: maps are fitted as far into a text as excerpts reach.",
    ),
]
Stride = Annotated[
    int, typer.Option("--stride", min=1, help="Of the paired positions every so many-th is kept.")
]
TargetTaps = Annotated[
    str, typer.Option("--taps", help="Layers of the target to read: all, last, or a list as 0,2,3.")
]
Columns = Annotated[
    int,
    typer.Option(
        "--columns",
        min=1,
        help="Columns of the target's layers that a fit reads, at most; where there are more, "
        "layers are chosen and each is read through a basis.",
    ),
]
Change = Annotated[
    str,
    typer.Option(
        "--change",
        help="How changes of logits are carried to another vocabulary: "
        + "; ".join(f"{name} ({says})" for name, says in CHANGES.items())
        + f"; {AUTO}: what the calibration split prefers.",
    ),
]
Keep = Annotated[
    float,
    typer.Option(
        "--keep",
        metavar="SHARE",
        help="With --pair-data donor: of the (synthetic) text that the donor writes, the share "
        "that it gained most on, by its own log p1 - log p0; more is written, as much is paired.",
    ),
]
TextFree = Annotated[
    bool,
    typer.Option(
        "--text-free",
        help="With --pair-data donor: what the donor writes, synthetic text, stands in for the "
        "domain's wherever something is learned or chosen; the domain's is judged on alone.",
    ),
]
Native = Annotated[
    str | None,
    typer.Option(
        metavar="none|train|NAME",
        help="The native module, the ceiling. Default: train: the domain's, trained like the donor "
        "where missing, which takes three quarters of the time; none: no ceiling, no shares of it.",
    ),
]
General = Annotated[
    str | None,
    typer.Option(
        "--general",
        help="A module of general text in the donor, as prose@ref-gpt2: prints how much of the "
        "donor's change it explains.",
    ),
]
LessGeneral = Annotated[
    float,
    typer.Option(
        "--less-general",
        metavar="WEIGHT",
        help="How much of the change of --general is taken from the donor's: 1 for domain minus "
        "general.",
    ),
]
Method = Annotated[str, typer.Option("--method", help=f"Input map: {' or '.join(METHODS)}.")]


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How much text is paired, and how much of the target is read for it."""

    excerpts: Excerpts = MOVE.excerpts
    excerpt_chars: ExcerptChars = MOVE.excerpt_chars
    stride: Stride = MOVE.stride
    columns: Columns = MOVE.columns

    def fit(self, method: str, seed: int, taps: str = "all") -> MoveConfig:
        """How a move is fitted."""
        return dataclasses.replace(
            MOVE, method=method, excerpts=self.excerpts, excerpt_chars=self.excerpt_chars,
            stride=self.stride, columns=self.columns, taps=parse_taps(taps), seed=seed,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MoveOptions(PairOptions):
    """The options of every verb that stores a moved module."""

    data: PairingData = "prose"
    domain_data: DomainData = None
    method: Method = MOVE.method
    taps: TargetTaps = "all"
    change: Change = MOVE.change
    keep: Keep = MOVE.keep
    text_free: TextFree = False
    general: General = None
    less_general: LessGeneral = MOVE.less_general
    name: NameOption = None

    def config(self, session: Session) -> MoveConfig:
        """How the move is fitted."""
        fitted = self.fit(self.method, session.seed, self.taps)
        return dataclasses.replace(
            fitted, changes=changes_of(self.change), keep=self.keep, less_general=self.less_general
        )

    def move(self, session: Session, module: str, to: str) -> WholeMove:
        """The move that they describe."""
        from transplant.workflows.move.whole import WholeMove

        return WholeMove(
            session, module, to, self.data, self.domain_data, self.config(session), self.name,
            text_free=self.text_free, general=self.general,
        )  # fmt: skip
