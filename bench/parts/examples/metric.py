"""A metric of one's own: a sweep that shows test/NAME measures it; bench run metrics.names=[NAME]."""

from bench.parts import metric


@metric(higher_is_better=True, range=(0, 1), words="accuracy of the worst class")
def NAME(scores, labels, classes) -> float:
    """The accuracy of the class that comes out worst.

    scores are log-probabilities [N, K], labels int64 [N], both numpy; classes are the K names.
    """
    right = scores.argmax(axis=1) == labels
    return min(float(right[labels == k].mean()) for k in range(len(classes)) if (labels == k).any())
