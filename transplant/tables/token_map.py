"""A map between two vocabularies as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transplant.alignment.token_map import KINDS
from transplant.tables.table import Table


def token_map_table(report: Mapping[str, Any]) -> Table:
    """How many tokens are spelled in which way, and how much of the text that is."""
    title = f"tokens of {report['to']} in those of {report['from']}"
    shown = Table(title, "", "tokens", f"text ({report['data']})")
    for kind in (*KINDS[1:], KINDS[0]):
        shown.add(kind, f"{report['tokens'][kind]:.1%}", f"{report['text'][kind]:.1%}")
    shown.end_section()
    shown.add("positions that pair", "", f"{report['pairs']['paired_share']:.1%}")
    shown.add("characters a token", "", f"{report['pairs']['characters_per_token']['to']:.2f}")
    return shown
