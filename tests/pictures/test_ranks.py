"""The heat map of ranks: a cell for each map, in the row of its layer."""

from __future__ import annotations

import pytest

from transplant.pictures.ranks import draw_ranks
from transplant.tables.basis import allocation_table

pytest.importorskip("matplotlib")

MAPS = [
    {"name": "decoder.project_in", "layer": None, "type": "decoder.project_in", "rank": 3},
    {"name": "decoder.layers.0.fc1", "layer": 0, "type": "decoder.fc1", "rank": 0},
    {"name": "decoder.layers.0.fc2", "layer": 0, "type": "decoder.fc2", "rank": 16},
    {"name": "decoder.layers.1.fc1", "layer": 1, "type": "decoder.fc1", "rank": 8},
]
REPORT = {
    "name": "b@opt", "score": "fisher", "budget": 400, "parameters": 329, "maps": MAPS,
    "share_kept": {"exact": 0.5, "greedy": 0.4, "uniform": 0.3, "chosen": 0.5},
}  # fmt: skip


def test_every_map_has_a_cell_and_layers_are_named_as_in_the_table():
    (axes, _colours) = draw_ranks(REPORT).axes
    rows = [label.get_text() for label in axes.get_yticklabels()]
    assert rows == ["-", "0", "1"] == [row[0] for row in allocation_table(REPORT).rows]
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells == {(0, 0): "3", (1, 1): "0", (2, 1): "16", (1, 2): "8"}  # none where no map is
