"""Run one experiment: compose, train, select on val, score test once, record in MLflow.

    bench run dataset=mnist5k model=cnn norm_layer=batch optim.lr=0.01 seed=1

An experiment that the store already holds is not run again, unless --fresh says so.
Hydra's own flags work too: --cfg job, --info, --multirun, --config-dir.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from bench.cli.once import once
from bench.schema.errors import RequestError

if TYPE_CHECKING:
    from bench.track.record import Record
    from bench.track.store import Store

SUMMARY = "one experiment"

HYDRA_APP = True


def options(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own flags; everything else is Hydra's."""
    parser.usage = "bench run [OVERRIDES] [--json] [--fresh] [Hydra's flags]"
    parser.add_argument(
        "--allow", action="append", default=[], metavar="NAME=REASON", help="a finding of bench check that may stand"
    )
    parser.add_argument("--fresh", action="store_true", help="run even if the store holds this experiment")


def main(args: argparse.Namespace) -> int:
    """Run the experiment that the overrides describe."""
    from bench.compose import compose

    overrides = [a for a in args.hydra if not a.startswith("-")]
    if len(overrides) == len(args.hydra):
        return one(compose(overrides), args.json, args.fresh, reasons(args.allow))
    flags = [a for a in args.hydra if a not in overrides]
    if flags == ["--cfg=job"] or (flags in (["--cfg"], ["-c"]) and "job" in overrides):
        print(settings([w for w in overrides if w != "job"]), end="")
        return 0
    return hydra_app(args)


def settings(overrides: list[str]) -> str:
    """Every setting of the experiment as YAML, those at their defaults too; addresses as they may be shown."""
    import yaml

    from bench.compose import compose
    from bench.schema.experiment import experiment
    from bench.schema.science import flat_settings

    nested: dict[str, Any] = {}
    for name, value in flat_settings(experiment(compose(overrides))).items():
        *groups, last = name.split(".")
        here = nested
        for group in groups:
            here = here.setdefault(group, {})
        here[last] = value
    return yaml.safe_dump(nested, sort_keys=False, allow_unicode=True, default_flow_style=None)


def hydra_app(args: argparse.Namespace) -> int:
    """The same through hydra.main, for Hydra's own flags."""
    import hydra

    from bench.compose import groups, shipped_folder
    from bench.compose.config import to_plain
    from bench.compose.overrides import check_override, parse, refuse_many
    from bench.compose.session import hydra_session, plugins, translate_errors
    from bench.schema.secrets import redact_text

    statuses: list[int] = []
    known = groups()
    multirun = "-m" in args.hydra or "--multirun" in args.hydra
    words, several = [], []
    with hydra_session():  # glob() looks into conf/
        for before, word in zip(["", *args.hydra], args.hydra, strict=False):
            takes_value = before in ("--cfg", "-c", "--package", "-p", "--config-dir", "-cd", "--info")
            if word.startswith("-") or takes_value:
                words.append(word)
            else:
                if multirun and (shown := redact_text(word)) != word:
                    raise RequestError(
                        f"{shown}: Hydra's --multirun writes its overrides into multirun.yaml, and this one holds "
                        "credentials. Give the store's address in MLFLOW_TRACKING_URI, or call 'bench sweep'."
                    )
                several += parse([word])
                words.append(check_override(several[-1], known, several=multirun))
        refuse_many(several)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors come to us instead of Hydra's printing them
    plugins()

    def task(config: Any) -> None:
        statuses.append(one(to_plain(config), args.json, args.fresh, reasons(args.allow)))

    sys.argv = ["bench run", *words]
    shows = any(word.split("=")[0] in ("--cfg", "-c", "--info", "-i") for word in args.hydra)
    printing = io.StringIO() if shows else None
    with translate_errors(), contextlib.redirect_stdout(printing) if printing else contextlib.nullcontext():
        hydra.main(version_base="1.3", config_path=str(shipped_folder("conf")), config_name="config")(task)()
    if printing:  # a configuration is pasted into issues: the store's password is not part of it
        print(redact_text(printing.getvalue()), end="")
    return max(statuses, default=0)


def reasons(texts: list[str]) -> dict[str, str]:
    """`NAME=REASON` words as a mapping; a finding is allowed for a reason or not at all."""
    made = {}
    for text in texts:
        name, _, reason = text.partition("=")
        if len(reason.split()) < 2:
            raise RequestError(f"--allow {text}: expected NAME=REASON, the reason in words.")
        made[name] = reason
    return made


