"""Names to models: `transplant.load("python@ref-gpt2")`.

The library knows no registry. It asks whatever is installed under the entry point
`transplant.library`, or what the caller hands it.
"""

from __future__ import annotations

from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, overload

from transplant.backbones.core import CoreBackbone
from transplant.backbones.load import load_backbone
from transplant.backbones.view import Backbone
from transplant.dtypes import AUTO, dtype_name
from transplant.errors import CorruptError, TransplantError, foreign
from transplant.files.plain import expand
from transplant.library import HostedName, Library
from transplant.loading.bare_names import full_name, refuse_unknown
from transplant.loading.gate import load_gate
from transplant.loading.kinds import check_taps, host_other, load_saved
from transplant.loading.pipelines import known_to_pipelines
from transplant.loading.routed import load_route, refuse_route
from transplant.loading.same import check_promised, check_same
from transplant.modules.core import CoreHosted
from transplant.modules.correction import Correction
from transplant.modules.forms import module_from_tensors
from transplant.modules.hosted import HostedModel
from transplant.modules.interface import Interface
from transplant.modules.routed import RoutedModel
from transplant.modules.saved import is_stand_alone


@overload
def load(
    name: str | Path | HostedName,
    *,
    route: None = None,
    library: Library | None = None,
    device: str = "cpu",
    dtype: Any = AUTO,
    torch_dtype: Any = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **placed: Any,
) -> HostedModel: ...


@overload
def load(
    name: str,
    *,
    route: float,
    library: Library | None = None,
    device: str = "cpu",
    dtype: Any = AUTO,
    torch_dtype: Any = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **placed: Any,
) -> RoutedModel: ...


def load(
    name: str | Path | HostedName,
    *,
    route: float | None = None,
    library: Library | None = None,
    device: str = "cpu",
    dtype: Any = AUTO,
    torch_dtype: Any = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    **placed: Any,
) -> HostedModel | RoutedModel:
    """Loads a backbone, or a module hosted on one.

    Args:
        name: `<module>@<backbone>` with an optional `/d<d_abi>`, or a backbone alone: a registry
            name, a folder or a hub id; a module alone where one backbone hosts it; or the same in
            parts. With `route`, two of them with a bar between: `python@ref-gpt2|ref-gpt2`. Also
            the folder of a hosted model, as `save_pretrained` and an export write it.
        route: the entropy in nats up to which the first model's next token is taken; above it the
            second model's is.
        library: where names are looked up; by default the installed registry.
        device: where to put it.
        dtype: the arithmetic of the backbone; see `load_backbone`.
        torch_dtype: the same under another name.
        revision: a hub revision of the backbone.
        trust_remote_code: run code that comes with the weights. Off unless asked for.
        placed: `device_map`, `max_memory` and `offload_folder` of `load_backbone`.

    Returns:
        A `PreTrainedModel` with a `.tokenizer`: `model(input_ids=..., labels=...)`,
        `model.generate(...)`, `model.save_pretrained(...)`. The backbone is frozen.

    Raises:
        NotFoundError: no such artifact; or a bare word that is no backbone and no id of a hub.
        InputError: a route of other than two names, or between two vocabularies.
        CorruptError: damaged tensors, or an interface of a backbone with other weights, another
            tokenizer or another configuration. `.backbone.notes` says what could not be compared.
    """
    library = library or installed_library()
    if route is not None:
        own = partial(
            load, library=library, device=device, dtype=dtype, torch_dtype=torch_dtype,
            revision=revision, trust_remote_code=trust_remote_code, **placed,
        )  # fmt: skip
        return known_to_pipelines(load_route(str(name), route, library, own, host))
    loading: dict[str, Any] = {
        "device": device, "dtype": dtype_name(dtype, torch_dtype),
        "remembered": library.checked_file, "trust_remote_code": trust_remote_code, **placed,
    }  # fmt: skip
    if not isinstance(name, HostedName):
        refuse_route(str(name))
        name = full_name(library.split_name(str(name)), library)
    if name.module is None and is_stand_alone(expand(name.backbone)):
        return known_to_pipelines(load_saved(expand(name.backbone), **loading))
    path = library.backbone_path(name.backbone)
    if path is None:
        refuse_unknown(name.backbone, library)
    backbone = load_backbone(name.backbone, path=path, revision=revision, **loading)
    promised = library.backbone_record(name.backbone)
    if promised is not None:
        check_promised(promised, backbone, library.find("backbone", name.backbone).manifest.made)
    library.meet(backbone)
    return known_to_pipelines(host(backbone, name.module, library, name.d_abi))


def host(
    backbone: Backbone, module: str | None, library: Library, d_abi: int | None = None
) -> HostedModel:
    """Attaches a module to a backbone that is loaded.

    A module inside a core comes first; any other is stored, with the interface that was fitted. A
    name that no module has may be an injection's, an adapter's or a fusion's.
    """
    if module is None:
        return HostedModel(backbone.name, backbone)
    if isinstance(backbone, CoreBackbone) and module in backbone.modules:
        return CoreHosted(backbone, module)
    name = f"{module}@{backbone.name}"
    entry = library.get("module", module, backbone.name, d_abi)
    if entry is None and (other := host_other(backbone, module, library, host)) is not None:
        return other
    entry = entry or library.find("module", module, backbone.name, d_abi)  # says what is close
    stored = library.load(entry)
    door = library.fetch("interface", module, backbone.name, d_abi)
    check_same(
        door, backbone, f"the interface of {name} was fitted to",
        "train or transfer the module again on this backbone",
    )  # fmt: skip
    if door.module is not None and door.module != stored.sha256:
        raise CorruptError(
            f"the interface of {name} was fitted with another module",
            expected=f"module sha256 {door.module[:12]}",
            found=stored.sha256[:12],
            hint=f"`rm({name!r})`, and train or transfer it again",
        )
    with foreign(
        f"{name} cannot be rebuilt", CorruptError, hint=f"`rm({name!r})`, and make it again"
    ):
        correction = Correction(
            Interface.from_tensors(door.tensors, door.taps), module_from_tensors(stored.tensors)
        )
    check_taps(door.taps, backbone, name)
    gate = load_gate(backbone, module, correction, (door, stored), library)
    return HostedModel(name, backbone, correction, gate)


def installed_library() -> Library:
    """The library that an installed package offers under the entry point `transplant.library`.

    Raises:
        TransplantError: no package offers one.
    """
    for point in metadata.entry_points(group="transplant.library"):
        return point.load().open()
    raise TransplantError(
        "no registry is installed to look names up in", hint="pip install -e ., or pass library="
    )


def versions() -> dict[str, Any]:
    """The versions that a result depends on."""
    names = ("abi-transplant", "torch", "transformers", "tokenizers", "numpy", "scipy")
    found: dict[str, Any] = {}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
