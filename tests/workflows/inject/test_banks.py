"""Numbers of blocks as text."""

from __future__ import annotations

import pytest

from transplant.errors import InputError
from transplant.workflows.inject.banks import parse_layers


@pytest.mark.parametrize(
    ("text", "layers"),
    [("all", None), ("3", (3,)), ("0,2-4", (0, 2, 3, 4)), ("4,2", (4, 2)), ("2-2", (2,))],
)
def test_layers_are_read(text, layers):
    assert parse_layers(text) == layers


@pytest.mark.parametrize("text", ["4-2", "0,4-2", "", "-1", "2-", "1--1", "a", "0,,1", "None"])
def test_what_names_no_block_is_refused(text):
    with pytest.raises(InputError, match="`layers`.*ranges ascending"):
        parse_layers(text)
