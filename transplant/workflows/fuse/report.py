"""Report of a fusion: weights and perplexity on each text, beside modules and controls."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from transplant.errors import CorruptError
from transplant.surgery.fuse.config import DRAWN, RANDOM
from transplant.workflows.fuse.fusion import Fusing

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel
    from transplant.surgery.fuse.hosted import Fused
    from transplant.text.windows import Window

RAW, MEAN, ALONE = "raw", "mean", "alone"
WEIGHED_TOKENS = 4_000  # of each text, for the mean weights


def run_fusion(
    fusion: Fusing, name: str, eval_tokens: int, *, controls: bool = True, replace: bool = False
) -> dict[str, Any]:
    """Trains a fusion, evaluates it beside its controls, stores and reports it.

    Args:
        fusion: modules, texts and recipe.
        name: its name in the library.
        eval_tokens: held-out tokens to evaluate on.
        controls: whether what it is compared with is trained.
        replace: whether a fusion of that name may go.

    Raises:
        ExistsError: something that is hosted has that name.
        CorruptError: something other than the combiner has moved.
    """
    library = fusion.work.library
    library.check_free(("module", "injection", "linear"), name, fusion.to, None)
    library.claim(("fusion",), name, fusion.to, None, replace=replace)
    report = fusion_report(fusion, name, eval_tokens, controls=controls)
    return {**report, "path": fusion.store(name, report, replace=replace)}


def fusion_report(fusion: Fusing, name: str, eval_tokens: int, *, controls: bool) -> dict[str, Any]:
    """Trains, evaluates on held-out documents and returns everything that the JSON holds.

    Raises:
        CorruptError: something other than the combiner has moved.
    """
    from transplant.surgery.fuse.evidence import perplexities, score_hosted, verdict
    from transplant.surgery.fuse.train import frozen_hashes

    before = frozen_hashes(fusion.empty(fusion.hosted, "gate"))
    tried = {combiner: found.model for combiner, found in fusion.tried.items()}
    kept = tried[fusion.kept]
    compared = _controls(fusion) if controls else {}
    after = frozen_hashes(kept)
    if before != after:
        raise CorruptError("what a fusion must not move has moved", expected=before, found=after)
    systems: dict[str, HostedModel | None] = {
        RAW: None, **{model.name: model for model in fusion.hosted}, **tried, **compared,
    }  # fmt: skip
    windows = fusion.windows("eval", eval_tokens)
    fusion.work.reporter.note("evaluating ...")
    scores = score_hosted(fusion.backbone, windows, systems)
    weighed = {fusion.kept: kept}
    weighed |= {name: compared[name] for name in (RANDOM, DRAWN) if name in compared}
    return {
        "name": f"{name}@{fusion.to}",
        "layer": kept.layer,
        "members": [*fusion.called],
        "combiner": fusion.kept,
        "tried": {
            combiner: {
                "calibration_nats": found.course.best_loss,
                "best_step": found.course.best_step,
            }
            for combiner, found in fusion.tried.items()
        },
        "ppl": perplexities(scores),
        "weights": {n: _weights(fusion, model, windows) for n, model in weighed.items()},
        **verdict(scores, [model.name for model in fusion.hosted], fusion.kept),
        "trained_parameters": sum(p.numel() for p in kept.combiner.parameters()),
        "frozen_sha256": dict(zip(["backbone", *fusion.called], after.values(), strict=True)),
        "frozen_unchanged": before == after,
        "tokens": {text: float(found[RAW].tokens.sum()) for text, found in scores.items()},
        "split": {text: splits.fingerprint for text, splits in fusion.texts.items()},
        "seed": fusion.config.seed,
        "seconds": time.monotonic() - fusion.began,
    }


def _controls(fusion: Fusing) -> dict[str, Fused]:
    """The mean of all changes; a random module in the last slot; each module under a combiner.

    The random module works behind the trained maps, and once more behind drawn ones.
    """
    from transplant.surgery.fuse.controls import random_slot
    from transplant.surgery.fuse.hosted import fuse_members, fused_width
    from transplant.surgery.fuse.mean import MeanCombiner

    members, combiner = fusion.hosted, fusion.kept
    mean = MeanCombiner(len(members), fused_width(fusion.backbone, members))
    found = {MEAN: fuse_members(MEAN, members, mean)}
    for control, maps in ((RANDOM, False), (DRAWN, True)):
        drawn = random_slot(members, len(members) - 1, fusion.config.seed, maps=maps)
        title = "training with a random module" + (" and maps" if maps else "")
        found[control] = fusion.trained(drawn, combiner, title).model
    for member in members:
        alone = fusion.trained([member], combiner, f"training {member.name} alone")
        found[f"{ALONE} {member.name}"] = alone.model
    return found


def _weights(
    fusion: Fusing, model: Fused, windows: dict[str, list[Window]]
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
            for member, mean, size in zip(fusion.called, weights.mean, weights.size, strict=True)
        }
    return found
