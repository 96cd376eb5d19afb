"""The accounting of a cluster: slurmdbd on a private mariadbd, which has a socket and no port."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

INSTALL = "apt-get install -y --no-install-recommends slurmdbd mariadb-server"
PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacct", "sacctmgr")

SLURM_CONF = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={root}/run/munge.socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
"""

SLURMDBD_CONF = """AuthType=auth/munge
AuthInfo=socket={root}/run/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm
LogFile={root}/log/slurmdbd.log
PidFile={root}/run/slurmdbd.pid
"""

SMALL = (
    "--innodb-buffer-pool-size=16M",
    "--innodb-log-file-size=4M",
    "--innodb-lock-wait-timeout=900",
    "--innodb-flush-log-at-trx-commit=0",
)
"""Memory and disk for a few jobs; what a power cut would lose, the end of the test removes."""

USER = """CREATE DATABASE slurm;
CREATE USER slurm@localhost IDENTIFIED BY 'slurm';
GRANT ALL ON slurm.* TO slurm@localhost;
"""


def find(name: str) -> str | None:
    """A program, also one of the administrator's."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def program(name: str) -> str:
    """The same, which has to be there."""
    found = find(name)
    assert found is not None
    return found


def require() -> None:
    """Refuse to begin without the programs; says what installs them."""
    missing = [name for name in PROGRAMS if find(name) is None]
    if missing:
        raise RuntimeError(f"no {', '.join(missing)} for the tests of accounting: {INSTALL}")


@dataclass
class Accounting:
    """The two daemons, in the folder of a cluster.

    Args:
        root: the folder.
        host: the machine's name.
        user: who runs everything.
        port: a free one for slurmdbd.
        start: starts a daemon by its name.
        wait_for: waits for a condition.
    """

    root: Path
    host: str
    user: str
    port: int
    start: Callable[[str, list[str]], None]
    wait_for: Callable[[Callable[[], bool], str], None]

    def bring_up(self) -> None:
        """Make the database and start both; munged runs already."""
        folder = self.root / "db"
        folder.mkdir()
        data, socket = folder / "data", folder / "socket"
        _run(
            program("mariadb-install-db"), "--no-defaults", f"--user={self.user}",
            f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db",
            *SMALL,
        )  # fmt: skip
        self.start("mariadbd", [
            program("mariadbd"), "--no-defaults", f"--user={self.user}", f"--datadir={data}",
            f"--socket={socket}", f"--pid-file={folder}/mariadbd.pid", "--skip-networking", *SMALL,
        ])  # fmt: skip
        ask = [program("mariadb"), "--no-defaults", "--user=root", f"--socket={socket}"]
        self.wait_for(lambda: _works(*ask, "--execute=SELECT 1"), "mariadbd")
        _run(*ask, f"--execute={USER}")

        conf = self.root / "etc" / "slurmdbd.conf"
        conf.touch(mode=0o600)
        conf.write_text(SLURMDBD_CONF.format(**vars(self)))
        # Slurm has no setting for the socket; the client's library asks this variable.
        self.start("slurmdbd", [
            program("env"), f"MYSQL_UNIX_PORT={socket}", program("slurmdbd"), "-D",
        ])  # fmt: skip
        register = (program("sacctmgr"), "--immediate", "add", "cluster", "test")
        environment = {**os.environ, "SLURM_CONF": str(self.root / "etc" / "slurm.conf")}
        self.wait_for(lambda: _works(*register, environment=environment), "slurmdbd")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"


def _works(*argv: str, environment: dict[str, str] | None = None) -> bool:
    try:
        return not subprocess.run(argv, capture_output=True, env=environment, timeout=20).returncode
    except subprocess.TimeoutExpired:
        return False