def one(config: dict[str, Any], as_json: bool, fresh: bool, allowed: dict[str, str]) -> int:
    """Run one composed configuration and print its summary; 0 finished, 1 failed.

    Args:
        allowed: findings of `bench check` that do not stop this run -> why.
    """
    record, ran, shown = run_or_find(config, fresh, allowed, tell=not as_json)
    address, problem = log_if_wanted(config, ran, record)
    if as_json:
        skipped = int(record.provenance.get("skipped_images", 0))
        found = {
            "skipped_images": skipped,
            "run_key": record.key,
            "run_id": record.run_id,
            "status": record.status,
            "ran": ran,
            **({"model": address} if address else {}),
        }
        print(json.dumps({**found, "reason": record.reason, "metrics": record.metrics, "costs": record.costs}))
    else:
        from bench.cli.summary import summary

        print(summary(record, ran, shown))
        if address:
            print(f"model {address}   (mlflow models serve -m {address} --env-manager local)")
    if problem:
        print(f"bench: the run is kept, its model was not logged: {problem}", file=sys.stderr)
    return 0 if record.status == "finished" and not problem else 1


@once
def run_or_find(
    config: dict[str, Any], fresh: bool, allowed: dict[str, str], tell: bool = False
) -> tuple[Record, bool, str]:
    """The record of a composed configuration, run where the store does not have it; whether it ran; the store.

    Args:
        tell: say at once, on standard error, what is going to run.

    Raises:
        RequestError: for a request that is wrong, before anything is trained.
    """
    from bench import data
    from bench.imports import without_collector
    from bench.schema.experiment import experiment
    from bench.schema.own import uses_own_code
    from bench.schema.run_key import named_norm, run_key
    from bench.track.spool import Spool
    from bench.track.store import Store

    exp = experiment(config)
    if named_norm(exp):
        from bench.models.native import as_native

        exp = as_native(exp)
    if exp.transfer.asks_file:
        from bench.models.origin import with_input_beside

        exp = with_input_beside(exp)
    fingerprint = data.fingerprint(exp.dataset, exp.split)
    key = run_key(exp, fingerprint)
    store = Store(exp.tracking.uri)
    name = exp.tracking.experiment
    spool = Spool(store=store.address)
    if not fresh and (known := _find_finished(store, key, name)) is not None:
        return known, False, store.shown

    def waits(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    # Machines that take part in one run may share the folder: the first one keeps it for all of them.
    with contextlib.nullcontext() if exp.joins else spool.alone(key, waits):
        # Another command has had it, and may not have lived to deliver it.
        sealed = [place] if (place := spool.find_sealed(key)) is not None else []
        store.deliver_waiting(sealed, waits, fresh=fresh, patient=True)
        if not fresh and (known := _find_finished(store, key, name)) is not None:
            return known, False, store.shown
        from bench.protocol.lint import findings, require, warn_untested

        with without_collector():
            from bench.run import execute

        require(findings([exp], [fingerprint]), allowed, "this experiment")
        warn_untested([exp], [fingerprint])
        brought = []
        if uses_own_code([exp]):
            from bench.rehearsal import rehearse

            brought = rehearse([exp])
        if tell:
            from bench.cli.announce import begins, say

            say(begins(exp, data.load(exp.dataset, exp.split), *[one.optimizer for one in brought]))
            for one in brought:
                say(f"       {one}")
        store.experiment(name)
        store.check_place(name)
        with bar(exp.trainer.whole_epochs, exp.trains) as step:
            (place,) = execute([exp], spool=spool, on_epoch=step)
        return store.get(store.deliver(place, fresh=fresh)), True, store.shown


def _find_finished(store: Store, key: str, name: str) -> Record | None:
    """The finished run of a key in an experiment, where the store has one."""
    record = store.find([key], name).get(key)
    return record if record is not None and record.status == "finished" else None


def log_if_wanted(config: dict[str, Any], ran: bool, record: Record) -> tuple[str, str]:
    """(address of the registered model, "") where one is wanted of a finished run, or ("", why there is none)."""
    wanted = config.get("tracking", {})
    if not wanted.get("log_model") or record.status != "finished":
        return "", ""
    try:
        from bench.serve.logged import log_model, registered
        from bench.track.store import Store

        store = Store(wanted.get("uri"))
        earlier = "" if ran else registered(store, record.run_id)
        return earlier or log_model(store, record.run_id), ""
    except RequestError as error:
        return "", str(error)
    except ImportError as error:
        return "", f"{error}; pip install 'imagebench[deploy]'"


class bar:
    """A progress bar over epochs on standard error; silent when that is not a terminal."""

    def __init__(self, epochs: int | None, trains: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.progress = Progress(*columns, console=console, disable=not console.is_terminal or not trains)
        self.task = self.progress.add_task("epochs", total=epochs)

    def __enter__(self) -> Any:
        self.progress.start()
        return self.step

    def __exit__(self, *_: object) -> None:
        self.progress.stop()

    def step(self, _: int, row: dict[str, float]) -> None:
        """One epoch is over."""
        text = f"epoch {row['epoch']:.0f}  train loss {row['train_loss']:.3f}  val accuracy {row['val_accuracy']:.3f}"
        self.progress.update(self.task, advance=1, description=text)
