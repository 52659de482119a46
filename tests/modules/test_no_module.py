"""No module: the interface by itself."""

from __future__ import annotations

import torch

from transplant.modules.correction import Correction
from transplant.modules.forms import MlpModule
from transplant.modules.interface import Interface
from transplant.modules.no_module import NoModule


def test_without_a_module_the_correction_is_the_interfaces_own():
    generator = torch.Generator().manual_seed(0)
    interface = Interface(6, 4, (1,), generator=generator)
    torch.nn.init.normal_(interface.proj_out.weight, generator=generator)
    taps = {1: torch.randn(5, 6, generator=generator)}
    alone = Correction(interface, NoModule(4))
    assert torch.equal(alone(taps), interface.write_out(interface.read_in(taps)))
    assert not torch.allclose(Correction(interface, MlpModule(4))(taps), alone(taps))
    assert not list(alone.module.parameters())
    assert isinstance(alone.module.untrained(generator), NoModule)
