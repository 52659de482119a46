"""A hosted model as a model of `transformers`: a frozen backbone and what is added to its states.

The backbone's own code runs, cache and loss and all; hooks on the part that its head reads add the
correction, and are gone when the call returns. This file needs torch and `transformers` alone: with
the others of its name it may stand beside the weights that it runs.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig
from transformers.utils.hub import cached_file

from .backbone_abi_hosted import (  # noqa: TID252  beside the weights there is no package
    PLACES,
    SUBFOLDER,
    auto_class,
    fingerprint,
    load_backbone,
)
from .configuration_abi_hosted import AbiHostedConfig  # noqa: TID252
from .correction_abi_hosted import FORMS, Gate, Interface, LinearMap  # noqa: TID252
from .hosting_abi_hosted import HostingModel, drop_unasked, not_none  # noqa: TID252

WEIGHTS = "model.safetensors"
BACKBONE = "backbone."  # before the names of the backbone's tensors
LINEAR = "linear"  # the form of what is no module
_ATTACHING = threading.Lock()


class AbiHostedForCausalLM(HostingModel):
    """A backbone with a domain module, or a linear map, at work on its last hidden state.

    The backbone is frozen; what corrects it trains. `save_pretrained` writes that alone, and a
    reference to the backbone, unless the backbone came with the folder or was unfrozen.

    Args:
        config: where the backbone is, and what the correction reads.
        backbone: loaded already; by default it is built with weights drawn at random.
    """

    config_class = AbiHostedConfig
    base_model_prefix = "backbone"

    def __init__(self, config: AbiHostedConfig, backbone: Any = None) -> None:
        super().__init__(config)
        own = config.correction
        self.backbone = backbone
        if backbone is None:
            self.backbone = auto_class(config).from_config(config.text_config)
        self.backbone.requires_grad_(False)
        linear = own["form"] == LINEAR
        self.linear = LinearMap(**own) if linear else None
        self.interface = None if linear else Interface(**own)
        self.domain_module = None if linear else FORMS[own["form"]](own["d_abi"])
        self.gate = Gate(own["d_abi"]) if own.get("gate") else None
        place = self.backbone.get_output_embeddings().weight.device
        for part in self._own_parts():  # in their own precision, whatever the backbone's is
            part.to(place, torch.float32)
        self._depth, self._handles = 0, []
        self.adopt()

    @property
    def inner(self) -> Any:
        """The backbone."""
        return self.backbone

    @classmethod
    def from_pretrained(cls, source: Any, *args: Any, **options: Any) -> Any:  # noqa: ARG003
        """Loads the backbone from where the folder says, and what the folder holds.

        Args:
            source: a folder, or a hub id.
            args: taken as those of `PreTrainedModel`.
            options: as ever, besides: `backbone`, a folder or a hub id to load the backbone from
                in place of the recorded one; `check_backbone`, whether its weights are compared
                with the recorded fingerprint (True).

        Raises:
            ValueError: the backbone is not where it was, or its weights are others.
        """
        with_info = options.pop("output_loading_info", False)
        places = {name: options.pop(name) for name in PLACES if name in options}
        given: Any = options.pop("config", None)
        config: Any = given
        if not isinstance(given, PreTrainedConfig):  # whichever copy of its code made it
            kind: Any = cls.config_class
            config, options = kind.from_pretrained(
                given or source, return_unused_kwargs=True, **places, **options
            )
        config.name_or_path = str(source)
        model = cls(config, load_backbone(config, source, places, options))
        file: Any = cached_file(source, WEIGHTS, **places)
        missing, unexpected = model._load_own(load_file(file))
        quietly = {"_raise_exceptions_for_missing_entries": False}
        if cached_file(source, "generation_config.json", **quietly, **places):
            model.generation_config = GenerationConfig.from_pretrained(source, **places)
        model.eval()
        info = {"missing_keys": missing, "unexpected_keys": unexpected, "mismatched_keys": set(),
                "error_msgs": []}  # fmt: skip
        return (model, info) if with_info else model

    def _own_parts(self) -> Iterator[nn.Module]:
        parts = (self.linear, self.interface, self.domain_module, self.gate)
        yield from (part for part in parts if part is not None)

    def _load_own(self, tensors: dict[str, Tensor]) -> tuple[set[str], set[str]]:
        own = {name for name in self.state_dict() if not name.startswith(BACKBONE)}
        missing, unexpected = own - tensors.keys(), tensors.keys() - own
        if missing or unexpected:
            raise ValueError(
                f"{WEIGHTS} does not fit its config.json: missing {sorted(missing)[:3]}, "
                f"without a place {sorted(unexpected)[:3]}"
            )
        self.load_state_dict(tensors, strict=False)
        return missing, unexpected

    def save_pretrained(
        self, save_directory: Any, *args: Any, state_dict: Any = None, **options: Any
    ) -> None:
        """Writes configuration, interface and module, and the backbone where it belongs to them."""
        given = self.state_dict() if state_dict is None else state_dict
        trained = any(parameter.requires_grad for parameter in self.backbone.parameters())
        reference = self.config.backbone_reference
        if trained or reference.get("subfolder"):
            inner = {
                name.removeprefix(BACKBONE): tensor
                for name, tensor in given.items()
                if name.startswith(BACKBONE)
            }
            self.backbone.save_pretrained(
                Path(save_directory) / SUBFOLDER, state_dict=inner,
                is_main_process=options.get("is_main_process", True),
            )  # fmt: skip
            reference = {**reference, "subfolder": SUBFOLDER}
            reference["weights_sha256"] = fingerprint(self.backbone)
            self.config.backbone_reference = reference
        own = {name: t for name, t in given.items() if not name.startswith(BACKBONE)}
        super().save_pretrained(save_directory, *args, state_dict=own, **options)
        if getattr(self.config, "auto_map", None):  # a folder that brings its code keeps it
            for file in Path(__file__).parent.glob("*_abi_hosted.py"):
                if not (Path(save_directory) / file.name).exists():
                    shutil.copy(file, save_directory)

    def forward(
        self, input_ids: Tensor | None = None, attention_mask: Tensor | None = None,
        labels: Tensor | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """The backbone's own output, logits and loss corrected.

        Args:
            input_ids: [batch, seq].
            attention_mask: [batch, seq], 0 where there is padding.
            labels: [batch, seq], -100 where there is none; shifted as the backbone does it.
            options: whatever else the backbone takes.
        """
        options |= not_none(input_ids=input_ids, attention_mask=attention_mask, labels=labels)
        with self.attached():
            output = self.backbone(**options)
        return drop_unasked(output, self.config, options)

    def generate(self, *args: Any, **options: Any) -> Any:
        """The backbone's own `generate`, with the correction in place."""
        self.backbone.generation_config = self.generation_config
        with self.attached():
            return self.backbone.generate(*args, **options)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Has the correction at work inside the block, once however many calls are under way."""
        with _ATTACHING:
            self._depth += 1
            if self._depth == 1:
                reader = self.backbone.get_decoder()
                self._handles = [
                    reader.register_forward_pre_hook(self._ask, with_kwargs=True),
                    reader.register_forward_hook(self._correct, with_kwargs=True),
                ]
        try:
            yield
        finally:
            with _ATTACHING:
                self._depth -= 1
                if not self._depth:
                    for handle in self._handles:
                        handle.remove()
                    self._handles = []

    def _ask(self, _reader: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
        more: dict[str, Any] = {"return_dict": True}
        if {*self.config.correction["taps"]} != {self.config.correction["last_tap"]}:
            more["output_hidden_states"] = True
        return args, {**kwargs, **more}

    def _correct(self, _reader: nn.Module, _args: Any, kwargs: Any, output: Any) -> Any:
        own, hidden = self.config.correction, output.last_hidden_state
        place = next(next(self._own_parts()).parameters()).device
        taps = {
            tap: (hidden if tap == own["last_tap"] else output.hidden_states[tap]).to(place)
            for tap in own["taps"]
        }
        if self.linear is not None:
            output.last_hidden_state = hidden.to(place) + self.linear(taps).to(hidden.dtype)
            return output
        assert self.interface is not None  # the one or the other
        assert self.domain_module is not None
        z = self.interface.read_in(taps)
        change = self.interface.proj_out(self.domain_module(z)).to(hidden.dtype)
        if self.gate is not None:
            mask = kwargs.get("attention_mask")
            evidence = self.gate.evidence(z, mask, output.past_key_values)
            change = torch.where(evidence[..., None] > 0, change, torch.zeros_like(change))
        output.last_hidden_state = hidden.to(place) + change
        return output


class AbiHostedForConditionalGeneration(AbiHostedForCausalLM):
    """The same on a backbone that has an encoder, too."""
