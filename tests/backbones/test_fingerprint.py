"""Coverage of the fingerprint of a model's weights."""

from __future__ import annotations

import torch
from torch import nn

from transplant.backbones import fingerprint
from transplant.backbones.fingerprint import hash_parameters, hash_tensors


def test_a_buffer_counts_where_a_file_holds_it():
    def model(value, *, persistent):
        made = nn.Module()
        made.weight = nn.Parameter(torch.ones(2))
        made.register_buffer("scale", torch.tensor([value]), persistent=persistent)
        return made

    kept = [hash_parameters(model(value, persistent=True)) for value in (1.0, 2.0)]
    drawn = [hash_parameters(model(value, persistent=False)) for value in (1.0, 2.0)]
    assert kept[0] != kept[1]
    assert drawn[0] == drawn[1] == hash_tensors({"weight": torch.ones(2)})


def test_several_threads_find_what_one_does(monkeypatch):
    tensors = {f"t{n}": torch.full((n + 1, 7), float(n)) for n in range(20)}
    found = []
    for threads in (1, 4):
        monkeypatch.setattr(fingerprint.os, "cpu_count", lambda count=threads: count)
        found.append(hash_tensors(tensors))
    assert found[0] == found[1]
    tensors["t0"][0, 0] = 1.0  # the control
    assert hash_tensors(tensors) != found[0]
