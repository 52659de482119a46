"""States and gradients between layers, on the disk: files of the capture format, and their run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transplant.activations.hdf5 import built_size
from transplant.activations.layout import CaptureHeader, TokenTable
from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.backbones.view import Backbone
from transplant.errors import CorruptError, InputError, foreign
from transplant.files import strict_json
from transplant.files.room import check_room
from transplant.files.whole_file import whole_file
from transplant.text.windows import Window, batches

ROOM = "fewer `tokens`, or a `registry` on another disk"
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

    def open(self, needed: int = 0) -> None:
        """Makes the folder, or finds the same run in it.

        Args:
            needed: the bytes in it when it is fullest, those that are there already included.

        Raises:
            InputError: another run is there.
            CorruptError: what is there does not say which run it is of.
            StorageError: the disk has no room for what is still to be written; nothing is made.
        """
        file = self.folder / "run.json"
        now = json.loads(json.dumps(self.run))
        known = file.is_file()
        if known and self._before(file) != now:
            raise InputError(
                f"{self.folder} holds the boundaries of another run",
                hint="the run of before, another name, or the folder removed",
            )
        there = sum(one.stat().st_size for one in self.folder.rglob("*") if one.is_file())
        check_room(self.folder, needed - there, ROOM, what="what passes between layers")
        if not known:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(file) as partial:
                partial.write_text(json.dumps(now) + "\n", "utf-8")

    def _before(self, file: Path) -> Any:
        with foreign(
            f"{file} does not say which run is kept there", CorruptError,
            hint=f"remove {self.folder}, and it begins anew",
        ):  # fmt: skip
            return strict_json.parse(file.read_text("utf-8"))

    def boundary(self, number: int) -> Path:
        """The states that layer `number` reads."""
        return self.folder / f"boundary-{number}.h5"

    def spectra(self, number: int) -> Path:
        """The spectra of layer `number`."""
        return self.folder / f"layer-{number}.safetensors"

    def gradient(self, number: int) -> Path:
        """The gradient of the loss by the states that layer `number` reads."""
        return self.folder / f"gradient-{number}.h5"

    def scores(self, number: int) -> Path:
        """The scores of the directions of layer `number`."""
        return self.folder / f"scores-{number}.safetensors"


class Boundaries:
    """States between layers, or gradients by them, of all windows: files with a row a position.

    Args:
        backbone: that the windows are of.
        windows: calibration text.
        place: where the files go.
        tokens: of a batch.
    """

    def __init__(
        self, backbone: Backbone, windows: Sequence[Window], place: Place, tokens: int
    ) -> None:
        self.backbone, self.windows, self.place = backbone, windows, place
        self.batches = sorted(batches(windows, tokens), key=min)
        self._table = row_table(backbone, windows)

    @contextmanager
    def reading(self, path: Path) -> Iterator[Callable[[Sequence[int]], Tensor]]:
        """A call that reads a batch of a file: [batch, longest, d_model], zeros behind windows."""
        with Activations.open(path) as file:
            (tap,) = file.header.taps

            def read(batch: Sequence[int]) -> Tensor:
                rows = [file.rows_of_window(index) for index in batch]
                parts = [file.tap(tap, one.start, one.stop) for one in rows]
                return nn.utils.rnn.pad_sequence(parts, batch_first=True).to(self.backbone.device)

            yield read

    @contextmanager
    def writing(
        self, path: Path, dtype: torch.dtype
    ) -> Iterator[Callable[[Tensor, Sequence[int]], None]]:
        """A call that writes a batch; the file is whole where the block ends without an error."""
        path.unlink(missing_ok=True)  # of a run that was killed
        header = _header(self.backbone, path.stem, self.place, dtype)
        first_row = self._table.first_row
        with ActivationWriter.create(path, header, self._table) as writer:

            def write(states: Tensor, batch: Sequence[int]) -> None:
                for own, index in zip(states, batch, strict=True):
                    first, after = first_row[index : index + 2]
                    rows = own[: after - first].detach().to(dtype).contiguous().cpu()
                    writer.write(path.stem, int(first), _bits_of(rows))

            yield write
            writer.commit(self._table.rows)

    def file_bytes(self, dtype: torch.dtype) -> int:
        """About what one file takes whose states are of this type."""
        return built_size(_header(self.backbone, "boundary", self.place, dtype), self._table)

    def is_whole(self, path: Path) -> bool:
        """Whether a file was written to its end."""
        if not path.is_file():
            return False
        with Activations.open(path, partial=True) as file:
            return file.committed == self._table.rows


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


def _header(backbone: Backbone, tap: str, place: Place, dtype: torch.dtype) -> CaptureHeader:
    """The header of a file of one tap."""
    return CaptureHeader(
        backbone=backbone.name, family=backbone.family, backbone_sha256=backbone.weights_sha256,
        tokenizer_sha256=backbone.tokenizer_sha256, config_sha256=backbone.config_sha256,
        corpus="boundary", corpus_fingerprint="0" * 64, window=1 << 20, pool="none",
        dtype=STORED[dtype], taps=(tap,), widths=(_width(backbone),), made=dict(place.run),
    )  # fmt: skip


def _width(backbone: Backbone) -> int:
    """The width of the states between layers, which in OPT-350m is not that of the head."""
    return int(getattr(backbone.model.config.get_text_config(), "hidden_size", backbone.d_model))


def _bits_of(states: Tensor) -> np.ndarray:
    """States [rows, d_model] as a file holds them; bfloat16 as its bits."""
    if states.dtype == torch.bfloat16:
        return states.view(torch.int16).numpy().view(np.uint16)
    return states.numpy()
