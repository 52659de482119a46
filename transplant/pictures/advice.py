"""Advice as a folder of files: the numbers, and a page with its flow and its commands."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transplant.files.results import json_bytes, write_files
from transplant.pictures.flow import draw_flow
from transplant.pictures.page import fill


def write_advice(folder: Path, report: Mapping[str, Any]) -> list[str]:
    """Writes `advice.json` and `advice.html` into a folder and returns their paths.

    Args:
        folder: where they go.
        report: of advice; its steps are shown as their `command` where they have one.

    Raises:
        StorageError: the disk refused.
    """
    page = fill("advice", report=report, flow=draw_flow(report))
    return write_files(folder, {"advice.json": json_bytes(report), "advice.html": page.encode()})
