"""API keys on SQL."""

# ruff: noqa: S608 - statements are put together from constants of this module, values are always bound

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from ..service.credentials import Key, Keys, UnknownKey
from .database import Database
from .database_errors import explain
from .log_sql import LogSql, Now, snapshot, writing

_LOG = structlog.get_logger("atomos.security")

_COLUMNS = "id, owner, scopes, digest, created_at, expires_at, revoked_at, used_at"
_FIND = f"select {_COLUMNS} from atomos_key where id = :id"
_LIST = f"select {_COLUMNS} from atomos_key order by owner, created_at, id"
_ADD = f"""
insert into atomos_key ({_COLUMNS})
values (:id, :owner, :scopes, :digest, :created_at, :expires_at, :revoked_at, :used_at)
"""
_EXPIRE = """
update atomos_key set expires_at = :at where id = :id and (expires_at is null or expires_at > :at)
"""
_REVOKE = "update atomos_key set revoked_at = :now where id = :id and revoked_at is null"
_USED = "update atomos_key set used_at = :at where id = :id and (used_at is null or used_at < :at)"


class SqlKeys(Keys):
    """Keeps a row for each key. `now` is the time that tests give; None is the database's own clock."""

    def __init__(self, database: Database, now: Now = None) -> None:
        self._database = database
        self._now = now

    def find(self, id_: str) -> Key | None:
        """Find a key by its id, or None."""
        with snapshot(self._database, self._now) as log:
            return next((_key(log, row) for row in log.rows(_FIND, id=id_)), None)

    def listed(self) -> Sequence[Key]:
        """List all keys, by owner and age."""
        with snapshot(self._database, self._now) as log:
            return [_key(log, row) for row in log.rows(_LIST)]

    def add(self, key: Key) -> None:
        """Keep a new key."""
        times = ("created_at", "expires_at", "revoked_at", "used_at")
        with writing(self._database, self._now) as log:
            values: dict[str, Any] = {
                name: None if value is None else log.at(value) if name in times else value
                for name, value in key._asdict().items()
            }
            log.change(_ADD, **{**values, "scopes": log.array(sorted(key.scopes))})
        _LOG.info("key.created", key=key.id, owner=key.owner, scopes=sorted(key.scopes), ends=_end(key))

    def expire(self, id_: str, at: datetime) -> Key:
        """Let a key end at an instant, unless it ends earlier. Raises `UnknownKey`."""
        with writing(self._database, self._now) as log:
            log.change(_EXPIRE, id=id_, at=log.at(at))
            key = _known(log, id_)
        _LOG.info("key.expires", key=id_, owner=key.owner, ends=_end(key))
        return key

    def revoke(self, id_: str) -> Key:
        """End a key at once and for ever. Raises `UnknownKey`."""
        with writing(self._database, self._now) as log:
            log.change(_REVOKE, id=id_, now=log.at(log.now()))
            key = _known(log, id_)
        _LOG.info("key.revoked", key=id_, owner=key.owner)
        return key

    def used(self, last: Mapping[str, datetime]) -> None:
        """Note when keys were used last."""
        try:
            with writing(self._database, self._now) as log:
                log.change_each(_USED, [{"id": id_, "at": log.at(at)} for id_, at in sorted(last.items())])
        except Exception as error:
            raise explain(error, "API keys") or error from error


def _end(key: Key) -> str | None:
    return None if key.expires_at is None else key.expires_at.isoformat()


def _known(log: LogSql, id_: str) -> Key:
    for row in log.rows(_FIND, id=id_):
        return _key(log, row)
    raise UnknownKey(f"There is no API key {id_}; `atomos keys list` shows all.")


def _key(log: LogSql, row: Any) -> Key:
    return Key(
        row.id,
        row.owner,
        frozenset(log.listed(row.scopes)),
        row.digest,
        *(log.moment(each) for each in (row.created_at, row.expires_at, row.revoked_at, row.used_at)),
    )
