"""What is written of a model says nothing on the terminal, wherever the library writes one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import transplant
from tests.tiny import tiny_backbone
from transplant.backbones.written import write_model
from transplant.text.tokenizers import train_tokenizer

HOME = Path(transplant.__file__).parent
ROOMS = ("workflows", "evidence", "merging", "training", "surgery/embeddings", "basis")


@pytest.fixture
def bars():
    """The bars of `transformers`, shown; other tests turn them off."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.enable_progress_bar()
    yield
    if not shown:
        logging.disable_progress_bar()


@pytest.mark.usefixtures("bars")
def test_a_model_is_written_without_a_bar(tmp_path, capfd):
    texts = ("a tale of two", "the other tale")
    backbone = tiny_backbone("gpt2", train_tokenizer("bpe", texts, 300, context=32))
    write_model(backbone.model, backbone.tokenizer, tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "quiet" / "model.safetensors").is_file()
    assert (tmp_path / "quiet" / "tokenizer.json").is_file()
    backbone.model.save_pretrained(tmp_path / "loud")  # the control
    assert capfd.readouterr().err


def loud_calls(source: str) -> list[int]:
    """The lines that call `save_pretrained` outside of a `with quiet()`."""
    tree = ast.parse(source)
    inside = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and "quiet()" in map(ast.unparse, _managers(block))
        for node in ast.walk(block)
    }
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [
        call.lineno for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "save_pretrained"
        and isinstance(call.func.value, ast.Attribute | ast.Name | ast.Call)
        and "config" not in ast.unparse(call.func.value) and id(call) not in inside
    ]  # fmt: skip


def _managers(block: ast.With) -> list[ast.expr]:
    return [item.context_expr for item in block.items]


@pytest.mark.parametrize("room", ROOMS)
def test_no_workflow_lets_transformers_draw_a_bar(room):
    found = {
        path.name: lines
        for path in (HOME / room).rglob("*.py")
        if (lines := loud_calls(path.read_text("utf-8")))
    }
    assert found == {}


def test_a_loud_call_is_found():
    assert loud_calls("model.save_pretrained(x)\nwith quiet():\n    model.save_pretrained(x)") == [
        1
    ]
