"""Verifying a paste by running it: weights, outputs, logits and text, each beside its control.

A check that cannot fail proves nothing. So beside each of them a control is searched: the source's
module with one bit flipped, or one number changed, that the check does see. Where none is seen in
this core, the check says nothing here, and is said to be not sensitive; a difference that it finds
counts all the same.

The search of a check is bounded by the arithmetic that it takes, never by the clock: in a core of
100M parameters about 80 changes are tried on the logits and 11 on the text, from the gentlest to
the hardest; in a small one, all that `flips` knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from transplant.backbones.fingerprint import hash_tensors
from transplant.backbones.layercake import FORMS, LayerCakeForCausalLM
from transplant.backbones.whole import load_whole
from transplant.errors import InputError, NotFoundError, ShapeError
from transplant.paste.core import Core, open_core
from transplant.paste.flips import FORMATS, spread

PROMPTS, PROMPT_TOKENS = 32, 8  # many: few texts hang on one bit
SEARCH = 2 * 10**12  # parameters times tokens: about two minutes of one core of a processor
LEAST_TRIED = 8  # changes, however large the core is
PASS, FAIL, NOT_SENSITIVE = "pass", "FAIL", "not sensitive"

Module = Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One property of a paste."""

    name: str
    """What was compared."""
    identical: bool
    """Whether source and result agree in every bit."""
    control: str | None
    """A change that it sees; None where there is none in this core, or the paste was one."""

    @property
    def verdict(self) -> str:
        """`pass`, `FAIL`, or `not sensitive`: it found no difference and could not have."""
        if not self.identical:
            return FAIL
        return PASS if self.control else NOT_SENSITIVE

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        return {**asdict(self), "verdict": self.verdict}


@dataclass(frozen=True, kw_only=True)
class PasteVerdict:
    """All checks of one module."""

    module: str
    """Its name."""
    tensors: int
    """How many it has."""
    checks: tuple[Check, ...]
    """Weights, module output, logits, text."""

    @property
    def passed(self) -> bool:
        """Whether none failed and one passed; the hash of the weights can always do either."""
        verdicts = {check.verdict for check in self.checks}
        return FAIL not in verdicts and PASS in verdicts

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""
        checks = [check.as_dict() for check in self.checks]
        found = {"module": self.module, "tensors": self.tensors, "checks": checks}
        return {**found, "pass": self.passed}


Seen = tuple[bool, Any]  # whether all numbers are finite, and what `==` compares


@dataclass(frozen=True)
class _Observer:
    """What a check looks at, as functions of the module's tensors."""

    look: Callable[[Module], Seen]
    """What the check compares."""
    hint: Callable[[Module], Seen] | None = None
    """The same but cheaper and less sure: only where it differs is a flip looked at."""
    cost: int = 0
    """Parameters times tokens of one look."""

    def check(self, name: str, original: Module, moved: Module) -> Check:
        """The comparison, and the first change that it sees where there is no difference."""
        expected = self.look(original)
        identical = self.look(moved) == expected
        control = self._control(original, expected) if identical else None
        return Check(name=name, identical=identical, control=control)

    def _control(self, original: Module, expected: Seen) -> str | None:
        usual = self.hint(original) if self.hint else None
        for flipped, where in spread(original, max(LEAST_TRIED, SEARCH // max(1, self.cost))):
            if self.hint and usual and not _moved(usual, self.hint(flipped)):
                continue
            if _moved(expected, self.look(flipped)):
                return where
        return None


def _moved(before: Seen, after: Seen) -> bool:
    """Whether what is seen is another; overflow does not count, for NaN reaches everything."""
    return before[0] == after[0] and before != after


@torch.no_grad()
def verify_paste(
    source: Path, pasted: Path, module: str, *, tokens: int = 50, seed: int = 0
) -> PasteVerdict:
    """Compares a module in its source with the same one in the core that it was pasted into.

    Args:
        source: the folder of the core that it came from.
        pasted: the folder of the core that it was pasted into.
        module: its name.
        tokens: how many are generated, greedily, with the cache on; fewer where the core has not
            as many positions.
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
    observers = _observers(pasted, theirs, module, tokens, seed)
    checks = [look.check(name, original, moved) for name, look in observers.items()]
    return PasteVerdict(module=module, tensors=len(moved), checks=tuple(checks))


def read_module(core: Core, module: str) -> dict[str, Tensor]:
    """The tensors of a module, straight from the file."""
    if module not in core.modules:
        raise NotFoundError(
            f"{core.path} has no domain module {module!r}",
            expected=f"one of {sorted(core.modules)}",
        )
    read = {}
    for name, span in core.module_tensors(module).items():
        if span.dtype not in FORMATS:
            raise InputError(
                f"{name} of {module}", expected=f"one of {[*FORMATS]}", found=span.dtype
            )
        with span.file.open("rb") as file:
            file.seek(span.begin)
            data = bytearray(file.read(span.size))
        read[name] = torch.frombuffer(data, dtype=FORMATS[span.dtype][0]).reshape(span.shape)
    return read


def _observers(
    pasted: Path, core: Core, module: str, tokens: int, seed: int
) -> dict[str, _Observer]:
    """What is compared, by name."""
    model, _ = load_whole(LayerCakeForCausalLM, str(pasted))
    installed = model.model.domain_modules[module]
    model.set_active(module, True)
    draw = torch.Generator().manual_seed(seed)
    alone = FORMS[core.modules[module]["form"]](core.d_abi).to(installed.a.dtype).eval()
    room = model.config.max_position_embeddings
    z = torch.randn(2, 64, core.d_abi, generator=draw).to(installed.a.dtype)
    width = max(1, min(PROMPT_TOKENS, room // 2))
    ids = torch.randint(model.config.vocab_size, (PROMPTS, width), generator=draw)
    tokens = min(tokens, room - width)
    size = PROMPTS * sum(parameter.numel() for parameter in model.parameters())

    def output(tensors: Module) -> Seen:
        alone.load_state_dict(dict(tensors))
        return _bits(alone(z))

    def logits(tensors: Module) -> Seen:
        installed.load_state_dict(dict(tensors))
        return _bits(model(input_ids=ids).logits)

    def write(tensors: Module) -> Tensor:
        installed.load_state_dict(dict(tensors))
        if tokens < 1:  # no position is left to write on
            return ids
        options = {"max_new_tokens": tokens, "min_new_tokens": tokens, "do_sample": False}
        return model.generate(ids, attention_mask=torch.ones_like(ids), **options)

    written: list[Tensor] = []

    def likeliest(tensors: Module) -> Seen:
        """The likeliest token at each place of the source's text, in one pass over it."""
        if not written:  # the first one asked about is the source's
            written.append(write(tensors))
        installed.load_state_dict(dict(tensors))
        found = model(input_ids=written[0]).logits
        return bool(found.isfinite().all()), found.argmax(-1).tolist()

    return {
        "weights": _Observer(lambda tensors: (True, hash_tensors(tensors))),
        "module output": _Observer(output),
        "logits of the core": _Observer(logits, cost=size * width),
        f"{tokens} greedy tokens, cache on": _Observer(
            lambda tensors: (True, write(tensors).tolist()),
            likeliest if tokens > 0 else None,
            size * (width + tokens),
        ),
    }


def _bits(tensor: Tensor) -> Seen:
    raw = tensor.contiguous().view(torch.uint8).numpy().tobytes()
    return bool(tensor.isfinite().all()), raw
