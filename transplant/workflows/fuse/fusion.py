"""One fusion: its modules, its texts, and the combiners that are trained."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError, NotFoundError
from transplant.surgery.fuse.config import COMBINER_NAMES, FuseConfig, check_combiner
from transplant.workflows.artifacts import tensors_of
from transplant.workflows.corpus import read_alike, read_as_needed, windows_of
from transplant.workflows.each_once import check_each_once
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Entry, HostedName
    from transplant.modules.hosted import HostedModel
    from transplant.surgery.fuse.hosted import Fused
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.training.course import Course

KINDS = (("module", "interface"), ("injection",))  # what a member is stored as


@dataclass(frozen=True)
class TrainedFusion:
    """A fusion, and how its training went."""

    model: Fused
    course: Course


@dataclass
class Fusing:
    """Several modules on one backbone, and what is computed of them once.

    Args:
        work: library, device, seed and reporter.
        members: two or more, hosted on one backbone: domain modules, or injections.
        data: texts to weigh them on, one for each domain; none: what the modules were trained on.
        layer: the block that they work at; None for where they do, of domain modules the last.
        config: how the combiner is trained.
        combiner: `gate` or attention; None for both, the better on calibration text.
        eval_tokens: held-out tokens of each text that are read afterwards.
    """

    work: Work
    members: tuple[str, ...]
    data: tuple[str, ...]
    layer: int | None
    config: FuseConfig
    combiner: str | None = None
    eval_tokens: int = 0
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        what, expected = "a fusion is of several modules", "two or more, each once"
        if len(self.members) < 2:
            raise InputError(what, expected=expected, found=" ".join(self.members))
        check_each_once(self.work, self.members, what, expected=expected)
        if self.combiner is not None:
            check_combiner(self.combiner)

    @cached_property
    def names(self) -> list[HostedName]:
        """The members' names, in parts."""
        return [self.work.named(name) for name in self.members]

    @cached_property
    def called(self) -> tuple[str, ...]:
        """The members' names, whole: a bare one has its backbone."""
        return tuple(map(str, self.names))

    @cached_property
    def to(self) -> str:
        """The backbone that they are all hosted on.

        Raises:
            InputError: a raw backbone among them, or several backbones.
        """
        backbones = {name.backbone for name in self.names}
        if len(backbones) > 1 or any(name.module is None for name in self.names):
            raise InputError(
                "modules of one backbone are fused", expected="names as python@ref-gpt2, one "
                "backbone in all of them", found=" ".join(self.members),
                hint="`transfer()` moves a module to another backbone",
            )  # fmt: skip
        return backbones.pop()

    @cached_property
    def entries(self) -> dict[str, list[Entry]]:
        """What each member is stored as: a module, its interface and its gate; or an injection."""
        return {str(name): self._entries_of(name) for name in self.names}

    def _entries_of(self, name: HostedName) -> list[Entry]:
        for kinds in KINDS:
            try:
                found = [self.work.find(name, kind) for kind in kinds]
            except NotFoundError:
                continue
            own = found[0].manifest
            gate = self.work.library.get("gate", own.name, name.backbone, own.d_abi)
            return found if gate is None else [*found, gate]
        self.work.find(name, "module")  # says what is close
        raise NotFoundError(f"no module or injection {name}", hint="`list()`")

    @cached_property
    def backbone(self) -> Backbone:
        """The backbone, once for all members."""
        self.entries  # noqa: B018  what cannot be found fails before the long work
        return self.work.backbone(self.to)

    @cached_property
    def hosted(self) -> list[HostedModel]:
        """Each member by itself.

        Raises:
            InputError: they change different layers, or not the one that was asked for.
        """
        from transplant.loading.hosted import host

        found = []
        for name, entries in self.entries.items():
            manifest = entries[0].manifest
            model = host(self.backbone, manifest.name, self.work.library, manifest.d_abi)
            model.name = name
            found.append(model)
        self._check_layer(self.empty(found, COMBINER_NAMES[0]).layer)
        return found

    def _check_layer(self, found: int) -> None:
        if self.layer not in (None, found):
            raise InputError(
                "`layer`: these modules work elsewhere", expected=found, found=self.layer,
                hint=f"`layer={found}`, or `inject(layer={self.layer})`",
            )  # fmt: skip

    @cached_property
    def texts(self) -> dict[str, Splits]:
        """The texts by name, split."""
        names = self.data or tuple(self._own_text(name) for name in self.called)
        return {
            name: read_as_needed(
                self.work, name, 8_000_000, train=self.config.train_tokens,
                calibration=self.config.calibration_tokens, evaluation=self.eval_tokens,
            )
            for name in dict.fromkeys(names)
        }  # fmt: skip

    def _own_text(self, member: str) -> str:
        manifest = self.entries[member][0].manifest
        if manifest.kind != "module" or not manifest.made.get("corpus"):
            raise InputError(f"{member} has no text of its own", expected="`data` for each domain")
        source = str(manifest.made["corpus"])
        read_alike(self.work, manifest.made, source)
        return source

    def windows(self, side: str, tokens: int) -> dict[str, list[Window]]:
        """Windows of one side of each text, `tokens` of each."""
        return {
            name: windows_of(self.backbone, getattr(splits, side), self.config.window, tokens)
            for name, splits in self.texts.items()
        }

    def empty(self, members: Sequence[HostedModel], combiner: str, name: str = "fused") -> Fused:
        """Members under a combiner that has learnt nothing."""
        from transplant.surgery.fuse.stored import empty_fusion

        return empty_fusion(f"{name}@{self.to}", members, combiner, self.config.seed)

    @cached_property
    def _mixed(self) -> tuple[list[Window], list[Window]]:
        """Training and calibration windows of all texts, as many tokens of each."""
        share = len(self.texts)
        sides = (
            ("train", self.config.train_tokens),
            ("calibration", self.config.calibration_tokens),
        )
        train, held = (
            [w for part in self.windows(side, max(1, tokens // share)).values() for w in part]
            for side, tokens in sides
        )
        return train, held

    def trained(self, members: Sequence[HostedModel], combiner: str, title: str) -> TrainedFusion:
        """Trains a combiner over members on the mixed text."""
        from transplant.surgery.fuse.train import train_fusion

        train, held = self._mixed
        model = self.empty(members, combiner)
        with self.work.reporter.progress(title) as progress:
            course = train_fusion(model, train, held, self.config, progress=progress)
        return TrainedFusion(model, course)

    @cached_property
    def tried(self) -> dict[str, TrainedFusion]:
        """Every combiner that was asked for, trained."""
        names = COMBINER_NAMES if self.combiner is None else (self.combiner,)
        return {name: self.trained(self.hosted, name, f"training the {name}") for name in names}

    @property
    def kept(self) -> str:
        """The combiner with the smallest loss on calibration text."""
        return min(self.tried, key=lambda name: self.tried[name].course.best_loss)

    def store(self, name: str, report: dict[str, Any], *, replace: bool) -> str:
        """Writes the kept fusion and returns its path."""
        from transplant.surgery.fuse.stored import FusionRecord, role_of

        model = self.tried[self.kept].model
        entries = self.entries.values()
        record = FusionRecord(
            combiner=self.kept,
            members=tuple((e[0].manifest.name, e[0].manifest.d_abi) for e in entries),
            layer=model.layer,
        )
        made = self.work.made(
            fusion=record.as_dict(), data=[*self.texts], split=report["split"],
            recipe=dataclasses.asdict(self.config),
        )  # fmt: skip
        parents = {
            role_of(e.manifest.kind, e.manifest.name, e.manifest.d_abi): e.manifest.sha256
            for own in entries
            for e in own
        }
        results = {key: report[key] for key in ("ppl", "weights", "gain", "goals")}
        entry = self.work.library.store(
            "fusion", name, tensors_of(model.combiner), backbone=self.backbone, made=made,
            results=results, parents=parents, replace=replace,
        )  # fmt: skip
        return str(entry.path)
