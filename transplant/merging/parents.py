"""Parents of a merge: found by name, loaded once, and held against each other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.backbones.hub_ids import is_out_of_reach
from transplant.errors import BackboneError, InputError, NotFoundError, ShapeError, foreign
from transplant.files.plain import expand
from transplant.merging.recipe import Recipe, Reference
from transplant.workflows.add import get_from_hub
from transplant.workflows.work import Work

if TYPE_CHECKING:
    from transplant.backbones.view import Backbone
    from transplant.library import Entry

NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[A-Za-z0-9][\w.-]*)?")
HUB_ID = re.compile(r"[\w.-]+(?:/[\w.-]+)?(?:@[\w./-]+)?")
FLOATS = ("F64", "F32", "F16", "BF16")
WEIGHED = ("module", "linear", "adapter")
"""The kinds of what is hosted on a parent that another backbone of its shape can host."""


@dataclass(frozen=True, kw_only=True)
class Parent:
    """What is known of a parent once it was loaded."""

    called: str
    """As the recipe has it."""
    place: str
    """What it is loaded by: a name of the library, or a folder."""
    folder: Path
    """Where its files are."""
    family: str
    settings: Mapping[str, Any]
    """Of its configuration, those that decide what it computes."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of its parameters, by name."""
    stored: frozenset[str]
    """The floating-point types of its files, in the words of safetensors."""
    numbers: int
    """How many its files hold."""
    weights_sha256: str
    tokenizer_sha256: str
    hosted: tuple[Entry, ...]
    """What is hosted on it that can be weighed on the merged backbone."""


def find_folder(work: Work, recipe: Recipe, reference: Reference, remote: Sequence[str]) -> str:
    """What a reference is loaded by: a name of the library, or a folder.

    Args:
        work: its library is asked first.
        recipe: for messages.
        reference: to a model.
        remote: the hub ids that may be fetched.

    Raises:
        InputError: a LoRA, or a hub id that is not among these.
        NotFoundError: neither a backbone of the library, nor a folder, nor a hub id.
    """
    name, where = reference.name, f"{recipe.path}:{reference.line}"
    folder = expand(name)
    if NAME.fullmatch(name) and work.library.holds_backbone(name):
        return name
    if folder.is_dir():
        return str(folder.absolute())
    if name in remote:
        hub_id, _, revision = name.partition("@")
        revision = revision or work.revision_of(hub_id)
        return str(get_from_hub(work, hub_id, revision, offline=is_out_of_reach()))
    if "+" in name:
        raise InputError(
            f"{where}: {name} is a model with a LoRA", expected="whole models",
            hint="merge the LoRA into its model first, with PEFT's `merge_and_unload`",
        )  # fmt: skip
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        raise InputError(
            f"{where}: {name} is not here, and nothing is fetched unasked",
            expected="a backbone of the registry, or a folder",
            hint=f"`remote={name!r}` if it is to come from the hub",
        )
    raise NotFoundError(f"{where}: no such folder: {name}", hint="`list(kind='backbone')`")


def open_parent(work: Work, reference: Reference, place: str) -> Parent:
    """Loads a parent, which checks its files, and lets go of it again.

    Raises:
        BackboneError: what cannot be loaded, is quantised, is a core, or names no class.
    """
    from transplant.backbones.configuration import settings_of
    from transplant.backbones.core import CoreBackbone
    from transplant.backbones.folder import check_folder
    from transplant.backbones.packed import quantisation

    folder = work.library.backbone_path(place) or Path(place)
    held = check_folder(folder)
    backbone = work.backbone(place)
    config: Any = backbone.model.config
    if isinstance(backbone, CoreBackbone):
        raise BackboneError(
            f"{reference.name} is a core, which mergekit does not know",
            expected="a model of `transformers`",
        )
    if quantisation(config) is not None:
        raise BackboneError(
            f"{reference.name} is stored quantised", expected="weights that can be averaged"
        )
    with foreign(f"cannot read config.json of {reference.name}", BackboneError):
        named = json.loads((folder / "config.json").read_bytes()).get("architectures")
    if not named or len(named) != 1:
        raise BackboneError(
            f"config.json of {reference.name}", expected="one class in `architectures`",
            found=named or "none", hint="save it again with save_pretrained",
        )  # fmt: skip
    return Parent(
        called=reference.name, place=place, folder=folder, family=backbone.family,
        settings=settings_of(config),
        shapes={name: tuple(one.shape) for name, one in backbone.model.named_parameters()},
        stored=frozenset(dtype for dtype, _ in held.values() if dtype in FLOATS),
        numbers=sum(math.prod(shape) for _, shape in held.values()),
        weights_sha256=backbone.weights_sha256, tokenizer_sha256=backbone.tokenizer_sha256,
        hosted=_hosted_on(work, backbone),
    )  # fmt: skip


def check_alike(recipe: Recipe, parents: Sequence[Parent]) -> None:
    """Refuses parents that are no copies of one architecture and one tokenizer.

    Raises:
        InputError: another architecture, setting, tokenizer or type of storage.
        ShapeError: a tensor of another shape.
    """
    from transplant.backbones.folder import LAYER_COUNTS

    first = parents[0]
    free = {*LAYER_COUNTS, "layer_types"} if recipe.has_slices else set[str]()
    for other in parents[1:]:
        pair = f"{first.called} and {other.called}"
        if other.family != first.family:
            raise InputError(
                f"{pair} are of two architectures", expected=first.family, found=other.family
            )
        for key in sorted({*first.settings, *other.settings} - free):
            ours, theirs = (one.settings.get(key, "the default") for one in (first, other))
            if ours != theirs:
                raise InputError(
                    f"{pair} differ in `{key}` of config.json", expected=ours, found=theirs
                )
        if other.tokenizer_sha256 != first.tokenizer_sha256:
            raise InputError(
                f"{pair} have two tokenizers: the rows of their embeddings are other tokens",
                expected=f"sha256 {first.tokenizer_sha256[:12]}",
                found=other.tokenizer_sha256[:12],
            )
        _check_shapes(first, other)
    stored = frozenset[str]().union(*(parent.stored for parent in parents))
    if recipe.dtype is None and len(stored) > 1:
        raise InputError(
            f"the parents are stored in {', '.join(sorted(stored))}", expected="one type",
            hint=f"`dtype: float32`, or another, in {recipe.path}",
        )  # fmt: skip


def _check_shapes(first: Parent, other: Parent) -> None:
    for name in first.shapes.keys() & other.shapes.keys():
        if first.shapes[name] != other.shapes[name]:
            raise ShapeError(
                f"{name} of {other.called} has another shape than that of {first.called}",
                expected=[*first.shapes[name]], found=[*other.shapes[name]],
            )  # fmt: skip


def _hosted_on(work: Work, backbone: Backbone) -> tuple[Entry, ...]:
    entries = work.library.entries(None, backbone.name)
    found = [entry for entry in entries if entry.manifest.kind in WEIGHED]
    return tuple(sorted(found, key=lambda entry: entry.manifest.hosted))
