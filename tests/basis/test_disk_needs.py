"""Room on the disk for what passes between layers: asked for before the work, by what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from transplant.basis import boundaries, layerwise, layerwise_gradients
from transplant.basis.boundaries import Place
from transplant.basis.by_layer import fit_by_layer
from transplant.basis.config import GRADIENTS, OUTPUTS, FitConfig
from transplant.basis.fit import fit_basis
from transplant.basis.layerwise_fisher import fisher_by_layer
from transplant.basis.maps import select_maps
from transplant.errors import StorageError
from transplant.files import room

FISHER = "fisher"
RUNS = (OUTPUTS, GRADIENTS, FISHER)


@pytest.fixture
def runs(backbones, windows):
    """A call that does one of the runs in a place."""
    backbone = backbones("llama")
    maps = select_maps(backbone)

    def run(kind: str, place: Place, texts=windows):
        if kind == FISHER:
            spectra = fit_basis(backbone, maps, windows, FitConfig(max_rank=6)).spectra
            return fisher_by_layer(backbone, maps, spectra, texts, place)
        config = FitConfig(max_rank=6, directions=kind)
        return fit_by_layer(backbone, maps, texts, config, place, kept=windows[:6])

    return run


@pytest.fixture
def asked(monkeypatch):
    """What a check of free space was asked for, in bytes."""
    found: list[int] = []
    check = boundaries.check_room

    def told(folder, needed, hint, **more):
        found.append(needed)
        check(folder, needed, hint, **more)

    monkeypatch.setattr(boundaries, "check_room", told)
    return found


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("kind", RUNS)
def test_what_is_asked_for_is_what_the_files_take_when_they_take_most(
    runs, asked, tmp_path, monkeypatch, kind
):
    place, taken, unlink = Place(tmp_path / "run", {}), [0], Path.unlink

    def measured(path, **options):  # nothing is there longer than until a file goes
        if place.folder in path.parents:
            taken.append(bytes_in(place.folder))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", measured)
    runs(kind, place)
    assert 0.9 * asked[0] < max(taken) <= asked[0]


@pytest.mark.parametrize("kind", RUNS)
def test_a_disk_that_is_too_full_is_refused_before_the_work(
    runs, asked, tmp_path, monkeypatch, kind
):
    runs(kind, Place(tmp_path / "known", {}))
    needed, place = asked[0], Place(tmp_path / "run", {})
    monkeypatch.setattr(room, "free_bytes", lambda _: needed - 1)
    with monkeypatch.context() as patch:
        for module, name in ((layerwise, "carry_up"), (layerwise_gradients, "carry_up")):
            patch.setattr(module, name, lambda *_args, **_options: pytest.fail("work"))
        with pytest.raises(StorageError) as refused:
            runs(kind, place)
    told = str(refused.value)
    assert f"{needed:,} bytes free" in told
    assert f"{needed - 1:,} bytes" in told
    assert "fewer `tokens`, or a `registry` on another disk" in str(refused.value.hint)
    assert not place.folder.exists()
    monkeypatch.setattr(room, "free_bytes", lambda _: needed)
    runs(kind, place)  # the control


@pytest.mark.parametrize("kind", [OUTPUTS, GRADIENTS])
def test_a_run_that_goes_on_asks_for_what_it_lacks_alone(runs, asked, tmp_path, monkeypatch, kind):
    place, module = Place(tmp_path / "run", {}), layerwise
    if kind == GRADIENTS:
        module = layerwise_gradients
    fit, calls = module._fit_layer, []

    def failing(*args):
        calls.append(None)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_fit_layer", failing)
        with pytest.raises(KeyboardInterrupt):
            runs(kind, place)
    first = asked[0]
    there = bytes_in(place.folder)
    runs(kind, place)
    assert asked[-1] < first - there * 0.9
