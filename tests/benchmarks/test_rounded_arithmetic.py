"""Products in bfloat16 by way of float32 against those of torch itself."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as nnf

from tests.benchmarks.rounded_arithmetic import RoundedProducts

PRODUCTS = {
    "linear": lambda a, b: nnf.linear(a, b),
    "linear with a bias": lambda a, b: nnf.linear(a, b, b[:, 0]),
    "matmul": lambda a, b: a @ b.T,
    "batched": lambda a, b: a.expand(3, *a.shape) @ b.T.expand(3, *b.T.shape),
    "attention": lambda a, b: nnf.scaled_dot_product_attention(
        a[None, None], b[None, None], b[None, None]
    ),
    "attention behind a mask": lambda a, b: nnf.scaled_dot_product_attention(
        a[None, None], b[None, None], b[None, None], attn_mask=(a @ b.T > 0).to(a).log()[None, None]
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_are_those_of_torch_to_the_last_place(name):
    drawn = torch.Generator().manual_seed(0)
    a, b = (torch.randn(24, 32, generator=drawn).bfloat16() for _ in range(2))
    own = PRODUCTS[name](a, b)
    with RoundedProducts():
        found = PRODUCTS[name](a, b)
    assert found.dtype == torch.bfloat16
    places = torch.finfo(torch.bfloat16).eps * (4 if "attention" in name else 1)
    assert ((found.float() - own.float()).abs() <= places * own.float().abs().clamp(min=0.1)).all()
    wide = PRODUCTS[name](a.float(), b.float())
    assert not torch.equal(found.float(), wide)  # it has been rounded


def test_what_is_no_product_of_16_bits_is_left_alone():
    a = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    with RoundedProducts():
        assert torch.equal(a @ a, PRODUCTS["matmul"](a, a.T))
        assert (a.bfloat16() + a.bfloat16()).dtype == torch.bfloat16
