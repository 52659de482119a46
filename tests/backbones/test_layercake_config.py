"""Sizes and configurations of LayerCake cores."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from tests.backbones.layercake_cores import tiny_config
from transplant.backbones.layercake import (
    SIZES,
    LayerCakeConfig,
    LayerCakeForCausalLM,
    build_core,
    count_parameters,
)
from transplant.errors import InputError


@pytest.mark.parametrize("vocab_size", [4096, 50257])
@pytest.mark.parametrize("name", SIZES)
def test_counted_parameters_are_those_of_the_built_model(name, vocab_size):
    size = SIZES[name]
    for positions, rows in (("rotary", 0), ("learned", 512)):
        config = LayerCakeConfig.from_size(size, vocab_size, positions=positions)
        if size.d_abi == 128 and vocab_size == 4096:
            core = build_core(config, 0)
        else:
            with torch.device("meta"):
                core = LayerCakeForCausalLM(config)
        expected = sum(parameter.numel() for parameter in core.parameters())
        assert count_parameters(size, vocab_size, learned_positions=rows) == expected


def test_small_sizes_are_about_as_large_as_they_are_called():
    for name, wanted in (("2M", 2e6), ("5M", 5e6)):
        assert count_parameters(SIZES[name], 4096) == pytest.approx(wanted, rel=0.05)


def test_sizes_are_read_without_torch_or_transformers():
    code = (
        "import sys; from transplant.backbones.layercake import SIZES, sizes;"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 25}, "part into the heads"),
        ({"hidden_size": 27}, "even width"),
        ({"positions": "alibi"}, "unknown positions"),
        ({"d_abi": 0}, "d_abi"),
        ({"num_hidden_layers": 1.5}, "num_hidden_layers"),
        ({"initializer_range": -1.0}, "initializer_range"),
        ({"domain_modules": ["law"]}, "dict by name"),
        ({"domain_modules": {"a.b": {"form": "lite"}}}, "cannot have this name"),
        ({"domain_modules": {"train": {"form": "lite"}}}, "taken the name"),
        ({"domain_modules": {"law": {"form": "huge"}}}, "no such form"),
        ({"domain_modules": {"law": {"active": True}}}, "not described"),
        ({"domain_modules": {"law": {"form": "lite", "active": 1}}}, "a switch"),
        ({"domain_modules": {"law": {"form": "lite", "weight": float("nan")}}}, "finite"),
        ({"domain_modules": {"law": {"form": "full"}}, "d_abi": 15}, "odd width"),
    ],
)
def test_configurations_that_cannot_be_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        tiny_config(**changes)


def test_a_configuration_comes_back_from_its_file(tmp_path):
    modules = {"b": {"form": "full", "active": False, "weight": 0.5}, "a": {"form": "lite"}}
    config = tiny_config(domain_modules=modules, router=True, rope_theta=5e4, positions="learned")
    config.save_pretrained(tmp_path)
    found = LayerCakeConfig.from_pretrained(tmp_path)
    assert found.domain_modules == {**modules, "a": {"form": "lite", "active": True, "weight": 1.0}}
    assert (found.router, found.rope_theta, found.positions) == (True, 5e4, "learned")
