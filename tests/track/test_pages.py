"""What MLflow's own pages are told of a sweep: data, source, columns, order; no lease that runs for ever."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.track.connection import LEASES
from bench.track.pages import VIEW
from bench.track.store import Store


@pytest.mark.slow
def test_the_pages_of_a_store_show_our_runs(folder: Path, bench_json: Any) -> None:
    words = ("--axes", "optim.lr=0.1,0.01", "--seeds", "1", "dataset=digits", "model=linear", "trainer.epochs=1")
    bench_json("sweep", *words, "hydra/launcher=basic")
    store = Store()
    run, _ = (r for r in store.rows("adhoc") if "run_key" in r.tags)
    known = store.client.get_run(run.run_id)
    (data,) = known.inputs.dataset_inputs
    assert (data.dataset.name, len(data.dataset.digest)) == ("digits", 36)
    assert known.data.tags["mlflow.source.name"] == "bench sweep adhoc"
    assert known.data.tags["mlflow.source.git.commit"] == run.tags["git_commit"]
    experiment = store.client.get_experiment_by_name(LEASES)
    assert {r.info.status for r in store.client.search_runs([experiment.experiment_id])} == {"FINISHED"}
    assert store.last_experiment() == "adhoc"
    shown = store.client.get_experiment(store.show_runs("adhoc"))
    assert shown.tags["mlflow.experimentKind"] == "custom_model_development"
    state = json.loads(shown.tags[VIEW])
    assert state["columnOrder"][-2:] == ["params.`optim.lr`", "params.`seed`"]  # no column of what is the same
    assert state["columnOrder"][2] == "metrics.`test/accuracy`"
    assert state["selectedColumns"][:2] == ["attributes.`Dataset`", "attributes.`Source`"]
    assert "metrics.`test/accuracy`" in state["selectedColumns"]
    assert state["orderByKey"] == "tags.`mlflow.note.content`"  # by date MLflow nests the runs, closed
