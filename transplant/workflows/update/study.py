"""Modules whose backbone is updated: what `invariance` and `succession` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from transplant.backbones.identity import difference
from transplant.calibration.config import RepairConfig
from transplant.errors import InputError
from transplant.training.config import ROUNDING_KINDS, UpdateConfig
from transplant.validation import check_held
from transplant.workflows.corpus import read_alike, read_splits, windows_of
from transplant.workflows.move.native import native_recipe_of
from transplant.workflows.steps import Stepwise
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.evaluation.likelihood import Likelihood
    from transplant.library import HostedName, Manifest
    from transplant.modules.gate import Gate
    from transplant.modules.interface import Interface
    from transplant.text.documents import Document
    from transplant.text.splits import Splits
    from transplant.text.windows import Window
    from transplant.training.update import Updated
    from transplant.workflows.update.check import Checking

CHARS_PER_TOKEN = 8  # more than any tokenizer here needs, and held-out text besides
LEAST_CHARS, MOST_CHARS = 1_000_000, 8_000_000  # of an update's text
UPDATE_EVAL_TOKENS = 16_000


@dataclass(frozen=True)
class Studied:
    """One module, its text, and what it was worth before any update."""

    name: str
    manifest: Manifest
    corpus: str
    split: str
    checking: Checking
    before: dict[str, Likelihood]
    gate: Gate | None
    """The gate that it is hosted with; what is checked is the module without it."""


@dataclass(frozen=True)
class UpdateText:
    """The text of one update, and text of the same kind that it does not read."""

    corpus: str
    split: str
    train: Sequence[Window]
    eval: Sequence[Window]
    shared: Sequence[Window]
    """What a repair chooses from: windows of the training side."""


@dataclass
class Study(Stepwise):
    """One backbone, the modules on it, and the updates that it goes through.

    Args:
        work: library, device, seed and reporter.
        config: of each update.
        repair: of each repair.
        eval_tokens: held-out tokens of each domain.
    """

    work: Work
    config: UpdateConfig
    repair: RepairConfig
    eval_tokens: int
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuses too little to judge on."""
        check_held(self.eval_tokens)

    def open_module(self, name: str, backbone: Backbone, text: UpdateText) -> Studied:
        """A hosted module with its domain's text, scored on its backbone as it is.

        Args:
            name: as `python@ref-gpt2`.
            backbone: the one that is studied, which it must be on.
            text: of the update; the repair reads it.
        """
        from transplant.workflows.update.check import Checking, DomainText, score_before

        hosted, manifest = open_hosted(self.work, name)
        if difference(hosted.backbone, backbone):
            raise InputError(
                f"{name} is on another backbone", expected=backbone.name,
                found=hosted.backbone.name,
            )  # fmt: skip
        assert hosted.correction is not None
        corpus = str(manifest.made.get("corpus", manifest.domain))
        reach = read_alike(self.work, manifest.made, corpus)
        splits = read_splits(self.work, corpus, stream_chars=reach)
        refuse_domain_text(text, splits, name, corpus)
        recipe = native_recipe_of(manifest)

        def windows(documents: Sequence[Document], tokens: int) -> list[Window]:
            return windows_of(backbone, documents, recipe.window, tokens)

        checking = Checking(
            original=backbone,
            correction=hosted.correction.cpu(),
            text=DomainText(
                windows(splits.train, recipe.train_tokens),
                windows(splits.calibration, recipe.calibration_tokens),
                windows(splits.eval, self.eval_tokens),
            ),
            shared=text.shared,
            recipe=recipe,
            repair=self.repair,
            counts=manifest.made.get("token_counts") or {},
        )
        with self.step("evaluate_before"):
            before = score_before(checking)
        return Studied(name, manifest, corpus, splits.fingerprint, checking, before, hosted.gate)

    def read_text(self, backbone: Backbone, corpus: str, parts: int = 1) -> list[UpdateText]:
        """The text of each update: the training documents of a corpus are dealt out to them."""
        config = self.config
        budget = config.steps * config.batch * config.window
        if config.kind in ROUNDING_KINDS:
            budget = config.window  # they read none
        chars = min(max(CHARS_PER_TOKEN * budget * parts, LEAST_CHARS), MOST_CHARS)
        splits = read_splits(self.work, corpus, chars, chars)
        held = windows_of(backbone, splits.eval, config.window, UPDATE_EVAL_TOKENS)
        texts = []
        for part in range(parts):
            documents = splits.train[part::parts]
            if not documents:
                raise InputError(
                    f"{corpus} has too few documents for {parts} rounds", found=len(splits.train)
                )
            train = windows_of(backbone, documents, config.window, budget)
            shared = windows_of(backbone, documents, self.repair.window, self.repair.pool)
            texts.append(UpdateText(corpus, splits.fingerprint, train, held, shared))
        return texts

    def update(
        self,
        backbone: Backbone,
        text: UpdateText,
        studied: Sequence[Studied],
        seed: int,
        interfaces: Sequence[Interface] | None = None,
    ) -> Updated:
        """One update; the stability term, where there is one, holds every module's first z.

        Args:
            backbone: what is updated: the original, or what an update before has left.
            text: what it learns.
            studied: the modules on it.
            seed: of this update.
            interfaces: what an update before has left of the modules' interfaces.
        """
        from transplant.training.update import update_backbone

        config = dataclasses.replace(self.config, seed=seed)
        first = [one.checking.correction.interface for one in studied]
        with self.step("update"), self.work.reporter.progress("updating") as progress:
            return update_backbone(
                backbone, text.train, config, interfaces or first,
                first=(studied[0].checking.original, first), progress=progress,
            )  # fmt: skip


def open_hosted(work: Work, name: str | HostedName) -> tuple[Any, Manifest]:
    """A module behind an interface, and its manifest.

    Raises:
        InputError: a raw backbone, or a module inside a core.
    """
    from transplant.modules.core import CoreHosted

    hosted_name = work.named(name)
    if hosted_name.module is None:
        raise InputError(
            f"`module={str(name)!r}` names a raw backbone",
            expected="a hosted module, as in python@ref-gpt2",
            hint="`list(kind='module')`",
        )
    hosted = work.load(hosted_name)
    if isinstance(hosted, CoreHosted):
        raise InputError(
            f"{name} is inside a core: its way into the shared space changes with the core",
            expected="a module behind an interface of its own",
        )
    return hosted, work.module_manifest(hosted_name)


def refuse_domain_text(text: UpdateText, domain: Splits, name: str, corpus: str) -> None:
    """Refuses an update on the module's own domain.

    Raises:
        InputError: the update would teach the backbone what the module is for.
    """
    if text.corpus == corpus or text.split == domain.fingerprint:
        raise InputError(
            f"`update_data={text.corpus!r}` is the domain of {name}",
            expected="other text",
            hint="`update_data='prose2'`",
        )


def update_ppl(backbone: Backbone, text: UpdateText) -> float:
    """The raw backbone's perplexity on held-out text of the update's kind."""
    from transplant.evaluation.likelihood import score_documents

    return score_documents(backbone, text.eval, {"raw": None})["raw"].perplexity
