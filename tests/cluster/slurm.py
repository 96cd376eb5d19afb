"""A real Slurm on this machine alone: one node with two of `gpu`, on free ports, in a folder."""

import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster import accounting
from tests.cluster.accounting import Accounting
from tests.cluster.accounting import find as _find
from tests.cluster.accounting import program as _program

INSTALL = "apt-get install -y munge slurm-wlm"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "squeue", "scancel")
DEADLINE_S = 120.0
GPUS = ("/dev/null", "/dev/zero")
"""Device files that stand for the GPUs of the node; nobody opens them."""
CPUS = 16
"""More than the machine may have: the jobs are to run side by side if nothing keeps them apart."""

CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={root}/run/munge.socket
StateSaveLocation={root}/spool/controller
SlurmdSpoolDir={root}/spool/node
SlurmctldPidFile={root}/run/slurmctld.pid
SlurmdPidFile={root}/run/slurmd.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.log
MailProg=/bin/true
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=0
SlurmdTimeout=60
SlurmctldTimeout=60
InactiveLimit=0
KillWait=5
MinJobAge={min_job_age}
Waittime=0
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=5,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=512
GresTypes=gpu
{accounting}JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Boards=1 SocketsPerBoard=1 CoresPerSocket={cpus} \
ThreadsPerCore=1 RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=120 DefaultTime=10 State=UP OverSubscribe=NO
"""

NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none\n"

SHIM = """#!/bin/sh
# The jobstep executor takes SLURM_CONF from the environment of its srun; a cluster with its
# slurm.conf in /etc does without this.
SLURM_CONF={root}/etc/slurm.conf exec {srun} "$@"
"""

DAEMONS = {"slurmctld", "munged", "slurmdbd", "mariadbd"}
"""What a node that fails does not take with it."""

NO_SACCT = """#!/bin/sh
# A cluster without accounting, whose users have no sacct: the executor asks `which`. Where it finds
# one, and scontrol is once too slow to say MinJobAge, it falls back to it and loses its jobs.
[ "$1" = sacct ] && exit 1
exec {which} "$@"
"""


@dataclass
class Slurm:
    """The cluster that runs."""

    root: Path
    guardian: "subprocess.Popen[str]"
    host: str = field(default_factory=lambda: socket.gethostname().partition(".")[0])
    accounting_port: int | None = None

    def environment(self) -> dict[str, str]:
        """What a process needs to find it: never the Slurm of the machine, if there is one."""
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
        return {
            **mine,
            "SLURM_CONF": str(self.root / "etc" / "slurm.conf"),
            "PATH": f"{self.root / 'bin'}:{os.environ['PATH']}",
        }

    def ask(self, *argv: str) -> str:
        """Output of a command of Slurm."""
        done = subprocess.run(
            argv, env=self.environment(), capture_output=True, text=True, timeout=DEADLINE_S
        )
        assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}{self.logs()}"
        return done.stdout.strip()

    def jobs(self, *states: str) -> list[tuple[str, str, str]]:
        """(id, state, comment) of the jobs, of those states only if some are given."""
        lines = self.ask("squeue", "--noheader", "--states=all", "--format=%i|%T|%k").splitlines()
        found = [tuple(line.split("|")) for line in lines]
        return [(i, s, c) for i, s, c in found if not states or s in states]

    def node_state(self) -> str:
        """What Slurm says of the node."""
        return self.ask("sinfo", "--noheader", "--format=%T")

    def start_node(self) -> None:
        """Start slurmd, and have the node take jobs."""
        self._order(start="slurmd", argv=[_program("slurmd"), "-D"])
        if self.node_state().rstrip("*") not in ("idle", "unknown"):
            self.ask("scontrol", "update", f"nodename={self.host}", "state=resume")
        wait_for(lambda: self.node_state() == "idle", f"an idle node\n{self.logs()}")

    def fail_node(self) -> None:
        """Kill slurmd and everything that it runs, as a node does that loses its power."""
        self._order(kill="slurmd")
        _kill_adopted(self.guardian.pid, DAEMONS)
        self.ask("scontrol", "update", f"nodename={self.host}", "state=down", "reason=test")

    def start(self) -> None:
        """Start all daemons and wait until the node takes jobs."""
        run = self.root / "run"
        self._order(start="munged", argv=[
            _program("munged"), "--foreground", "--num-threads=2",
            f"--key-file={self.root}/munge/munge.key", f"--socket={run}/munge.socket",
            f"--pid-file={run}/munged.pid", f"--seed-file={self.root}/munge/munged.seed",
            f"--log-file={self.root}/munge/munged.log",
        ])  # fmt: skip
        wait_for((run / "munge.socket").exists, f"munge\n{self.logs()}")
        if self.accounting_port is not None:
            user = pwd.getpwuid(os.getuid()).pw_name
            Accounting(
                self.root, self.host, user, self.accounting_port, self._start, self._wait_for
            ).bring_up()
        self._order(start="slurmctld", argv=[_program("slurmctld"), "-D", "-c"])
        wait_for(lambda: self._pings(), f"slurmctld\n{self.logs()}")
        self.start_node()

    def logs(self) -> str:
        """The last lines of every daemon's output, for a failing test."""
        files = [*self.root.glob("*.out"), *self.root.glob("log/*.log")]
        return "\n".join(
            f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
            for path in files
        )

    def _pings(self) -> bool:
        done = subprocess.run(
            ["scontrol", "ping"], env=self.environment(), capture_output=True, text=True
        )
        return "is UP" in done.stdout

    def _start(self, name: str, argv: list[str]) -> None:
        self._order(start=name, argv=argv)

    def _wait_for(self, condition: Callable[[], bool], what: str) -> None:
        wait_for(condition, f"{what}\n{self.logs()}")

    def _order(self, **order: Any) -> str:
        assert self.guardian.stdin is not None and self.guardian.stdout is not None
        self.guardian.stdin.write(json.dumps(order) + "\n")
        self.guardian.stdin.flush()
        return self.guardian.stdout.readline()


