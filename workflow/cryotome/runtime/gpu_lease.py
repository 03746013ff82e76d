"""GPU leases: no two jobs of this machine use one GPU, unless the site allows it.

A lease is a flock(2) of the kernel, which is released however its process ends.
"""

import errno
import fcntl
import os
import pwd
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cryotome.core.errors import CryotomeError
from cryotome.runtime.cluster import placement
from cryotome.runtime.environment import SITE
from cryotome.runtime.log import log_line
from cryotome.runtime.watchdog import paused

VISIBLE = "CUDA_VISIBLE_DEVICES"
SHARED_BY = "CRYOTOME_JOBS_PER_GPU"
# the same for all users, runs and values of TMPDIR of this machine; the variable replaces it
FOLDER, PLACE = Path("/tmp/cryotome-gpus"), "CRYOTOME_LEASES"
GATE = "gate"
PAUSE, SHORT_PAUSE = 1.0, 0.05  # s between two tries: for a GPU, for the gate
NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def visible_devices(environ: Mapping[str, str], nodes: Path = Path("/dev")) -> list[str]:
    """Return the names of the GPUs that jobs may use, as CUDA interprets them.

    Parameters
    ----------
    environ
        Its `CUDA_VISIBLE_DEVICES`, if set: numbers, UUIDs and MIG instances, up to the first
        entry that is none of these. Else CUDA numbers all GPUs from 0.
    nodes
        Folder of the device files.
    """
    if VISIBLE not in environ:
        found = [path for path in nodes.glob("nvidia*") if path.name[6:].isdigit()]
        return [str(number) for number in range(len(found))]
    names: list[str] = []
    for name in map(str.strip, environ[VISIBLE].split(",")):
        if not re.fullmatch(r"\d+|(GPU|MIG)-\S+", name):
            break
        names.append(name)
    return list(dict.fromkeys(names))


