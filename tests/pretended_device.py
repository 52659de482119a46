"""A pretended accelerator: a device `gpu:0` of torch whose numbers are computed by the processor.

A tensor that is left on the processor, or one that is read as if it lay there, is a fault that runs
on a processor alone never show, and tests run where there is no GPU. Here a tensor of `gpu:0` holds
one of the processor, which its operations compute with, so that each gives the same bits. Refused
is what a GPU refuses:

- an operation on tensors of both devices. A single number (a tensor without dimensions) of the
  processor may stand beside those of a GPU, but is not written by them; rows of a GPU may be chosen
  by indices of the processor, not the other way round; a copy goes wherever it is sent;
- `numpy()` of a tensor that lies there;
- numbers drawn there by a generator of the processor.

It does not tell whether a GPU has a kernel for an operation and a type (MPS has no float64), how
its kernels round, what autocast does, what streams have not done yet when it is read, how much
memory is taken, or how long anything takes.

Torch has one free place for such a device, and it is taken for the whole process. So this is for
processes of its own: `tests.warm_abi` makes one where the environment has `PRETENDED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.utils.backend_registration as registration
from torch.utils._python_dispatch import TorchDispatchMode

PRETENDED = "ABI_TESTS_PRETENDED_DEVICE"
"""The variable of the environment that asks for it."""
NAME = "gpu"
CPU = torch.device("cpu")
COPIES = {"aten::copy_", "aten::_to_copy"}
CHOICES = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
NUMBERS = {"aten::where", "aten::masked_fill", "aten::masked_fill_"}  # besides the pointwise


class Refused(RuntimeError):
    """Something that a GPU would not do."""


class _Module(registration._DummyBackendModule):
    """What torch asks of `torch.gpu`."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def get_rng_state(self, *_: Any) -> torch.Tensor:
        return torch.get_rng_state()  # its draws are those of the processor

    def set_rng_state(self, state: torch.Tensor, *_: Any) -> None:
        torch.set_rng_state(state)


class There(torch.Tensor):
    """A tensor of the pretended device, and the one of the processor that has its numbers."""

    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> There:
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return compute(func, args, kwargs or {})

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["inner"], None  # with this, `Module.to` leaves a parameter the object that it is

    @staticmethod
    def __tensor_unflatten__(inner: dict, _: None, size: Any, stride: Any) -> There:
        return There(inner["inner"])

    def __deepcopy__(self, memo: dict) -> There:
        if id(self) not in memo:
            made = self.detach().clone()
            if isinstance(self, torch.nn.Parameter):
                made = torch.nn.Parameter(made)
            memo[id(self)] = made.requires_grad_(self.requires_grad)
        return memo[id(self)]

    def __repr__(self) -> str:
        return f"There({self.inner!r})"

    def numpy(self, *, force: bool = False) -> Any:
        if force:
            return self.inner.numpy(force=True)
        raise TypeError("can't convert a tensor of gpu:0 to numpy: use Tensor.cpu() first")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        return self.inner.tolist()

    def data_ptr(self) -> int:
        return self.inner.data_ptr()  # so that what shares memory shows it

    def untyped_storage(self) -> Any:
        return self.inner.untyped_storage()

    def _set_data(self, value: torch.Tensor) -> None:
        if not isinstance(value, There):
            raise NotImplementedError("the data of a tensor of gpu:0 set to one of the processor")
        torch.Tensor.data.__set__(self, value)
        self.inner = value.inner

    data = property(torch.Tensor.detach, _set_data)


def compute(func: Any, args: tuple, kwargs: dict) -> Any:
    """What an operation gives: computed by the processor, on the device where a GPU has it.

    Raises:
        Refused: a GPU would not do it.
    """
    given = [*_leaves(args), *_leaves(kwargs)]
    there = [leaf for leaf in given if isinstance(leaf, There)]
    asked = [leaf for leaf in given if isinstance(leaf, torch.device)]
    to = asked[-1].type == NAME if asked else bool(there)
    if not (there or to):
        return func(*args, **kwargs)
    if there:
        check_devices(func, args, kwargs)
    if to and any(isinstance(leaf, torch.Generator) for leaf in given):
        raise Refused(f"{func}: a generator of the processor draws for gpu:0")
    known = {id(tensor.inner): tensor for tensor in there}

    def outer(made: Any) -> Any:
        if not isinstance(made, torch.Tensor):
            return made
        if (own := known.get(id(made))) is not None:  # written in place
            if own.shape != made.shape or own.stride() != made.stride():
                own.data = There(made)
            return own
        return There(made) if to else made

    return _mapped(outer, func(*_mapped(_inner, args), **_mapped(_inner, kwargs)))


def check_devices(func: Any, args: tuple, kwargs: dict) -> None:
    """Refuses tensors of two devices where a GPU does; one of `args` lies on it.

    Raises:
        Refused: naming the shapes of those of the processor.
    """
    name, tensors = func._schema.name, [*args, *kwargs.values()]
    if name in COPIES:
        return
    if name in CHOICES:
        if not isinstance(args[0], There):
            raise Refused(f"{func}: a tensor of the processor, indices or values of gpu:0")
        tensors = [*args[2:]]
    here = [
        leaf for leaf in _leaves(tensors)
        if isinstance(leaf, torch.Tensor) and not isinstance(leaf, There)
    ]  # fmt: skip
    if not here:
        return
    numbers = torch.Tag.pointwise in func.tags or name in NUMBERS | CHOICES
    if not (numbers and all(tensor.dim() == 0 for tensor in here)):
        raise Refused(f"{func}: two devices, {[tuple(x.shape) for x in here]} on the processor")
    for value, said in zip(args, func._schema.arguments, strict=False):
        written = said.alias_info is not None and said.alias_info.is_write
        if written and any(value is tensor for tensor in here):
            raise Refused(f"{func}: a number of the processor is written by one of gpu:0")


def _leaves(given: Any) -> Iterator[Any]:
    """What is in lists, tuples and dictionaries of arguments."""
    if isinstance(given, list | tuple | dict):
        for one in given.values() if isinstance(given, dict) else given:
            yield from _leaves(one)
    else:
        yield given


def _mapped(change: Callable[[Any], Any], given: Any) -> Any:
    """The same, each changed."""
    if isinstance(given, dict):
        return {name: _mapped(change, one) for name, one in given.items()}
    if isinstance(given, list | tuple):
        return type(given)(_mapped(change, one) for one in given)
    return change(given)


def _inner(leaf: Any) -> Any:
    if isinstance(leaf, torch.device) and leaf.type == NAME:
        return CPU
    return leaf.inner if isinstance(leaf, There) else leaf


class _Everywhere(TorchDispatchMode):
    """Sees the operations that make tensors, too, none of whose arguments lies on the device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if torch.is_inference_mode_enabled() and func._can_decompose():
            with self:  # what is made of others comes whole in this mode
                return func.decompose(*args, **(kwargs or {}))
        return compute(func, args, kwargs or {})


def pretend() -> None:
    """Gives this process the device `gpu` for good, and this thread what makes tensors on it."""
    registration._setup_privateuseone_for_python_backend(NAME, _Module())
    torch._C._set_only_lift_cpu_tensors(True)
    _Everywhere().__enter__()
