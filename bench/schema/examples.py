"""One working example of each kind of claim and of figure, as a sweep file has it; a test reads every one."""

from __future__ import annotations

CLAIMS = {
    "compare": """\
- says: Batch norm raises test accuracy at lr 0.1, by more than half a point
  compare: {norm_layer: batch}
  against: {norm_layer: none}
  at: {optim.lr: 0.1}
  by: 0.005
""",
    "trend": """\
- kind: trend
  says: Accuracy rises with every tenfold of the learning rate
  over: optim.lr
  at: {norm_layer: batch}
  spacing: log
""",
    "interaction": """\
- kind: interaction
  says: Batch norm helps more at the largest lr than at the smallest
  compare: {norm_layer: batch}
  against: {norm_layer: none}
  where: {optim.lr: 0.1}
  versus: {optim.lr: 0.001}
""",
    "equivalence": """\
- kind: equivalence
  says: At lr 0.01 batch norm changes accuracy by less than half a point
  compare: {norm_layer: batch}
  against: {norm_layer: none}
  margin: 0.005
  at: {optim.lr: 0.01}
""",
    "choice": """\
- kind: choice
  says: The val accuracy by which a learning rate was chosen overstates its test accuracy
  over: [optim.lr]
  compare: {by: val/accuracy, reads: val/accuracy}
  against: {by: val/accuracy}
  at: {norm_layer: batch}
""",
    "across": """\
- kind: across
  says: Batch norm helps at rates like these, one number a rate
  compare: {norm_layer: batch}
  against: {norm_layer: none}
  over: optim.lr
  test: t
""",
    "bound": """\
- kind: bound
  says: At most every tenth run without a norm fails at lr 0.1
  metric: run/failed
  at: {norm_layer: none, optim.lr: 0.1}
  bound: 0.1
""",
}

FIGURES = {
    "line": "{kind: line, x: optim.lr, lines: norm_layer, y: test/accuracy}",
    "bars": "{kind: bars, x: norm_layer, y: test/nll, at: {optim.lr: 0.01}}",
    "heat": "{kind: heat, x: optim.lr, lines: norm_layer, y: test/accuracy}",
    "pareto": "{kind: pareto, y: test/accuracy, cost: cost/fit_seconds, lines: norm_layer}",
    "curves": "{kind: curves, y: val_accuracy, lines: norm_layer, at: {optim.lr: 0.01}, seeds: lines}",
    "gradients": "{kind: gradients, lines: norm_layer, at: {optim.lr: 0.01}}",
    "confusion": "{kind: confusion, at: {norm_layer: batch, optim.lr: 0.01}}",
    "reliability": "{kind: reliability, lines: norm_layer, at: {optim.lr: 0.01}}",
    "corruption": "{kind: corruption, lines: norm_layer, at: {optim.lr: 0.01}}",
}

# What the examples are parts of.
AXES = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.01, 0.1]}