@dataclass(frozen=True)
class _Locks:
    """A folder of lock files: one per device, and one per job that may share it."""

    folder: int  # its descriptor

    def lock(self, name: str, how: int) -> int | None:
        """Return a descriptor that holds the lock of a file, or None where another has it."""
        while True:
            file = self._open(name)
            try:
                fcntl.flock(file, how | fcntl.LOCK_NB)
                os.utime(file)  # or cleaners of /tmp would delete it
                if self._is_still(file, name):
                    return file
            except BlockingIOError:
                os.close(file)
                return None
            except OSError:
                os.close(file)
                raise
            os.close(file)  # the file was removed meanwhile: the next job would not see this lock

    def _is_still(self, file: int, name: str) -> bool:
        with suppress(FileNotFoundError):
            there = os.stat(name, dir_fd=self.folder, follow_symlinks=False)
            return os.path.samestat(os.fstat(file), there)
        return False

    def holders(self, names: list[str]) -> str:
        """Return which processes hold locks of these files, as far as the kernel shows them."""
        inodes = set()
        for name in names:
            with suppress(OSError):
                inodes.add(str(os.stat(name, dir_fd=self.folder).st_ino))
        found = set()
        with suppress(OSError):
            for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
                part = line.split()
                if part[1] == "FLOCK" and part[5].split(":")[-1] in inodes:
                    found.add(int(part[4]))
        return ", ".join(map(_who, sorted(found))) or "a process that is not visible from here"

    def _open(self, name: str) -> int:
        """Open a file of this folder; create it, writable for all, if it does not exist.

        An existing file is opened without O_CREAT, which `fs.protected_regular` forbids on files
        of other users.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            with suppress(FileNotFoundError):
                return os.open(name, flags, dir_fd=self.folder)
            with suppress(FileExistsError), _open_to_all():
                return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=self.folder)

    def free(self, device: str, jobs: int) -> list[int]:
        """Lock a device and all its free places for jobs; return the descriptors, or none.

        A shared lock of the device keeps out jobs that need it alone.
        """
        name = _file_of(device)
        whole = self.lock(name, fcntl.LOCK_EX if jobs == 1 else fcntl.LOCK_SH)
        if whole is None:
            return []
        places = (self.lock(f"{name}.{k}", fcntl.LOCK_EX) for k in range(jobs))
        taken = [place for place in places if place is not None]
        if not taken:
            os.close(whole)
            return []
        return [whole, *taken]

    def take(self, devices: list[str], count: int, jobs: int) -> dict[str, list[int]] | None:
        """Lock a place on `count` devices, the least busy first, or on none.

        One job chooses at a time: two could each get half of what they need and block each
        other. None while another job chooses.
        """
        gate = self.lock(GATE, fcntl.LOCK_EX)
        if gate is None:
            return None
        free = {device: self.free(device, jobs) for device in devices}
        best = sorted((d for d in devices if free[d]), key=lambda device: -len(free[device]))
        chosen = best[:count] if len(best) >= count else []
        for device, files in free.items():
            for file in files[2:] if device in chosen else files:
                os.close(file)
        os.close(gate)
        return {device: free[device][:2] for device in devices if device in chosen}


def _file_of(device: str) -> str:
    # a scheduler that chooses devices may number those of each job from 0
    placed = placement(os.environ) if VISIBLE in os.environ else None
    return quote((placed.job if placed else "") + device, safe="")


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _who(pid: int) -> str:
    try:
        return f"process {pid} of user {_name_of(Path(f'/proc/{pid}').stat().st_uid)}"
    except OSError:
        return f"process {pid}"


@contextmanager
def _open_to_all() -> Iterator[None]:
    before = os.umask(0)
    try:
        yield
    finally:
        os.umask(before)


def _open_folder(folder: Path) -> int:
    with suppress(FileExistsError), _open_to_all():
        folder.mkdir(0o1777)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    about = os.fstat(opened)
    if about.st_mode & stat.S_ISVTX:
        return opened
    if about.st_uid == os.getuid():
        if about.st_mode & 0o022:  # others may use it: sticky, so that none removes another's locks
            os.fchmod(opened, about.st_mode & 0o7777 | stat.S_ISVTX)
        return opened
    if about.st_uid == 0 and not about.st_mode & 0o022:
        return opened
    os.close(opened)
    raise CryotomeError(
        f"{folder} belongs to user {_name_of(about.st_uid)} and is not sticky (mode "
        f"{about.st_mode & 0o7777:o}): others could remove the locks in it, and two jobs "
        f"would use one GPU. Ask its owner for `chmod +t {folder}`, or set {PLACE} to "
        f"another folder, the same for all jobs."
    )


def _wait(devices: list[str], count: int, jobs: int, folder: Path) -> dict[str, list[int]]:
    """Lock devices as soon as enough are free; log that this job waits, then for which ones."""
    locks, tries, began = _Locks(_open_folder(folder)), 0, time.monotonic()
    try:
        while not (taken := locks.take(devices, count, jobs)):
            at_gate = taken is None  # normally held for an instant only
            if not at_gate or time.monotonic() - began > PAUSE:
                tries += 1
            if tries == 1:
                what = f"{folder / GATE}" if at_gate else f"{count} of the GPUs {','.join(devices)}"
                log_line(f"Waiting for {what}: other jobs hold {'it' if at_gate else 'them'}.")
            if tries == 2:
                files = [GATE] if at_gate else [_file_of(device) for device in devices]
                log_line(f"Held by {locks.holders(files)}.")
            with paused():
                time.sleep(PAUSE if tries else SHORT_PAUSE)
        return taken
    finally:
        os.close(locks.folder)


def _lease(count: int, folder: Path) -> dict[str, list[int]]:
    devices, jobs = visible_devices(os.environ), int(os.environ.get(SHARED_BY, "1"))
    count = min(count, len(devices))
    if not count:
        return {}
    try:
        taken = _wait(devices, count, jobs, folder)
    except OSError as error:
        if error.errno in NO_LOCKS:
            log_line(f"{folder} has no locks ({error.strerror}): several jobs may use one GPU.")
            return {device: [] for device in devices}
        raise CryotomeError(
            f"{folder} cannot hold the leases of this machine's GPUs ({error.strerror}). When "
            "no job runs, delete it: it must be a folder that everyone may write to, mode 1777, "
            f"without links in it. Or set {PLACE} to another one, the same for all jobs."
        ) from error
    shared = f", shared by up to {jobs} jobs" if jobs > 1 else ""
    log_line(f"GPU {','.join(taken)} of {','.join(devices)} is this job's{shared}.")
    return taken


@contextmanager
def lease_gpus(count: int, folder: Path | None = None) -> Iterator[None]:
    """Lease GPUs for the block, and set CUDA_VISIBLE_DEVICES to them.

    Waits until enough are free. Called before CUDA is initialised. With `count` 0 no GPU is
    visible; where a scheduler has chosen the devices, nothing changes.

    Parameters
    ----------
    count
        Number of GPUs; at most those visible.
    folder
        Of the locks, one for all users of the machine; default: `CRYOTOME_LEASES`, else
        `/tmp/cryotome-gpus`.

    Raises
    ------
    CryotomeError
        The folder is something else, or others may remove the locks.
    """
    if os.environ.get(SITE["device"]) == "per_job":
        yield
        return
    before = os.environ.get(VISIBLE)
    with ExitStack() as held:
        taken = _lease(count, folder or Path(os.environ.get(PLACE) or FOLDER))
        for file in (file for files in taken.values() for file in files):
            held.callback(os.close, file)
        os.environ[VISIBLE] = ",".join(taken)
        try:
            yield
        finally:
            del os.environ[VISIBLE]
            if before is not None:
                os.environ[VISIBLE] = before