@contextmanager
def slurm(root: Path, min_job_age: int = 300, accounted: bool = False) -> Iterator[Slurm]:
    """Bring a cluster up, and take it down with everything that runs on it.

    Args:
        root: an empty folder with a short path, for the sockets in it.
        min_job_age: how long in s the controller remembers finished jobs.
        accounted: with slurmdbd, whose `sacct` the users of the cluster have.
    """
    if accounted:
        accounting.require()
    missing = [name for name in PROGRAMS if _find(name) is None]
    if missing:
        raise RuntimeError(f"no {', '.join(missing)} for the tests on a cluster: {INSTALL}")
    for name in ("etc", "log", "run", "bin", "spool/controller", "spool/node"):
        (root / name).mkdir(parents=True)
    (root / "munge").mkdir(mode=0o700)
    for folder in (root, root / "run", root / "etc"):
        folder.chmod(0o755)
    key = root / "munge" / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))
    controller_port, node_port, accounting_port = _free_ports(3)
    host = socket.gethostname().partition(".")[0]
    (root / "etc" / "slurm.conf").write_text(
        CONF.format(
            host=host,
            root=root,
            user=pwd.getpwuid(os.getuid()).pw_name,
            controller_port=controller_port,
            node_port=node_port,
            min_job_age=min_job_age,
            accounting=accounting.SLURM_CONF.format(port=accounting_port, root=root)
            if accounted
            else NO_ACCOUNTING,
            cpus=CPUS,
            gpus=len(GPUS),
        )
    )
    (root / "etc" / "gres.conf").write_text(
        "".join(f"NodeName={host} Name=gpu File={gpu}\n" for gpu in GPUS)
    )
    shims = {"srun": SHIM.format(root=root, srun=_program("srun"))}
    if not accounted:
        shims["which"] = NO_SACCT.format(which=_program("which"))
    for name, text in shims.items():
        shim = root / "bin" / name
        shim.write_text(text)
        shim.chmod(0o755)
    environment = {**os.environ, "SLURM_CONF": str(root / "etc" / "slurm.conf")}
    guardian = subprocess.Popen(
        [sys.executable, "-m", "tests.cluster.guardian", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    try:
        cluster = Slurm(root, guardian, host, accounting_port if accounted else None)
        cluster.start()
        yield cluster
    finally:
        assert guardian.stdin is not None
        guardian.stdin.close()
        guardian.wait(timeout=DEADLINE_S)


def wait_for(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until a condition holds; fail with what was waited for."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.1)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _kill_adopted(guardian: int, spared: set[str]) -> None:
    """Kill what a dead slurmd left to the guardian: step daemons, and the jobs below them."""
    from tests.cluster.guardian import children_of

    def below(pid: int) -> Iterator[int]:
        for child in children_of(pid):
            yield child
            yield from below(child)

    for child in children_of(guardian):
        try:
            name = Path(f"/proc/{child}/comm").read_text().strip()
            doomed = [] if name in spared else [child, *below(child)]
        except OSError:
            continue
        for pid in doomed:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue
