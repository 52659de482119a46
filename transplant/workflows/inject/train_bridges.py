"""Training the bridges of one graft from captured activations, and its gate from text."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.errors import InputError
from transplant.workflows.corpus import windows_of
from transplant.workflows.inject.injection import Injection, mean_gate

if TYPE_CHECKING:
    from transplant.activations.reader import Activations
    from transplant.evaluation.likelihood import Likelihood
    from transplant.surgery.inject.config import BridgeTrainConfig
    from transplant.surgery.inject.hosted import InjectedModel
    from transplant.surgery.inject.streams import Stream

HELD_WINDOWS = 48  # of the calibration side, on which looks compare


@dataclass(frozen=True)
class TextPhase:
    """What the steps on text read."""

    train_tokens: int
    calibration_tokens: int
    eval_tokens: int

    def by_side(self) -> dict[str, int]:
        """Tokens by the side of the split that they are read from."""
        return {
            "train": self.train_tokens,
            "calibration": self.calibration_tokens,
            "eval": self.eval_tokens,
        }


def train_bridges(
    injection: Injection,
    path: Path,
    config: BridgeTrainConfig,
    name: str,
    *,
    text_tokens: int,
    eval_tokens: int,
    replace: bool,
) -> dict[str, Any]:
    """Trains bridges on a file, their gate on text where it has steps, stores both and reports.

    Args:
        injection: the part and its place.
        path: the activations of the target's own part.
        config: the steps.
        name: of the bridge in the library, claimed already.
        text_tokens: to train on, where there are steps on text.
        eval_tokens: held out.
        replace: whether a bridge of that name may go.
    """
    to = injection.to
    phase = TextPhase(text_tokens, max(64, text_tokens // 20), eval_tokens)
    if config.lm_steps:
        injection = dataclasses.replace(injection, tokens=phase.by_side())
    results: dict[str, Any] = {"matched": train_from_file(injection, path, config), "text": None}
    if config.lm_steps:
        results["text"] = train_from_text(injection, config, phase)
    entry = injection.store(
        "bridge", name, results, replace=replace, training=dataclasses.asdict(config)
    )
    judged = injection.report(injection.judged())
    return {"name": f"{name}@{to}", **judged, **results, "path": str(entry.path)}


def train_from_file(injection: Injection, path: Path, config: BridgeTrainConfig) -> dict[str, Any]:
    """Trains the bridges of `injection.graft` to add what the target's own part adds.

    Documents are split by their hashes: one side to train on, one to choose the best look by, one
    to report.

    Raises:
        InputError: rows of another backbone, pooled rows, or a file without the taps.
    """
    from transplant.activations.splits import windows_by_side
    from transplant.surgery.inject.fit import judge_streams
    from transplant.surgery.inject.streams import stream_of_file
    from transplant.surgery.inject.train import mean_shares, train_to_match

    with injection.work.activations(path) as acts:
        _check(injection, acts, path)
        sides = windows_by_side(acts)
        graft = injection.graft

        def read(numbers: list[int]) -> Stream:
            return stream_of_file(acts, numbers, injection.place, injection.target.device)

        held, judged = (
            [read([n]) for n in sides[side][:HELD_WINDOWS]] for side in ("calibration", "eval")
        )
        before = judge_streams(graft, judged)
        title = f"training bridges into {injection.to}"
        with injection.target.frozen(), injection.work.reporter.progress(title) as progress:
            course = train_to_match(
                graft,
                lambda numbers: read([sides["train"][n] for n in numbers]),
                len(sides["train"]), held, config, progress=progress,
            )  # fmt: skip
        after = judge_streams(graft, judged)
        return {
            "before": {"mse": before.mse, "r2": before.r2, "cosine": before.cosine},
            "after": {"mse": after.mse, "r2": after.r2, "cosine": after.cosine},
            "mean_prediction_mse": after.baseline,
            "rows": after.rows,
            "steps": config.steps,
            "best_step": course.best_step,
            "shares": mean_shares(graft, judged),
        }


def train_from_text(
    injection: Injection, config: BridgeTrainConfig, text: TextPhase
) -> dict[str, Any]:
    """Trains gate and bridges on the next token; reports the target with and without the part."""
    from transplant.evaluation.intervals import paired_bootstrap
    from transplant.surgery.inject import hosted
    from transplant.surgery.inject.train import train_on_text

    target, splits = injection.target, injection.text
    train = windows_of(target, splits.train, 512, text.train_tokens)
    held = windows_of(target, splits.calibration, 512, text.calibration_tokens)
    part = hosted.Injection(injection.layer, injection.record.kind, injection.graft)
    model = hosted.InjectedModel("probe", target, [part])
    with target.frozen(), injection.work.reporter.progress("training the gate") as progress:
        course = train_on_text(model, train, held, config, progress=progress)
    windows = windows_of(target, splits.eval, 512, text.eval_tokens)
    raw, injected = score_injected(model, windows)
    change = paired_bootstrap(injected.nats.numpy(), raw.nats.numpy(), raw.tokens.numpy())
    return {
        "steps": config.lm_steps,
        "best_step": course.best_step,
        "ppl": {"raw": raw.perplexity, "injected": injected.perplexity},
        "change_in_nats": {"mean": change.mean, "interval": change.as_list()},
        "gate": mean_gate(injection.graft),
    }


def score_injected(model: InjectedModel, windows: Any) -> tuple[Likelihood, Likelihood]:
    """Held-out likelihood of the backbone alone and with what works inside it."""
    from transplant.evaluation.likelihood import score_documents

    raw = score_documents(model.backbone, windows, {"it": None})["it"]
    with model.inside():
        return raw, score_documents(model.backbone, windows, {"it": None})["it"]


def _check(injection: Injection, acts: Activations, path: Path) -> None:
    target = injection.target
    acts.check_made_by(target, target.name)
    taps = f"{injection.place}.in,{injection.place}"
    again = f"`capture(backbone={target.name!r}, data='TEXT', taps={taps!r}, out='FILE')`"
    if acts.header.pool != "none":
        raise InputError(
            f"{path} holds pooled rows", expected="none", found=acts.header.pool, hint=again
        )
    missing = {*taps.split(",")} - {*acts.header.taps}
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(sorted(missing))}", found=list(acts.header.taps), hint=again
        )
    if injection.donor_part.part.sequential and target.skipped:
        raise InputError(
            f"{path} does not hold the beginning-of-text rows of {target.name}",
            expected="a part that reads each position by itself (ffn)",
            found=injection.source,
        )
