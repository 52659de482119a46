"""Options of a move (text, recipe): `transfer`, `calibrate`, `ablate`, `bridge-align`."""

from __future__ import annotations

from typing import Annotated

from transplant.calibration.changes.spec import AUTO, CHANGES, SUITED, changes_of
from transplant.calibration.config import INSIDE, LONGER, MoveConfig
from transplant.options import Field, Fields
from transplant.training.config import NAMED_TAPS, parse_taps


def _taps_as_typed(taps: tuple[int, ...]) -> str:
    named = {layers: name for name, layers in NAMED_TAPS.items()}
    return named.get(taps) or ",".join(map(str, taps))


TAPS = Field(
    parse=parse_taps, show=_taps_as_typed, help="Layers to read: all, last, or a list as 0,2,3."
)
CHANGE = Field(
    of="changes", parse=changes_of, show=lambda changes: changes[0] if changes else SUITED,
    help="How changes of logits are carried to another vocabulary: "
    + "; ".join(f"{name} ({says})" for name, says in CHANGES.items())
    + f"; {AUTO}: what the calibration split prefers; {SUITED}: lacking where the target has a "
    "large vocabulary, else begins-with.",
)  # fmt: skip
PAIRED = "method excerpts excerpt_chars stride columns seed"
MoveRecipe = Annotated[
    MoveConfig,
    Fields(
        PAIRED, taps=TAPS, change=CHANGE, inside=Field(metavar="|".join(INSIDE)),
        longer=Field(metavar="|".join(LONGER)),
        keep=Field(metavar="SHARE"), guidance=Field(metavar="FACTOR"),
        less_general=Field(metavar="WEIGHT"),
    ),
]  # fmt: skip
"""How a move is fitted that is stored."""
PairRecipe = Annotated[MoveConfig, Fields(PAIRED)]
"""How much is paired, of a move from all layers of the target."""

PAIRING = Field(spelled="--pair-data --data")
PairingData = Annotated[str, PAIRING]
Native = Annotated[str | None, Field(metavar="none|train|NAME")]
