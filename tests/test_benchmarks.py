"""The GPU's benchmark goes through on a CPU, so that one call on a GPU measures it all."""

import pytest

from tests.benchmarks import gpu


@pytest.mark.slow
def test_every_row_of_the_gpu_is_measured_by_code_that_runs(monkeypatch):
    monkeypatch.setattr(gpu, "RESNET", (*gpu.RESNET, "trainer.batch_size=50", "model=resnet20", "model.depth=8"))
    # Compiling takes a minute on a CPU and is torch's own.
    monkeypatch.setattr("torch.nn.Module.compile", lambda self: None)
    found = gpu.rows(device="cpu", small=True)
    assert len(found) == 5
    assert all(row.ours > 0 and row.theirs > 0 for row in found)
