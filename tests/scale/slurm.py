"""A Slurm of two nodes on this machine, with accounting, from Debian's packages."""

from __future__ import annotations

import getpass
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.scale.processes import PATH, free_ports, run, running, until

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "slurmdbd", "munge", "mariadb-server")
NEEDED = ("slurmctld", "slurmd", "sbatch", "slurmdbd", "munged", "mariadbd", "mariadb-install-db")
NODES = 2

SLURM = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge.socket
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
MpiDefault=none
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP GraceTime=20
"""
NODE = "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1\n"

ACCOUNTING = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdPort={dbd}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StoragePass={password}
StorageLoc=slurm
"""

DATABASE = (
    "create database slurm; create user slurm@'127.0.0.1' identified by '{password}';"
    "grant all on slurm.* to slurm@'127.0.0.1';"
)


def missing() -> list[str]:
    """The commands that are not installed."""
    return [name for name in NEEDED if shutil.which(name, path=PATH) is None]


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Starts the cluster, as the user of this process.

    Args:
        folder: for its files; empty.

    Yields:
        What its commands need in the environment.

    Raises:
        RuntimeError: if a part does not start, with the ends of the logs.
    """
    for name in ("state", *(f"spool-n{number}" for number in range(NODES))):
        (folder / name).mkdir()
    folder.chmod(0o755)
    found = {
        "folder": folder,
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "password": secrets.token_hex(8),
        **dict(zip(("ctld", "dbd", "database"), free_ports(3), strict=True)),
    }
    nodes = [
        NODE.format(number=number, port=port, host=found["host"])
        for number, port in enumerate(free_ports(NODES))
    ]
    (folder / "slurm.conf").write_text(SLURM.format(**found) + "".join(nodes))
    (folder / "slurmdbd.conf").write_text(ACCOUNTING.format(**found))
    (folder / "slurmdbd.conf").chmod(0o600)
    environment = {"SLURM_CONF": str(folder / "slurm.conf")}
    with ExitStack() as servers:

        def start(*command: str) -> None:
            log = servers.enter_context((folder / "output.log").open("ab"))
            servers.enter_context(running(command, environment, log))

        start(*_munge(folder))
        start(*_database(folder, str(found["database"])))
        client = ["mariadb", "--no-defaults", f"--socket={folder}/mariadb.socket", "--user=root"]
        until(folder, {}, [*client, "--execute=select 1"])
        run(folder, {}, [*client, f"--execute={DATABASE.format(**found)}"])
        start("slurmdbd", "-D")
        until(folder, environment, ["sacctmgr", "--noheader", "list", "cluster"])
        run(folder, environment, ["sacctmgr", "--immediate", "add", "cluster", "test"])
        start("slurmctld", "-D")
        for number in range(NODES):
            start("slurmd", "-D", "-N", f"n{number}")
        idle = ["sinfo", "--noheader", "--format=%T %D", "--states=idle"]
        until(folder, environment, idle, f"idle {NODES}")
        yield environment


def _munge(folder: Path) -> list[str]:
    """The command of the server that authenticates."""
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "seed-file": "seed"}
    options = [f"--{option}={folder}/munge.{suffix}" for option, suffix in files.items()]
    return ["munged", "--foreground", "--force", f"--log-file={folder}/munge.log", *options]


def _database(folder: Path, port: str) -> list[str]:
    """Makes a database; the command of its server."""
    own = ["--no-defaults", f"--datadir={folder}/database", f"--user={getpass.getuser()}"]
    run(folder, {}, ["mariadb-install-db", *own, "--auth-root-authentication-method=normal"])
    places = [f"--socket={folder}/mariadb.socket", f"--pid-file={folder}/mariadb.pid"]
    return ["mariadbd", *own, *places, f"--port={port}", "--bind-address=127.0.0.1"]
