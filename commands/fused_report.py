"""What a fusion reports: weights and perplexity on each text, beside modules and controls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from commands.fusing import Fusing
from transplant.errors import CorruptError

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel
    from transplant.surgery.fuse.hosted import Fused
    from transplant.text.windows import Window

RAW, MEAN, RANDOM, DRAWN, ALONE = "raw", "mean", "random_slot", "random_member", "alone"
WEIGHED_TOKENS = 4_000  # of each text, for the mean weights


def fusion_report(work: Fusing, name: str, eval_tokens: int, *, controls: bool) -> dict[str, Any]:
    """Trains, evaluates on held-out documents and returns everything that the JSON holds.

    Raises:
        CorruptError: something other than the combiner has moved.
    """
    from transplant.surgery.fuse.evidence import perplexities, score_hosted, verdict
    from transplant.surgery.fuse.train import frozen_hashes

    before = frozen_hashes(work.empty(work.hosted, "gate"))
    tried = {combiner: found.model for combiner, found in work.tried.items()}
    kept = tried[work.kept]
    compared = _controls(work) if controls else {}
    after = frozen_hashes(kept)
    if before != after:
        raise CorruptError("what a fusion must not move has moved", expected=before, found=after)
    systems: dict[str, HostedModel | None] = {
        RAW: None, **{model.name: model for model in work.hosted}, **tried, **compared,
    }  # fmt: skip
    windows = work.windows("eval", eval_tokens)
    work.session.out.note("evaluating ...")
    scores = score_hosted(work.backbone, windows, systems)
    weighed = {work.kept: kept}
    weighed |= {name: compared[name] for name in (RANDOM, DRAWN) if name in compared}
    return {
        "name": f"{name}@{work.to}",
        "layer": kept.layer,
        "members": [*work.members],
        "combiner": work.kept,
        "tried": {
            combiner: {"calibration_nats": found.course.best, "best_step": found.course.best_step}
            for combiner, found in work.tried.items()
        },
        "ppl": perplexities(scores),
        "weights": {n: _weights(work, model, windows) for n, model in weighed.items()},
        **verdict(scores, [model.name for model in work.hosted], work.kept),
        "trained_parameters": sum(p.numel() for p in kept.combiner.parameters()),
        "frozen_sha256": dict(zip(["backbone", *work.members], after.values(), strict=True)),
        "frozen_unchanged": before == after,
        "tokens": {text: float(found[RAW].tokens.sum()) for text, found in scores.items()},
        "split": {text: splits.fingerprint for text, splits in work.texts.items()},
        "seed": work.config.seed,
        "seconds": time.monotonic() - work.began,
    }


def _controls(work: Fusing) -> dict[str, Fused]:
    """The mean of all changes; a random module in the last slot; each module under a combiner.

    The random module works behind the trained maps, and once more behind drawn ones.
    """
    from transplant.surgery.fuse.controls import random_slot
    from transplant.surgery.fuse.hosted import fuse_members, fused_width
    from transplant.surgery.fuse.mean import MeanCombiner

    members, combiner = work.hosted, work.kept
    mean = MeanCombiner(len(members), fused_width(work.backbone, members))
    found = {MEAN: fuse_members(MEAN, members, mean)}
    for control, maps in ((RANDOM, False), (DRAWN, True)):
        drawn = random_slot(members, len(members) - 1, work.config.seed, maps=maps)
        title = "training with a random module" + (" and maps" if maps else "")
        found[control] = work.trained(drawn, combiner, title).model
    for member in members:
        alone = work.trained([member], combiner, f"training {member.name} alone")
        found[f"{ALONE} {member.name}"] = alone.model
    return found


def _weights(
    work: Fusing, model: Fused, windows: dict[str, list[Window]]
) -> dict[str, dict[str, dict[str, float]]]:
    """text -> member -> mean weight, and the mean of its size."""
    from transplant.surgery.fuse.weights import mean_weights

    found = {}
    for text, own in windows.items():
        few, tokens = [], 0
        for window in own:
            if tokens < WEIGHED_TOKENS:
                few.append(window)
                tokens += len(window)
        weights = mean_weights(model, few)
        found[text] = {
            member: {"mean": mean, "size": size}
            for member, mean, size in zip(work.members, weights.mean, weights.size, strict=True)
        }
    return found
