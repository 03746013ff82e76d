"""Scripts of rules: `run_script(main)` runs one under Snakemake or from the command line."""

import argparse
import inspect
import json
import os
import sys
import traceback
import types
import typing
from collections.abc import Callable
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

from cryotome.core.errors import CryotomeError
from cryotome.runtime import ledger
from cryotome.runtime.environment import SITE, confined
from cryotome.runtime.failures import is_user_error, reason, record_failure
from cryotome.runtime.gpu_lease import lease_gpus
from cryotome.runtime.interpreter import restart_in_utf8
from cryotome.runtime.log import logged
from cryotome.runtime.watchdog import watchdog


def _from_site(wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the site's arguments, from the environment variables set by the workflow."""
    return {name: os.environ[SITE[name]] for name in wanted if os.environ.get(SITE.get(name, ""))}


def parse_argument(value: Any, annotation: Any) -> Any:
    """Convert a value from a rule or a command line to the type that `main` declares.

    Mappings, and dataclasses as mappings, may be JSON.

    >>> parse_argument("cells/midog2022.csv", Path)
    PosixPath('cells/midog2022.csv')
    >>> parse_argument('{"side": 224}', dict)
    {'side': 224}
    >>> parse_argument(["a.csv", "b.csv"], list[Path])
    [PosixPath('a.csv'), PosixPath('b.csv')]
    """
    kind, inner = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if kind is Any:
        return value
    if kind is types.UnionType:  # of a type and None
        return None if value is None else parse_argument(value, inner[0])
    if kind is list:
        many = [value] if isinstance(value, (str, Path)) else value
        return [parse_argument(item, inner[0]) for item in many]
    if kind is tuple:
        return tuple(map(parse_argument, value, inner))
    if kind is dict or is_dataclass(kind):
        said = json.loads(value) if isinstance(value, str) else value
        if kind is dict:
            key, of = inner or (str, Any)
            return {parse_argument(k, key): parse_argument(v, of) for k, v in said.items()}
        of = typing.get_type_hints(kind)
        known = {name: said[name] for name in of if name in said}  # of a base class its part
        return annotation(**{name: parse_argument(v, of[name]) for name, v in known.items()})
    if kind is bool and isinstance(value, str):
        return {"true": True, "false": False}[value.lower()]
    return kind(value)


def _from_rule(job: Any, wanted: dict[str, Any]) -> dict[str, Any]:
    given = _from_site(wanted) | ({"threads": job.threads} if "threads" in wanted else {})
    for source in (job.input, job.output, job.params):
        given.update(source.items())
    extra, missing = sorted(set(given) - set(wanted)), sorted(set(wanted) - set(given))
    if extra or missing:
        raise CryotomeError(
            f"rule {job.rule!r} and its script disagree: only in the rule: {extra}, "
            f"only in the script: {missing}. Give both the same names."
        )
    return {name: parse_argument(given[name], wanted[name]) for name in wanted}


def _from_command_line(main: Callable[..., None], wanted: dict[str, Any]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=main.__globals__["__doc__"])
    site = _from_site(wanted)
    for name, annotation in wanted.items():
        many = "*" if typing.get_origin(annotation) is list else None
        parser.add_argument(
            f"--{name}", required=name not in site, default=site.get(name), nargs=many
        )
    given = vars(parser.parse_args())
    return {name: parse_argument(given[name], wanted[name]) for name in wanted}


def run_script(main: Callable[..., None]) -> None:
    """Call `main` with the values of a rule, or those of the command line without a rule.

    Under Snakemake the rule's named inputs, outputs, params and threads must be the arguments of
    `main`; standard error also goes to the rule's log, and a failure leaves a record beside it.
    Any error ends the process: of one that a user can fix the message is printed, of others the
    traceback, without secrets.

    Raises
    ------
    CryotomeError
        The names of the rule and of the arguments of `main` differ.
    """
    job = main.__globals__.get("snakemake")
    wanted = typing.get_type_hints(main)
    wanted.pop("return", None)
    assert list(wanted) == list(inspect.signature(main).parameters)
    if job is None:
        if main.__module__ == "__main__":
            restart_in_utf8()
        with confined():
            main(**_from_command_line(main, wanted))
        return
    path, keys = Path(job.log[0]), dict(job.wildcards.items())
    with logged(path) as log:
        try:
            gpus = job.resources.get("gpu", 0)
            about = path, ledger.counted_rule(job.rule), keys
            with (
                confined(),
                record_failure(*about) as tell,
                ledger.record_attempt(*about, job.threads) as attempt,
            ):

                def last_words(why: str) -> None:
                    tell(why)
                    attempt.end(ledger.FAILED)

                with watchdog(last_words, log), lease_gpus(gpus):
                    attempt.start_gpus(gpus)
                    main(**_from_rule(job, wanted))
        except BaseException as error:
            said = f"\n{type(error).__name__}: {reason(error)}\n"
            print(said if is_user_error(error) else traceback.format_exc(), file=sys.stderr)
            sys.exit(1)
