"""How much of an image each value inside a network can see: its receptive field, followed from function to function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

ALL = math.inf  # every pixel
POOLS = ("max_pool2d", "avg_pool2d", "lp_pool2d")
WHOLE = ("adaptive_avg_pool2d", "adaptive_max_pool2d", "mean", "sum", "amax", "max", "std", "var")
# Functions that make a value of the values at the same place (and, for norms, of the map's moments).
_SAME_PLACE = """
relu relu_ relu6 leaky_relu leaky_relu_ elu elu_ selu selu_ celu prelu rrelu gelu silu silu_ mish sigmoid sigmoid_ tanh
tanh_ softplus softsign hardswish hardswish_ hardsigmoid hardtanh hardtanh_ threshold logsigmoid clamp clamp_ clip add
add_ sub sub_ mul mul_ div div_ true_divide pow sqrt rsqrt exp log abs neg square maximum minimum where __add__ __radd__
__iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__ __pow__ __neg__ lerp addcmul
dropout dropout2d alpha_dropout feature_dropout batch_norm layer_norm group_norm instance_norm rms_norm cat concat
concatenate contiguous clone detach type to float double half bfloat16 type_as chunk split channel_shuffle pad linear
"""
SAME_PLACE = frozenset(_SAME_PLACE.split())


@dataclass(frozen=True)
class Field:
    """Of one tensor that is a map.

    Attributes:
        side: of the square of input pixels that one value can see.
        jump: input pixels between neighbours.
        axes: which of the tensor's axes are height and width.
        start: the middle of what the first value can see, in input pixels from the top and from the left.
    """

    side: float
    jump: float
    axes: tuple[int, int] = (2, 3)
    start: tuple[float, float] = (0.5, 0.5)

    def moved(self, down: float, right: float) -> Field:
        """The same, but that it begins so many of its own steps later."""
        top, left = self.start
        return replace(self, start=(top + down * self.jump, left + right * self.jump))


class Fields(TorchFunctionMode):
    """Follows an image [1, C, H, W] through a network: field + (kernel - 1) * jump for each convolution and pooling.

    As Araujo et al. 2019 (doi:10.23915/distill.00021); where branches meet the largest counts. What a norm or a gate
    (squeeze and excitation) takes from the whole map is not counted. Of functions that are not known here, such as
    attention and other orders of a map, nothing is said.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.known: dict[int, Field | None] = {id(image): Field(1.0, 1.0)}
        self.alive = [image]  # a freed tensor's number would be given to another

    def of(self, x: Tensor) -> Field | None:
        """Its field, with the side `ALL` for every pixel; None where that is not known."""
        return self.known.get(id(x))

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call it, and note the field of what it gives."""
        given = dict(kwargs or {})
        out = func(*args, **given)
        parts = [x for x in _tensors([*args, *given.values()]) if id(x) in self.known]
        if parts:
            name = str(getattr(func, "__name__", ""))
            for x in _tensors([out]):
                self.known[id(x)] = self._after(name, args, given, parts, x)
                self.alive.append(x)
        return out

    def _after(
        self, name: str, args: Sequence[Any], given: Mapping[str, Any], parts: list[Tensor], out: Tensor
    ) -> Field | None:
        first, field = parts[0], self.known[id(parts[0])]
        if out.ndim == 2:  # a vector an image
            return Field(ALL, 1.0)
        if field is None and name not in SAME_PLACE:
            return None
        if name == "conv2d":
            return _window(field, _pick(args, given, 1, "weight").shape[2:], args, given, first=3)
        if name in POOLS:
            return _window(field, _pair(_pick(args, given, 1, "kernel_size")), args, given, first=2)
        if name in WHOLE:
            assert field is not None
            kept = all(out.shape[a] == 1 for a in field.axes) if out.ndim == first.ndim else False
            return replace(field, side=ALL) if kept else None
        if name in ("permute", "transpose") and field is not None:
            return _reordered(field, name, args, given, first.ndim)
        if name in ("view", "reshape", "unflatten", "flatten", "unsqueeze", "squeeze"):
            return _viewed(field, first, out)
        if name == "__getitem__":
            return _sliced(field, args[1], first, out)
        if name == "pad" and field is not None:
            return _padded(field, _pick(args, given, 1, "pad"), first.ndim)
        return self._same_place(parts, out) if name in SAME_PLACE else None

    def _same_place(self, parts: Iterable[Tensor], out: Tensor) -> Field | None:
        """The largest field of the maps as large as the result; smaller ones are gates."""
        found: list[Field | None] = []
        for x in parts:
            field = self.known[id(x)]
            axes = field.axes if field else (out.ndim - 2, out.ndim - 1)
            if x.ndim == out.ndim and all(x.shape[a] == out.shape[a] for a in axes):
                found.append(field)
        sure = [f for f in found if f is not None]
        if not sure or len(sure) < len(found) or len({f.axes for f in sure}) > 1:
            return None
        return max(sure, key=lambda f: f.side)


def _window(
    field: Field | None,
    kernel: Sequence[int],
    args: Sequence[Any],
    given: Mapping[str, Any],
    first: int,
) -> Field | None:
    """After a window that moves over the map; stride, padding and dilation stand in the call from place `first` on."""
    if field is None or field.axes != (2, 3):
        return None
    steps = _pair(_pick(args, given, first, "stride") or (tuple(kernel) if first == 2 else 1))
    before = _pick(args, given, first + 1, "padding")
    # Average pooling has other settings at dilation's place.
    apart = _pick(args, given, first + 2, "dilation")
    apart = _pair(1 if apart is None or isinstance(apart, bool) else apart)
    wide = [(k - 1) * d for k, d in zip(kernel, apart, strict=True)]
    if isinstance(before, str):
        before = [w // 2 for w in wide] if before == "same" else 0
    down, right = (w / 2 - p for w, p in zip(wide, _pair(before or 0), strict=True))
    return replace(field.moved(down, right), side=field.side + max(wide) * field.jump, jump=field.jump * max(steps))


def _padded(field: Field, pad: Sequence[int], ndim: int) -> Field:
    """After rows and columns were put around it; `pad` has two numbers an axis, of the last one first."""
    down, right = (-pad[2 * (ndim - 1 - a)] if 2 * (ndim - 1 - a) < len(pad) else 0 for a in field.axes)
    return field.moved(down, right)


def _reordered(field: Field, name: str, args: Sequence[Any], given: Mapping[str, Any], ndim: int) -> Field | None:
    """After its axes have changed places."""
    if given:
        return None
    said = args[1] if len(args) == 2 else args[1:]
    order = list(range(ndim))
    if name == "transpose":
        a, b = said
        order[a], order[b] = order[b], order[a]
    else:
        order = [axis % ndim for axis in said]
    height, width = (order.index(axis) for axis in field.axes)
    return replace(field, axes=(height, width))


def _viewed(field: Field | None, x: Tensor, out: Tensor) -> Field | None:
    """After another arrangement of the other axes; nothing is known once height or width are split or merged."""
    if field is None or out.ndim < 3 or field.axes != (x.ndim - 2, x.ndim - 1) or out.shape[-2:] != x.shape[-2:]:
        return None
    return replace(field, axes=(out.ndim - 2, out.ndim - 1))


def _sliced(field: Field | None, index: Any, x: Tensor, out: Tensor) -> Field | None:
    """After slices, which may leave out rows and columns."""
    parts = index if isinstance(index, tuple) else (index,)
    if field is None or out.ndim != x.ndim or not all(isinstance(p, slice) for p in parts):
        return None
    steps = [parts[a].step or 1 for a in field.axes if a < len(parts)]
    begin = [(parts[a].start or 0) % x.shape[a] if a < len(parts) else 0 for a in field.axes]
    return replace(field.moved(*begin), jump=field.jump * max(steps, default=1))


def _pick(args: Sequence[Any], given: Mapping[str, Any], place: int, name: str) -> Any:
    return args[place] if len(args) > place else given.get(name)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[-1])) if isinstance(value, Sequence) else (int(value), int(value))


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Those among the values, and in lists and tuples of them."""
    out: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            out.append(value)
        elif isinstance(value, (list, tuple)):
            out += _tensors(value)
    return out
