"""A backbone on which rows of `bench_sources` are trained, and judged on every source."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from tests.benchmarks.source_corpora import PLACES, Sources
from tests.benchmarks.source_rows import BASE, Row
from transplant.backbones.view import Backbone
from transplant.calibration.config import GateConfig
from transplant.calibration.gate_fit import GateText, fit_gate
from transplant.evaluation.evidence import difference, in_nats
from transplant.evaluation.likelihood import Corrector, Likelihood, score_rows
from transplant.modules.correction import Correction
from transplant.modules.gate import Gated
from transplant.text.documents import Document
from transplant.text.windows import Window
from transplant.training.config import TrainConfig
from transplant.training.loop import mean_loss, train_module
from transplant.training.share import Share, shares_of
from transplant.workflows.corpus import windows_of
from transplant.workspace import Workspace

TOKENS = 16_384  # of each source that is judged on
HELD_TOKENS = TrainConfig.calibration_tokens
GAINS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Judged:
    """A source that is judged on: its hidden states, read once, and what they cost the backbone.

    Args:
        backbone: the target.
        windows: of the source.
        taps: that modules read.
    """

    def __init__(self, backbone: Backbone, windows: Sequence[Window], taps: Sequence[int]) -> None:
        (self.share,) = shares_of(backbone, (windows,), taps)
        self.windows = windows
        self.owners = torch.tensor([window.document for window in windows])
        self.raw = self.score(backbone, None)

    def score(self, backbone: Backbone, system: Corrector | None) -> Likelihood:
        """The likelihood of a system, by document."""
        numbers = range(len(self.owners))
        blocks = ((self.share.own.rows([n]), self.owners[n : n + 1]) for n in numbers)
        return score_rows(backbone, blocks, {"it": system})["it"]


class Bench:
    """One backbone, and the rows of hidden states that were read with it so far.

    Args:
        name: of the backbone.
        sources: the corpora.
        places: where the windows are that rows are judged on.
    """

    def __init__(self, name: str, sources: Sources, places: Sequence[str]) -> None:
        self.name, self.sources, self.places, self.work = name, sources, places, Workspace()
        self.backbone = self.work.backbone(name)
        self._read: dict[tuple[str, int, int, int | None], Share] = {}
        self._judged: dict[str, dict[str, Judged]] = {}

    def run(self, row: Row, seed: int) -> dict[str, Any]:
        """Trains one module and judges it on every source."""
        config = replace(BASE, seed=seed, **row.changed)
        began = time.monotonic()
        with self.backbone.frozen():
            train, held = self._shares(row.text, config)
            if row.stop:
                _, held = self._shares("packages", replace(config, window_choice=row.stop))
            trained = train_module(self.backbone, train, held, config)
            system = self._then(row, trained.correction)
        seconds = time.monotonic() - began
        gains = {
            place: {name: self._gain(text, system) for name, text in self.judged(place).items()}
            for place in self.places
        }
        return {
            "text": row.text, "recipe": asdict(config), "steps": trained.course.step,
            "best_step": trained.course.best_step, "seconds": seconds, "gains": gains,
        }  # fmt: skip

    def judged(self, place: str) -> dict[str, Judged]:
        """What is judged on: any place of documents, or beginnings first, as the verbs do."""
        if place not in self._judged:
            self._judged[place] = {
                name: Judged(
                    self.backbone, self._windows(documents, TOKENS, PLACES[place]), self._taps
                )
                for name, documents in self.sources.judged.items()
            }
        return self._judged[place]

    def _gain(self, text: Judged, system: Corrector | None) -> dict[str, Any]:
        """What a system gains on a source, in nats per token."""
        own = text.score(self.backbone, system)
        return {
            "raw": text.raw.perplexity, "native": own.perplexity, "documents": len(own.tokens),
            **in_nats(difference(text.raw, own)),
        }  # fmt: skip

    def _windows(
        self, documents: Sequence[Document], tokens: int, seed: int | None
    ) -> Sequence[Window]:
        return windows_of(self.backbone, documents, BASE.window, tokens, seed=seed)

    def _shares(self, text: str, config: TrainConfig) -> tuple[Share, Share]:
        """Rows of the training side and of the calibration side of a text."""
        splits, seed = self.sources.splits[text], config.window_seed
        sides = ((splits.train, config.train_tokens), (splits.calibration, HELD_TOKENS))
        keys = [(text, number, tokens, seed) for number, (_, tokens) in enumerate(sides)]
        for key, (documents, tokens) in zip(keys, sides, strict=True):
            if key not in self._read:
                windows = self._windows(documents, tokens, seed)
                (self._read[key],) = shares_of(self.backbone, (windows,), self._taps)
        train, held = (self._read[key] for key in keys)
        return train, held

    @property
    def _taps(self) -> tuple[int, ...]:
        return self.backbone.check_taps(BASE.taps)

    def _then(self, row: Row, correction: Correction) -> Corrector:
        """The module behind what is fitted to it afterwards."""
        if row.gain:
            _, held = self._shares("packages", replace(BASE, window_choice=row.gain))
            out = correction.interface.proj_out
            learned = [(p, p.detach().clone()) for p in out.parameters()]

            def loss_at(gain: float) -> float:
                for parameter, value in learned:
                    parameter.data.copy_(gain * value)
                return mean_loss(self.backbone, held.own, correction)

            loss_at(min(GAINS, key=loss_at))
        if not row.gate:
            return correction
        config = GateConfig()
        domain, other = (
            GateText(
                self._windows(splits.train, config.tokens, None),
                self._windows(splits.calibration, config.calibration_tokens, None),
            )
            for splits in (self.sources.splits[row.text], self.sources.prose)
        )
        return Gated(correction, fit_gate(self.backbone, correction, domain, other, config).gate)
