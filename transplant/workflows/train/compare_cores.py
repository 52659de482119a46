"""A core against the plain transformer beside it: what is compared, and the table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from transplant.errors import CorruptError, InputError, foreign
from transplant.files.plain import expand
from transplant.validation import check_held
from transplant.workflows.corpus import read_alike, read_splits, windows_of
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.library import Manifest


def compare_cores(
    work: Work, cores: Sequence[str], plain: Sequence[str], eval_tokens: int
) -> dict[str, Any]:
    """Every pair, and over several of them the mean difference with its interval.

    Args:
        work: library, device, seed and reporter.
        cores: one for each seed.
        plain: the plain transformer of each, in order.
        eval_tokens: held-out tokens to evaluate on.

    Raises:
        InputError: not as many of one as of the other, or a pair that differs in more; before any
            of them is loaded.
        NotFoundError: one of them is not there.
    """
    from transplant.evaluation.intervals import t_interval

    if len(plain) != len(cores):
        raise InputError(
            "every core needs its `baseline`", expected=f"{len(cores)} of them", found=len(plain)
        )
    check_held(eval_tokens)
    both = [*zip(cores, plain, strict=True)]
    for names in both:
        _common_recipe(*(_trained(work, name) for name in names))
    pairs = [compare_pair(work, *names, eval_tokens) for names in both]
    report: dict[str, Any] = {"pairs": pairs, "made": work.made()}
    if len(pairs) > 1:
        over_seeds = t_interval([pair["difference_percent"] for pair in pairs])
        report["mean"] = {
            "difference_percent": over_seeds.mean,
            "interval": over_seeds.as_list(),
            "contains_zero": over_seeds.low <= 0.0 <= over_seeds.high,
        }
    return report


def compare_pair(work: Work, core: str, plain: str, eval_tokens: int) -> dict[str, Any]:
    """Both on the same held-out documents, and the interval of their difference.

    Raises:
        InputError: anything but the architecture differs between them.
    """
    from transplant.evaluation.intervals import paired_bootstrap
    from transplant.evaluation.likelihood import score_documents

    of_core, of_plain = (_trained(work, name) for name in (core, plain))
    recipe = _common_recipe(of_core, of_plain)
    splits = read_splits(
        work, recipe["data"], recipe["max_chars"], read_alike(work, of_core.made, recipe["data"])
    )
    if splits.fingerprint != of_core.made["split"]:
        work.reporter.warn(
            f"{recipe['data']} has changed since {core} was trained: documents held out now may "
            "have been trained on"
        )
    scored = []
    for name in (core, plain):
        backbone = work.backbone(name)
        windows = windows_of(backbone, splits.eval, recipe["window"], eval_tokens)
        with work.reporter.progress(f"evaluating {name}") as progress:
            scored.append(score_documents(backbone, windows, {"": None}, progress=progress)[""])
    ours, theirs = scored
    nats = paired_bootstrap(ours.nats.numpy(), theirs.nats.numpy(), ours.tokens.numpy())
    return {
        "core": core,
        "baseline": plain,
        "seed": recipe["seed"],
        "parameters": {
            "core": of_core.results["parameters"],
            "baseline": of_plain.results["parameters"],
        },
        "ppl": {"core": ours.perplexity, "baseline": theirs.perplexity},
        "difference_percent": _percent(nats.mean),
        "interval": [_percent(nats.low), _percent(nats.high)],
        "train_seconds": {
            "core": of_core.results["train_seconds"],
            "baseline": of_plain.results["train_seconds"],
        },
        "eval": {"documents": len(ours.tokens), "tokens": int(ours.tokens.sum())},
        "recipe": recipe,
        "split": splits.fingerprint,
    }


def _trained(work: Work, name: str) -> Manifest:
    """The manifest of what `train_core()` has made.

    Raises:
        InputError: a folder or a hub id.
        NotFoundError: nothing has that name.
    """
    if not work.library.holds_backbone(name) and ("/" in name or expand(name).is_dir()):
        raise InputError(
            f"{name} does not say what it was trained on",
            expected="a name of the registry, as `train_core()` gives it", found="a folder or a "
            "hub id", hint="`list(kind='backbone')`",
        )  # fmt: skip
    return work.library.find("backbone", name).manifest


def _common_recipe(core: Manifest, plain: Manifest) -> dict[str, Any]:
    """What both were trained by.

    Raises:
        InputError: one was not trained by `train-core`, or anything but the architecture differs.
    """
    from transplant.backbones.layercake.baseline import TOLERANCE

    for manifest, kind in ((core, "a core"), (plain, "a plain transformer")):
        if manifest.made.get("plain") is not (kind != "a core"):
            raise InputError(
                f"{manifest.name} is not {kind} trained by `train_core()`",
                hint="`train_core(size='2M')`, and again with `baseline=True`",
            )
    with foreign("how they were trained", CorruptError, hint="`train_core()` both again"):
        for key in ("split", "tokenizer"):
            _same(key, core.made[key], plain.made[key])
        for key, value in core.made["recipe"].items():
            _same(key, value, plain.made["recipe"].get(key))
        ours, theirs = core.results["parameters"], plain.results["parameters"]
        if abs(theirs / ours - 1.0) > TOLERANCE:
            raise InputError(
                "core and baseline differ in size",
                expected=f"{ours:,} +- 0.5 %",
                found=f"{theirs:,}",
            )
        for manifest in (core, plain):
            needed = ("data", "max_chars", "window", "seed")
            missing = [key for key in needed if key not in manifest.made["recipe"]]
            if missing or "train_seconds" not in manifest.results:
                raise KeyError(*(missing or ["train_seconds"]))
    return core.made["recipe"]


def _same(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        raise InputError(
            f"core and baseline were trained apart: {what} differs", expected=ours, found=theirs
        )


def _percent(nats: float) -> float:
    """A difference of log perplexity as a change of perplexity in percent."""
    return 100.0 * math.expm1(nats)
