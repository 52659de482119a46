"""A basis one decoder layer at a time: what one layer needs is in memory, boundaries on the disk.

The backbone's own code makes masks and positions: it runs with every layer but one passed over, and
that one reads what the layer below it has left. Boundary activations are files of the capture
format, two at a time; the spectra of a layer are a file of their own, so that a run goes on at the
first layer that is not done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from transplant.activations.reader import Activations
from transplant.activations.writer import ActivationWriter
from transplant.backbones.causal import CausalBackbone
from transplant.backbones.view import Backbone
from transplant.basis.boundaries import Place, bits_of, header_of, padded, row_table
from transplant.basis.config import FitConfig
from transplant.basis.fit import Basis, add_rows, basis_from_tensors, solve
from transplant.basis.maps import LinearMap
from transplant.basis.moment import SecondMoment
from transplant.basis.one_layer import feeding, only
from transplant.basis.watch import watching
from transplant.errors import BackboneError
from transplant.files.whole_file import whole_file
from transplant.progress import Progress, unseen
from transplant.text.windows import Window, batches


def layers_of(backbone: Backbone) -> nn.ModuleList:
    """The decoder layers, in order.

    Raises:
        BackboneError: an encoder-decoder, whose layers hand more than hidden states on, or a
            decoder that keeps its layers in no list.
    """
    lists = [
        module for module in backbone.reader().modules()
        if isinstance(module, nn.ModuleList) and len(module) == backbone.n_layers
    ]  # fmt: skip
    if not isinstance(backbone, CausalBackbone) or not lists:
        raise BackboneError(
            f"{backbone.name} cannot be read layer by layer", expected="a decoder-only model",
            found=backbone.family, hint="`basis_fit()` without `layer_at_a_time`",
        )  # fmt: skip
    return lists[0]


@torch.no_grad()
def fit_by_layer(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    config: FitConfig,
    place: Place,
    progress: Progress = unseen,
) -> Basis:
    """The same basis as `fit_basis`, with the moments of one layer in memory at a time.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        maps: of its linear maps, each inside a layer.
        windows: calibration text.
        config: the recipe.
        place: where boundaries and finished layers are kept.
        progress: called after each batch of each layer.

    Raises:
        BackboneError: no layers to go through.
        InputError: the folder holds another run.
        NumericalError: states that are NaN or infinite.
    """
    layers = layers_of(backbone)
    place.open()
    rows, tensors = {}, {}
    last = max(number for number in (m.layer for m in maps) if number is not None)
    for number in range(last + 1):
        ours = [m for m in maps if m.layer == number]
        if not place.spectra(number).is_file():
            found = _fit_layer(backbone, layers, number, ours, windows, config, place, progress)
            count = {f"{n}.rows": torch.tensor(c) for n, c in found.rows.items()}
            with whole_file(place.spectra(number)) as partial:
                save_file({**found.stored(), **count, "done": torch.ones(1)}, partial)
            place.boundary(number).unlink(missing_ok=True)
        stored = load_file(place.spectra(number))
        tensors |= stored
        rows |= {m.name: int(stored[f"{m.name}.rows"]) for m in ours}
    place.boundary(last + 1).unlink(missing_ok=True)
    return basis_from_tensors(tensors, rows)


def _fit_layer(
    backbone: Backbone, layers: nn.ModuleList, number: int, maps: Sequence[LinearMap],
    windows: Sequence[Window], config: FitConfig, place: Place, progress: Progress,
) -> Basis:  # fmt: skip
    """Reads one boundary through a layer, writes the next, and solves the layer's moments."""
    moments = {m.name: SecondMoment(m.out, backbone.device) for m in maps}

    def see(of: LinearMap, output: Tensor, mask: Tensor) -> None:
        add_rows(moments[of.name], of, output.reshape(*mask.shape, -1)[mask])

    table = row_table(backbone, windows)
    done = 0
    place.boundary(number + 1).unlink(missing_ok=True)  # of a run that was killed
    with ExitStack() as stack:
        below = None
        if number:
            below = stack.enter_context(Activations.open(place.boundary(number)))
        writer = ActivationWriter.create(
            place.boundary(number + 1), header_of(backbone, number + 1, place), table
        )
        stack.callback(writer.close)
        stack.enter_context(only(layers, number))
        feed = stack.enter_context(feeding(layers, number))
        stack.enter_context(watching(backbone, maps, see))
        for batch in sorted(batches(windows), key=min):
            hidden = None if below is None else padded(backbone, below, number, batch)
            left = feed(backbone, [windows[index] for index in batch], hidden)
            for states, index in zip(left, batch, strict=True):
                first, after = table.first_row[index : index + 2]
                own = states[: after - first].to(backbone.dtype).contiguous().cpu()
                writer.write(str(number + 1), int(first), bits_of(own))
            done += len(batch)
            progress(number * len(windows) + done, len(layers) * len(windows), f"layer {number}")
        writer.commit(table.rows)
    return solve(moments, config)
