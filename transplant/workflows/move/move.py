"""The steps of a move, shared by `bridge-align`, `calibrate`, `transfer` and `demo`."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from transplant.calibration.config import MoveConfig
from transplant.errors import InputError
from transplant.workflows.artifacts import store_bridge, store_hosted
from transplant.workflows.corpus import DONOR, read_splits, recorded_reach, windows_of
from transplant.workflows.steps import Stepwise
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.calibration.bridge import Bridge
    from transplant.calibration.move import Calibrated, Pairing
    from transplant.calibration.output_map import MappedCorrections, OutputMap
    from transplant.calibration.tuning import Choice
    from transplant.library import HostedName, Manifest
    from transplant.modules.correction import Correction
    from transplant.modules.hosted import HostedModel
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.training.row_sources import RowSource


LEAST_WRITTEN = 60  # documents: some must be held out
EXCERPT_TOKENS = 400  # of a stream for each excerpt that is chosen: more to choose from
GAIN_TOKENS = 12_000  # of the calibration split
FITTED = ("bridge", "choice", "calibrated")
PARTS: dict[str, tuple[str, ...]] = {
    "data": (),
    "pairing": FITTED,
    "pairing_split": (),
    "bridge": FITTED[1:],
    "domain_split": (),
    "calibration_text": FITTED[1:],
    "calibrated": (),
    "objective": (),
    "paired": (),
}
"""What a move may be given, and what of its own then falls."""


@dataclass
class Move(Stepwise):
    """One module, one donor, one target: what each verb needs of it is computed once.

    Args:
        work: library, device, seed and reporter.
        module: the module's name, as `python@ref-gpt2`.
        to: the target's name.
        data: the pairing text; `donor` for what the donor itself writes.
        domain_data: the domain's text; None for what the module was trained on.
        config: how to fit.
        name: the name in the registry; None for `<module>-from-<donor>`.
    """

    work: Work
    module: str
    to: str
    data: str
    domain_data: str | None
    config: MoveConfig
    name: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    objective: dict[str, Any] = field(default_factory=dict)
    """How an objective other than the closed form was learned, for the manifest."""
    paired: bool = True
    """Whether the move reads pairing text; an objective on one backbone does not."""

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
        return self.work.module_manifest(self.source)

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

    def claim(self, *kinds: str, replace: bool = False) -> None:
        """Takes, before the work, the name of what will be stored of these kinds."""
        self.work.library.claim(
            kinds, self.moved_name, self.to, self.manifest.d_abi, replace=replace
        )

    @cached_property
    def pairing_text(self) -> Splits:
        """The pairing text, split."""
        from transplant.text.limits import stream_chars

        if self.data == DONOR:
            return self._donors_text()
        config = self.config
        reach = stream_chars(train=EXCERPT_TOKENS * config.excerpts)
        return read_splits(self.work, self.data, config.text_chars, reach)

    def _donors_text(self) -> Splits:
        """What the donor writes: enough that the excerpts can be cut from its training split."""
        from transplant.calibration.donor_text import write_documents
        from transplant.text.splits import CALIBRATION_SHARE, EVAL_SHARE, split_documents

        config, train_share = self.config, 1 - CALIBRATION_SHARE - EVAL_SHARE
        count = max(LEAST_WRITTEN, math.ceil(config.excerpts / train_share))
        donor, counts = self.donor, self.token_counts
        with self.step("write") as progress:
            written = write_documents(
                donor, counts, count,
                chars=config.excerpt_chars, seed=config.seed, progress=progress,
            )  # fmt: skip
        return split_documents(written)

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

    @cached_property
    def calibration_text(self) -> Sequence[Window] | RowSource:
        """Windows of the domain's calibration split: they choose gains, nothing else."""
        return windows_of(self.target, self.domain_text.calibration, 512, GAIN_TOKENS)

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

        donor, target, text = self.donor, self.target, self.pairing_text
        with self.step("pair") as progress:
            return pair_for_move(
                donor,
                target,
                text,
                self.token_counts,
                self.config,
                self.work.library.root,
                progress=progress,
            )

    def pair_also(self, windows: Sequence[Window]) -> Self:
        """The same move, fitted on windows of the domain's training split as well.

        Args:
            windows: of the target; both backbones read their text, nobody their next tokens.
        """
        from transplant.calibration.move import pair_also
        from transplant.text.windows import texts_of

        texts, pairing = texts_of(windows, self.domain_text.train), self.pairing
        with self.step("pair"):
            more = pair_also(pairing, texts, self.config, self.work.library.root)
            return self.taking(pairing=more)

    def taking(self, **parts: Any) -> Self:
        """The same move with parts that were made elsewhere in place of its own; this one stays.

        What does not depend on them is shared, what does is made anew when it is asked for. The
        order in which parts are read and taken changes no result.

        Args:
            parts: of `PARTS`, by name.
        """
        assert parts.keys() <= PARTS.keys(), parts.keys() - PARTS.keys()
        fields = {field.name for field in dataclasses.fields(self)}
        taken = copy.copy(self)
        for stale in {name for part in parts for name in PARTS[part]}:
            taken.__dict__.pop(stale, None)
        for name, part in parts.items():
            if name in fields:
                setattr(taken, name, part)
            else:
                taken.__dict__[name] = part
        return taken

    @cached_property
    def bridge(self) -> Bridge:
        """The fitted input side."""
        from transplant.calibration.move import align

        pairing = self.pairing
        with self.step("align"):
            return align(pairing, self.config)

    @cached_property
    def output_map(self) -> OutputMap:
        """The way between the two heads, which depends on no text."""
        from transplant.calibration.output_map import map_outputs

        return map_outputs(self.donor.backbone, self.target, self.token_counts, self.config)

    @cached_property
    def choice(self) -> Choice:
        """What is wanted of the target, and the module at work in it."""
        from transplant.calibration.tuning import choose

        pairing, text, reading = self.pairing, self.calibration_text, self.bridge.interface
        with self.target.frozen(), self.step("calibrate") as progress:
            return choose(pairing, reading, self.output_map, text, self.config, progress=progress)

    @property
    def wanted(self) -> MappedCorrections:
        """The donor's corrections, mapped to the target."""
        return self.choice.wanted

    @cached_property
    def calibrated(self) -> Calibrated:
        """The module at work in the target."""
        return self.choice.calibrated

    def facts(self) -> dict[str, Any]:
        """How it was made."""
        return self.work.made(
            config=dataclasses.asdict(self.config),
            recipe=self.manifest.made.get("recipe"),
            pairing_corpus=self.data if self.paired else None,
            pairing_split=self.pairing_split if self.paired else None,
            objective=self.objective or {"name": "closed-form"},
            corpus=self.domain_source,
        )

    def _stored_facts(self) -> dict[str, Any]:
        """The same for manifests, which keep the counts for the next move."""
        return {**self.facts(), "token_counts": self.token_counts}

    def parents(self) -> dict[str, str]:
        """What it was made from."""
        from transplant.backbones.fingerprint import hash_tensors

        return {
            "module": self.manifest.sha256,
            "donor_backbone": self.donor.backbone.weights_sha256,
            "donor_interface": hash_tensors(self.donor_correction.interface.state_dict()),
        }

    def store_bridge(self, *, replace: bool) -> str:
        """Writes the bridge to the registry and returns its path."""
        return store_bridge(
            self.work, self.moved_name, self.manifest.domain, self.target, self.bridge,
            replace=replace, made=self._stored_facts(), parents=self.parents(),
            results=dataclasses.asdict(self.bridge.quality),
        )  # fmt: skip

    def store(self, results: Mapping[str, Any] | None = None, *, replace: bool = False) -> Manifest:
        """Writes the moved module, bit for bit, and its new interface."""
        facts = {
            **self._stored_facts(),
            "gain": self.calibrated.gain,
            "donor_word": self.choice.config.donor_word if self.paired else None,
            "split": self.domain_split,
        }
        stored = store_hosted(
            self.work, self.moved_name, self.manifest.domain, self.target,
            self.calibrated.correction,
            made=facts, results=dict(results or {}), parents=self.parents(), replace=replace,
        )  # fmt: skip
        assert stored.sha256 == self.manifest.sha256, "the module's bytes changed in the move"
        return stored
