"""Names and texts of a move: donor and target, what they are paired on, the domain's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.calibration.config import MoveConfig
from transplant.errors import InputError, NotFoundError
from transplant.workflows.artifacts import HOSTED
from transplant.workflows.corpus import DONOR, read_alike, read_splits
from transplant.workflows.move.general_part import check_general
from transplant.workflows.move.writing import Writing, check_text, write_text
from transplant.workflows.steps import Stepwise
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import HostedName, Manifest
    from transplant.modules.correction import Correction
    from transplant.modules.hosted import HostedModel
    from transplant.text.splits import Splits


@dataclass
class MoveTexts(Stepwise):
    """One module, one donor, one target, and texts; each is loaded once, when it is asked for.

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

    @property
    def sources(self) -> tuple[str, ...]:
        """The corpora that were asked for; a recorded one is read where it is needed."""
        given = (self.data, self.domain_data)
        return tuple(source for source in given if source not in (None, DONOR))

    def check_sources(self) -> None:
        """Refuses text to pair on, or of the domain, that is nowhere; nothing is read yet.

        Raises:
            CorpusError: there is no such file, folder or data set.
        """
        from transplant.text.place import check_corpus

        for source in self.sources:
            check_corpus(source)

    def check_text(self) -> None:
        """Refuses pairing text that cannot be split; what the donor writes is made later.

        The domain's own text could be split when the donor learned from it. Of a stream it is not
        read here: pairs may take more of it than the native has to be trained on.

        Raises:
            CorpusError: a side of it would be empty.
        """
        if self.data not in (DONOR, self.domain_source):
            self.pairing_text  # noqa: B018  read here

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
        reach = read_alike(self.work, self.manifest.made, self.domain_source)
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
