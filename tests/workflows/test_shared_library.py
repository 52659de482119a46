"""A library of several processes: nothing is replaced before all have come so far."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from transplant.workflows.shared_library import shared

WRITES = {
    "store": lambda library: library.store("basis", "own", {}, backbone=BACKBONE),
    "store_hosted": lambda library: library.store_hosted("own", {}, {}, backbone=BACKBONE),
}
BACKBONE = SimpleNamespace(name="b")


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("first", [True, False])
def test_every_process_waits_before_a_write_and_behind_it(write, first):
    course: list[str] = []
    ranks = SimpleNamespace(count=2, first=first, wait=lambda: course.append("wait"))

    def note(*_: object, **__: object) -> int:
        course.append("write")
        return 1

    library = SimpleNamespace(store=note, store_hosted=note, find=lambda *_: None)
    WRITES[write](shared(library, ranks))
    assert course == (["wait", "write", "wait"] if first else ["wait", "wait"])
