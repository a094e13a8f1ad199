"""When two trainings agree."""

import numpy as np
import torch

from bench.train.result import Result


def same(one: Result, two: Result) -> None:
    """Two Results agree in every number but the seconds."""
    np.testing.assert_array_equal(one.val_scores, two.val_scores)
    np.testing.assert_array_equal(one.test_scores, two.test_scores)
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r in (one, two)]
    assert rows[0] == rows[1]
    assert one.selected_epoch == two.selected_epoch
    assert one.state.keys() == two.state.keys()
    assert all(torch.equal(one.state[name], two.state[name]) for name in one.state)
