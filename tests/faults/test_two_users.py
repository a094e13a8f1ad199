"""Two real users of one machine at one PostgreSQL store."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import pytest

from bench.track.store import Store
from tests.services.database import Postgres, postgres  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.xdist_group("faults")]
USERS = ("nobody", "daemon")
CODE = "import sys; from bench.cli import shell; sys.exit(shell())"


def called_as(user: str, place: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as another user, who may read everything (Python may lie in root's home) and write his own only."""
    home = place / user
    if not home.exists():
        home.mkdir()
        shutil.chown(home, user)
    group = str(pwd.getpwnam(user).pw_gid)
    as_user = ["setpriv", "--reuid", user, "--regid", group, "--clear-groups"]
    as_user += [
        "--inh-caps=+dac_read_search",
        "--ambient-caps=+dac_read_search",
        "--bounding-set=-all,+dac_read_search",
    ]
    kept = {name: value for name, value in os.environ.items() if name not in ("USER", "LOGNAME")}
    kept |= {"HOME": str(home), "IMAGEBENCH_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1", **environment}
    kept |= {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [*as_user, sys.executable, "-c", CODE, *words]
    return subprocess.run(command, cwd=home, env=kept, capture_output=True, text=True, check=False)


def test_two_users_share_a_sweep_and_its_files(postgres: Postgres) -> None:  # noqa: F811
    """The first says where files go; the second finds it in the store, and goes on with what the first began."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can be two users")
    place = Path(mkdtemp(prefix="imagebench-users-"))
    place.chmod(0o755)
    (place / "files").mkdir()
    (place / "files").chmod(0o1777)  # as /tmp is
    uri = postgres.database("users")
    axes = ("dataset=digits", "model=linear", "trainer.epochs=1", "--seeds", "1", "hydra/launcher=basic")
    try:
        for user, rates, settings in (
            (USERS[0], "0.1,0.01", {"IMAGEBENCH_ARTIFACTS": str(place / "files")}),
            (USERS[1], "0.1,0.01,0.001", {}),
        ):
            words = ("sweep", "--axes", f"optim.lr={rates}", *axes)
            done = called_as(user, place, *words, MLFLOW_TRACKING_URI=uri, **settings)
            assert done.returncode == 0, done.stderr
        records = Store(uri).records("adhoc")
        folders = [Store(uri).artifacts(r.run_id) for r in records]
        assert {f.is_relative_to(place / "files") for f in folders} == {True}
        owners = sorted(pwd.getpwuid((f / "weights.pt").stat().st_uid).pw_name for f in folders)
        assert owners == sorted([USERS[0], USERS[0], USERS[1]])

        # Without a shared place the second is told before anything is trained.
        uri = postgres.database("apart")
        assert called_as(USERS[0], place, *words, MLFLOW_TRACKING_URI=uri).returncode == 0
        done = called_as(USERS[1], place, *words[:2], "optim.lr=0.1,0.5", *axes, MLFLOW_TRACKING_URI=uri)
        assert done.returncode == 2
        assert "this user may not write" in done.stderr
        assert "IMAGEBENCH_ARTIFACTS" in done.stderr
        assert len(Store(uri).records("adhoc")) == 3
    finally:
        shutil.rmtree(place)
