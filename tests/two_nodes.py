"""A Slurm of two nodes, n1 and n2, on this machine, for as long as a test needs it."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

OURS = "VIDSSL_TEST_CLUSTER"  # names its folder in the environment of all that it starts
NODES = ("n1", "n2")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
SETTINGS = """\
ClusterName=vidssl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket,cred_expire=10
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
MinJobAge=3600
SlurmdTimeout=15
SlurmdParameters=config_overrides
GresTypes=gpu
StateSaveLocation={place}/state
SlurmctldPidFile={place}/slurmctld.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdSpoolDir={place}/%n
SlurmdPidFile={place}/%n.pid
SlurmdLogFile={place}/%n.log
NodeName=DEFAULT CPUs=2 RealMemory=16000 Gres=gpu:2
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]}
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]}
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def lacking():
    """Why there can be no Slurm here; empty where there can."""
    if os.getuid() != 0:
        return "its daemons need root"
    where = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    missing = [name for name in PROGRAMS if not shutil.which(name, path=where)]
    return f"{', '.join(missing)} not installed (munge, slurmctld, slurmd)" if missing else ""


class Cluster:
    """``environment`` is what a command needs to talk to it."""

    def __init__(self, place: Path):
        self.place, self.daemons = place, {}
        own = {"SLURM_CONF": str(place / "slurm.conf"), OURS: str(place)}
        own["PATH"] = os.pathsep.join([str(place), os.environ["PATH"]])
        self.environment = {**os.environ, **own}

    def start(self) -> None:
        ports = _free_ports(3)
        text = SETTINGS.format(host=socket.gethostname(), place=self.place, ports=ports)
        (self.place / "slurm.conf").write_text(text)
        cards = [f"Name=gpu File={device}\n" for device in ("/dev/null", "/dev/zero")]
        (self.place / "gres.conf").write_text("".join(cards))
        srun = self.place / "srun"  # the plugin takes SLURM_CONF out of a job's environment
        conf, program = self.environment["SLURM_CONF"], shutil.which("srun")
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={conf} exec {program} "$@"\n')
        srun.chmod(0o755)
        key = self.place / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        self.place.chmod(0o755)
        munge = ["munged", "--foreground", "--force", f"--key-file={key}"]
        munge += [f"--socket={self.place}/munge.socket", f"--pid-file={self.place}/munged.pid"]
        munge += [f"--log-file={self.place}/munged.log", f"--seed-file={self.place}/munged.seed"]
        self._begin("munged", *munge)
        self._begin("slurmctld", "slurmctld", "-D")
        for node in NODES:
            self._begin(node, "slurmd", "-D", "-N", node)
        self.until(lambda: self.says("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == "2")

    def _begin(self, name: str, *command: str) -> None:
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        with open(self.place / f"{name}.out", "w") as output:
            self.daemons[name] = subprocess.Popen(
                [shutil.which(command[0], path=path), *command[1:]],
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def says(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout

    def until(self, condition, seconds=120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            gone = [name for name, daemon in self.daemons.items() if daemon.poll() is not None]
            assert not gone, f"{gone} ended: {(self.place / f'{gone[0]}.out').read_text()[-500:]}"
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.5)

    def started(self, nodes: tuple[str, ...] = NODES, **told: str) -> list[psutil.Process]:
        """The processes of this cluster: those whose environment tells this, and what watches over
        the jobs of ``nodes``, which writes its title over its environment but holds their log."""
        told = {OURS: str(self.place), **told}
        logs = {str(self.place / f"{node}.log") for node in nodes}
        return [each for each in psutil.process_iter() if _is_one(each, logs, told)]

    def work_on(self, node: str) -> list[psutil.Process]:
        """The processes of jobs on a node."""
        return self.started((node,), SLURMD_NODENAME=node)

    def fail(self, node: str) -> None:
        """Let a node go as if its power had."""
        daemon = self.daemons.pop(node)
        steps = psutil.Process(daemon.pid).children(recursive=True)
        daemon.kill()
        daemon.wait()
        _kill([*steps, *self.work_on(node)])

    def end(self) -> None:
        """End all that was started here: engines first, which would submit again what ends."""
        daemons = {daemon.pid for daemon in self.daemons.values()}
        _kill([process for process in self.started() if process.pid not in daemons])
        for daemon in reversed(list(self.daemons.values())):
            daemon.terminate()
        for daemon in self.daemons.values():
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(20)
            daemon.kill()
            daemon.wait()
        _kill(self.started())


def _is_one(process: psutil.Process, logs: set[str], told: dict[str, str]) -> bool:
    with suppress(psutil.Error):
        if process.name() == "slurmstepd":
            return bool(logs & {file.path for file in process.open_files()})
        return told.items() <= process.environ().items()
    return False


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.kill()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@contextmanager
def two_nodes(place: Path):
    place.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(place)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.end()
