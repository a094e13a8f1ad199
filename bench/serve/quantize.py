"""int8 by onnxruntime: weights and activations of convolutions and affine layers, calibrated on train images."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np

from bench.schema.errors import RequestError
from bench.serve.classifier import OfRun
from bench.serve.export import INPUT

CALIBRATION = 256  # train images
AT_ONCE = 16
# Activations belong to the layer before them, whose outputs would else have scales for what a clip cuts off: of a
# frozen efficientnet_lite0 on digits that left 53% of 92% right.
LAYERS = ["Conv", "MatMul", "Gemm", "Relu", "Clip"]
# Products of 8-bit weights are cut off in 16 bits by processors without VNNI: 65% instead of 85%.
WEIGHTS = {"reduce_range": True, "per_channel": True}
# The mean of the batches' ranges, which one image with an outlier does not decide.
OPTIONS = {"CalibMovingAverage": True}


def quantize(model: OfRun, source: Path) -> Path:
    """The int8 form of an exported ONNX model, beside it.

    Static quantization in QDQ format, weights per channel and in 7 bits (Jacob et al. 2018, arXiv:1712.05877): scales
    come from the ranges that activations have on train images, so val can tell what it costs.

    Raises:
        RequestError: for neighbours and means, which have no layers, and for a library that is missing.
    """
    if model.trained.nearest is not None:
        raise RequestError(f"{model.title} has no layers to quantize: it compares with stored rows.")
    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError:
        raise RequestError("int8 is made by onnxruntime: pip install 'imagebench[deploy]'.") from None
    data = model.trained.data
    rows = np.random.RandomState(0).permutation(data.train)[:CALIBRATION]

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = iter(range(0, len(rows), AT_ONCE))

        def get_next(self) -> dict[str, np.ndarray] | None:
            """The next batch, or None."""
            start = next(self.batches, None)
            if start is None:
                return None
            return {INPUT: np.asarray(data.images[np.sort(rows[start : start + AT_ONCE])])}

    target = source.with_suffix(".int8.onnx")
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_static(
                str(source), str(target), Reader(), QuantFormat.QDQ, op_types_to_quantize=LAYERS, **WEIGHTS,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, extra_options=OPTIONS,
            )  # fmt: skip
    finally:
        logging.disable(level)
    return target
