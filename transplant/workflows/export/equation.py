"""A correction as steps on named tensors, from which any tool can compute it.

A step has an output name, an operation, the names that it reads, and the tensors that it uses:

    linear      x W' + b         matmul   x W            layer_norm   over the last axis, with eps
    concat      side by side     add, multiply           of two; `by`: of one and a tensor
    gelu, silu  exact gelu       exp      of a tensor
    gate        x where e > 0, else 0; e_t = sum over r <= t of memory^(t - r) (z_r w + b)

Inputs are hidden states `h0`, `h1`, ... by tap, in single precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from transplant.modules.hosted import HostedModel
    from transplant.modules.interface import Interface
    from transplant.modules.linear import LinearCorrection

Step = dict[str, Any]
RESULT = "c"
EPS = 1e-5
"""Of every layer norm."""
INTERFACE, MODULE, GATE = "interface.", "module.", "gate."
READABLE = {
    "mlp": ("z = LN(concat(taps) P_in' + b_in)", "y = z + alpha LN(W2 gelu(W1 z + b1) + b2)",
            "c = P_out y + b_out"),
    "lite": ("z = LN(concat(taps) P_in' + b_in)", "n = LN(z)",
             "y = exp(a) W_down (silu(W_gate n) * W_up n)", "c = P_out y + b_out"),
    "linear": ("c = W concat(taps) + b",),
}  # fmt: skip


def linear_steps(linear: LinearCorrection) -> list[Step]:
    """The steps of a linear map of the taps."""
    steps, read = _read_taps(linear.interface, f"{INTERFACE}tap_norms")
    if linear.bases:
        for number, name in enumerate(read):
            steps.append(_step(f"b{number}", "matmul", name, weight=f"bases.{number}"))
        read = [f"b{number}" for number in range(len(read))]
    return [*steps, _step("t", "concat", *read), _affine(RESULT, "t", "proj_out")]


def module_steps(hosted: HostedModel, form: str) -> list[Step]:
    """The steps of an interface and a module of a form, and of a gate where there is one."""
    assert hosted.correction is not None
    steps, read = _read_taps(hosted.correction.interface, f"{INTERFACE}tap_norms")
    steps += [
        _step("t", "concat", *read),
        _affine("p", "t", f"{INTERFACE}proj_in"),
        _norm("z", "p", f"{INTERFACE}abi_norm"),
        *{"mlp": _mlp, "lite": _lite}[form](),
    ]
    last = RESULT if hosted.gate is None else "open"
    steps.append(_affine(last, "y", f"{INTERFACE}proj_out"))
    if hosted.gate is not None:
        steps.append(
            _step(RESULT, "gate", "open", "z", weight=f"{GATE}weight", bias=f"{GATE}bias",
                  memory=f"{GATE}memory")
        )  # fmt: skip
    return steps


def _mlp() -> list[Step]:
    return [
        _affine("m1", "z", f"{MODULE}w1"), _step("m2", "gelu", "m1"),
        _affine("m3", "m2", f"{MODULE}w2"), _norm("m4", "m3", f"{MODULE}norm"),
        _step("m5", "multiply", "m4", by=f"{MODULE}alpha"), _step("y", "add", "z", "m5"),
    ]  # fmt: skip


def _lite() -> list[Step]:
    return [
        _norm("n", "z", f"{MODULE}norm"),
        _affine("m1", "n", f"{MODULE}gate"), _step("m2", "silu", "m1"),
        _affine("m3", "n", f"{MODULE}up"), _step("m4", "multiply", "m2", "m3"),
        _affine("m5", "m4", f"{MODULE}down"), _step("m6", "exp", by=f"{MODULE}a"),
        _step("y", "multiply", "m5", "m6"),
    ]  # fmt: skip


def _read_taps(interface: Interface, norms: str) -> tuple[list[Step], list[str]]:
    """The steps that read the taps, and the names of what was read."""
    names = [f"h{tap}" for tap in interface.taps]
    if not interface.tap_norms:
        return [], names
    read = [f"t{number}" for number in range(len(names))]
    return [
        _norm(out, name, f"{norms}.{number}")
        for number, (out, name) in enumerate(zip(read, names, strict=True))
    ], read


def _step(out: str, op: str, *read: str, **tensors: Any) -> Step:
    return {"out": out, "op": op, "in": [*read], **tensors}


def _affine(out: str, read: str, part: str) -> Step:
    return _step(out, "linear", read, weight=f"{part}.weight", bias=f"{part}.bias")


def _norm(out: str, read: str, part: str) -> Step:
    return _step(
        out, "layer_norm", read, weight=f"{part}.weight", bias=f"{part}.bias", eps=EPS
    )  # fmt: skip


def follow(
    steps: list[Step], tensors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]
) -> Tensor:
    """The correction [batch, seq, d_model] from hidden states [batch, seq, d_model] by name."""
    known = {name: hidden.float() for name, hidden in inputs.items()}
    for step in steps:
        used = {key: tensors[value] for key, value in step.items() if isinstance(value, str)
                and key in ("weight", "bias", "by", "memory")}  # fmt: skip
        known[step["out"]] = _apply(step, used, [known[name] for name in step["in"]])
    return known[RESULT]


def _apply(step: Step, used: Mapping[str, Tensor], read: list[Tensor]) -> Tensor:
    op = step["op"]
    if op == "linear":
        return functional.linear(read[0], used["weight"], used["bias"])
    if op == "matmul":
        return read[0] @ used["weight"]
    if op == "layer_norm":
        shape = used["weight"].shape
        return functional.layer_norm(read[0], shape, used["weight"], used["bias"], step["eps"])
    if op == "concat":
        return torch.cat(read, dim=-1)
    if op in ("add", "multiply"):
        other = used["by"] if "by" in used else read[1]
        return read[0] + other if op == "add" else read[0] * other
    if op == "exp":
        return used["by"].exp()
    if op == "gate":
        return _gated(read[0], read[1] @ used["weight"] + used["bias"], used["memory"])
    return {"gelu": functional.gelu, "silu": functional.silu}[op](read[0])


def _gated(change: Tensor, scores: Tensor, memory: Tensor) -> Tensor:
    steps = torch.arange(scores.shape[1], device=scores.device)
    weights = (memory ** (steps[:, None] - steps).clamp_min(0)).tril()
    evidence = scores @ weights.T
    return torch.where(evidence[..., None] > 0, change, torch.zeros_like(change))
