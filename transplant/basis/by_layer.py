"""A basis one decoder layer at a time: what one layer needs is in memory, boundaries on the disk.

Boundary activations are files of the capture format; the spectra of a layer are a file of their
own, so that a run goes on at the first layer that is not done.
"""

from __future__ import annotations

from collections.abc import Sequence

from transplant.backbones.view import Backbone
from transplant.basis.boundaries import Boundaries, Place
from transplant.basis.config import GRADIENTS, FitConfig
from transplant.basis.fisher import TOKENS
from transplant.basis.fit import Basis
from transplant.basis.layerwise import fit_upwards
from transplant.basis.layerwise_gradients import fit_downwards
from transplant.basis.maps import LinearMap
from transplant.basis.one_layer import OneByOne
from transplant.errors import InputError
from transplant.progress import Progress, unseen
from transplant.text.windows import Window

TOKENS_FORWARD = 4096  # of a batch that is not read backward
KEPT = "kept"  # folder of the boundaries of the text that is to be kept


def fit_by_layer(
    backbone: Backbone,
    maps: Sequence[LinearMap],
    windows: Sequence[Window],
    config: FitConfig,
    place: Place,
    progress: Progress = unseen,
    *,
    kept: Sequence[Window] = (),
) -> Basis:
    """The same basis as `fit_basis` or `fit_gradients`, with one layer in memory at a time.

    Its directions stay in the files of `place`, as long as these are there.

    Args:
        backbone: decoder-only; its layers may be on the disk.
        maps: of its linear maps, each inside a layer.
        windows: calibration text; of directions of gradients, the text of the domain.
        config: the recipe.
        place: where boundaries, gradients and finished layers are kept.
        progress: called after each batch of each layer, upwards and downwards.
        kept: of directions of gradients, the text that is to be kept.

    Raises:
        BackboneError: no layers to go through.
        InputError: the folder holds another run, or there is no text to keep for gradients.
        StorageError: its disk has no room for the boundaries; it says how much they need.
        NumericalError: states, gradients or inputs that are NaN or infinite.
    """
    layers = OneByOne(backbone, windows[0])
    if config.directions != GRADIENTS:
        between = Boundaries(backbone, windows, place, TOKENS_FORWARD)
        return fit_upwards(layers, maps, between, config, progress)
    if not kept:
        raise InputError("directions of gradients need a text that is to be kept", found="none")
    domain = Boundaries(backbone, windows, place, TOKENS)
    beside = Place(place.folder / KEPT, place.run)
    spared = Boundaries(backbone, kept, beside, TOKENS_FORWARD)
    return fit_downwards(layers, maps, domain, spared, config, progress)
