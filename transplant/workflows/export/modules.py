"""Forms of corrections that can be told in plain tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transplant.errors import InputError

LINEAR = "linear"

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel


def form_of(hosted: HostedModel) -> str:
    """The form of what is hosted: `linear`, or that of the module, `mlp` or `lite`.

    Raises:
        InputError: it has another one, works inside a core, or is no correction.
    """
    from transplant.modules.core import CoreHosted
    from transplant.modules.correction import Correction
    from transplant.modules.forms import LiteModule, MlpModule
    from transplant.modules.hosted_linear import LinearModel

    if isinstance(hosted, LinearModel):
        return LINEAR
    if isinstance(hosted, CoreHosted):
        raise InputError(
            f"{hosted.name} is inside a core, which is a folder of its own already",
            hint="`paste(out='DIR')` writes a core with it",
        )
    forms = {MlpModule: "mlp", LiteModule: "lite"}
    module = hosted.correction.module if type(hosted.correction) is Correction else None
    if type(module) not in forms:
        raise InputError(
            f"{hosted.name} has no module of a form that can be exported so",
            expected=f"{LINEAR}, or one of {sorted(forms.values())}",
            found=type(module or hosted.corrector or hosted).__name__,
            hint="`form='lora'` takes a LoRA",
        )
    return forms[type(module)]
