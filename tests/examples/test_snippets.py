"""The Python of the documentation runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests.activations.tiny_files import make_header, make_tokens
from transplant.activations.writer import ActivationWriter

MORE = Path(__file__).parents[2] / "examples" / "README.md"


def snippet_with(word: str) -> str:
    """The one block of Python that has the word in it."""
    found = re.findall(r"^```python\n(.*?)^```$", MORE.read_text(), re.MULTILINE | re.DOTALL)
    (snippet,) = [block for block in found if word in block]
    return snippet


@pytest.fixture
def captured(tmp_path, monkeypatch):
    """`acts.h5` and `other.h5` of the same eight documents, cut into windows otherwise."""
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    for name, windows, taps in (("acts", (128, 22), ("0", "4")), ("other", (50, 100), ("3",))):
        header = make_header(taps=taps, widths=(8,) * len(taps))
        tokens = make_tokens(windows=(windows,) * 8)
        with ActivationWriter.create(Path(f"{name}.h5"), header, tokens) as writer:
            for tap in taps:
                writer.write(tap, 0, draw.normal(size=(tokens.rows, 8)).astype(np.float32))
            writer.commit(tokens.rows)


@pytest.mark.usefixtures("captured")
def test_activations_are_read_as_the_example_reads_them():
    names: dict[str, object] = {}
    exec(snippet_with("Activations.open"), names)
    assert len(names["ours"]) == len(names["theirs"]) == 8 * 150
    assert names["rows"] == range(7 * 150, 8 * 150)
