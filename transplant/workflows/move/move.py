"""The steps of a move, shared by `bridge-align`, `calibrate`, `transfer` and `demo`."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from transplant.workflows.artifacts import store_bridge, store_hosted
from transplant.workflows.move.inputs import MoveInputs

if TYPE_CHECKING:
    from transplant.calibration.bridge import Bridge
    from transplant.calibration.mapped_corrections import MappedCorrections
    from transplant.calibration.move import Calibrated
    from transplant.calibration.tuning import Choice
    from transplant.library import Manifest
    from transplant.text.splits import Splits
    from transplant.text.windows import Window


FITTED = ("bridge", "choice", "calibrated")
PARTS: dict[str, tuple[str, ...]] = {
    "data": (),
    "fitting": ("pairing", "output_map", *FITTED),
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
class Move(MoveInputs):
    """A move: what each verb needs of it is computed once.

    Args:
        objective: how an objective other than the closed form was learned, for the manifest.
        paired: whether the move reads pairing text; an objective on one backbone does not.
    """

    objective: dict[str, Any] = field(default_factory=dict)
    paired: bool = True

    def claim(self, *kinds: str, replace: bool = False) -> None:
        """Takes, before the work, the name of what will be stored of these kinds.

        Raises:
            ExistsError: something has it.
            NotFoundError: a model that is named is not there.
        """
        self.check_names()
        self.work.library.claim(
            kinds, self.moved_name, self.to, self.manifest.d_abi, replace=replace
        )

    def check_names(self) -> None:
        """Refuses a target, a general module or text that is nowhere, before anything is loaded."""
        self.manifest  # noqa: B018  what is no module fails here
        self.work.check_there(to=self.to, general=self.general)
        self.check_sources()

    def pair_also(self, windows: Sequence[Window]) -> Self:
        """The same move, fitted on windows of the domain's training split as well.

        Args:
            windows: of the target; both backbones read their text, nobody their next tokens.
        """
        from transplant.calibration.move import pair_also
        from transplant.text.windows import texts_of

        texts, pairing = texts_of(windows, self.learned_text.train), self.pairing
        with self.step("pair"):
            more = pair_also(pairing, texts, self.fitting, self.work.library.root)
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

    @property
    def used_texts(self) -> tuple[Splits, ...]:
        """The texts that something is trained on, chosen by or, where it pairs, paired on."""
        return super().used_texts if self.paired else (self.domain_text,)

    @cached_property
    def bridge(self) -> Bridge:
        """The fitted input side."""
        from transplant.calibration.move import align

        pairing = self.pairing
        with self.step("align"):
            return align(pairing, self.fitting)

    @cached_property
    def choice(self) -> Choice:
        """What is wanted of the target, and the module at work in it."""
        from transplant.calibration.tuning import choose

        pairing, text, reading = self.pairing, self.calibration_text, self.bridge.interface
        with self.target.frozen(), self.step("calibrate") as progress:
            return choose(pairing, reading, self.output_map, text, self.fitting, progress=progress)

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
            config=dataclasses.asdict(self.fitting),
            recipe=self.manifest.made.get("recipe"),
            pairing_corpus=self.data if self.paired else None,
            pairing_split=self.pairing_split if self.paired else None,
            **(self.text_facts if self.paired else {}),
            **({"general": self.general} if self.general else {}),
            objective=self.objective or {"name": "closed-form"},
            corpus=self.domain_source,
        )

    def _stored_facts(self) -> dict[str, Any]:
        """The same for manifests, which name the donor and keep the counts for the next move."""
        donor = {"base": self.source.backbone, "module": self.source.module}
        return {**self.facts(), "donor": donor, "token_counts": self.token_counts}

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
            "change": self.choice.config.change if self.paired else None,
            "longer": self.choice.config.longer if self.paired else None,
            "split": self.domain_split,
        }
        stored = store_hosted(
            self.work, self.moved_name, self.manifest.domain, self.target,
            self.calibrated.correction,
            made=facts, results=dict(results or {}), parents=self.parents(), replace=replace,
        )  # fmt: skip
        assert stored.sha256 == self.manifest.sha256, "the module's bytes changed in the move"
        return stored
