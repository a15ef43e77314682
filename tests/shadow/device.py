"""A shadow of a GPU: tensors that say "cuda:0", compute on the CPU, and refuse what CUDA refuses.

A `Shadow` holds a tensor of the CPU. Every operation on one arrives in `__torch_dispatch__`, below autograd, is checked against
the rules of CUDA, and is done on the tensors of the CPU. Arrays of Warp remember where their tensor was; a launch checks them.

`guard.load` must be called before this module is imported, and `install` after.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.overrides import handle_torch_function, has_torch_function
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_flatten, tree_unflatten

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")
HELPERS = str(Path(__file__).parents[2] / "helpers")
aten = torch.ops.aten

# What makes the host wait for the GPU: (why, file:line of helpers) → how often.
WAITS: Counter[tuple[str, str]] = Counter()
# What a GPU would be launched for: name of the operation or of the Warp kernel → how often.
LAUNCHES: Counter[str] = Counter()

# The size of the result depends on the numbers, or the host looks at them.
LOOK = {
    *("_local_scalar_dense", "nonzero", "masked_select", "_unique", "_unique2", "unique_dim"),
    *("unique_consecutive", "unique_dim_consecutive", "equal", "is_nonzero", "bincount"),
    "_linalg_check_errors",
}
MATRIX_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv", "dot", "addmv", "addbmm", "vdot"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put"}
# Not marked as pointwise, and yet a number on the CPU may be among the arguments.
TAKES_A_NUMBER = {"fill", "fill_", "masked_fill", "masked_fill_", "index_fill", "index_fill_", "where"}


class Refused(RuntimeError):
    """What CUDA would not do."""


class Shadow(torch.Tensor):
    """A tensor on "cuda:0", whose numbers are those of the tensor `inner` on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner):
        assert type(inner) is not Shadow and inner.device == CPU
        self = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=GPU,
        )
        self.inner = inner
        return self

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})

    def numpy(self, *_, **__):
        if has_torch_function((self,)):  # as torch's own asks the modes that are active
            return handle_torch_function(torch.Tensor.numpy, (self,), self)
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    __array__ = numpy

    def tolist(self):
        WAITS["tolist", _line_of_helpers()] += 1
        return self.detach().inner.tolist()

    def __format__(self, spec):
        return format(self.item() if self.dim() == 0 else repr(self), spec)

    def __repr__(self, *_, **__):
        return f"Shadow({self.inner!r})"

    def __deepcopy__(self, memo):
        copy = Shadow(self.detach().inner.clone()).requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copy._is_param = True
        return copy

    def __reduce_ex__(self, protocol):  # files are read with map_location="cpu"
        return self.detach().inner.__reduce_ex__(protocol)

    def data_ptr(self):
        raise RuntimeError("a shadow has no address")


def run(operation, args, kwargs):
    """Check an operation, and do it on the CPU."""
    if torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), "CompositeImplicitAutograd"):
        return operation.decompose(*args, **kwargs)  # in inference mode it comes whole
    name = operation._schema.name.split("::")[1]
    flat, form = tree_flatten((args, kwargs))
    tensors = [x for x in flat if isinstance(x, torch.Tensor)]
    _check_generator(name, kwargs, tensors)
    _count_waits(name, args, kwargs, tensors)
    LAUNCHES[name] += not _is_view(operation)
    if name == "_to_copy":
        target = torch.device(kwargs.get("device") or args[0].device)
        rest = {key: value for key, value in kwargs.items() if key not in ("device", "non_blocking")}
        source = _inner(args[0])
        made = operation(source, **rest)
        made = made.clone() if made is source else made
        return Shadow(made) if target.type == "cuda" else made
    if name == "copy_":
        _inner(args[0]).copy_(_inner(args[1]))
        return args[0]
    if "pin" in name:
        raise Refused(f"{name}: only tensors of the CPU can be pinned")
    _check_devices(operation, name, args, tensors)
    if name in MATRIX_PRODUCTS and not all(x.is_floating_point() or x.is_complex() for x in tensors):
        raise Refused(f"{name} is not implemented on CUDA for whole numbers")
    owners = {id(x.inner): x for x in tensors if isinstance(x, Shadow)}
    inner_args, inner_kwargs = tree_unflatten([_on_cpu(x) for x in flat], form)
    result = operation(*inner_args, **inner_kwargs)
    if torch.Tag.inplace_view in operation.tags:  # the shadow's own sizes must follow
        with no_dispatch():
            operation(*args, **kwargs)
    assert all(x.shape == x.inner.shape for x in owners.values()), f"{name} changed the size of its argument"
    # A view of an ordinary tensor is ordinary, also in inference mode.
    made_from = any(x.alias_info is not None for x in operation._schema.returns)
    ordinary = torch.is_inference_mode_enabled() and made_from and not args[0].is_inference()

    def cast_shadow(x):
        if not isinstance(x, torch.Tensor):
            return x
        with torch.inference_mode(torch.is_inference_mode_enabled() and not ordinary):
            return owners[id(x)] if id(x) in owners else Shadow(x)

    results, form = tree_flatten(result)
    return tree_unflatten([cast_shadow(x) for x in results], form)


