"""A backbone with a LoRA at work on its maps."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from transplant.backbones.load import load_backbone
from transplant.backbones.view import Backbone
from transplant.errors import InputError, ShapeError
from transplant.modules.hosted import HostedModel
from transplant.modules.stand_alone import refer_to
from transplant.modules.tuned import Head, head_of
from transplant.surgery.lora.folder import read_lora
from transplant.surgery.lora.match import match_lora
from transplant.surgery.lora.peft_folder import refuse_whole, write_peft
from transplant.surgery.lora.update import LoraUpdate, Pair

Place = tuple[torch.device, torch.dtype]


class LoraModel(HostedModel):
    """A hosted model whose change is a LoRA: y + s B A x behind each adapted map.

    The backbone's own code runs on its own weights; hooks on the adapted modules add the change,
    and are gone when the call returns.

    Args:
        name: `<adapter>@<backbone>`.
        backbone: the frozen language model.
        update: what it changes.
    """

    def __init__(self, name: str, backbone: Backbone, update: LoraUpdate) -> None:
        super().__init__(name, backbone)
        self.update = update
        modules = dict(backbone.model.named_modules())
        lost = [module for module in update.touched if module not in modules]
        if lost:
            raise ShapeError(f"the adapter does not fit {backbone.name}", found=lost[:3])
        self._touched = {name: modules[name] for name in update.touched}
        self._placed: dict[str, tuple[Place, Pair | None, nn.Module | None]] = {}

    @property
    def is_raw(self) -> bool:
        """Never: something works inside."""
        return False

    @property
    def head(self) -> Head | None:
        """The head as the adapter leaves it; None where it does not touch it.

        In single precision where 16 bits do not hold it: what changes is smaller than the rounding
        of what does not.
        """
        backbone, update = self.backbone, self.update
        owner = backbone.model.get_output_embeddings()
        names = [name for name, module in backbone.model.named_modules() if module is owner]
        touched = [name for name in names if name in update.touched]
        if not touched:
            return None
        name, (own, bias) = touched[0], head_of(backbone)
        wide = torch.promote_types(own.dtype, torch.float32)
        # Where the view scales the hidden state before the head, its matrix holds the factor.
        factor = own.to(wide).norm() / owner.weight.to(wide).norm()
        whole = update.whole.get(f"{name}.weight")
        weight = own.to(wide) if whole is None else whole.to(own.device, wide) * factor
        bias = update.whole.get(f"{name}.bias", bias)
        bias = None if bias is None else bias.to(own.device)
        if (pair := update.pairs.get(name)) is not None:
            weight = weight + factor * pair.delta.to(weight.device)
            if pair.bias is not None:
                added = pair.scale * pair.bias.to(own.device, wide)
                bias = added if bias is None else bias + added
        narrow = weight.to(own.dtype)
        return (narrow if torch.equal(narrow.to(wide), weight) else weight), bias

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Has the adapter at work in every map that it changes."""
        with ExitStack() as stack:
            for name, module in self._touched.items():
                hook = module.register_forward_hook(self._change(name), with_kwargs=True)
                stack.callback(hook.remove)
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The same, as calls of the model use it."""
        with self.inside():
            yield

    def check_savable(self) -> None:
        """Refuses what is no sum of pairs.

        Raises:
            InputError: parameters that were trained whole, or some pairs with a bias.
        """
        refuse_whole(self.update, self.name)

    def save_pretrained(self, save_directory: str | Path, *_: Any, **__: Any) -> None:
        """Writes the LoRA as a folder of PEFT, which refers to the backbone, and the tokenizer.

        Raises:
            InputError: it holds more than pairs.
        """
        self.check_savable()
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        base, _ = refer_to(self.backbone, inside=self._for_others)
        write_peft(
            Path(save_directory), self.update, self.backbone, base=base["path"] or base["id"],
            revision=base["revision"],
        )  # fmt: skip
        self.tokenizer.save_pretrained(save_directory)

    @classmethod
    def from_pretrained(cls, source: Any, *_: Any, **options: Any) -> Any:
        """Loads a folder of PEFT, and the backbone that it names.

        Args:
            source: the folder.
            options: of `load_backbone`, for the backbone.

        Raises:
            InputError: it names no backbone, or is an adapter of another kind.
            BackboneError: the backbone is not to be had.
        """
        found = read_lora(Path(source))
        if found.settings.base is None:
            raise InputError(f"{source} names no base", expected="base_model_name_or_path")
        backbone = load_backbone(found.settings.base, **options)
        update = match_lora(found, backbone)
        return cls(f"{Path(source).name}@{backbone.name}", backbone, update)

    def _change(self, name: str) -> Callable[..., Tensor]:
        pair, stand_in = self._at_hand(name)

        def change(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Tensor:
            self._corrected = True
            found = output if stand_in is None else stand_in.forward(*args, **kwargs)
            if pair is None:
                return found
            x = args[0] if args else kwargs["input"]
            return (found + added_by(pair, module, x)).to(found.dtype)

        return change

    def _at_hand(self, name: str) -> tuple[Pair | None, nn.Module | None]:
        """The pair of a module and its stand-in, where the backbone is and as it computes now."""
        module = self._touched[name]
        place = (self.backbone.device, next(module.parameters(recurse=False)).dtype)
        kept = self._placed.get(name)
        if kept is None or kept[0] != place:
            pair = self.update.pairs.get(name)
            if pair is not None:
                pair = pair.to(place[0], computed_in(module))
            kept = self._placed[name] = (place, pair, self._stand_in(name, module))
        return kept[1:]

    def _stand_in(self, name: str, module: nn.Module) -> nn.Module | None:
        """The module with the parameters that were trained whole; the others are its own."""
        taken = {
            leaf: nn.Parameter(
                value.to(self.backbone.device, module.get_parameter(leaf).dtype), False
            )
            for parameter, value in self.update.whole.items()
            for owner, _, leaf in [parameter.rpartition(".")]
            if owner == name
        }
        if not taken:
            return None
        made = copy.copy(module)
        made._parameters = {**module._parameters, **taken}
        return made


def computed_in(module: nn.Module) -> torch.dtype:
    """The type in which the pair of a module is multiplied: PEFT's, single precision or better.

    Adapters are stored in as little as a byte a number; hidden states can exceed such types.
    """
    return torch.promote_types(module.get_parameter("weight").dtype, torch.float32)


def added_by(pair: Pair, module: nn.Module, x: Tensor) -> Tensor:
    """s (B A x + b), in the precision of the pair.

    Args:
        pair: of this module.
        module: a linear map or a table of embeddings.
        x: [..., in], or token ids [...].
    """
    if isinstance(module, nn.Embedding):
        change = functional.embedding(x, pair.a.T) @ pair.b.T * pair.scale
        scale = getattr(module, "embed_scale", None)  # Gemma's, behind the table
        return change if scale is None else change * scale
    change = functional.linear(functional.linear(x.to(pair.a.dtype), pair.a), pair.b, pair.bias)
    return change * pair.scale
