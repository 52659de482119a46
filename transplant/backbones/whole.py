"""Loading a model whole: no weight of it is left to chance, none of it is not a number.

`transformers` draws at random what a file lacks or holds in another shape, and says so in a log.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from transplant.backbones.downloads import download_options
from transplant.backbones.folder import AGAIN, Header
from transplant.backbones.quiet import quiet
from transplant.backbones.spread import every_tensor
from transplant.errors import BackboneError, NumericalError

SPARE = 1 << 30  # numbers beyond the file's that may be drawn before the missing are named
SHOWN = 4  # names in a message


def load_whole(model_class: Any, source: str, **options: Any) -> tuple[Any, list[str]]:
    """A model with every weight from its files, and the names of tensors that it has no place for.

    Tied weights count as there, and so do those that its architecture lists as recomputed.

    Args:
        model_class: a model class of `transformers`, or one of its Auto classes.
        source: a folder or a hub id.
        options: for `from_pretrained`.

    Raises:
        BackboneError: weights that are missing, have another shape, or belong to layers that the
            configuration leaves out.
    """
    with quiet():  # it would log the same as a table
        model, info = model_class.from_pretrained(
            source, output_loading_info=True, ignore_mismatched_sizes=True,
            **download_options(source), **options,
        )  # fmt: skip
    missing, unexpected = sorted(info["missing_keys"]), sorted(info["unexpected_keys"])
    mismatched = sorted((name, tuple(a), tuple(b)) for name, a, b in info["mismatched_keys"])
    if mismatched:
        name, held, expected = mismatched[0]
        raise BackboneError(
            f"weights of {source} do not fit its configuration: {_some(m[0] for m in mismatched)}",
            expected=f"{name} of shape {list(expected)}", found=list(held), hint=AGAIN,
        )  # fmt: skip
    if missing:
        raise BackboneError(
            f"weights of {source} are missing, and would be drawn at random: {_some(missing)}",
            expected="every weight of its configuration in the safetensors",
            found=f"{len(missing)} of {len(model.state_dict())} missing", hint=AGAIN,
        )  # fmt: skip
    left_out = _of_layers(unexpected, model)
    if left_out:
        raise BackboneError(
            f"the configuration of {source} leaves out layers that its weights hold: "
            f"{_some(left_out)}",
            expected="as many layers as the file holds",
            found=f"{len(left_out)} tensors of further layers", hint=AGAIN,
        )  # fmt: skip
    return model, unexpected


def check_fits(model_class: Any, config: Any, source: str, held: Header) -> None:
    """Refuses a configuration that asks for far more numbers than its file holds.

    The model is built without memory for its weights. What lacks little is left to `load_whole`,
    which knows how a family names its tensors in files.

    Raises:
        BackboneError: naming the sizes.
    """
    from transformers import initialization

    if getattr(config, "quantization_config", None) is not None:  # packed: fewer, wider numbers
        return
    with torch.device("meta"), initialization.no_init_weights():
        model = model_class._model_mapping[type(config)](config)
    numbers = dict(chain(model.named_parameters(), model.named_buffers()))
    tied = getattr(model, "all_tied_weights_keys", {})
    asked = sum(tensor.numel() for name, tensor in numbers.items() if name not in tied)
    there = sum(torch.Size(shape).numel() for _, shape in held.values())
    if asked - there <= max(min(there, SPARE), 1 << 24):
        return
    shapes = {name: tuple(tensor.shape) for name, tensor in numbers.items()}
    odd = [n for n, (_, shape) in held.items() if n in shapes and shapes[n] != shape]
    first = f"; {odd[0]}: {list(shapes[odd[0]])}, not {list(held[odd[0]][1])}" if odd else ""
    raise BackboneError(
        f"the configuration of {source} is not that of its weights{first}",
        expected=f"a model of at most {there:,} numbers, which the file holds",
        found=f"one of {asked:,}", hint=AGAIN,
    )  # fmt: skip


def check_finite(model: nn.Module, what: str, hint: str = AGAIN) -> None:
    """Refuses NaN and infinity among the weights and the frequencies of rotary positions.

    Args:
        model: any.
        what: whose weights they are, for the message.
        hint: what to try.

    Raises:
        NumericalError: naming the tensor.
    """
    learned = {name for name, _ in model.named_parameters()}  # a mask that is held may be infinite
    for tensor_name, tensor in every_tensor(model):
        if (
            tensor_name in learned
            and tensor.is_floating_point()
            and tensor.numel()
            and not _finite(tensor)
        ):
            bad = int((~tensor.isfinite()).sum())
            raise NumericalError(
                f"{what} holds what is no number: {tensor_name}",
                expected="finite numbers",
                found=f"NaN or infinity in {bad:,} of {tensor.numel():,} places", hint=hint,
            )  # fmt: skip
    for tensor_name, buffer in model.named_buffers():
        frequencies = tensor_name.endswith("inv_freq")  # of rotary positions; a mask may hold -inf
        if buffer.is_floating_point() and buffer.numel():
            ends = torch.stack(buffer.float().aminmax())
            if ends.isnan().any() or (frequencies and ends.isinf().any()):
                raise NumericalError(
                    f"{what} makes what is no number of its configuration: {tensor_name}",
                    expected="finite numbers", found="NaN or infinity",
                    hint="restore rope_theta and rope_scaling in its config.json",
                )  # fmt: skip


def _finite(tensor: Tensor) -> bool:
    wide = tensor if tensor.element_size() > 1 else tensor.float()
    return bool(torch.isfinite(torch.stack(wide.aminmax())).all())  # one pass, no copy


def _of_layers(unexpected: list[str], model: Any) -> list[str]:
    """Those names that stand in a list of layers behind its last one."""
    if not unexpected:
        return []
    lengths = {
        name.removeprefix(prefix): len(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
        for prefix in ("", f"{model.base_model_prefix}.")  # a file may be of the model within
    }
    return [
        name
        for name in unexpected
        for part in re.finditer(r"\.(\d+)\.", name)
        if int(part[1]) >= lengths.get(name[: part.start()], int(part[1]) + 1)
    ]


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
