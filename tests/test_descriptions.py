"""Descriptions of parameters and fields, as the source has them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from transplant.descriptions import args_of, descriptions_in

DOCSTRING = """What it does.

Args:
    first: one line.
    second: two lines, the
        second of which is deeper; None for all of it.
    third: None: nothing.
    fourth: a sentence. None for none.

Returns:
    other: not an argument.
"""


def test_the_entries_of_a_docstring_are_sentences_and_none_is_a_default():
    assert args_of(DOCSTRING) == {
        "first": "One line.",
        "second": "Two lines, the second of which is deeper; default: all of it.",
        "third": "Default: nothing.",
        "fourth": "A sentence. Default: none.",
    }
    assert args_of("No arguments.") == {}


def test_a_class_is_described_by_the_lines_under_its_fields():
    found = descriptions_in("transplant.training.config", "TrainConfig")
    assert found["window"] == "Tokens per window."
    assert found["steps"] == "Optimizer steps at most."
    with pytest.raises(LookupError, match="has no Nothing"):
        descriptions_in("transplant.training.config", "Nothing")


def test_a_module_is_read_and_not_run():
    program = (
        "import sys; from transplant.descriptions import descriptions_in; "
        "found = descriptions_in('transplant.backbones.spread', 'every_tensor'); "
        "assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", program], check=True).returncode == 0
