"""Client of the warm start: the process that Snakemake starts for a script of a rule.

    python -IS warm_client.py ADDRESS PYTHON SCRIPT

It asks the server (`cryotome.runtime.warm_start`) to fork a process for the script, passes signals
on to it, and ends as it ends. Where no server answers, it becomes PYTHON itself. It imports nothing
but the standard library, to start within milliseconds.
"""

import os
import signal
import socket
import sys
from typing import NoReturn


def main(address: str, python: str, *arguments: str) -> NoReturn:
    """Run a script in a fork of the server; all else, `-m snakemake` for one, by PYTHON."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        (script,) = arguments
        server.connect(address)
        here = os.getcwd()  # noqa: PTH109 - pathlib takes 10 ms
        said = [script, here, *(f"{name}={value}" for name, value in os.environ.items())]
        socket.send_fds(server, [os.fsencode("\0".join(said))], [0, 1, 2])
        pid = int(server.recv(64))
    except (OSError, ValueError):
        os.execv(python, [python, *arguments])
    caught = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    for number in caught:
        if signal.getsignal(number) != signal.SIG_IGN:  # set by nohup
            signal.signal(number, lambda number, _: os.kill(pid, number))
    status = server.recv(64)
    if not status:
        sys.exit("The process that starts the jobs was killed, and this job with it.")
    code = os.waitstatus_to_exitcode(int(status))
    if code < 0:
        if -code in caught:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
