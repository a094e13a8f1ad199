"""A real headless Chromium. Without one the tests are skipped and say so; with CI set they fail."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench.cli.reference import sections
from bench.report import write
from bench.report.pages import site
from bench.schema.sweep_file import sweep
from bench.track.record import Record
from tests.services.figures import undrawn

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars"),
]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        message = "No Chromium with chromedriver here; on Debian: apt-get install chromium chromium-driver."
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(driver))
    opened.set_script_timeout(30)
    yield opened
    opened.quit()


class Page:
    """One page in the browser, with what the tests ask of it."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        self.driver.get_log("browser")  # forget what earlier pages said
        scheme = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},  # a page that still scrolls cannot be clicked
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(path.as_uri())
        return self

    def complaints(self) -> list[str]:
        """Console messages that are warnings or errors, policy violations included."""
        return [e["message"] for e in self.driver.get_log("browser") if e["level"] in ("SEVERE", "WARNING")]

    def js(self, script: str, *given: object) -> object:
        return self.driver.execute_script(script, *given)

    def texts(self, css: str) -> list[str]:
        return [
            str(t)
            for t in self.js("return [...document.querySelectorAll(arguments[0])].map(n => n.textContent.trim())", css)
        ]  # type: ignore[union-attr]


@pytest.fixture
def page(chromium: webdriver.Chrome) -> Page:
    return Page(chromium)


NASTY = '<img src=x onerror="window.broken=1">'
CLOSING = "</script><script>window.broken=2</script>"
LABEL = "<b>5'\"&amp;--></svg>"


def records(axes: dict[str, list[Any]], seeds: int, name: str, reason: str = "", extra: str = "plain") -> list[Record]:
    """One finished record a point and seed; the first one failed for `reason` where there is one."""
    noise = np.random.default_rng(0)
    out = []
    for i, values in enumerate(itertools.product(*axes.values())):
        at = dict(zip(axes, values, strict=True))
        for seed in range(seeds):
            accuracy = float(np.clip(0.7 + 0.2 * noise.random() + 0.01 * noise.normal(), 0, 1))
            number = i * seeds + seed
            failed = bool(reason) and number == 0
            out.append(
                Record(
                    key=f"{number:064x}",
                    sweep=name,
                    axes=at,
                    seed=seed,
                    status="failed" if failed else "finished",
                    reason=reason if failed else "",
                    run_id=f"{number:032x}",
                    metrics={} if failed else {"test/accuracy": accuracy, "val/accuracy": accuracy},
                    costs={} if failed else {"cost/params": 7850.0 * (i + 1), "cost/fit_seconds": 1.5 + noise.random()},
                    config={
                        "dataset.name": extra,
                        "trainer.epochs": 3,
                        "optim.lr": at.get("optim.lr", 0.1),
                        "seed": seed,
                    },
                    provenance={
                        "git_commit": "c0ffee",
                        "hardware": extra,
                        "data_fingerprint": "f00d",
                        "packages": "{}",
                    },
                )
            )
    return out


def curves(record: Record, name: str) -> str | None:
    """The learning curve of a run, as its training would have left it."""
    rows = [f"{epoch},{0.8 - 0.5 / epoch + 0.01 * record.seed},{epoch}" for epoch in range(1, 6)]
    bins = {"edges": [0, 0.5, 1], "count": [2, 18], "confidence": [0.4, 0.9], "accuracy": [0.5, 0.8]}
    return {
        "curves.csv": "\n".join(["epoch,val_accuracy,piece_count", *rows]),
        "confusion.json": json.dumps({"classes": ["cat", "dog"], "counts": [[9, 1], [3, 7]]}),
        "reliability.json": json.dumps(bins),
    }.get(name)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """See `_results`; figures for papers are not what a page shows."""
    with pytest.MonkeyPatch.context() as patch:
        undrawn(patch)
        return _results(tmp_path_factory)


def _results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a plain sweep, one of two metrics, one whose every text tries to inject, one of ten thousand runs."""
    folder = tmp_path_factory.mktemp("site") / "results"
    axes = {"norm_layer": ["none", "batch"], "optim.lr": [0.001, 0.003, 0.01, 0.03, 0.1, 0.3]}
    claim = {"says": "Batch norm helps", "compare": {"norm_layer": "batch"}, "against": {"norm_layer": "none"}}
    plain = sweep(
        {
            "name": "plain",
            "theme": "Normalisation",
            "question": "Does it help?",
            "axes": axes,
            "table": {"rows": "optim.lr", "columns": "norm_layer"},
            "figure": {"kind": "line", "x": "optim.lr", "lines": "norm_layer"},
            "figures": [
                {"kind": "bars", "x": "norm_layer", "lines": "optim.lr"},
                {"kind": "heat", "x": "optim.lr", "lines": "norm_layer"},
                {"kind": "pareto", "lines": "norm_layer"},
                {"kind": "curves", "lines": "norm_layer", "at": {"optim.lr": 0.1}},
            ],
            "claims": [claim],
        },
        "plain.yaml",
    )
    write(
        plain, records(axes, 3, "plain"), folder / "plain", {"scale": "small", "command": "bench sweep plain"}, curves
    )

    wide = {"norm_layer": ["none", "batch"], "model.width": [16, 64, 256, 1024, 4096, 16384]}
    table = {"rows": "model.width", "columns": "norm_layer", "metric": ["test/accuracy", "cost/fit_seconds"]}
    drawn = {"kind": "line", "x": "model.width", "lines": "norm_layer"}
    given = {"name": "levels", "question": "Is it dear?", "axes": wide, "table": table, "figure": drawn}
    write(sweep(given, "levels.yaml"), records(wide, 3, "levels"), folder / "levels")

    bad = {"augment": [NASTY, CLOSING], LABEL: [1, 2]}
    nasty = sweep(
        {
            "name": "nasty",
            "question": f"Is {NASTY} safe? {CLOSING}",
            "source": NASTY,
            "axes": bad,
            "table": {"rows": "augment", "columns": LABEL},
            "figure": {"kind": "bars", "x": "augment", "lines": LABEL, "title": CLOSING},
            "claims": [{"says": CLOSING, "compare": {"augment": NASTY}, "against": {"augment": CLOSING}}],
            "published": [
                {"value": 0.9, "source": NASTY, "at": {"augment": NASTY, LABEL: 1}, "setting": {NASTY: CLOSING}}
            ],
            "allow": {"nothing": f"because of {NASTY}"},
        },
        "nasty.yaml",
    )
    given = {"command": CLOSING, "findings": [{"name": NASTY, "level": "warning", "message": CLOSING}]}
    write(nasty, records(bad, 3, "nasty", NASTY + CLOSING, NASTY), folder / "nasty", given)

    many = {"model.width": list(range(1, 26)), "optim.lr": [0.07, 0.1]}
    large = sweep({"name": "large", "question": "Do ten thousand runs fit?", "axes": many, "seeds": 200}, "large.yaml")
    write(large, records(many, 200, "large"), folder / "large")
    site.build(folder, reference=sections(own=False))
    return folder