def _is_view(operation) -> bool:
    """Whether an operation moves no numbers: a view, or memory that nothing is written to."""
    if any(word in operation._schema.name for word in ("view", "empty")):
        return True
    return any(x.alias_info is not None and not x.alias_info.is_write for x in operation._schema.returns)


def _inner(x):
    return x.inner if isinstance(x, Shadow) else x


def _on_cpu(x):
    """An argument as the operation on the CPU takes it."""
    if isinstance(x, torch.device):
        return CPU
    return _twin(x) if isinstance(x, torch.Generator) else _inner(x)


def _check_devices(operation, name, args, tensors) -> None:
    shadows = [x for x in tensors if isinstance(x, Shadow)]
    others = [x for x in tensors if not isinstance(x, Shadow)]
    if not shadows or not others:
        return
    if name in INDEXING and isinstance(args[0], Shadow):  # indices on the CPU are sent to the GPU
        others = [
            x for x in args[2:3] if isinstance(x, torch.Tensor) and not isinstance(x, Shadow) and x.dim()
        ]
        if not others:
            return
    pointwise = torch.Tag.pointwise in operation.tags or name in TAKES_A_NUMBER or name.startswith("_foreach")
    for x in others:
        if x.dim() or not pointwise:
            raise Refused(f"{name}: tensors on cuda:0 and on the CPU, where one has shape {tuple(x.shape)}")
    written = operation._schema.arguments[0].alias_info
    if args[0] is others[0] and written is not None and written.is_write:
        raise Refused(f"{name}: a tensor of the CPU cannot be written in place from cuda:0")


def _check_generator(name, kwargs, tensors) -> None:
    generator = kwargs.get("generator")
    if generator is None:
        return
    place = kwargs.get("device")
    on_gpu = any(isinstance(x, Shadow) for x in tensors) or (place and torch.device(place).type == "cuda")
    if bool(on_gpu) != (generator.device.type == "cuda"):
        raise Refused(f"{name}: expected a generator of another device than {generator.device}")


_twins: dict[tuple[int, int], torch.Generator] = {}


def _twin(generator: torch.Generator) -> torch.Generator:
    """A generator of the CPU; for one on "cuda" another that starts from its seed."""
    if generator.device == CPU:
        return generator
    key = generator._cdata, generator.initial_seed()
    return _twins.setdefault(key, torch.Generator().manual_seed(key[1]))


def _count_waits(name, args, kwargs, tensors) -> None:
    if not any(isinstance(x, Shadow) for x in tensors):
        return
    why = ""
    if name in LOOK or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        why = name
    elif name in INDEXING:
        indices = [x for x in args[1] if x is not None]
        if any(x.dtype in (torch.bool, torch.uint8) for x in indices):
            why = "a mask as index"
        elif any(not isinstance(x, Shadow) for x in indices):
            why = "an index from the CPU"
    elif name == "_to_copy" and kwargs.get("device") is not None:
        to_gpu, from_gpu = torch.device(kwargs["device"]).type == "cuda", isinstance(args[0], Shadow)
        why = "" if to_gpu == from_gpu else "to the GPU" if to_gpu else "from the GPU"
    elif name == "copy_" and isinstance(args[0], Shadow) != isinstance(args[1], Shadow):
        fetched = hasattr(args[1], "pinned") and (kwargs.get("non_blocking") or args[2:3] == (True,))
        why = "" if fetched else "to the GPU" if isinstance(args[0], Shadow) else "from the GPU"
    if why:
        WAITS[why, _line_of_helpers()] += 1


def _line_of_helpers() -> str:
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(HELPERS):
            return f"{file[len(HELPERS) + 1 :]}:{frame.f_lineno}"
        frame = frame.f_back
    return "?"


