"""Verifying a paste by running it: weights, outputs, logits and text, each beside its control.

A check that cannot fail proves nothing. So every check is made twice: on the pasted module, which
must pass, and on the same module with one mantissa bit flipped, which must not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.layercake import FORMS, LayerCakeForCausalLM
from transplant.backbones.whole import load_whole
from transplant.errors import InputError, NotFoundError, ShapeError
from transplant.surgery.core import Core, open_core

DTYPES = {
    "F64": (torch.float64, torch.int64, 51),
    "F32": (torch.float32, torch.int32, 22),
    "BF16": (torch.bfloat16, torch.int16, 6),
    "F16": (torch.float16, torch.int16, 9),
}  # of each: the type, integers of its size, and its highest mantissa bit
PROMPTS, PROMPT_TOKENS = 32, 8  # many: few texts hang on one bit


@dataclass(frozen=True, kw_only=True)
class Check:
    """One property of a paste."""

    name: str
    """What was compared."""
    identical: bool
    """Whether source and result agree in every bit."""
    control_differs: bool
    """Whether it sees one flipped bit."""

    @property
    def passed(self) -> bool:
        """Whether it holds, and could have failed."""
        return self.identical and self.control_differs


@dataclass(frozen=True, kw_only=True)
class PasteVerdict:
    """All checks of one module."""

    module: str
    """Its name."""
    tensors: int
    """How many it has."""
    flipped: str
    """The bit that the control flips."""
    checks: tuple[Check, ...]
    """Weights, module output, logits, text."""

    @property
    def passed(self) -> bool:
        """Whether all of them passed."""
        return all(check.passed for check in self.checks)


@torch.no_grad()
def verify_paste(
    source: Path, pasted: Path, module: str, *, tokens: int = 50, seed: int = 0
) -> PasteVerdict:
    """Compares a module in its source with the same one in the core that it was pasted into.

    The control flips the highest mantissa bit of the largest number of one tensor; tensors are
    tried in turn until every check sees it, since text of a core may not depend on each of them.

    Args:
        source: the folder of the core that it came from.
        pasted: the folder of the core that it was pasted into.
        module: its name.
        tokens: how many are generated, greedily, with the cache on.
        seed: of the inputs.

    Raises:
        NotFoundError: one of them has no such module.
        ShapeError: they have different tensors.
    """
    ours, theirs = open_core(source), open_core(pasted)
    original, moved = read_module(ours, module), read_module(theirs, module)
    shapes = [{name: (t.shape, t.dtype) for name, t in side.items()} for side in (original, moved)]
    if shapes[0] != shapes[1]:
        raise ShapeError(f"{module} has other tensors in {pasted} than in {source}")
    observe = _observers(pasted, theirs, module, tokens, seed)
    expected = {name: look(original) for name, look in observe.items()}
    found = {name: look(moved) for name, look in observe.items()}
    differs, flipped = dict.fromkeys(observe, False), "none"
    for tensor in sorted(moved, key=lambda name: ("norm" not in name, name)):
        control, flipped = _flip(moved, tensor)
        differs = {name: look(control) != expected[name] for name, look in observe.items()}
        if all(differs.values()):
            break
    return PasteVerdict(
        module=module,
        tensors=len(moved),
        flipped=flipped,
        checks=tuple(
            Check(name=name, identical=found[name] == expected[name], control_differs=differs[name])
            for name in observe
        ),
    )


def read_module(core: Core, module: str) -> dict[str, Tensor]:
    """The tensors of a module, straight from the file."""
    if module not in core.modules:
        raise NotFoundError(
            f"{core.path} has no domain module {module!r}",
            expected=f"one of {sorted(core.modules)}",
        )
    read = {}
    for name, span in core.module_tensors(module).items():
        if span.dtype not in DTYPES:
            raise InputError(
                f"{name} of {module}", expected=f"one of {[*DTYPES]}", found=span.dtype
            )
        with span.file.open("rb") as file:
            file.seek(span.begin)
            data = bytearray(file.read(span.size))
        read[name] = torch.frombuffer(data, dtype=DTYPES[span.dtype][0]).reshape(span.shape)
    return read


def _observers(
    pasted: Path, core: Core, module: str, tokens: int, seed: int
) -> dict[str, Callable[[Mapping[str, Tensor]], Any]]:
    """What is compared, as functions of the module's tensors; each returns what `==` compares."""
    model, _ = load_whole(LayerCakeForCausalLM, str(pasted))
    installed = model.model.domain_modules[module]
    model.set_active(module, True)
    draw = torch.Generator().manual_seed(seed)
    alone = FORMS[core.modules[module]["form"]](core.d_abi).to(installed.a.dtype).eval()
    z = torch.randn(2, 64, core.d_abi, generator=draw).to(installed.a.dtype)
    ids = torch.randint(model.config.vocab_size, (PROMPTS, PROMPT_TOKENS), generator=draw)

    def output(tensors: Mapping[str, Tensor]) -> bytes:
        alone.load_state_dict(dict(tensors))
        return _bits(alone(z))

    def logits(tensors: Mapping[str, Tensor]) -> bytes:
        installed.load_state_dict(dict(tensors))
        return _bits(model(input_ids=ids).logits)

    def text(tensors: Mapping[str, Tensor]) -> list[list[int]]:
        installed.load_state_dict(dict(tensors))
        options = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
        return model.generate(ids, attention_mask=torch.ones_like(ids), **options).tolist()

    return {
        "weights": hash_tensors,
        "module output": output,
        "logits of the core": logits,
        f"{tokens} greedy tokens, cache on": text,
    }


def _flip(tensors: Mapping[str, Tensor], name: str) -> tuple[dict[str, Tensor], str]:
    """A copy with one bit changed, and where."""
    changed = {**tensors, name: tensors[name].clone()}
    flat = changed[name].view(-1)
    index = int(flat.float().abs().argmax())
    integers, bit = next(entry[1:] for entry in DTYPES.values() if entry[0] == flat.dtype)
    flat.view(integers)[index] ^= 1 << bit
    return changed, f"bit {bit} of {name}, element {index}"


def _bits(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()
