"""Plain tensors, and a JSON file with the equation and the shapes: enough to compute it anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transplant.workflows.export.probe import largest_difference
from transplant.workflows.export.source import LORAS

if TYPE_CHECKING:
    from torch import Tensor

    from transplant.workflows.export.source import Source
    from transplant.workflows.export.spec import ExportJob

LIBRARY = "safetensors"
TENSORS, EQUATION, VERSION = "tensors.safetensors", "equation.json", 1


def check(source: Source, job: ExportJob) -> None:  # noqa: ARG001  every form takes both
    """Refuses what has no equation on plain tensors.

    Raises:
        InputError: a module of another form, or inside a core.
    """
    if source.manifest.kind not in LORAS:
        source.hosted.stand_alone()


def bytes_needed(source: Source, job: ExportJob) -> int:  # noqa: ARG001
    """The bytes that will be written."""
    return sum(tensor.nbytes for tensor in _tensors(source).values())


def write(source: Source, job: ExportJob, folder: Path) -> dict[str, Any]:
    """Fills a folder, and compares the logits of what it wrote with those of what was loaded."""
    from safetensors.torch import load_file, save_file

    tensors = {n: t.detach().cpu().contiguous() for n, t in _tensors(source).items()}
    said = {
        "format": "abi-equation", "version": VERSION, "name": source.title,
        "kind": source.manifest.kind, "backbone": _backbone(source, public=job.push is not None),
        **_equation(source),
        "tensors": {
            name: {"shape": [*one.shape], "dtype": str(one.dtype).removeprefix("torch.")}
            for name, one in sorted(tensors.items())
        },
    }  # fmt: skip
    (folder / EQUATION).write_text(json.dumps(said, indent=1) + "\n", "utf-8")
    save_file(tensors, folder / TENSORS, {"format": "pt"})
    again = _computed(source, json.loads((folder / EQUATION).read_text("utf-8")),
                      load_file(folder / TENSORS))  # fmt: skip
    return {"logits": largest_difference(source.hosted, again), "use": _use(source)}


def _tensors(source: Source) -> dict[str, Tensor]:
    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.workflows.export.equation import GATE, INTERFACE, MODULE

    hosted = source.hosted
    if isinstance(hosted, LoraModel):
        return hosted.update.as_tensors()
    if isinstance(hosted, LinearModel):
        return hosted.linear.stored()
    assert hosted.correction is not None
    parts = {INTERFACE: hosted.correction.interface, MODULE: hosted.correction.module}
    if hosted.gate is not None:
        parts[GATE] = hosted.gate
    return {f"{at}{n}": t for at, part in parts.items() for n, t in part.state_dict().items()}


def _backbone(source: Source, *, public: bool) -> dict[str, Any]:
    backbone = source.hosted.backbone
    return source.reference(public=public) | {
        "family": backbone.family, "d_model": backbone.d_model, "n_layers": backbone.n_layers,
        "vocab_size": backbone.vocab_size,
    }  # fmt: skip


def _equation(source: Source) -> dict[str, Any]:
    from transplant.modules.hosted_linear import LinearModel
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.workflows.export.equation import READABLE, linear_steps, module_steps

    hosted, backbone = source.hosted, source.hosted.backbone
    if isinstance(hosted, LoraModel):
        return {
            "equation": ["y = module(x) + scale (B A x + b)"],
            "changes": [
                {"module": name, "scale": pair.scale, "a": f"{name}.lora_A.weight",
                 "b": f"{name}.lora_B.weight",
                 "bias": None if pair.bias is None else f"{name}.lora_B.bias"}
                for name, pair in hosted.update.pairs.items()
            ],
            "in_place_of": {name: f"whole.{name}" for name in hosted.update.whole},
        }  # fmt: skip
    if isinstance(hosted, LinearModel):
        form, taps, steps = (
            hosted.stand_alone().form,
            hosted.linear.taps,
            linear_steps(hosted.linear),
        )
    else:
        assert hosted.correction is not None
        form = hosted.stand_alone().form
        taps, steps = hosted.correction.taps, module_steps(hosted, form)
    scale = float(getattr(backbone, "output_scale", 1.0))
    return {
        "equation": [*READABLE[form], "logits = head(head_scale (h_last + c))"],
        "inputs": {f"h{tap}": _tap(tap, backbone.n_layers) for tap in taps},
        "added_to": "last_hidden_state: what the head reads, after the final norm",
        "steps": steps, "result": "c", "head_scale": scale,
    }  # fmt: skip


def _tap(tap: int, last: int) -> dict[str, Any]:
    if tap == last:
        return {"tap": tap, "is": "last_hidden_state, after the final norm"}
    return {"tap": tap, "is": f"hidden_states[{tap}], 0 being the embeddings"}


def _computed(source: Source, said: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    """A model that computes what the folder says, around the same backbone."""
    from transplant.surgery.lora.hosted import LoraModel
    from transplant.surgery.lora.update import LoraUpdate
    from transplant.workflows.export.equation_model import Equation, EquationModel

    backbone = source.hosted.backbone
    if "changes" in said:
        scales = {change["module"]: change["scale"] for change in said["changes"]}
        return LoraModel("again", backbone, LoraUpdate.from_tensors(tensors, scales))
    kept = {name: tensor.to(backbone.device) for name, tensor in tensors.items()}
    return EquationModel(backbone, Equation(said, kept))


def _use(source: Source) -> str:
    what = (
        "its changes, map by map" if source.manifest.kind in LORAS
        else "its steps, on hidden states by layer"
    )  # fmt: skip
    return (
        f"`{EQUATION}` says the equation, {what}, and the shape of each tensor; `{TENSORS}` holds "
        "the tensors, without any code:\n\n"
        "```python\nimport json\n\nfrom safetensors.torch import load_file\n\n"
        f'said = json.load(open("DIR/{EQUATION}"))\ntensors = load_file("DIR/{TENSORS}")\n```'
    )
