"""Hosted models side by side: the raw backbone, a native module, and one that was moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transplant.errors import InputError
from transplant.library import HostedName
from transplant.workflows.cores.modules_inside import find_core_module
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Manifest
    from transplant.modules.hosted import HostedModel

RAW, NATIVE, MOVED, HOSTED = "raw", "native", "moved", "hosted"
"""What a model is beside the others: a backbone, a module that was trained on it, one that came
from a donor, and whatever else is hosted on it."""
LEFT_OUT = "none"
"""In place of a native's name: none at all."""


def load_beside(work: Work, name: str, native: str | None = None) -> dict[str, HostedModel]:
    """A hosted model and what it is compared with, all on one backbone.

    Args:
        work: the setting.
        name: a backbone, or what is hosted on one.
        native: the native beside a moved module, as `python` or `python@ref-llama`; by default the
            one of its domain, where there is one; `none` for none.

    Returns:
        By role, `raw` first: `native`, and `moved` or `hosted`, where there are such.

    Raises:
        InputError: a native of another backbone, several to choose from, or one that is named
            beside what is no moved module.
        NotFoundError: nothing of that name.
    """
    named = work.named(name)
    manifest = _manifest(work, named)
    role = None if manifest is None else _role(manifest)
    if role in (None, NATIVE) and native not in (None, LEFT_OUT):
        raise InputError(
            f"`native={native!r}` is beside a module that was moved", found=name,
            expected=f"one that was moved, or `native={LEFT_OUT!r}`",
        )  # fmt: skip
    beside = (
        None
        if manifest is None or role == NATIVE or native == LEFT_OUT
        else _native(work, manifest, named, native)
    )
    model = work.load(named)
    systems = {RAW: _host(work, model.backbone, None)}
    if manifest is None or role is None:
        return systems if model.is_raw else systems | {HOSTED: model}
    if beside is not None:
        systems[NATIVE] = _host(work, model.backbone, beside, manifest.d_abi)
    return systems | {role: model}


def _role(manifest: Manifest) -> str:
    """What a hosted model is beside the others."""
    if "donor_backbone" in manifest.parents:
        return MOVED
    return NATIVE if manifest.kind == "module" else HOSTED


def _manifest(work: Work, named: HostedName) -> Manifest | None:
    if named.module is None:
        return None
    return find_core_module(work.library, named) or work.find(named).manifest


def _native(work: Work, manifest: Manifest, named: HostedName, asked: str | None) -> str | None:
    """The name of a module that was trained where another one was moved to."""
    if asked is not None:
        wanted = work.named(asked) if "@" in asked else HostedName(asked, named.backbone)
        if wanted.backbone != named.backbone or wanted.module is None:
            raise InputError("`native`", expected=f"a module on {named.backbone}", found=asked)
        work.library.find("module", wanted.module, named.backbone, manifest.d_abi)
        return wanted.module
    trained = [
        entry.manifest
        for entry in work.library.entries("module", named.backbone)
        if entry.manifest.domain == manifest.domain
        and manifest.d_abi in (None, entry.manifest.d_abi)
        and "donor_backbone" not in entry.manifest.parents
    ]
    split = manifest.made.get("split")
    same = [one.name for one in trained if split is not None and one.made.get("split") == split]
    names = [one.name for one in trained]
    for chosen in (same, [name for name in names if name == manifest.domain], names):
        if len(chosen) == 1:
            return chosen[0]
    if names:
        raise InputError(
            f"several natives of {manifest.domain} on {named.backbone}",
            expected="one of them, by `native`", found=", ".join(sorted(names)),
        )  # fmt: skip
    work.reporter.note(f"no native {manifest.domain} on {named.backbone}: none beside {named}")
    return None


def _host(
    work: Work, backbone: Backbone, module: str | None, d_abi: int | None = None
) -> HostedModel:
    from transplant.loading.hosted import host

    return host(backbone, module, work.library, d_abi)
