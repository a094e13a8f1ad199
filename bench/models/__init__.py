"""Classifiers: from the settings of a model to its network, its parts and what it costs.

Own networks
    dense.py            linear and dnn
    cnn.py              the teaching network: convolutions, pooling, dense layers
    resnet.py           residual and plain networks for small images
    fractal.py          FractalNet
    layers.py           what they are made of, with one norm_layer and one activation throughout
    activation.py       activations by name, and the initialisation that suits each
    norm_layer.py       norms by name; batch norm synchronised between devices
Networks of timm and torchvision
    zoo.py              built by name and fitted to the images
    stem.py             model.stem=small
    norms.py            which norms a network has
    native.py           whether a norm that is asked for is the one that is there
    swap.py             other norms, activations and first convolutions
    own.py              networks of the user's own
    drops.py            what is left out at random in training
    bias.py             biases that a norm makes useless
All networks
    build.py            the network that an Experiment describes
    registry.py         the named models, their papers and published sizes
    heads.py            heads, the backbone before them, and heads on features
    stages.py           stages from input to head
    preprocess.py       from stored images to the network's input
    transfer.py         weights into the backbone, new heads, what is trained when
    weights.py          weights files read, verified and put into a network
    layouts.py          where in a checkpoint they are
    hashes.py           what a weights file is
    origin.py           what a weights file says of the images it was trained on
    blank.py            shapes from black images, and from networks without memory
    cost.py             parameters and floating point operations
    overview.py         what `bench models` counts
Without training
    knn.py              votes of the k nearest neighbours
    ncm.py              nearest class mean
    search.py           exact nearest neighbours
    neighbour_cache.py  a search shared by runs and processes
    folds.py            one search for all folds
"""

from bench.models.build import build
from bench.models.heads import Backbone, Readout, head_names, readout
from bench.models.stages import Stage, stages

__all__ = ["Backbone", "Readout", "Stage", "build", "head_names", "readout", "stages"]