_factories = torch.library.Library("aten", "IMPL")
_everything = torch.library.Library("_", "IMPL")


def install() -> None:
    """Make torch and Warp believe in one GPU."""
    _register_factories()
    queue = SimpleNamespace(device=GPU, cuda_stream=0)
    answers = dict(
        is_available=True, device_count=1, current_device=0, is_initialized=True, get_device_name="Shadow"
    )
    answers |= dict(is_bf16_supported=True, get_device_capability=(9, 0), max_memory_allocated=0)
    answers |= dict(current_stream=queue, _lazy_init=None, set_device=None, synchronize=None)
    answers |= dict(empty_cache=None, manual_seed=None, manual_seed_all=None, reset_peak_memory_stats=None)
    for name, answer in answers.items():
        setattr(torch.cuda, name, lambda *_, _answer=answer, **__: _answer)
    torch.version.cuda = "0.0"
    # A Parameter that moves is replaced: its memory cannot become that of another device.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.Tensor.pin_memory = _pin_memory
    _install_warp()


_torchs_pin_memory = torch.Tensor.pin_memory


def _pin_memory(tensor):
    """Without CUDA nothing can be pinned: a copy says that it is."""
    if isinstance(tensor, Shadow):
        return _torchs_pin_memory(tensor)
    copy = tensor.clone()
    copy.pinned = True
    return copy


def _register_factories() -> None:
    """For every operation that makes a tensor on a device from nothing: on "cuda" it makes a Shadow."""
    for full in torch._C._dispatch_get_all_op_names():
        packet, _, overload = full.removeprefix("aten::").partition(".")
        operation = getattr(getattr(aten, packet, None), overload or "default", None)
        if not full.startswith("aten::") or operation is None:
            continue
        arguments = operation._schema.arguments
        from_nothing = not any("Tensor" in str(x.type) for x in arguments)
        composite = torch._C._dispatch_has_kernel_for_dispatch_key(full, "CompositeImplicitAutograd")
        if not any(x.name == "device" for x in arguments) or not from_nothing or composite:
            continue

        def make(*args, _operation=operation, _name=packet, **kwargs):
            _check_generator(_name, kwargs, [])
            if kwargs.pop("pin_memory", None):
                raise Refused(f"{_name}: only tensors of the CPU can be pinned")
            kwargs = {key: _on_cpu(value) for key, value in kwargs.items()}
            LAUNCHES[_name] += not _is_view(_operation)
            return Shadow(_operation(*args, **kwargs | {"device": CPU}))

        _factories.impl(full.removeprefix("aten::"), make, "CUDA")
    # `torch.tensor` goes past __torch_dispatch__: its operations arrive here.
    _factories.impl("copy_", lambda *args, **kwargs: run(aten.copy_.default, args, kwargs), "CUDA")
    _everything.fallback(lambda operation, *args, **kwargs: run(operation, args, kwargs), "CUDA")


def _install_warp() -> None:
    from helpers._warp import wp

    from_torch, launch, load_module = wp.from_torch, wp.launch, wp.load_module

    def shadow_from_torch(tensor, *args, **kwargs):
        array = from_torch(_inner(tensor.detach()), *args, **kwargs)
        array.shadow = tensor if isinstance(tensor, Shadow) else None  # keeps the tensor's memory, too
        return array

    def shadow_launch(kernel, dim, inputs=(), outputs=(), *, device=None, stream=None, **_):
        on_gpu = stream is not None or str(device).startswith("cuda")
        for argument, value in zip(kernel.adj.args, [*inputs, *outputs], strict=True):
            parts = getattr(value, "_cls", None)  # of a struct
            arrays = [getattr(value, name) for name in parts.vars] if parts is not None else [value]
            if any(isinstance(x, wp.array) and (x.shadow is not None) != on_gpu for x in arrays):
                raise Refused(f"{kernel.key} on {'cuda:0' if on_gpu else 'cpu'}: not so {argument.label}")
        LAUNCHES[kernel.key] += on_gpu
        launch(kernel, dim, inputs=[*inputs, *outputs], device="cpu")

    wp.from_torch, wp.launch = shadow_from_torch, shadow_launch
    wp.load_module = lambda module=None, device=None, **kwargs: load_module(module, device="cpu", **kwargs)
    wp.stream_from_torch = lambda stream=None: stream
    wp.get_cuda_device_count = lambda: 1
