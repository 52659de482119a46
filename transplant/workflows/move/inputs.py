"""Inputs of a move: donor and target, the texts, their paired rows, the way between the heads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.errors import InputError, NotFoundError
from transplant.workflows.artifacts import HOSTED
from transplant.workflows.corpus import DONOR, read_splits, recorded_reach, windows_of
from transplant.workflows.move.general_part import check_general, general_share, load_general
from transplant.workflows.move.writing import Writing, check_text, write_text
from transplant.workflows.steps import Stepwise
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.calibration.general import General
    from transplant.calibration.move import Pairing
    from transplant.calibration.output_map import OutputMap
    from transplant.library import HostedName, Manifest
    from transplant.modules.correction import Correction
    from transplant.modules.hosted import HostedModel
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.training.row_sources import RowSource


GAIN_TOKENS = 12_000  # of the calibration split
GAIN_LOGITS = GAIN_TOKENS << 17  # of it with each correction: half as many tokens for Gemma


@dataclass
class MoveInputs(Stepwise):
    """One module, one donor, one target; each is loaded or read once, when it is asked for.

    Args:
        work: library, device, seed and reporter.
        module: the module's name, as `python@ref-gpt2`.
        to: the target's name.
        data: the pairing text; `donor` for what the donor itself writes.
        domain_data: the domain's text; None for what the module was trained on.
        config: how to fit.
        name: the name in the registry; None for `<module>-from-<donor>`.
        text_free: whether what the donor writes stands in for the domain's text wherever something
            is learned or chosen: the domain's own is judged on, and nothing else.
        general: a module of general text in the donor, as `prose@ref-gpt2`: how much of the donor's
            change it explains is reported, and `config.less_general` of it taken away.

    Raises:
        InputError: `text_free`, or a share to keep, where the donor does not write; a general
            change to take away, and none named.
    """

    work: Work
    module: str
    to: str
    data: str
    domain_data: str | None
    config: MoveConfig
    name: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    text_free: bool = field(default=False, kw_only=True)
    general: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        """Refuses, before anything is loaded, what cannot go together."""
        check_text(self.data, self.config, text_free=self.text_free)
        check_general(self.general, self.config)

    @cached_property
    def source(self) -> HostedName:
        """The donor module's name, in parts."""
        return self.work.named(self.module)

    @cached_property
    def donor(self) -> HostedModel:
        """The donor with its module."""
        from transplant.calibration.move import check_movable

        donor = self.work.load(self.source)
        check_movable(donor)
        return donor

    @property
    def donor_correction(self) -> Correction:
        """The donor's interface and module."""
        assert self.donor.correction is not None  # `manifest` refuses a raw backbone
        return self.donor.correction

    @cached_property
    def manifest(self) -> Manifest:
        """The donor module's manifest."""
        if self.source.module is None:
            raise InputError(
                f"`module={self.module!r}` names a raw backbone",
                expected="a hosted module, as in python@ref-gpt2",
                hint="`list(kind='module')`",
            )
        try:
            return self.work.module_manifest(self.source)
        except NotFoundError:
            self._refuse_other_kind()
            raise

    def _refuse_other_kind(self) -> None:
        """Refuses what is hosted by that name and is no module, with the move that takes it.

        Raises:
            InputError: it says what it is.
        """
        source, held = self.source, self.work.library.get
        others = (
            kind for kind in HOSTED[1:] if held(kind, str(source.module), source.backbone, None)
        )
        if kind := next(others, None):
            raise InputError(
                f"`module={self.module!r}` names no domain module",
                expected="one, whose bytes are moved", found=f"of the kind {kind}",
                hint=f"what it learned moves by `transfer(donor={source.backbone!r}, "
                f"tuned={self.module!r}, to={self.to!r}, domain='NAME')`",
            )  # fmt: skip

    @cached_property
    def target(self) -> Backbone:
        """The target backbone."""
        return self.work.backbone(self.to)

    @cached_property
    def fitting(self) -> MoveConfig:
        """How to fit, with what suits the target where `config` leaves it open."""
        from transplant.calibration.large_vocabulary import suited

        return suited(self.config, self.target)

    @property
    def moved_name(self) -> str:
        """The moved module's name in the registry."""
        home = re.sub(
            r"[^A-Za-z0-9._-]+", "-", self.manifest.backbone.id.rstrip("/").split("/")[-1]
        )
        return self.name or f"{self.manifest.name}-from-{home}"

    @cached_property
    def pairing_text(self) -> Splits:
        """The pairing text, split."""
        from transplant.text.limits import EXCERPT_TOKENS, stream_chars

        if self.data == DONOR:
            return self.writing.text
        config = self.config
        reach = stream_chars(train=EXCERPT_TOKENS * config.excerpts)
        return read_splits(self.work, self.data, config.text_chars, reach)

    def check_text(self) -> None:
        """Refuses pairing text that cannot be split; what the donor writes is made later.

        The domain's own text could be split when the donor learned from it. Of a stream it is not
        read here: pairs may take more of it than the native has to be trained on.

        Raises:
            CorpusError: a side of it would be empty.
        """
        if self.data not in (DONOR, self.domain_source):
            self.pairing_text  # noqa: B018  read here

    def check_memory(self) -> None:
        """Refuses fits that memory does not hold, before a donor writes or a native is trained.

        Raises:
            MemoryLimitError: it names what takes how much.
        """
        from transplant.calibration.move import check_move_fits

        check_move_fits(self.donor, self.target, self.fitting)

    @cached_property
    def writing(self) -> Writing:
        """What the donor writes: enough that the excerpts can be cut from its training split."""
        donor, counts = self.donor, self.first_counts
        with self.step("write") as progress:
            return write_text(donor, counts, self.config, progress)

    @property
    def first_counts(self) -> Mapping[str, int] | None:
        """What the first tokens that a donor writes are drawn from."""
        return self.token_counts

    @property
    def text_facts(self) -> dict[str, Any]:
        """What manifests and reports say of text that the donor wrote; nothing of a corpus."""
        if self.data != DONOR:
            return {}
        facts = {**self.writing.facts(), "text_free": self.text_free}
        return {"pairing_text": facts}

    @cached_property
    def pairing_split(self) -> str:
        """The fingerprint of the pairing text, split."""
        return self.pairing_text.fingerprint

    @property
    def domain_source(self) -> str:
        """Where the domain's text comes from."""
        if self.domain_data is not None:
            return self.domain_data
        return str(self.manifest.made.get("corpus", self.manifest.domain))

    @cached_property
    def domain_text(self) -> Splits:
        """The domain's text, split."""
        reach = recorded_reach(self.manifest.made, self.domain_source)
        splits = read_splits(self.work, self.domain_source, stream_chars=reach)
        trained_on = self.manifest.made.get("split")
        if self.domain_data is None and trained_on != splits.fingerprint:
            self.work.reporter.warn(
                f"{self.domain_source} has changed since {self.module} was trained: documents held "
                "out now may resemble some that it was trained on"
            )
        return splits

    @cached_property
    def domain_split(self) -> str:
        """The fingerprint of the domain's text, split."""
        return self.domain_text.fingerprint

    @property
    def learned_text(self) -> Splits:
        """The text whose next tokens teach and choose: the domain's, or what the donor writes."""
        return self.pairing_text if self.text_free else self.domain_text

    @property
    def used_texts(self) -> tuple[Splits, ...]:
        """The texts that something is trained on, chosen by or paired on."""
        return self.domain_text, self.pairing_text

    @cached_property
    def calibration_text(self) -> Sequence[Window] | RowSource:
        """Windows of the domain's calibration split: they choose gains, nothing else."""
        text = self.learned_text.calibration
        return windows_of(self.target, text, 512, gain_tokens(self.target))

    @property
    def token_counts(self) -> dict[str, int]:
        """The domain's token counts, which the module's manifest carries."""
        counts = self.manifest.made.get("token_counts")
        if not counts:
            raise InputError(
                f"the manifest of {self.module} carries no token counts",
                hint="train the module again with this version of abi",
            )
        return counts

    @cached_property
    def pairing(self) -> Pairing:
        """The paired rows."""
        from transplant.calibration.move import pair_for_move

        donor, target, general = self.donor, self.target, self.general_part
        text = self.pairing_text
        with self.step("pair") as progress:
            return pair_for_move(
                donor,
                target,
                text,
                self.token_counts,
                self.fitting,
                self.work.library.root,
                general=general,
                progress=progress,
            )

    @cached_property
    def general_part(self) -> General | None:
        """The module of general text, where one is named."""
        if self.general is None:
            return None
        return load_general(self.work, self.general, self.donor, self.config.less_general)

    @cached_property
    def general_facts(self) -> dict[str, Any]:
        """How much of the donor's change is general, for reports; nothing where none is named."""
        if self.general is None:
            return {}
        pairing, head, text = self.pairing, self.output_map.donor_head, self.learned_text
        with self.step("compare_general"):
            found = general_share(self.donor, pairing, head, text.calibration, self.config.seed)
        return {"general": found}

    @cached_property
    def output_map(self) -> OutputMap:
        """The way between the two heads, which depends on no text."""
        from transplant.calibration.output_map import map_outputs

        return map_outputs(self.donor.backbone, self.target, self.token_counts, self.fitting)


def gain_tokens(target: Backbone) -> int:
    """How many tokens of calibration text choose the gains of a target, by its vocabulary."""
    return min(GAIN_TOKENS, GAIN_LOGITS // target.vocab_size)
