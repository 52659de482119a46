"""NaN and infinity: named where they are met, and never in a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.activations.tiny_files import make_header, make_states, make_tokens, write_rows
from transplant.activations.capture import as_stored
from transplant.activations.finite import INFINITY, all_finite, first_of_no_value
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.errors import NumericalError

TORCH = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
NO_NUMBERS = (float("nan"), -float("nan"), float("inf"), -float("inf"))


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_every_pattern_of_sixteen_bits_is_judged_as_torch_does(dtype):
    every = np.arange(2**16, dtype=np.uint16)
    finite = torch.from_numpy(every).view(TORCH[dtype]).isfinite().numpy()
    stored = every if dtype == "bf16" else every.view(np.float16)
    judged = [all_finite(stored[n : n + 1], dtype) for n in range(2**16)]
    assert judged == finite.tolist()
    assert int((~finite).sum()) == 2 * (0x8000 - INFINITY[dtype])


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_one_value_among_many_is_found(dtype, value):
    for row, column in ((0, 0), (40, 6), (11, 3)):
        states = torch.randn(41, 7).to(TORCH[dtype])
        assert all_finite(as_stored(states), dtype)
        states[row, column] = value
        assert not all_finite(as_stored(states), dtype)
        found = first_of_no_value(as_stored(states), dtype)
        assert found[:2] == (row, column)
        assert np.array_equal([found[2]], [value], equal_nan=True)


@pytest.mark.parametrize("dtype", ["bf16", "fp16", "fp32"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_a_file_never_gets_one_and_goes_on_from_its_last_commit(tmp_path, dtype, value):
    header, tokens, path = make_header(dtype=dtype), make_tokens(), tmp_path / "a.h5"
    states = torch.zeros(30, 8).to(TORCH[dtype])
    states[4, 5] = value
    with ActivationWriter.create(path, header, tokens) as writer:
        write_rows(writer, header, 0, 120)
        writer.commit(120)
        with pytest.raises(NumericalError) as info:
            writer.write("3", 120, as_stored(states))
    message = str(info.value)
    assert "tap 3 at document 2, position 64" not in message  # the control: row 124 is in the next
    assert "tap 3 at document 3, position 0, value 5 is no number" in message
    assert ("fp32" in message, "bf16" in message) == (True, dtype != "fp32")
    with ActivationWriter.resume(path, header, tokens) as writer:
        assert writer.committed == 120
        write_rows(writer, header, 120, tokens.rows)
        writer.commit(tokens.rows)
    with Activations.open(path) as acts:
        assert acts.tap("3").isfinite().all()
        whole = make_states(header, "3", 0, tokens.rows).tobytes()
        assert as_stored(acts.tap("3")).tobytes() == whole
