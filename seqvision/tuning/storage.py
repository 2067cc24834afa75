"""Where a study is kept, shared by several processes, and which of its trials are dead.

Elsewhere a process without a heartbeat for a while is taken for dead (`storage.GRACE`).
"""

import errno
import os
import random
import sqlite3
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from seqvision.errors import StudyError

# The interval of heartbeats, and the silence after which a process is taken for dead.
HEARTBEAT = 15
GRACE = 120
# How long a process waits while others write to the same SQLite file.
_PATIENCE = 60
_ATTEMPTS = 20

_FAILURES = (optuna.exceptions.StorageInternalError, SQLAlchemyError, sqlite3.Error)

PROCESS = "process"


class Storage(RDBStorage):
    """A database whose absence for a moment does not end the heartbeat thread."""

    def record_heartbeat(self, trial_id: int) -> None:
        """Record that the process of a trial is alive."""
        with suppress(optuna.exceptions.StorageInternalError, SQLAlchemyError):
            super().record_heartbeat(trial_id)


def storage_url(given: str | None, default: Path) -> URL:
    """Return the URL of a storage, given as one, as the path of a SQLite file, or not at all.

    Raises:
        StudyError: no URL of a database that can be used.
    """
    if given is None or "://" not in given:
        return URL.create("sqlite", database=str(default if given is None else Path(given)))
    try:
        url = make_url(given)
        if url.drivername == "postgresql":  # which driver that is depends on the version
            url = url.set(drivername="postgresql+psycopg")
        url.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise StudyError(
            f"--storage {given.partition('://')[0]}://…: not the URL of a database; such are "
            "sqlite:///study.db and postgresql://HOST/DATABASE"
        ) from None
    return url


def open_storage(url: URL) -> Storage:
    """Open a storage; its tables are made where it has none.

    Raises:
        StudyError: it cannot be reached, or is another kind of database.
    """
    if url.get_backend_name() == "sqlite":
        _make_shareable(url)
    with reported(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            return _connect(url)
        except ImportError:
            hint = "pip install 'psycopg[binary]'" if "psycopg" in url.drivername else "its driver"
            raise StudyError(
                f"--storage {without_password(url)}: {url.drivername} is not installed here: {hint}"
            ) from None
        except (RuntimeError, AssertionError) as error:
            raise StudyError(f"--storage {without_password(url)}: {_line(error)}") from None


def without_password(url: URL) -> str:
    """Return a URL as it may be shown, without its password; a SQLite file as its path."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)


@contextmanager
def reported(url: URL) -> Iterator[None]:
    """Turn errors of a storage into one line.

    Raises:
        StudyError: something did.
    """
    try:
        yield
    except (*_FAILURES, AssertionError) as raised:
        # optuna expects no failure while it reports a trial, and asserts so on top of it.
        error = raised.__context__ if isinstance(raised, AssertionError) else raised
        if not isinstance(error, _FAILURES):
            raise
        raise StudyError(
            f"{without_password(url)}: {_reason(error)}; finished trials are kept"
        ) from None


def _connect(url: URL) -> Storage:
    """Open a storage; of processes that make its tables at the same time all but one try again."""
    engine: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        engine["connect_args"] = {"timeout": _PATIENCE}
    text = url.render_as_string(hide_password=False)
    for attempt in range(_ATTEMPTS):
        try:
            storage = Storage(text, engine, heartbeat_interval=HEARTBEAT, grace_period=GRACE)
        except (SQLAlchemyError, RuntimeError, AssertionError) as error:
            if attempt == _ATTEMPTS - 1 or not _is_being_made(error):
                raise
            time.sleep(random.uniform(0.1, 0.5))
        else:
            if url.get_backend_name() == "sqlite":
                sqlalchemy.event.listen(storage.engine, "connect", _hurry)
            return storage
    raise AssertionError("unreachable")


def _is_being_made(error: BaseException) -> bool:
    if not isinstance(error, SQLAlchemyError):
        return True  # tables without the version that is written last
    text = str(error).lower()
    return isinstance(error, IntegrityError) or "already exists" in text or "locked" in text


def _make_shareable(url: URL) -> None:
    """Let a SQLite file be read while it is written: several processes then get along.

    Raises:
        StudyError: it cannot be written, or is no such file.
    """
    path = Path(str(url.database))
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=_PATIENCE)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                return
        except sqlite3.Error as error:
            # SQLite does not wait where two processes change the mode at the same time.
            if "locked" not in str(error) or time.monotonic() > until:
                raise StudyError(f"--storage {path}: {error}") from None
        time.sleep(random.uniform(0.05, 0.2))


def _hurry(connection: Any, _: object) -> None:
    # With a write-ahead log a power cut then loses the newest trials and never the file.
    connection.execute("PRAGMA synchronous=NORMAL")


def _reason(error: BaseException) -> str:
    """Return the database's own message, which optuna keeps as the cause of its error."""
    while not isinstance(error, SQLAlchemyError) and error.__cause__ is not None:
        error = error.__cause__
    reason = _line(getattr(error, "orig", None) or error)
    # SQLite's own words leave open which of the two it is.
    return os.strerror(errno.ENOSPC) if reason == "database or disk is full" else reason


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def this_process() -> dict[str, Any]:
    """Return an identifier of this process, unique as far as this system allows."""
    return {"place": _machine(), "pid": os.getpid(), "started": _started(os.getpid())}


def fail_dead_trials(study: optuna.Study) -> list[int]:
    """Mark the trials of processes that were killed as failed, and return their numbers."""
    found = []
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if _is_dead(trial):
            # Another process may have seen it too.
            with suppress(optuna.exceptions.UpdateFinishedTrialError, ValueError):
                study.tell(trial.number, state=TrialState.FAIL)
                found.append(trial.number)
    return found


def _is_dead(trial: FrozenTrial) -> bool:
    process = trial.user_attrs.get(PROCESS)
    if process is None:  # killed before its first heartbeat
        begun = trial.datetime_start
        return begun is not None and datetime.now() - begun > timedelta(seconds=GRACE)
    here = _machine()
    if here is None or process["place"] != here:
        return False
    return process["started"] is None or _started(process["pid"]) != process["started"]


def _machine() -> str | None:
    """Return this boot of this machine and its table of processes; containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """Return when a process began, in ticks since the boot; None where there is none."""
    try:
        # The name, in brackets, may have spaces and brackets itself.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]
