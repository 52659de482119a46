from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from transplant.errors import (
    CorruptError,
    ExistsError,
    InputError,
    NotFoundError,
    NumericalError,
    ShapeError,
    TransplantError,
)
from transplant.paste.forms import FORMS, form_shapes
from transplant.paste.paste import plan_paste

MakeCore = Callable[..., Path]
PREFIX = "model.domain_modules."
INDEX = "model.safetensors.index.json"


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def fill(name: str, value: float) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors[name].view(-1)[-1:].fill_(value)


def add(name: str, tensor: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: tensors.update({name: tensor})


def drop(prefix: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda tensors: [tensors.pop(name) for name in list(tensors) if name.startswith(prefix)]


ROW = "model.routers.python.bias"
UP = PREFIX + "python.up.weight"
WIDE = {"python": {"form": "wide"}}
REFUSALS: dict[str, tuple[type[TransplantError], str, dict[str, Any], dict[str, Any]]] = {
    "another d_abi": (ShapeError, "d_abi: expected 8", {"config": {"d_abi": 4}}, {}),
    "another dtype": (ShapeError, "expected F32", {"dtype": torch.float16}, {}),
    "two dtypes": (ShapeError, "F16, F32", {}, {"change": add("h", torch.ones(1).half())}),
    "unknown form": (InputError, "'wide'", {"config": {"domain_modules": WIDE}}, {}),
    "no tensors": (ShapeError, "found nothing", {"change": drop(PREFIX + "python")}, {}),
    "a tensor missing": (ShapeError, "up.weight", {"change": drop(UP)}, {}),
    "a tensor too many": (
        ShapeError,
        "no such tensor",
        {"change": add(PREFIX + "python.z", torch.ones(1))},
        {},
    ),
    "the name is taken": (ExistsError, "replace=True", {}, {"modules": ["python"]}),
    "its row is taken": (ExistsError, "replace=True", {}, {"change": add(ROW, torch.ones(1))}),
    "another model": (InputError, "layercake, found gpt2", {}, {"config": {"model_type": "gpt2"}}),
    "d_abi is no width": (CorruptError, "d_abi", {}, {"config": {"d_abi": True}}),
    "no object": (CorruptError, "domain_modules", {}, {"config": {"domain_modules": [1]}}),
    "router is no bool": (CorruptError, "router", {}, {"config": {"router": 1}}),
    "config holds NaN": (CorruptError, "NaN", {}, {"config": {"d_model": math.nan}}),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusal_names_the_fault_and_writes_nothing(
    case: str, make_core: MakeCore, tmp_path: Path
) -> None:
    error, message, of_source, of_target = REFUSALS[case]
    source = make_core("source", **{"modules": ["python", "law"], **of_source})
    target = make_core("target", **{"modules": ["law"], **of_target})
    before = tree(tmp_path)
    with pytest.raises(error, match=message):
        plan_paste(source, target, ["python"])
    assert tree(tmp_path) == before


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_module_that_is_not_finite_is_refused(
    dtype: torch.dtype, value: float, make_core: MakeCore
) -> None:
    source = make_core("source", ["python", "law"], dtype=dtype, change=fill(UP, value))
    target = make_core("target", dtype=dtype, change=fill("model.core.1", value))
    with pytest.raises(NumericalError, match=r"up.weight of module python.* found 1 "):
        plan_paste(source, target)
    assert plan_paste(source, target, ["law"]).modules  # control: the target's own are its own


def test_unknown_module_lists_those_there(make_core: MakeCore) -> None:
    source, target = make_core("source", ["law", "python"]), make_core("target")
    with pytest.raises(NotFoundError, match=r"'pyton'.*law, python.*`cores\(\)`"):
        plan_paste(source, target, ["pyton"])
    for names in ([], None):
        with pytest.raises(NotFoundError, match="no module to paste"):
            plan_paste(target, source, names)
    with pytest.raises(NotFoundError, match=r"`cores\(\)`"):
        plan_paste(source / "absent", target)


@pytest.mark.parametrize("d_abi", [8, 24])
@pytest.mark.parametrize("form", FORMS)
def test_forms_are_those_of_the_model(form: str, d_abi: int) -> None:
    from transplant.backbones.layercake import FORMS as CLASSES

    assert set(FORMS) == set(CLASSES)
    state = CLASSES[form](d_abi).state_dict()
    assert form_shapes(form, d_abi) == {name: tuple(t.shape) for name, t in state.items()}


def test_pickled_weights_are_refused_with_the_reason(make_core: MakeCore) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    (source / "model.safetensors").rename(source / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"can run code.*pytorch_model.bin"):
        plan_paste(source, target)


@pytest.mark.parametrize("place", ["../x.safetensors", "model-00002-of-00002.safetensors", 3])
def test_index_that_lies_is_refused(place: object, make_core: MakeCore) -> None:
    source, target = make_core("source", ["python"]), make_core("target", shards=2)
    index = json.loads((target / INDEX).read_text())
    index["weight_map"]["model.core.0"] = place
    (target / INDEX).write_text(json.dumps(index))
    with pytest.raises(CorruptError):
        plan_paste(source, target)


def test_plan_alone_writes_nothing_and_counts(make_core: MakeCore, tmp_path: Path) -> None:
    source, target = make_core("source", ["python"]), make_core("target")
    before = tree(tmp_path)
    summary = plan_paste(source, target).as_dict()
    assert tree(tmp_path) == before
    assert (summary["tensors"], summary["bytes"]) == (9, 4 * (1 + 2 * 8 + 3 * 128 + 2 * 16 + 8))
    assert json.loads(json.dumps(summary)) == summary
