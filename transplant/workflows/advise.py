"""Measuring what advice rests on: two backbones, some texts, and what the registry records."""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.advice.config import AdviceConfig
from transplant.workflows.candidates import candidates_of
from transplant.workflows.corpus import read_as_needed, windows_of
from transplant.workflows.steps import Stepwise
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.advice.config import Thresholds
    from transplant.advice.decide import Advice
    from transplant.advice.measured import Candidate, Measured, Routed
    from transplant.advice.taps import Alignment
    from transplant.backbones.view import Backbone
    from transplant.text.documents import Document
    from transplant.text.splits import Splits

COMPARED = 3  # candidates whose corrections are compared, at most


@dataclass
class Advising(Stepwise):
    """Two backbones and the texts that they read.

    Args:
        work: library, device, seed and reporter.
        source: the backbone to move from.
        to: the backbone to move to.
        texts: one for each task; pairs come from the first.
        domain: the only domain whose modules count; None for all of the donor's.
        config: how much is read.
        trace: `trace.json` of the target, of `trace()`: its impacts are taken, and nothing is
            silenced.
        catalog: a catalog of the donor, of `analyze()`.
        route: `route.json` of `route_sim()`, from a module that is on the target already.
    """

    work: Work
    source: str
    to: str
    texts: tuple[str, ...]
    domain: str | None
    config: AdviceConfig
    trace: Path | None = None
    catalog: Path | None = None
    route: Path | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @cached_property
    def donor(self) -> Backbone:
        """The backbone to move from."""
        return self.work.backbone(self.source)

    @cached_property
    def target(self) -> Backbone:
        """The backbone to move to."""
        return self.work.backbone(self.to)

    @cached_property
    def text(self) -> Splits:
        """The first text, split."""
        return self._split_of(self.texts[0])

    @cached_property
    def measured(self) -> Measured:
        """Everything."""
        from transplant.advice.measured import Measured

        candidates = candidates_of(self.work, self.source, self.to, self.domain)
        routed = self._routed(candidates)
        traced, catalogued = self._from_files()
        with self.step("read"):
            self.text  # noqa: B018
        tokens, text, paired = self._vocabulary()
        aligned = self._alignment()
        return Measured(
            donor=self.source, target=self.to, texts=self.texts, domain=self.domain,
            r2=aligned.r2, cosine=aligned.cosine, shared_cosine=aligned.shared_cosine,
            pairs=aligned.pairs, exact_tokens=tokens, exact_text=text, paired=paired,
            layers=self.target.n_layers, divergence=self._divergence(),
            correction_cosine=self._corrections(candidates), candidates=candidates,
            impact=self._impact() if traced is None else traced, traced=traced is not None,
            route=routed, **catalogued,
        )  # fmt: skip

    def _from_files(self) -> tuple[dict[str, float] | None, dict[str, Any]]:
        """The impacts of the trace, and what the catalog says, where these are given."""
        from transplant.workflows.advice_files import read_catalog, read_impact

        traced = None if self.trace is None else read_impact(self.trace, self.target)
        if self.catalog is None:
            return traced, {}
        found = read_catalog(self.catalog, self.donor, self.target)
        known = {"similar": found.similar, "roles": found.roles}
        held = self.work.library.choices("bank", name=found.bank, backbone=self.donor.name)
        return traced, known | ({"bank": found.bank, "pieces": found.pieces} if held else {})

    def _routed(self, candidates: tuple[Candidate, ...]) -> Routed | None:
        from transplant.workflows.advice_files import read_route

        moved = [one.moved for one in candidates if one.moved is not None]
        return None if self.route is None else read_route(self.route, self.to, moved)

    def _vocabulary(self) -> tuple[float, float, float]:
        """What the target's tokens are to the donor: of all, of the text, and where they end."""
        from transplant.workflows.token_map import measure_pairs, stored_map

        with self.step("vocabulary"):
            spelled, _ = stored_map(self.work, self.donor, self.target)
            counts, pairs = measure_pairs(self.donor, self.target, self._sample(self.text))
            return (
                spelled.coverage()["exact"], spelled.coverage(counts)["exact"],
                pairs["paired_share"],
            )  # fmt: skip

    def _alignment(self) -> Alignment:
        from transplant.advice.taps import measure_alignment

        config = self.config
        with self.step("alignment"):
            return measure_alignment(
                self.donor, self.target, self._excerpts("train", config.excerpts),
                self._excerpts("calibration", config.held_out), config.taps,
            )  # fmt: skip

    def _impact(self) -> dict[str, float]:
        from transplant.advice.impact import ablation_impact

        windows = windows_of(self.target, self.text.eval, 256, self.config.impact_tokens)
        with self.step("impact"), self.work.reporter.progress("silencing") as progress:
            return ablation_impact(self.target, windows, progress=progress)

    def _divergence(self) -> float | None:
        """Of the two texts that differ most, in the target's tokens."""
        from transplant.advice.domains import unigram_divergence
        from transplant.workflows.token_map import token_counts

        if len(self.texts) < 2:
            return None
        with self.step("texts"):
            counted = [
                token_counts(self.target, self._sample(self._split_of(source)))
                for source in self.texts
            ]
            return max(unigram_divergence(a, b) for a, b in itertools.combinations(counted, 2))

    def _corrections(self, candidates: tuple[Candidate, ...]) -> float | None:
        """Of the two candidates that differ most, on the first text."""
        from transplant.advice.domains import correction_cosine
        from transplant.loading.hosted import host

        registry, found = self.work.library, []
        for candidate in candidates[:COMPARED] if len(candidates) > 1 else ():
            name = registry.split_name(candidate.name)
            hosted = host(self.donor, name.module, registry, name.d_abi)
            if hosted.correction is not None:
                found.append(hosted.correction)
        windows = windows_of(self.donor, self.text.eval, 256, self.config.impact_tokens)
        with self.step("corrections"):
            pairs = itertools.combinations(found, 2)
            cosines = [correction_cosine(self.donor, a, b, windows) for a, b in pairs]
        return min(cosines, default=None)

    def _split_of(self, source: str) -> Splits:
        from transplant.text.limits import CHARS_PER_TOKEN, EXCERPT_TOKENS

        config = self.config
        counted = math.ceil(config.characters / CHARS_PER_TOKEN)
        return read_as_needed(
            self.work, source, config.text_chars,
            train=max(EXCERPT_TOKENS * config.excerpts, counted),
            calibration=EXCERPT_TOKENS * config.held_out, evaluation=config.impact_tokens,
        )  # fmt: skip

    def _sample(self, splits: Splits) -> list[Document]:
        """Documents of the training side, about as many characters as are asked for."""
        kept, left = [], self.config.characters
        for document in splits.train:
            kept.append(document)
            left -= len(document.text)
            if left <= 0:
                break
        return kept

    def _excerpts(self, side: str, keep: int) -> list[Document]:
        from transplant.text.excerpts import cut_excerpts

        cut = cut_excerpts(getattr(self.text, side))
        return cut[:: max(1, len(cut) // keep)][:keep]


def run_advice(advising: Advising) -> tuple[Measured, Advice, dict[str, Any]]:
    """Measures, decides, and reports both; no weight of either backbone moves.

    Raises:
        NotFoundError: one of the backbones is not there.
    """
    from transplant.advice.config import Thresholds
    from transplant.advice.decide import advise

    thresholds = Thresholds()
    advising.work.check_there(source=advising.source, to=advising.to)
    with advising.donor.frozen(), advising.target.frozen():
        found = advising.measured
    advice = advise(found, thresholds)
    return found, advice, advice_report(advising, found, advice, thresholds)


def advice_report(
    advising: Advising, found: Measured, advice: Advice, thresholds: Thresholds
) -> dict[str, Any]:
    """Everything: the numbers, what they were compared with, and what follows."""
    return {
        "from": found.donor,
        "to": found.target,
        "strategy": advice.strategy,
        "steps": [dataclasses.asdict(step) for step in advice.steps],
        "proof": [dataclasses.asdict(step) for step in advice.proof],
        "answers": [dataclasses.asdict(a) for a in advice.answers],
        "numbers": {**dataclasses.asdict(found), "pieces": sorted(found.pieces)},
        "thresholds": dataclasses.asdict(thresholds),
        "split": advising.text.fingerprint,
        "seconds": advising.seconds,
        "made": advising.work.made(config=dataclasses.asdict(advising.config)),
    }
