"""Warm start of jobs on this machine: each is forked from a process with its packages imported.

Importing pandas takes a job half a second, torch and timm four. Where a run has many short jobs,
that is most of its time: docs/reference/performance.md has the figures. A server imports the
packages once; Snakemake starts `warm_client.py` in place of Python, and the server forks a process
for the script, with the working folder, environment and output of the client. Nothing of cryotome
is imported before the fork, so a job runs the code that lies there when it starts.

A second server has torch. On a machine with a GPU it is not started: a process forked from one that
has touched the GPU cannot use it.
"""

import atexit
import ctypes
import importlib
import json
import os
import runpy
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import threadpoolctl

ADDRESS = "jobs"  # of the socket, in a folder that only this user can enter
ENOUGH = 12  # jobs of a run that pay for a server
PACKAGES = (
    "snakemake.logging", "snakemake.iocontainers", "argparse", "dateutil", "h5py", "numpy",
    "openslide", "pandas", "PIL.Image", "scipy.linalg", "scipy.ndimage", "scipy.special",
    "tifffile", "tqdm", "yaml",
)  # fmt: skip
TORCH = (
    "altair", "safetensors.torch", "timm", "torch._dynamo", "torch.optim", "torch.utils.data",
    "vl_convert",
)  # fmt: skip
WITH_TORCH = frozenset(  # as the files are named that Snakemake makes of scripts
    {".check_precision", ".embed", ".embed_shard", ".embed_slide", ".finetune_dinov2",
     ".roth_table3", ".table1", ".train_endtoend", ".train_mil"}
)  # fmt: skip
SPLITTER = "sklearn.model_selection"  # takes 0.6 s, and is needed only to draw groups
SPLITS = frozenset({".split_cells", ".split_patients"})
GROUPED = frozenset({"slides", "predefined", "patients", "patients_in_turn"})  # `split_by:`
DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
LARGEST = 1 << 20  # bytes of a request
SIGNALS = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
BEFORE: dict[int, Any] = {}  # what a signal did before the server ignored it


def start_server(workflow: Any, *, gpu: bool) -> None:
    """Start the server of a run on this machine, if it has jobs enough, until Snakemake ends.

    Called before the first job. `sys.executable`, from which Snakemake makes its commands, becomes
    the client's command. Linux only: elsewhere libraries do not allow a fork.

    Parameters
    ----------
    workflow
        Snakemake's.
    gpu
        Whether jobs use a GPU.
    """
    jobs = list(workflow.dag.needrun_jobs())
    scripts = [f".{Path(str(job.rule.script)).stem}" for job in jobs]
    if sys.platform != "linux" or not workflow.local_exec or len(scripts) < ENOUGH:
        return
    torch = not gpu and not WITH_TORCH.isdisjoint(scripts)
    (python,) = shlex.split(sys.executable)
    folder = tempfile.mkdtemp(prefix="cryotome-")
    drawn = [job for job, script in zip(jobs, scripts, strict=True) if script in SPLITS]
    grouped = [job for job in drawn if json.loads(job.params.card)["split_by"] in GROUPED]
    more = (SPLITTER,) if len(grouped) > 1 else ()
    server = listen(folder, python, torch=torch, more=more)
    atexit.register(server.communicate)  # it ends when the pipe is closed
    client = [
        python,
        "-IS",
        Path(__file__).with_name("warm_client.py"),
        f"{folder}/{ADDRESS}",
        python,
    ]
    sys.executable = shlex.join(map(str, client))


