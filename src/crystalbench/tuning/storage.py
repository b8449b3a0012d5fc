"""Where studies live while they go on: a sqlite file, or a PostgreSQL server that several machines share."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy
from filelock import FileLock, Timeout
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from crystalbench.errors import ConfigError

HEARTBEAT_SECONDS = 10
"""A running trial gives a sign of life this often."""

GRACE_SECONDS = 60
"""A trial without a sign of life for so long is taken from its worker."""

DATABASE = "studies.sqlite3"
_LOCK_SECONDS = 120
_BUSY_SECONDS = 60


@dataclass(frozen=True)
class Storage:
    """A database with studies; workers that are given the same one join each other's studies.

    Attributes:
        url: ``postgresql://user@host/database`` or ``sqlite:///path``.
        heartbeat: seconds between a running trial's signs of life.
        grace: seconds without one after which the trial is taken from its worker.
    """

    url: str
    heartbeat: int = HEARTBEAT_SECONDS
    grace: int = GRACE_SECONDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", normal_url(self.url))

    def __reduce__(self) -> tuple[type[Storage], tuple[str, int, int]]:
        """Another process makes its own connections."""
        return Storage, (self.url, self.heartbeat, self.grace)

    @classmethod
    def below(cls, folder: Path) -> Storage:
        """The sqlite file of a folder of studies."""
        url = sqlalchemy.URL.create("sqlite", database=str(folder.absolute() / DATABASE))  # the path may hold ? and %
        return cls(url.render_as_string())

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return sqlalchemy.make_url(self.url).render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The sqlite file; None for a server."""
        database = sqlalchemy.make_url(self.url).database
        return Path(database) if self.url.startswith("sqlite") and database else None

    @functools.cached_property
    def database(self) -> RDBStorage:
        """Optuna's storage, whose tables are made where they are missing.

        Raises:
            ConfigError: the server cannot be reached, its driver is not installed, or the file cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        server: dict[str, Any] = {"pool_pre_ping": True}
        with self.for_people(), self.locked("tables"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return RDBStorage(
                self.url,
                engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}} if self.file else server,
                heartbeat_interval=self.heartbeat,
                grace_period=self.grace,
            )

    @contextlib.contextmanager
    def locked(self, what: str) -> Iterator[None]:
        """Alone among all processes on this storage, as far as the same thing goes; a killed process's lock is free.

        Optuna's own steps are not atomic (sqlite has no row locks, and a trial is counted, made and given its
        parameters one after another), so that budgets could be exceeded.
        """
        if self.file is not None:
            lock = self._file_lock(self.file)
            try:
                yield
            finally:
                lock.release()
            return
        with self._engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:number)"), {"number": _number(what)})
            try:
                yield
            finally:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:number)"), {"number": _number(what)})

    def _file_lock(self, file: Path) -> FileLock:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{file}.lock", timeout=_LOCK_SECONDS)
            lock.acquire()
        except (OSError, Timeout) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(f"storage {self.shown}: cannot be used ({reason}); give another --results") from error
        return lock

    @functools.cached_property
    def _engine(self) -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(self.url, pool_pre_ping=True, isolation_level="AUTOCOMMIT")

    def check(self) -> None:
        """Find out before any work whether the storage can be used.

        Raises:
            ConfigError: it cannot.
        """
        assert self.database is not None

    @contextlib.contextmanager
    def for_people(self) -> Iterator[None]:
        """Turn errors of the database into ones that say what to do.

        Raises:
            ConfigError: the storage cannot be used.
        """
        try:
            yield
        except ImportError as error:
            raise ConfigError(
                f"storage {self.shown}: its driver is not installed; call: pip install 'crystalbench[postgresql]'"
            ) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            reason = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
            remedy = (
                "give another --results" if self.file else "is the server running, and are name and password right?"
            )
            raise ConfigError(f"storage {self.shown}: cannot be used ({reason}); {remedy}") from error


def normal_url(url: str) -> str:
    """A storage's URL with the driver that CrystalBench brings.

    Raises:
        ConfigError: it is not a URL of PostgreSQL or sqlite.
    """
    try:
        parts = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        shown = re.sub(r"//([^:/@]*):[^/]*@", r"//\1:***@", url)
        raise ConfigError(f"storage {shown!r}: is not a URL; write postgresql://user@host/database") from None
    dialect = parts.drivername.partition("+")[0]
    if dialect not in ("postgresql", "postgres", "sqlite"):
        shown = parts.render_as_string(hide_password=True)
        raise ConfigError(f"storage {shown}: {dialect} is not known; give postgresql://... or sqlite:///...")
    if dialect == "sqlite" and parts.database in (None, "", ":memory:"):
        raise ConfigError(f"storage {url!r}: names no file; write sqlite:///path/of/a/file")
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _number(what: str) -> int:
    return int.from_bytes(hashlib.sha256(f"crystalbench:{what}".encode()).digest()[:8], "big") >> 1
