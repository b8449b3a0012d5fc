"""Storage of unfinished studies: a SQLite file, or a PostgreSQL server that several machines share."""

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
"""Seconds between two heartbeats of a running trial."""

GRACE_SECONDS = 60
"""A worker is considered dead after this many seconds without a heartbeat."""

DATABASE = "studies.sqlite3"
_LOCK_SECONDS = 120
_BUSY_SECONDS = 60


@dataclass(frozen=True)
class Storage:
    """A database of studies. Workers that use the same database share its studies.

    Attributes:
        url: ``postgresql://user@host/database`` or ``sqlite:///path``.
        heartbeat: seconds between two heartbeats of a running trial.
        grace: seconds without a heartbeat after which a worker is considered dead.

    Raises:
        ConfigError: the URL is not one of PostgreSQL or SQLite.
    """

    url: str
    heartbeat: int = HEARTBEAT_SECONDS
    grace: int = GRACE_SECONDS

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", normal_url(self.url))

    def __reduce__(self) -> tuple[type[Storage], tuple[str, int, int]]:
        """Pickle without connections: another process opens its own."""
        return Storage, (self.url, self.heartbeat, self.grace)

    @classmethod
    def below(cls, folder: Path) -> Storage:
        """The SQLite file in a folder of studies."""
        url = sqlalchemy.URL.create(
            "sqlite", database=str(folder.absolute() / DATABASE)
        )  # the path may contain ? and %
        return cls(url.render_as_string())

    @property
    def masked_url(self) -> str:
        """The URL with its password masked."""
        return sqlalchemy.make_url(self.url).render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a server."""
        database = sqlalchemy.make_url(self.url).database
        return Path(database) if self.url.startswith("sqlite") and database else None

    @functools.cached_property
    def database(self) -> RDBStorage:
        """Optuna's storage. Tables that do not exist are created.

        Raises:
            ConfigError: the server cannot be reached, its driver is not installed, or the file cannot be written.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        server: dict[str, Any] = {"pool_pre_ping": True}
        with self.translated_errors(), self.locked("tables"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return RDBStorage(
                self.url,
                engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}} if self.file else server,
                heartbeat_interval=self.heartbeat,
                grace_period=self.grace,
            )

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """A lock among all processes that use this storage. The lock of a process that dies is released.

        It is needed because Optuna's steps are not atomic: SQLite has no row locks, and trials are counted, created and
        given their parameters in separate steps, so workers could exceed the budget.

        Args:
            name: what is locked, such as the name of a study. A SQLite file has a single lock for all names.

        Raises:
            ConfigError: the lock file cannot be created, or another process held the lock for too long.
        """
        if self.file is not None:
            lock = self._file_lock(self.file)
            try:
                yield
            finally:
                lock.release()
            return
        with self._engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:number)"), {"number": _number(name)})
            try:
                yield
            finally:
                connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:number)"), {"number": _number(name)})

    def _file_lock(self, file: Path) -> FileLock:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(f"{file}.lock", timeout=_LOCK_SECONDS)
            lock.acquire()
        except (OSError, NotImplementedError, Timeout) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigError(
                f"storage {self.masked_url}: cannot be used ({reason}); choose another folder with --results"
            ) from error
        return lock

    @functools.cached_property
    def _engine(self) -> sqlalchemy.Engine:
        return sqlalchemy.create_engine(self.url, pool_pre_ping=True, isolation_level="AUTOCOMMIT")

    def check(self) -> None:
        """Connect, to detect problems before any work is done.

        Raises:
            ConfigError: the storage cannot be used.
        """
        _ = self.database  # connects

    @contextlib.contextmanager
    def translated_errors(self) -> Iterator[None]:
        """A context that replaces errors of the database by errors that say what to do.

        Raises:
            ConfigError: the storage cannot be used.
        """
        try:
            yield
        except ImportError as error:
            raise ConfigError(
                f"storage {self.masked_url}: its driver is not installed; run: pip install 'crystalbench[postgresql]'"
            ) from error
        except (SQLAlchemyError, StorageInternalError) as error:
            cause = error.__cause__ if isinstance(error, StorageInternalError) else error
            reason = str(getattr(cause, "orig", None) or cause or error).strip().splitlines()[0]
            remedy = (
                "choose another folder with --results"
                if self.file
                else "is the server running, and are user and password correct?"
            )
            raise ConfigError(f"storage {self.masked_url}: cannot be used ({reason}); {remedy}") from error


def normal_url(url: str) -> str:
    """The URL of a storage with the driver that CrystalBench installs.

    Raises:
        ConfigError: the URL is not one of PostgreSQL or SQLite.
    """
    try:
        parts = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        shown = re.sub(r"//([^:/@]*):[^/]*@", r"//\1:***@", url)
        raise ConfigError(f"storage {shown!r} is not a URL; write postgresql://user@host/database") from None
    dialect = parts.drivername.partition("+")[0]
    if dialect not in ("postgresql", "postgres", "sqlite"):
        shown = parts.render_as_string(hide_password=True)
        raise ConfigError(f"storage {shown}: {dialect} is not supported; use postgresql://... or sqlite:///...")
    if dialect == "sqlite" and parts.database in (None, "", ":memory:"):
        raise ConfigError(f"storage {url!r} names no file; write sqlite:///path/of/a/file")
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"crystalbench:{name}".encode()).digest()[:8], "big") >> 1
