"""Trying candidates on val within a time: successive halving in each family (Jamieson & Talwalkar 2016, by optuna).

In a family candidates run one after the other; one that is behind the others after 1, 3, 9, ... epochs is given up. A
family that would not come to an end in the time that is left runs fewer epochs, or is left out, and both are said.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.auto.candidates import Candidate, Family
from bench.auto.folder import to_experiment, without_test
from bench.data.imagedata import ImageData
from bench.run import train
from bench.schema.errors import RequestError, RunFailed
from bench.schema.experiment import Experiment
from bench.train.metrics import metrics
from bench.train.result import Result

FEWEST = 2  # epochs worth running
TUNED_LEAST = 4  # of a backbone that is fine-tuned
PROBE = 8  # images by which the backbone is timed, twice: the first time warms up
SPARE = 1.25  # how much longer than estimated things may take


@dataclass
class Tried:
    """What became of a candidate.

    Attributes:
        accuracy, nll: on val, at the best epoch.
        note: given up, failed, left out: why; "" where it came to its end.
    """

    family: str
    name: str
    epochs: int = 0
    accuracy: float | None = None
    nll: float | None = None
    seconds: float = 0.0
    note: str = ""
    exp: Experiment | None = field(default=None, repr=False)
    result: Result | None = field(default=None, repr=False)

    @property
    def rank(self) -> tuple[float, float]:
        """Better is larger: accuracy, then the smaller surprise."""
        assert self.accuracy is not None
        assert self.nll is not None
        return self.accuracy, -self.nll


class GivenUp(Exception):
    """A candidate that is behind, or too slow; `epochs` that would fit, where fewer would."""

    def __init__(self, why: str, epochs: int = 0) -> None:
        super().__init__(why)
        self.epochs = epochs


class Search:
    """The state of a search; `best` holds at any time what would be kept.

    Args:
        deadline: `time.monotonic()` at which nothing new is begun.
        tell: called with what goes on, and after each candidate.
    """

    def __init__(
        self, data: ImageData, base: list[str], deadline: float, tell: Callable[[str, Tried | None], None]
    ) -> None:
        self.data, self.base, self.deadline, self.tell = without_test(data), base, deadline, tell
        self.tried: list[Tried] = []
        self.pass_seconds: dict[tuple[str, ...], float] = {}  # of a backbone, an image at its published size
        self.features_kept: set[tuple[str, ...]] = set()  # of which backbones

    @property
    def best(self) -> Tried | None:
        """The best on val; of equals the first, which is the cheaper one."""
        done = [t for t in self.tried if t.result is not None]
        return max(done, key=lambda t: t.rank) if done else None

    @property
    def left(self) -> float:
        """Seconds."""
        return self.deadline - time.monotonic()

    def run(self, families: list[Family]) -> None:
        """Try everything that fits. KeyboardInterrupt goes through; what was done by then stays."""
        study_of = sampler()
        for family in families:
            self._family(family, study_of)

    def _family(self, family: Family, study_of: Callable[[int], Any]) -> None:
        longest = max((c.epochs for c in family.candidates), default=0)
        try:
            epochs, why = self._fitting(family, longest)
        except (RunFailed, RequestError) as error:  # a backbone's files may be damaged, or of another version
            epochs, why = 0, _failed(error)
        if why:
            self._note(Tried(family.name, family.name, note=why))
            return
        study = study_of(max(1, epochs // 9))
        for candidate in family.candidates:
            if self.best is not None and self.left < 1:
                self._note(Tried(family.name, candidate.name, note="no time was left"))
                continue
            self.tell(f"{candidate.name} ...", None)
            outcome = self._try(family, candidate, min(epochs, candidate.epochs) if epochs else 0, study)
            self._note(outcome)
            if outcome.result is not None and family.features:
                self.features_kept.add(family.of)

    def _fitting(self, family: Family, epochs: int) -> tuple[int, str]:
        """(epochs that fit, "") or (0, why the family is left out)."""
        if family.features and family.of not in self.features_kept:
            images = len(self.data.train) + len(self.data.val)
            needed = SPARE * images * self._pass(family.of)
            if needed > self.left:
                return 0, f"features of {images:,} images would take {needed:.0f} s, {max(0, self.left):.0f} s are left"
        if family.backbone:
            each = SPARE * len(self.data.train) * family.backbone * self._pass(family.of)
            fitting = min(epochs, int(self.left / each))
            if fitting < TUNED_LEAST:
                return 0, f"an epoch would take {each:.0f} s, {max(0, self.left):.0f} s are left"
            return fitting, ""
        return epochs, ""

    def _pass(self, of: tuple[str, ...]) -> float:
        """Seconds that a backbone takes for one image; where timing it well would take too long, by a single one."""
        if of not in self.pass_seconds:
            import torch

            from bench import models
            from bench.models import preprocess

            exp = to_experiment([*self.base, *of, "transfer=frozen"])
            net = models.build(exp, self.data.shape, len(self.data.classes)).eval()
            prepare = preprocess.make(exp, self.data)
            chosen = torch.from_numpy(np.asarray(self.data.images[self.data.train[:PROBE]]))

            def timed(images: torch.Tensor) -> float:
                started = time.perf_counter()
                with torch.inference_mode():
                    net(prepare(images))
                return (time.perf_counter() - started) / len(images)

            self.pass_seconds[of] = timed(chosen[:1])
            if 2 * PROBE * self.pass_seconds[of] <= self.left:
                timed(chosen)
                self.pass_seconds[of] = timed(chosen)
        return self.pass_seconds[of]

    def _try(self, family: Family, candidate: Candidate, epochs: int, study: Any) -> Tried:
        """Train one candidate; again with fewer epochs where its first one shows that all would take too long."""
        more = (f"trainer.epochs={epochs}",) if epochs else ()
        exp = to_experiment([*self.base, *candidate.overrides, *more])
        out, trial = Tried(family.name, candidate.name, exp=exp), study.ask()
        started = time.monotonic()

        def tell(row: dict[str, float]) -> None:
            done = int(row["epoch"])
            out.epochs, best = done, max(out.accuracy or 0.0, float(row["val_accuracy"]))
            out.accuracy = best
            self.tell(f"{candidate.name}, epoch {done} of {epochs}: val accuracy {row['val_accuracy']:.1%}", None)
            trial.report(float(row["val_accuracy"]), done)
            if trial.should_prune():
                raise GivenUp(f"behind the others after {done} epochs")
            rest = (time.monotonic() - started) / done * (epochs - done)
            if rest > max(self.left, 0) * SPARE and done < epochs:
                fitting = int(self.left / ((time.monotonic() - started) / done))
                raise GivenUp(f"too slow: {rest:.0f} s more, {max(0, self.left):.0f} s are left", fitting)

        try:
            result = train(exp, self.data, tell)
        except GivenUp as reason:
            study.tell(trial, state=_state("PRUNED"))
            if reason.epochs >= FEWEST:
                self.tell(f"{candidate.name}: again with {reason.epochs} epochs", None)
                spent = time.monotonic() - started
                again = self._try(family, candidate, reason.epochs, study)
                again.seconds += spent
                return again
            out.note = str(reason)
        except (RunFailed, RequestError) as error:
            study.tell(trial, state=_state("FAIL"))
            out.note = _failed(error)
        else:
            found = metrics(result.val_scores, self.data.labels[self.data.val])
            out.accuracy, out.nll, out.result = found["accuracy"], found["nll"], result
            out.epochs = exp.trainer.epochs if exp.trains else 0
            study.tell(trial, found["accuracy"])
        out.seconds = time.monotonic() - started
        return out

    def _note(self, outcome: Tried) -> None:
        self.tried.append(outcome)
        self.tell("", outcome)
        for other in self.tried:
            if other is not self.best:
                other.result = None  # only the best one's weights are kept in memory


def sampler() -> Callable[[int], Any]:
    """Makes optuna's study for a family, which prunes after `first`, 3 `first`, 9 `first`, ... epochs.

    Raises:
        RequestError: optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise RequestError("bench auto needs optuna: pip install 'imagebench[auto]'.") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def study(first: int) -> Any:
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=3)
        return optuna.create_study(direction="maximize", pruner=pruner)

    return study


def _failed(error: Exception) -> str:
    return f"failed: {str(error).splitlines()[0]}"


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
