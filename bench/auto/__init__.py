"""The best classifier for a folder of images, without a choice to make.

- folder: the images, what is to be said of them, and whether they can be learned from.
- candidates: what is tried, family by family, from cheap to dear.
- cached: candidates on other backbones whose weights are at hand.
- search: trying them on val within a time, by successive halving.
- finish: the best one on test, once; recorded as a run, reported and exported.
"""
