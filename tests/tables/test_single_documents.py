"""Tables of what one document was measured on: no interval stands where there is none."""

from __future__ import annotations

from transplant.tables.merge import hosted_table
from transplant.tables.perplexity import perplexity_sheet


def shown(table: object) -> str:
    """A table as text, on one line."""
    return " ".join(str(table).split())


def test_what_a_merge_keeps_of_a_gain_stands_beside_its_interval():
    gain = {"value": 0.2, "interval": [0.1, 0.3]}
    alone = {"value": 0.1, "interval": None}
    row = {
        "name": "m@a", "domain": "d", "parent_gain": gain, "merged_gain": alone,
        "kept": {"value": 0.5, "interval": [0.25, None]},
    }  # fmt: skip
    assert "0.200 (0.100 .. 0.300) 0.100 50% (25% .. unbounded)" in shown(hosted_table([row]))
    row["kept"] = {"value": 0.5, "interval": None}
    assert "0.100 50%" in shown(hosted_table([row]))
    assert "()" not in shown(hosted_table([row]))


def test_the_perplexity_of_one_document_has_no_interval():
    number = {"mean": 3.5, "interval": [3.5, 3.5]}
    row = {
        "model": "m", "documents": 1, "tokens": 9, "ppl": number, "bits_per_byte": number,
        "nats_per_document": number, "more_bits_per_byte": number,
    }  # fmt: skip
    found = {"data": "d", "whole": True, "models": [row, row]}
    assert "3.50 to 3.50" not in shown(perplexity_sheet(found))
    assert "1 document, which has no interval" in shown(perplexity_sheet(found))
    several = {**found, "models": [row | {"documents": 2}] * 2}
    assert shown(perplexity_sheet(several)).count("3.50 to 3.50") == 2
