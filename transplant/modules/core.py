"""Domain modules inside a LayerCake core, seen as interface and domain module."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transplant.backbones.core import CoreBackbone
from transplant.errors import InputError
from transplant.exported.hosting_abi_hosted import renamed
from transplant.modules.correction import Correction
from transplant.modules.domain import DomainModule
from transplant.modules.forms import CORE_FORMS
from transplant.modules.hosted import HostedModel
from transplant.modules.interface import Interface
from transplant.modules.stand_alone import StandAlone
from transplant.modules.tensors import load_tensors


class CoreCorrection(Correction):
    """What a module in a core's own shared space adds to the last hidden state.

    The interface is the core's, tensor for tensor. The module's change goes in before the final
    norm, so the correction is the difference that it makes after it:

        c = LN(x + P_out(z + y)) - LN(x + P_out z)

    Args:
        core: the backbone; its own modules are taken to be off.
        module: a module of a core's form.
        weight: what the module's change is multiplied with.
        router: the module's gate, where the core has one.
    """

    def __init__(
        self,
        core: CoreBackbone,
        module: DomainModule,
        weight: float = 1.0,
        router: torch.nn.Module | None = None,
    ) -> None:
        super().__init__(core_interface(core), module)
        self.weight = weight
        self.router = copy.deepcopy(router)
        self.final_norm = copy.deepcopy(core.model.model.final_norm).float()
        self.requires_grad_(False)
        self.module.requires_grad_(True)

    def change(self, taps: Mapping[int, Tensor], windows: Tensor | None) -> Tensor:
        """The correction [..., d_model]."""
        z = self.interface.read_in(taps)
        y = self.weight * self.module.y(z, windows)
        if self.router is not None:
            y = self.router(z) * y
        x = taps[self.taps[0]]
        with_module = self.final_norm(x + self.interface.write_out(z + y))
        return with_module - self.final_norm(x + self.interface.write_out(z))


class CoreHosted(HostedModel):
    """A core with one of its own modules at work, and every other one off.

    The core itself runs the module, cache and all; `correction` is the same thing in the shape
    that a move needs.

    Args:
        core: the backbone; its modules are switched off here.
        module: the name of one of them.
    """

    def __init__(self, core: CoreBackbone, module: str) -> None:
        entry = core.modules.get(module)
        if entry is None:
            raise InputError(
                f"{core.name} has no module {module!r} inside", expected=f"one of {[*core.modules]}"
            )
        core.switch_off()
        inner: Any = core.model.model
        form = CORE_FORMS[entry["form"]](core.d_abi)
        load_tensors(form, inner.domain_modules[module].state_dict(), "domain module")
        router = inner.routers[module] if core.model.config.router else None
        super().__init__(
            f"{module}@{core.name}",
            core,
            CoreCorrection(core, form, entry["weight"], router).requires_grad_(False),
        )
        self._module = module

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Switches the module on inside the block."""
        self.language_model.set_active(self._module, True)
        self._corrected = True
        try:
            yield
        finally:
            self.language_model.set_active(self._module, False)

    def check_savable(self) -> None:
        """Refuses nothing: the core is saved with the module inside."""

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, state_dict: Any = None, **options: Any
    ) -> None:
        """Writes the core with this module at work in it, and the tokenizer.

        Args:
            save_directory: the folder.
            args: of `PreTrainedModel.save_pretrained`.
            state_dict: tensors by their names here, in place of the model's own.
            options: of `PreTrainedModel.save_pretrained`.
        """
        tensors = self.state_dict() if state_dict is None else state_dict
        own = renamed(tensors, {"language_model.": ""})
        with self.attached():
            self.language_model.save_pretrained(save_directory, *args, state_dict=own, **options)
        self.tokenizer.save_pretrained(save_directory)

    def stand_alone(self) -> StandAlone:
        """Refuses: the core runs the module.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{self.name} is inside a core, which is a folder of its own already",
            hint="`paste(out='DIR')` writes a core with it",
        )


def core_interface(core: CoreBackbone) -> Interface:
    """The way into a core's shared space and back, as an interface with zero intercepts."""
    inner: Any = core.model.model
    interface = Interface(core.d_model, core.d_abi, (core.before_abi,))
    load_tensors(
        interface,
        {
            "proj_in.weight": inner.core_to_abi.weight,
            "proj_in.bias": torch.zeros(interface.d_abi),
            "abi_norm.weight": inner.abi_norm.weight,
            "abi_norm.bias": inner.abi_norm.bias,
            "proj_out.weight": inner.abi_to_core.weight,
            "proj_out.bias": torch.zeros(core.d_model),
        },
        "interface of the core",
    )
    interface.abi_norm.eps = inner.abi_norm.eps
    return interface


def untrained_in_core(core: CoreBackbone, form: str, seed: int) -> CoreCorrection:
    """A module of a form, as new in a core's shared space: it changes nothing yet."""
    return CoreCorrection(core, core.model.draw_form(CORE_FORMS[form], seed))
