"""A throw-away Slurm on this machine: real slurmctld and slurmd, pretend nodes and GPUs.

    python tests/tools/throwaway.py start|stop|status     # in /tmp/throwaway-slurm

It needs root and `slurmctld slurmd slurm-client munge` (as Debian calls the packages), no
systemd, no cgroups, no database. `/etc/slurm/slurm.conf` becomes a link to its own file, because
the executor of Slurm's job steps strips every variable that could name another one; a real
cluster's file there is never touched.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ["slurmctld", "slurmd", "munged", "sbatch", "srun", "scancel", "scontrol", "sinfo"]
ETC = Path("/etc/slurm")
CONFIG = """\
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=20
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill,UsePss
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=2,batch_sched_delay=0,bf_interval=2,sched_min_interval=100000
MinJobAge=300
KillWait=5
InactiveLimit=0
ReturnToService=2
SlurmdTimeout=60
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=node[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port={first}-{last} CPUs={cpus} \
RealMemory={memory} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=cpu Nodes=node[1-{nodes}] Default=YES MaxTime=02:00:00 State=UP
PartitionName=gpu Nodes=node[1-{nodes}] MaxTime=01:00:00 State=UP
"""


def why_not() -> str:
    """Return why no cluster can be started here; "" where one can."""
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    if "SLURM_CONF" in os.environ:
        return "SLURM_CONF names another cluster"
    if os.geteuid():
        return "it takes root"
    for path in (ETC / "slurm.conf", ETC / "gres.conf"):
        if path.exists() and not path.is_symlink():
            return f"{path} is a real cluster's"
    if not (ETC / "slurm.conf").exists() and answers():
        return "another cluster answers"
    return ""


def answers() -> bool:
    """Whether a controller answers, such as one that needs no file here."""
    return not subprocess.run(["scontrol", "ping"], capture_output=True, check=False).returncode


def say(*command: str) -> str:
    """Run a command and return what it prints."""
    return subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True, timeout=60
    ).stdout


def alive(process: int) -> bool:
    """Whether a process runs."""
    return Path(f"/proc/{process}").exists()


@dataclass(frozen=True)
class Cluster:
    """Some nodes, each with pretend processors, memory (MB) and GPUs.

    Memory limits are enforced: Slurm checks once a second.
    """

    folder: Path = Path("/tmp/throwaway-slurm")
    nodes: int = 3
    cpus: int = 8
    memory: int = 12_000
    gpus: int = 2
    port: int = 16_917

    @property
    def names(self) -> list[str]:
        """The nodes' names."""
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    def start(self) -> None:
        """Start it, and wait until every node is idle."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        for name in ("state", "dev", *self.names):
            (self.folder / name).mkdir(exist_ok=True)
        for number in range(self.gpus):
            device = self.folder / "dev" / f"gpu{number}"
            if not device.exists():
                os.mknod(device, 0o20666, os.makedev(1, 3))  # a /dev/null of its own
        self._write_config()
        key = self.folder / "munge.key"
        if not key.exists():
            key.touch(0o600)
            key.write_bytes(os.urandom(1024))
        files = [f"--{name}={self.folder}/munge.{end}" for name, end in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"),
            ("seed-file", "seed"), ("log-file", "log"))]  # fmt: skip
        say("munged", "--force", *files)
        say("slurmctld", "-c")
        for name in self.names:
            say("slurmd", "-N", name)
        self.wait_until(lambda: self.idle() == self.names)

    def _write_config(self) -> None:
        numbers = {"nodes": self.nodes, "cpus": self.cpus, "memory": self.memory}
        ports = {"port": self.port, "first": self.port + 1, "last": self.port + self.nodes}
        host = socket.gethostname().split(".")[0]
        text = CONFIG.format(folder=self.folder, host=host, gpus=self.gpus, **numbers, **ports)
        (self.folder / "slurm.conf").write_text(text, encoding="utf-8")
        devices = f"{self.folder}/dev/gpu[0-{self.gpus - 1}]"
        line = f"NodeName=node[1-{self.nodes}] Name=gpu File={devices}\n"
        (self.folder / "gres.conf").write_text(line, encoding="utf-8")
        ETC.mkdir(exist_ok=True)
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)
            (ETC / name).symlink_to(self.folder / name)

    def idle(self) -> list[str]:
        """Return the nodes that run nothing and are up."""
        told = say("sinfo", "--noheader", "-N", "-p", "cpu", "-t", "idle", "-o", "%N")
        return sorted(told.split())

    def resume(self, node: str) -> None:
        """Give a node back that was taken down, where it has not come back by itself."""
        if "State=DOWN" in say("scontrol", "show", "node", node):
            with suppress(subprocess.CalledProcessError):  # it came back in this instant
                say("scontrol", "update", f"nodename={node}", "state=resume")

    def wait_until(self, come: object, seconds: float = 30) -> None:
        """Wait for a condition.

        Raises
        ------
        TimeoutError
            It did not come.
        """
        end = time.monotonic() + seconds
        while not come():  # type: ignore[operator]
            if time.monotonic() > end:
                raise TimeoutError(f"see {self.folder}/*.log")
            time.sleep(0.2)

    def stop(self) -> None:
        """Cancel every job, end every daemon, remove the folder."""
        subprocess.run(["scancel", "--user=root"], capture_output=True, check=False, timeout=60)
        pids = [self.folder / f"{name}.pid" for name in (*self.names, "slurmctld", "munge")]
        daemons = [int(path.read_text(encoding="utf-8")) for path in pids if path.exists()]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for daemon in daemons:
                with suppress(ProcessLookupError):
                    os.kill(daemon, number)
            with suppress(TimeoutError):
                self.wait_until(lambda: not any(map(alive, daemons)), 10)
        for name in ("slurm.conf", "gres.conf"):
            if (ETC / name).is_symlink() and (ETC / name).readlink() == self.folder / name:
                (ETC / name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


if __name__ == "__main__":
    reason = why_not()
    if reason:
        sys.exit(f"No throw-away Slurm here: {reason}.")
    match sys.argv[1:]:
        case ["start"]:
            Cluster().start()
        case ["stop"]:
            Cluster().stop()
        case ["status"]:
            print(say("sinfo", "-N", "-o", "%N %t %c cpus %m MB %G"), say("squeue"))
        case _:
            sys.exit(__doc__)