def listen(
    folder: str, python: str, *, torch: bool, more: tuple[str, ...] = ()
) -> subprocess.Popen:
    """Start a server that ends with its standard input; clients may ask it at once.

    Parameters
    ----------
    more
        What it imports besides `PACKAGES`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/{ADDRESS}")
        listener.listen(128)
        asked = [folder, str(listener.fileno()), str(int(torch)), *more]
        return subprocess.Popen(
            [python, "-P", __file__, *asked], stdin=subprocess.PIPE, pass_fds=[listener.fileno()]
        )


class _Server:
    """Forks a process for each request, and tells its client how it ended.

    Parameters
    ----------
    onward
        To the server that has torch, which takes the scripts that import it.
    """

    def __init__(self, onward: socket.socket | None = None) -> None:
        self.onward = onward
        self.ready = selectors.DefaultSelector()

    def on(self, source: Any, act: Any) -> None:
        """Call `act(source)` when there is something to read from it, or its end."""
        self.ready.register(source, selectors.EVENT_READ, act)

    def serve(self) -> None:
        """Answer until nothing is left to wait for."""
        while self.ready.get_map():
            for key, _ in self.ready.select():
                # one event may end the source of another: a job ends while its client is killed
                if self.ready.get_map().get(key.fd) is key:
                    key.data(key.fileobj)

    def accept(self, listener: socket.socket) -> None:
        """Take a request from a new client."""
        client, _ = listener.accept()
        request, streams, _, _ = socket.recv_fds(client, LARGEST, 3)
        script = Path(os.fsdecode(request.split(b"\0")[0]))
        if self.onward and not WITH_TORCH.isdisjoint(script.suffixes):
            with suppress(OSError):  # that server was killed
                socket.send_fds(self.onward, [request], [client.fileno(), *streams])
            client.close()
            for stream in streams:
                os.close(stream)
        elif request:
            self._start(request, client, streams)
        else:  # killed before it asked
            client.close()

    def take(self, pair: socket.socket) -> None:
        """Take a request that another server hands on, or the end of that server."""
        request, received, _, _ = socket.recv_fds(pair, LARGEST, 4)
        if request:
            self._start(request, socket.socket(fileno=received[0]), received[1:])
        else:
            self.ready.unregister(pair)

    def _start(self, request: bytes, client: socket.socket, streams: list[int]) -> None:
        if not (pid := os.fork()):
            self._forget()
            client.close()
            _end(_run(request, streams))
        for stream in streams:
            os.close(stream)
        with suppress(OSError):  # killed since: its end is read next
            client.send(str(pid).encode())
        self.on(client, lambda _: self._kill(pid, client))
        self.on(os.pidfd_open(pid), lambda process: self._report(pid, process, client))

    def _kill(self, pid: int, client: socket.socket) -> None:
        """End a job whose client was killed."""
        self.ready.unregister(client)
        os.kill(pid, signal.SIGKILL)

    def _report(self, pid: int, process: int, client: socket.socket) -> None:
        status = self._reap(pid, process)
        if client in self.ready.get_map():
            self.ready.unregister(client)
            with suppress(OSError):
                client.send(str(status).encode())
        client.close()

    def _reap(self, pid: int, process: int) -> int:
        self.ready.unregister(process)
        os.close(process)
        return os.waitpid(pid, 0)[1]

    def _forget(self) -> None:
        """Close, in a new process, what belongs to its parent."""
        if self.onward:
            self.onward.close()
        for source in [key.fileobj for key in self.ready.get_map().values()]:
            os.close(source.detach() if isinstance(source, socket.socket) else source)  # type: ignore[arg-type]
        self.ready.close()


def _import(names: tuple[str, ...]) -> None:
    for name in names:
        with suppress(ImportError):  # the job that needs it says so
            importlib.import_module(name)


def _run(request: bytes, streams: list[int]) -> int:
    """Become the process of a script: its streams, folder, environment, threads and signals.

    Returns
    -------
    its exit code
    """
    ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    script, folder, *variables = os.fsdecode(request).split("\0")
    os.chdir(folder)
    os.environ.clear()
    os.environ.update((name, value) for name, _, value in (v.partition("=") for v in variables))
    tempfile.tempdir = None  # it follows TMPDIR
    threads = int(os.environ.get("OMP_NUM_THREADS", 1))
    threadpoolctl.threadpool_limits(threads)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)
    for number, action in BEFORE.items():
        signal.signal(number, action)
    sys.argv = [script]
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        return ended.code or 0
    return 0


def _end(code: int) -> NoReturn:
    """End a forked process, without freeing what it has imported: with torch that takes 1.7 s."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _fork_server_with_torch(listener: socket.socket) -> socket.socket:
    """Start the other server, and return what leads to it; it ends when that is closed."""
    onward, pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        pair.close()
        return onward
    onward.close()
    listener.close()
    server = _Server()
    _import(TORCH)
    server.on(pair, server.take)
    server.serve()
    _end(0)


def main(folder: str, listening: str, torch: str, *more: str) -> None:
    """Serve until standard input ends, which is when Snakemake ends."""
    BEFORE.update({number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS})
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # no thread may live
    listener = socket.socket(fileno=int(listening))
    _import((*PACKAGES, *more))
    server = _Server(_fork_server_with_torch(listener) if torch == "1" else None)

    def stop(pipe: int) -> None:
        for source in (listener, pipe):
            server.ready.unregister(source)
        shutil.rmtree(folder)
        listener.close()
        if server.onward:
            server.onward.close()

    server.on(listener, server.accept)
    server.on(0, stop)
    server.serve()
    with suppress(ChildProcessError):
        os.wait()  # for the other server


if __name__ == "__main__":
    main(*sys.argv[1:])
