"""Fisher scores one decoder layer at a time, on the way down of its gradients; see `descent`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from safetensors.torch import load_file
from torch import Tensor

from transplant.backbones.view import Backbone
from transplant.basis.boundaries import Boundaries, Place
from transplant.basis.descent import STORED as GRADIENT_TYPE
from transplant.basis.descent import Pass, descend
from transplant.basis.disk_needs import HEADER, Sizes, results_by_layer, still_needed
from transplant.basis.fisher import TOKENS, DirectionSums
from transplant.basis.layerwise import first_layer
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.basis.spectrum import Spectrum
from transplant.progress import Progress, unseen
from transplant.text.windows import Window


def fisher_by_layer(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    spectra: Mapping[str, Spectrum],
    windows: Sequence[Window],
    place: Place,
    progress: Progress = unseen,
) -> dict[str, Tensor]:
    """The same scores as `fisher_scores` [k] each, with one layer in memory at a time.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        maps: of its linear maps, each inside a layer.
        spectra: by the name of the map.
        windows: calibration text, a sequence each.
        place: where boundaries, gradients and finished layers are kept.
        progress: called after each batch of each layer, upwards and downwards.

    Raises:
        BackboneError: no layers to go through.
        InputError: the folder holds another run.
        StorageError: its disk has no room for the boundaries; it says how much they need.
        NumericalError: states or gradients that are NaN or infinite.
    """
    layers = OneByOne(backbone, windows[0])
    between = Boundaries(backbone, windows, place, TOKENS)
    place.open(_needed(maps, spectra, len(layers), between))

    def scored(
        _number: int, maps: Sequence[LinearMap], run: Pass, progress: Progress
    ) -> dict[str, Tensor]:
        """The scores of one layer; its directions are in memory no longer than that."""
        sums = DirectionSums(maps, spectra, backbone.device)
        run(sums, progress)
        return sums.scores(len(windows))

    found: dict[str, Tensor] = {}
    for _, file in descend(layers, maps, between, place.scores, scored, progress):
        found |= load_file(file)
    return {m.name: found[m.name] for m in maps}


def _needed(
    maps: Sequence[LinearMap], spectra: Mapping[str, Spectrum], layers: int, between: Boundaries
) -> int:
    """The bytes on the disk when it is fullest."""
    kept = {m.name: spectra[m.name].kept for m in maps}
    sizes = Sizes(
        boundary=between.file_bytes(between.backbone.dtype),
        gradient=between.file_bytes(GRADIENT_TYPE),
        results=results_by_layer(
            maps, layers, lambda ours: sum(8 * kept[m.name] + HEADER for m in ours)
        ),
    )
    return still_needed(sizes.downwards(first_layer(maps), 0), between.place.scores)
