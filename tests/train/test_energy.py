"""Energy by the kernel's counters, in files as the kernel shows them; nothing where there are none."""

import pytest

from bench.train import energy
from bench.train.energy import Meter


def zone(root, name, kind, value, whole=1_000_000_000):
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", kind), ("energy_uj", value), ("max_energy_range_uj", whole)):
        (folder / file).write_text(f"{text}\n")


def test_packages_are_summed_parts_of_them_are_not(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 999_000_000)
    zone(tmp_path, "intel-rapl:0:0", "core", 1)
    zone(tmp_path, "intel-rapl:2", "psys", 1)
    meter = Meter(tmp_path)
    assert meter.read() == 0
    zone(tmp_path, "intel-rapl:0", "package-0", 7_500_000)
    zone(tmp_path, "intel-rapl:1", "package-1", 499_999)  # began anew: 1 J to the end, the end itself, half a joule
    zone(tmp_path, "intel-rapl:0:0", "core", 900_000_000)
    zone(tmp_path, "intel-rapl:2", "psys", 900_000_000)
    assert meter.read() == pytest.approx(2.5 + 1.5)
    zone(tmp_path, "intel-rapl:0", "package-0", 8_500_000)
    assert meter.read() == pytest.approx(5.0)


def test_what_may_have_begun_anew_twice_is_not_said(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 5, whole=100)
    meter = Meter(tmp_path)
    meter.at -= 1
    assert meter.read() is None
    assert meter.read() is None


def test_no_counter_no_number(tmp_path):
    assert Meter(tmp_path / "nothing").read() is None
    zone(tmp_path, "intel-rapl:0", "package-0", "")
    assert Meter(tmp_path).read() is None


def test_a_run_has_it_as_a_cost_where_there_is_one(exp, trained, tmp_path, monkeypatch):
    monkeypatch.setattr(energy.Meter.__init__, "__defaults__", (tmp_path,))
    made = exp("model=linear", "trainer.epochs=1")
    assert "cost/cpu_joules" not in trained(made).costs
    zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000, whole=10**12)
    told = trained(made, on_epoch=lambda row: zone(tmp_path, "intel-rapl:0", "package-0", 8_000_000, whole=10**12))
    assert told.costs["cost/cpu_joules"] == pytest.approx(3.0)
