"""Reports on states, tokens and advice: `capture`, `tokenize-align`, `embed-init`, `advise`."""

from __future__ import annotations

from pydantic import Field

from transplant.advice.config import Thresholds
from transplant.advice.measured import Measured
from transplant.advice.questions import Answer
from transplant.schemas.base import Finite, Made, Object, Part, Report, Sha256
from transplant.schemas.told import Whole


class CaptureReport(Report):
    """`capture`; of `--inspect` without `captured` and `seconds`."""

    file: str
    complete: bool
    rows: int
    committed: int
    documents: int
    windows: int
    checksums: bool
    backbone: str
    family: str
    backbone_sha256: Sha256
    tokenizer_sha256: Sha256
    config_sha256: Sha256 | None
    corpus: str
    corpus_fingerprint: str
    window: int
    pool: str
    dtype: str
    taps: list[str]
    widths: list[int]
    made: Object
    """As the file holds it."""
    bytes: int
    captured: int | None = None
    seconds: float | None = None


class CaptureVerified(Report):
    """`capture --verify`."""

    file: str
    windows: int
    largest_difference: float | None
    tolerance: float
    identical: bool


class FromTo(Part):
    """A number on either side."""

    from_: float = Field(alias="from")
    to: float


class Positions(Part):
    """Positions of a text on either side."""

    from_: int = Field(alias="from")
    to: int


class PositionPairs(Part):
    """How the positions of two tokenizers pair on a text."""

    positions: Positions
    paired: int
    paired_share: float
    characters_per_token: FromTo


class TokenizeAlignReport(Report):
    """`tokenize-align`."""

    name: str
    from_: str = Field(alias="from")
    to: str
    data: str
    tokens: dict[str, float]
    """Shares of the target's tokens, by how the donor spells them."""
    text: dict[str, float]
    """The same of the text."""
    pairs: PositionPairs
    path: str


class PerCharacter(Part):
    """What a text costs, by token and by character."""

    ppl: Finite
    nats_per_character: float
    characters: int


class EmbedInitReport(Report):
    """`embed-init`."""

    name: str
    from_: str = Field(alias="from")
    to: str
    method: str
    token_map: str
    coverage: dict[str, float]
    text: dict[str, PerCharacter]
    """By what was made: before, the chosen method, and mean."""
    tried: dict[str, float]
    split: str
    path: str


class Typed(Part):
    """A step, as it is typed."""

    command: str
    why: str


class AdviseReport(Report):
    """`advise`."""

    from_: str = Field(alias="from")
    to: str
    strategy: str
    next: str
    steps: list[Typed]
    proof: list[Typed]
    answers: list[Whole[Answer]]
    numbers: Whole[Measured]
    thresholds: Whole[Thresholds]
    split: str
    seconds: dict[str, float]
    made: Made
    files: list[str] | None = None


Capture = CaptureReport | CaptureVerified
