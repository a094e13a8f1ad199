"""Images: what a dataset of one's own gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Images:
    """Images with their labels; a generator of such chunks serves a set that does not fit in memory.

    Attributes:
        images: uint8 [N, H, W], [N, C, H, W] or [N, H, W, C], all of one size.
        labels: N class names, or N numbers from 0.
        classes: the names of the numbers; default: the labels themselves, sorted.
        split: N of "train", "val", "test" or "", where the publisher drew a line; default: none.
        columns: name -> N texts or numbers that say what belongs together (`{"patient": [...]}`): split.group=patient.
        layout: NCHW or NHWC, where either may be meant; default: by which of the two sides has 1 or 3.
    """

    images: NDArray[Any]
    labels: Sequence[Any] | NDArray[Any]
    classes: Sequence[str] = ()
    split: Sequence[str] | NDArray[Any] = ()
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    layout: Literal["", "NCHW", "NHWC"] = ""
