"""Boundary activations on the disk: files of the capture format, and the run that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transplant.activations.layout import CaptureHeader, TokenTable
from transplant.activations.reader import Activations
from transplant.backbones.view import Backbone
from transplant.errors import InputError
from transplant.files import strict_json
from transplant.files.whole_file import whole_file
from transplant.text.windows import Window

STORED = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}


@dataclass(frozen=True)
class Place:
    """Where a run keeps its boundaries and spectra.

    Args:
        folder: that holds them; it is made.
        run: what must be equal for a run to be continued.
    """

    folder: Path
    run: Mapping[str, Any]

    def open(self) -> None:
        """Makes the folder, or finds the same run in it.

        Raises:
            InputError: another run is there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / "run.json"
        now = json.loads(json.dumps(self.run))
        if not file.is_file():
            with whole_file(file) as partial:
                partial.write_text(json.dumps(now) + "\n", "utf-8")
        elif strict_json.parse(file.read_text("utf-8")) != now:
            raise InputError(
                f"{self.folder} holds the boundaries of another run", hint="another folder"
            )

    def boundary(self, number: int) -> Path:
        """The states that layer `number` reads."""
        return self.folder / f"boundary-{number}.h5"

    def spectra(self, number: int) -> Path:
        """The spectra of layer `number`."""
        return self.folder / f"layer-{number}.safetensors"


def padded(backbone: Backbone, below: Activations, number: int, batch: Sequence[int]) -> Tensor:
    """The states [batch, longest, d_model] that a layer reads; zeros behind each window."""
    parts = []
    for index in batch:
        rows = below.rows_of_window(index)
        parts.append(below.tap(str(number), rows.start, rows.stop).to(backbone.dtype))
    return nn.utils.rnn.pad_sequence(parts, batch_first=True).to(backbone.device)


def row_table(backbone: Backbone, windows: Sequence[Window]) -> TokenTable:
    """A row for each position that is read, the beginning-of-text token among them."""
    skipped = backbone.skipped
    ids: list[int] = []
    first = [0]
    for window in windows:
        ids += [*[0] * skipped, *window.ids]
        first.append(len(ids))
    column = np.asarray(ids, dtype=np.int32)
    return TokenTable(
        ids=column, labels=np.full_like(column, -100), ends=np.zeros_like(column),
        first_row=np.array(first, dtype=np.int64),
        document=np.arange(len(windows), dtype=np.int32), digests=("0" * 64,) * len(windows),
    )  # fmt: skip


def header_of(backbone: Backbone, number: int, place: Place) -> CaptureHeader:
    """The header of the file of one boundary, whose one tap has its number."""
    return CaptureHeader(
        backbone=backbone.name, family=backbone.family, backbone_sha256=backbone.weights_sha256,
        tokenizer_sha256=backbone.tokenizer_sha256, config_sha256=backbone.config_sha256,
        corpus="boundary", corpus_fingerprint="0" * 64, window=1 << 20, pool="none",
        dtype=STORED[backbone.dtype], taps=(str(number),), widths=(_width(backbone),),
        made=dict(place.run),
    )  # fmt: skip


def _width(backbone: Backbone) -> int:
    """The width of the states between layers, which in OPT-350m is not that of the head."""
    return int(getattr(backbone.model.config.get_text_config(), "hidden_size", backbone.d_model))


def bits_of(states: Tensor) -> np.ndarray:
    """States [rows, d_model] as a file holds them; bfloat16 as its bits."""
    if states.dtype == torch.bfloat16:
        return states.view(torch.int16).numpy().view(np.uint16)
    return states.numpy()
