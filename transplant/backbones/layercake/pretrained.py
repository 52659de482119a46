"""Shared base of both LayerCake classes: initial weights, and the domain modules by name."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import nn
from transformers import PreTrainedModel, initialization

from transplant.backbones.layercake.blocks import ResidualLinear
from transplant.backbones.layercake.config import LayerCakeConfig
from transplant.backbones.layercake.forms import FORMS, Form, Full, Lite
from transplant.backbones.layercake.router import Router
from transplant.errors import InputError

FormType = TypeVar("FormType", bound=Lite | Full)
ALIGNMENT = 64  # bytes, as torch's allocator on the CPU


class LayerCakePreTrainedModel(PreTrainedModel):
    """A core with its domain modules; every switch is kept in `config.domain_modules`."""

    config: LayerCakeConfig
    config_class = LayerCakeConfig
    base_model_prefix = "model"
    _no_split_modules = ["Block"]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Children come before parents, so that a form has the last word on its own.

        Only modules with parameters of their own come here: `transformers` passes over the others.
        """
        if isinstance(module, Router):
            module.become_one()
        elif isinstance(module, Form):
            module.become_identity()
        else:
            super()._init_weights(module)
            if isinstance(module, ResidualLinear):
                # As in GPT-2: the residual stream keeps its scale over the layers.
                std = self.config.initializer_range / (2 * self.config.num_hidden_layers) ** 0.5
                initialization.normal_(module.weight, std=std)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As in `transformers`; the logits are those of the saved core, bit for bit.

        Tensors mapped from a file lie at any address, and CPU kernels sum in another order where
        the address is odd: such weights are copied to where torch itself would have put them.
        """
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for parameter in model.parameters():
            if parameter.device.type == "cpu" and parameter.data_ptr() % ALIGNMENT:
                parameter.data = parameter.data.clone()
        return loaded

    def add_domain_module(
        self, name: str, form: str, seed: int, *, active: bool = True, weight: float = 1.0
    ) -> Form:
        """Adds a module that changes nothing yet; the same seed gives the same bytes.

        Args:
            name: letters, digits, - and _; new to this core.
            form: `lite` or `full`.
            seed: of its weights.
            active: whether it takes part.
            weight: what its change is multiplied with.

        Raises:
            InputError: the name is taken or cannot be used, or there is no such form.
        """
        if name in self.config.domain_modules:
            raise InputError(f"the core has a domain module {name!r} already")
        entry = {"form": form, "active": active, "weight": weight}
        entry = self.config.check_module(name, entry)
        core: Any = self.base_model
        module = self.draw_form(FORMS[form], seed)
        place = core.embed_tokens.weight
        module = module.to(device=place.device, dtype=place.dtype).train(self.training)
        _insert(core.domain_modules, name, module)
        if self.config.router:
            router = Router(self.config.d_abi).to(place).train(self.training)
            _insert(core.routers, name, router)
        self.config.domain_modules = {**self.config.domain_modules, name: entry}
        return module

    def draw_form(self, form: type[FormType], seed: int) -> FormType:
        """A module for this core that changes nothing yet, on the CPU and not added.

        The same seed gives the same bytes.
        """
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            torch.default_generator.manual_seed(seed)
            return form(self.config.d_abi).apply(self._init_weights)

    def remove_domain_module(self, name: str) -> Form:
        """Takes a module and its router out and returns it."""
        self._entry(name)
        core: Any = self.base_model
        if self.config.router:
            del core.routers[name]
        modules = self.config.domain_modules
        self.config.domain_modules = {key: modules[key] for key in modules if key != name}
        return core.domain_modules.pop(name)

    def set_active(self, name: str, active: bool) -> None:
        """Switches a module on or off.

        Raises:
            InputError: no such module, or no switch.
        """
        self._change(name, active=active)

    def set_weight(self, name: str, weight: float) -> None:
        """Sets what a module's change is multiplied with; 0 is off.

        Raises:
            InputError: no such module, or no finite number.
        """
        self._change(name, weight=weight)

    def _change(self, name: str, **values: Any) -> None:
        entry = self.config.check_module(name, {**self._entry(name), **values})
        self.config.domain_modules = {**self.config.domain_modules, name: entry}

    def _entry(self, name: str) -> dict[str, Any]:
        if name not in self.config.domain_modules:
            raise InputError(
                f"the core has no domain module {name!r}",
                expected=f"one of {sorted(self.config.domain_modules)}",
            )
        return self.config.domain_modules[name]


def _insert(modules: nn.ModuleDict, name: str, module: nn.Module) -> None:
    """Adds a module and keeps the names sorted, as they are after loading."""
    modules[name] = module
    for key in sorted(modules):
        modules[key] = modules.pop(key)
