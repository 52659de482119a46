"""Injections: a part of a bank, bridges from text or from the registry, a gate."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.backbones.identity import difference
from transplant.errors import CorruptError, InputError
from transplant.surgery.inject.config import InjectConfig
from transplant.workflows.corpus import read_as_needed
from transplant.workflows.inject.banks import DonorPart, donor_part
from transplant.workflows.inject.bridges import find_bridge, stored_bridge, stored_inward
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transplant.backbones.view import Backbone
    from transplant.library import Entry
    from transplant.surgery.inject.fit import InwardFit, Reproduction
    from transplant.surgery.inject.graft import Graft
    from transplant.surgery.inject.stored import InjectionRecord
    from transplant.text.documents import Document
    from transplant.text.splits import Splits
    from transplant.text.windows import Window


@dataclass
class Injection:
    """One part, one place in a target: what a verb needs of it is computed once.

    Args:
        work: library, device, seed and reporter.
        source: a bank and a piece of it: llama:ffn.3, llama:heads.1.
        to: the target backbone.
        layer: the block of the target.
        data: the text to fit and judge bridges on.
        config: bridges and gate.
        bridge: a bridge of `bridge_train()` to start from; None: a new one.
        align: a map of `bridge_align(between=...)` to take as the way in.
        opening: what the gate of a stored bridge is set to; None for what it was left at.
    """

    work: Work
    source: str
    to: str
    layer: int
    data: str
    config: InjectConfig
    bridge: str | None = None
    opening: float | None = None
    align: str | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    """By side, of what is read of the text beside excerpts."""
    inward: InwardFit | None = None
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Refuses two places for the bridges to come from.

        Raises:
            InputError: it names both.
        """
        ways = ["bridge"] * (self.bridge is not None) + ["align"] * (self.align is not None)
        if self.config.start not in ("auto", "fit" if ways == ["align"] else "auto"):
            ways.append("start")
        if len(ways) > 1:
            raise InputError(
                f"`{ways[0]}` and `{ways[1]}` both say where the bridges come from",
                expected="one of them",
            )

    @cached_property
    def donor_part(self) -> DonorPart:
        """The donor's part."""
        return donor_part(self.work, self.source)

    @cached_property
    def target(self) -> Backbone:
        """The target backbone; a part that is not there is named before it is loaded."""
        self.donor_part  # noqa: B018
        return self.work.backbone(self.to)

    @cached_property
    def donor(self) -> Backbone:
        """The donor backbone, the very one that the bank was taken from."""
        manifest = self.donor_part.bank
        donor = self.work.backbone(self.work.called(manifest.backbone))
        if differing := difference(manifest.backbone, donor):
            what, expected, found = differing
            raise CorruptError(
                f"{donor.name} is no longer what the bank {manifest.name} was taken from",
                expected=f"{what} {expected[:12]}",
                found=found[:12],
            )
        return donor

    @property
    def place(self) -> str:
        """The tap of the target's own part."""
        return f"block.{self.layer}.{self._site}"

    @property
    def _site(self) -> str:
        from transplant.surgery.inject.hosted import SITES

        return SITES[self.record.kind]

    @cached_property
    def record(self) -> InjectionRecord:
        """What is stored of it beside the tensors."""
        from transplant.surgery.inject.stored import InjectionRecord

        bank = self.donor_part.bank
        return InjectionRecord(
            bank=bank.name, donor=bank.backbone.id, part=self.donor_part.name, layer=self.layer,
            gate=self.config.gate, mixture=self.config.mixture,
        )  # fmt: skip

    @cached_property
    def text(self) -> Splits:
        """The text, split."""
        from transplant.text.limits import EXCERPT_TOKENS

        config, tokens = self.config, self.tokens
        return read_as_needed(
            self.work, self.data, 8_000_000,
            train=max(EXCERPT_TOKENS * config.excerpts, tokens.get("train", 0)),
            calibration=max(
                EXCERPT_TOKENS * config.held_out_excerpts, tokens.get("calibration", 0)
            ),
            evaluation=tokens.get("eval", 0),
        )  # fmt: skip

    def excerpts(self, side: str) -> list[Document]:
        """Excerpts of the training side to fit on, or of the calibration side to judge on."""
        from transplant.text.excerpts import cut_excerpts

        config = self.config
        keep = config.excerpts if side == "train" else config.held_out_excerpts
        cut = cut_excerpts(getattr(self.text, side), chars=config.excerpt_chars)
        return cut[:: max(1, len(cut) // keep)][:keep]

    def windows(self, side: str) -> list[Window]:
        """The same as the target reads them."""
        from transplant.text.windows import cut_windows

        return cut_windows(self.excerpts(side), self.target.tokenizer, self.target.context)

    @cached_property
    def graft(self) -> Graft:
        """The graft with its first bridges."""
        from transplant.backbones.parts import block_width, find_part
        from transplant.surgery.inject.fit import identity_map
        from transplant.surgery.inject.graft import Graft

        find_part(self.target, self.place)
        part, width = self.donor_part.part, block_width(self.target)
        graft = Graft(part, width, self.config).to(self.target.device)
        if self.bridge is not None:
            held, bank = find_bridge(self.work, self.bridge, self.to), self.donor_part.bank
            graft.load_own(stored_bridge(self.work, held, self.record, bank, self.target))
            if self.opening is not None:
                graft.gate.open_to(self.opening)
        elif (
            self.align is not None
            or self.config.start == "fit"
            or (self.config.start == "auto" and part.width != width)
        ):
            self._fit(graft)
        elif part.width != width:
            raise InputError(
                f"{self.source} and {self.to} differ in width, no bridge is the identity",
                expected=width, found=part.width, hint="`start='fit'`",
            )  # fmt: skip
        else:
            graft.bridges.set_inward(identity_map(width))
            graft.bridges.set_outward(identity_map(width))
        return graft

    @property
    def start(self) -> str:
        """Where the bridges come from, for a report."""
        if self.bridge is not None:
            return f"bridge {self.bridge}"
        return "identity" if self.inward is None else "fit"

    def _fit(self, graft: Graft) -> None:
        from transplant.surgery.inject.fit import fit_inward, fit_outward

        self.work.reporter.note("fitting bridges ...")
        number = self.donor_part.name.split(".")[1]
        place = f"block.{number}.{self._site}"
        if self.align is not None:
            held = find_bridge(self.work, self.align, self.to)
            taps = (f"{self.place}.in", f"{place}.in")
            self.inward = stored_inward(self.work, held, self.donor_part.bank, self.target, taps)
        else:
            self.inward = fit_inward(
                self.donor, self.target, place, self.place,
                self.excerpts("train"), self.excerpts("calibration"), self.config.ridge,
            )  # fmt: skip
        graft.bridges.set_inward(self.inward.bridge)
        fitted = fit_outward(
            graft, self.target, self.windows("train"), self.place, self.config.ridge
        )
        graft.bridges.set_outward(fitted)

    def judged(self) -> Reproduction:
        """How well the donor path reproduces the target's own part, on the calibration side."""
        from transplant.surgery.inject.fit import judge

        return judge(self.graft, self.target, self.windows("calibration"), self.place)

    def store(
        self, kind: str, name: str, results: dict[str, Any], *, replace: bool, **facts: Any
    ) -> Entry:
        """Writes bridges and gate, as an injection or as a bridge to start from."""
        made = self.work.made(
            injection=self.record.as_dict(), corpus=self.data, split=self.text.fingerprint,
            config=dataclasses.asdict(self.config), **facts,
        )  # fmt: skip
        return self.work.library.store(
            kind, name, self.graft.own_tensors(), backbone=self.target, made=made,
            results=results, parents={"bank": self.donor_part.bank.sha256}, replace=replace,
        )  # fmt: skip

    def report(self, judged: Reproduction) -> dict[str, Any]:
        """What every verb that makes a graft says of it."""
        moving = sum(tensor.numel() for tensor in self.graft.own_tensors().values())
        return {
            "part": self.source,
            "donor": self.record.donor,
            "target": self.to,
            "layer": self.layer,
            "start": self.start,
            "inward": None
            if self.inward is None
            else {"pairs": self.inward.pairs, "r2": self.inward.r2},
            "reproduction": {**dataclasses.asdict(judged), "r2": judged.r2},
            "parameters": {
                "bridges_and_gate": moving,
                "donor_part": sum(p.numel() for p in self.donor_part.part.parameters()),
            },
            "gate": {"kind": self.config.gate, "mean": mean_gate(self.graft)},
            "bank_sha256": self.donor_part.bank.sha256,
            "split": self.text.fingerprint,
            "seconds": time.monotonic() - self.began,
        }


def mean_gate(graft: Graft) -> float:
    """The gate's value; of a gate that depends on the input, at a mean input."""
    import torch

    with torch.no_grad():
        inward = graft.bridges.inward
        return float(graft.gate(inward.new_zeros(inward.shape[1])).mean())
