"""The native module on the target, the ceiling of a move: found, or trained like the donor."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from transplant.errors import CorruptError, InputError, foreign
from transplant.training.config import NAMED_TAPS, TrainConfig
from transplant.workflows.cores.add_module import refuse_inside
from transplant.workflows.corpus import read_as_far
from transplant.workflows.move.inputs import MoveInputs
from transplant.workflows.move.move import Move
from transplant.workflows.train.module import TrainJob, run_train_job

if TYPE_CHECKING:
    from transplant.backbones.core import CoreBackbone
    from transplant.library import Manifest
    from transplant.modules.correction import Correction

EVAL_TOKENS = 2_000  # of the report of a native that is trained on the way; nothing reads it
LEFT_OUT, TRAINED = "none", "train"
"""In place of a native's name: none at all; the domain's, trained where it is missing."""
COST = "about three quarters of a transfer's time; `native='none'` leaves it out"


def ceiling_correction(move: Move, name: str | None) -> Correction | None:
    """The native of a move as `native_correction` gives it; None where it is left out."""
    return None if name == LEFT_OUT else native_correction(move, name)


def check_native(name: str | None, purpose: str) -> None:
    """Refuses, before the work, to go without a native where it is what others are measured by.

    Args:
        name: of the native, as it was asked for.
        purpose: what needs it, for the message.

    Raises:
        InputError: it is left out.
    """
    if name == LEFT_OUT:
        raise InputError(
            f"{purpose} needs the native that it is a share of",
            expected=f"`native={TRAINED!r}`, or its name", found=repr(LEFT_OUT),
        )  # fmt: skip


def native_correction(move: Move, name: str | None) -> Correction:
    """The native module on the target; trained by the donor's recipe where it is missing.

    A module inside a core has its ceiling inside the target, where that is a core too.

    Args:
        move: the move.
        name: of the native; `train` or None for the domain's.

    Raises:
        InputError: what has that name was moved there, or was trained on other text.
    """
    from transplant.backbones.core import CoreBackbone

    name = None if name == TRAINED else name
    form = move.manifest.made.get("form")
    if form is not None and isinstance(move.target, CoreBackbone):
        return _inside_core(move, move.target, form, name)
    return _behind_interface(move, name)


def name_of_native(domain: str, moved: str) -> str:
    """The name that the native of a domain is looked for and trained under, beside what is moved.

    Args:
        domain: its name is the native's too, but where it is taken.
        moved: the name of what is moved to the same backbone.
    """
    return f"{domain}-native" if domain == moved else domain


def native_recipe(move: Move) -> TrainConfig:
    """The recipe of the donor's module, for the target.

    `all` and `last` mean the same on any backbone; a list of the donor's layers does not, and
    becomes all of the target's, which the moved module reads as well.
    """
    recipe = native_recipe_of(move.manifest)
    known = recipe.taps in NAMED_TAPS.values()
    return recipe if known else dataclasses.replace(recipe, taps=NAMED_TAPS["all"])


def native_recipe_of(manifest: Manifest) -> TrainConfig:
    """The recipe by which a module was trained, for the same backbone."""
    recipe = dict(manifest.made.get("recipe") or {})
    if "head_type" in recipe:  # as it was called for a while
        recipe["matmul_type"] = recipe.pop("head_type")
    with foreign(f"the recipe of {manifest.hosted}", CorruptError, hint="train it again"):
        taps = tuple(recipe.pop("taps", TrainConfig.taps))
        return TrainConfig(**recipe, taps=taps)


def _behind_interface(move: Move, name: str | None) -> Correction:
    from transplant.loading.hosted import host

    native = name or name_of_native(move.manifest.domain or move.manifest.name, move.moved_name)
    refuse_inside(move.target, native)
    registry = move.work.library
    if native == move.moved_name:
        raise InputError(
            f"{native} would name both the moved module and its ceiling", hint="another `name`"
        )
    look = registry.get if name is None else registry.find
    entry = look("module", native, move.to, move.manifest.d_abi)
    if entry is None:
        _train(move, native, None)
    else:
        found = entry.manifest
        trained_here = "donor_backbone" not in found.parents
        if not trained_here or found.made.get("split") != move.domain_text.fingerprint:
            raise no_ceiling(
                move,
                f"{native}@{move.to}",
                "other text" if trained_here else "a module that was moved there",
            )
    hosted = host(move.target, native, registry, move.manifest.d_abi)
    assert hosted.correction is not None
    return hosted.correction


def _inside_core(move: Move, target: CoreBackbone, form: str, name: str | None) -> Correction:
    """The native of a core: a module trained inside that very core, on the same text."""
    from transplant.modules.core import CoreCorrection

    busy = [module for module, entry in target.modules.items() if entry["active"]]
    if busy:
        raise InputError(
            f"{move.to} has modules at work inside: {', '.join(busy)}",
            expected="the core by itself, so that one module is compared with another",
        )
    domain = move.manifest.domain or move.manifest.name
    wanted = (target.weights_sha256, form, move.domain_text.fingerprint, target.config_sha256)
    held = {
        entry.manifest.name: entry.manifest.made.get("modules", {})
        for entry in move.work.library.entries("backbone")
    }
    fitting = [
        core
        for core, records in held.items()
        if name in (None, core)
        and (record := records.get(domain)) is not None
        and (
            record["core"],
            record["made"]["form"],
            record["made"]["split"],
            record.get("core_config", target.config_sha256),
        )
        == wanted
    ]
    if name and not fitting:
        raise no_ceiling(move, f"{domain}@{name}", "no such module, or other core, form or text")
    core = fitting[0] if fitting else f"{move.to}-{domain}"
    if not fitting:
        core += "-native" if core in held else ""  # what a paste has made by that name stays
        _train(move, core, form)
    native = move.work.load(f"{domain}@{core}").correction
    assert native is not None
    return CoreCorrection(target, native.module).requires_grad_(False)


def _train(move: Move, name: str, form: str | None) -> None:
    domain = move.manifest.domain or move.manifest.name
    move.work.reporter.note(f"no native {domain} on {move.to} yet: training it, {COST}")
    read_as_far(move.work, move.manifest.made, move.domain_source)
    job = TrainJob(
        move.to, domain, move.domain_source, name, native_recipe(move), EVAL_TOKENS, form
    )
    with move.step("train_native"):
        run_train_job(move.work, job)


def no_ceiling(move: MoveInputs, name: str, found: str) -> InputError:
    """The refusal of a module that a move cannot be compared with."""
    return InputError(
        f"{name} is no native ceiling for this move",
        expected=f"a module trained on {move.to} with the text of {move.domain_source}",
        found=found,
        hint=f"`train(..., backbone={move.to!r}, name='NAME')`, then `native='NAME'`",
    )
