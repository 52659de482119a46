"""Amounts of memory and devices, as they are named."""

from __future__ import annotations

import pytest
import torch

from transplant.backbones.places import bytes_by_device, check_places, is_here
from transplant.errors import InputError


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("120000", 120_000), (7, 7), ("0", 0), ("12B", 12), ("1kB", 1_000), ("1KiB", 1_024),
        ("0.5 GiB", 2**29), ("3gb", 3 * 10**9), ("2TiB", 2**41), ("1.5M", 1_500_000),
    ],
)  # fmt: skip
def test_an_amount_is_bytes(amount, expected):
    assert bytes_by_device({"cpu": amount}) == {"cpu": expected}


@pytest.mark.parametrize("amount", ["", "much", "-1GB", "1PB", "1GiBB", "GB", "1,5GB", True, None])
def test_what_is_no_amount_is_refused(amount):
    with pytest.raises(InputError, match="`max_memory`"):
        bytes_by_device({"cpu": amount})


def test_a_device_is_one_that_is_here(monkeypatch):
    assert is_here("cpu")
    for never in ("gpu", "CPU", "", "-1", -1, True, None, [1], 99, "cuda:99"):
        assert not is_here(never)
    check_places({"": "disk", "lm_head": "cpu"})
    with pytest.raises(InputError, match="lm_head"):
        check_places({"": "disk", "lm_head": "gpu"})
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    assert is_here(1)
    assert is_here("cuda:1")
    assert not is_here(2)
    assert not is_here("cuda:2")
    assert not is_here("mps")
    assert bytes_by_device({1: "1KB", "cpu": 5}) == {1: 1000, "cpu": 5}
