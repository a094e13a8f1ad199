"""A real one-node Slurm."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.services.parts import free_port, missing, wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue")
CONFIG = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=10
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
JobRequeue=1
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass
class Slurm:
    """A running cluster of this machine; `environment` makes its commands find it."""

    environment: dict[str, str]

    def ask(self, *words: str) -> str:
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, check=False, timeout=300
        )
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def slurm() -> Iterator[Slurm]:
    """Slurm with this machine as its only node, two cores at least."""
    for program in PROGRAMS:
        if find(program) is None:
            missing(f"Slurm ({program})", "apt-get install slurmctld slurmd slurm-client munge")
    if os.geteuid() != 0:
        missing("Slurm for a user who is not root", "run this test as root, in a container")
    folder = Path(f"/tmp/imagebench-slurm-{os.getpid()}")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    host = socket.gethostname().split(".")[0]
    text = CONFIG.format(
        host=host, control=free_port(), node=free_port(), folder=folder, cores=max(2, os.cpu_count() or 2)
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "munge.key").write_bytes(secrets.token_bytes(64))
    (folder / "munge.key").chmod(0o600)
    cluster = Slurm({"SLURM_CONF": str(folder / "slurm.conf")})
    environment = {**os.environ, **cluster.environment}
    socket_file = folder / "munge.socket"
    commands = [
        [
            "munged", "--foreground", "--force", f"--key-file={folder}/munge.key", f"--socket={socket_file}",
            f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log", f"--seed-file={folder}/munged.seed",
        ],
        ["slurmctld", "-D", "-f", str(folder / "slurm.conf")],
        ["slurmd", "-D", "-f", str(folder / "slurm.conf"), "-N", host],
    ]  # fmt: skip
    running = []
    try:
        for words in commands:
            with (folder / f"{words[0]}.out").open("wb") as out:
                running.append(
                    subprocess.Popen(
                        [str(find(words[0])), *words[1:]],
                        stdout=out,
                        stderr=out,
                        env=environment,
                        start_new_session=True,
                    )
                )
            if words[0] == "munged":
                wait_for(socket_file.exists, "munged", 30, folder / "munged.log")
        log = folder / "slurmctld.log"
        wait_for(lambda: " idle" in cluster.ask("sinfo", "-h", "-o", "%n %t"), "Slurm's node", 90, log)
        yield cluster
        cluster.ask("scancel", "--user=root")
    finally:
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def find(program: str) -> str | None:
    """The program, also where only root looks."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
