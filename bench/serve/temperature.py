"""Temperature scaling (Guo et al. 2017, arXiv:1706.04599): one number that makes confidences honest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LEAST, MOST = 0.02, 50.0  # a temperature at an end means that val has nothing to fit: all right, or all wrong


def fit_temperature(scores: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature T that makes softmax(scores / T) least surprised by val: smallest mean negative log-likelihood.

    Args:
        scores: [N, K], logits or log-probabilities.
        labels: int64 [N].
    """
    rows = np.arange(len(labels))

    def surprise(log_t: float) -> float:
        return float(-scale_scores(scores, float(np.exp(log_t)))[rows, labels].mean())

    found = minimize_scalar(surprise, bounds=(np.log(LEAST), np.log(MOST)), method="bounded")
    return float(np.exp(found.x))


def scale_scores(scores: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """Log-probabilities [N, K] at a temperature; the order of the classes stays."""
    return log_softmax(scores.astype(np.float64) / temperature, axis=1)
