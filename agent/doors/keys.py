"""Who may come in: keys by name, of which only hashes are kept, with what each may do and how much.

A file in PONDER_HOME, read again whenever it has changed, so that a key that is revoked is refused from then on.
Secrets are 256 random bits, so that one pass of SHA-256 hides them as well as a slow hash would.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from pydantic import TypeAdapter, ValidationError

from agent.errors import SettingsError
from agent.files import write_private

FILE, PREFIX = "keys.json", "pk-"
Scope = Literal["ask", "documents", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use; None: as much as the server has."""

    requests: int | None = None  # that ask, a minute
    concurrent: int | None = None  # questions under way at once
    tokens: int | None = None  # sampled or read by verifiers, a day (UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """One client."""

    name: str
    digest: str  # SHA-256 of the secret, in hex; "" for whoever comes in without a key
    scopes: tuple[Scope, ...] = ("ask",)  # "admin" may see what the others asked, and change what answers
    limits: Limits = Limits()
    created_at: str = ""  # ISO 8601, UTC
    expires_at: str | None = None  # ISO 8601, UTC

    def expired(self, now: datetime) -> bool:
        return self.expires_at is not None and datetime.fromisoformat(self.expires_at) <= now

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or "admin" in self.scopes


LOCAL = Key("local", "", SCOPES)  # on this machine, where no key was ever made
_KEYS = TypeAdapter(tuple[Key, ...])


class Keys:
    """The keys of a home, as the file has them now."""

    def __init__(self, home: Path) -> None:
        self._file = home / FILE
        self._read: tuple[tuple[int, int], tuple[Key, ...]] | None = None  # the file's state, and what it held

    @property
    def wanted(self) -> bool:
        """Whether nobody comes in without one: from the first key that was made on, also when the last was revoked."""
        return self._file.exists()

    @property
    def all(self) -> tuple[Key, ...]:
        """Raises ``SettingsError`` where the file is damaged: then nobody comes in."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return ()
        state = (found.st_mtime_ns, found.st_ino)
        if self._read is None or self._read[0] != state:
            self._read = (state, keys_in(self._file))
        return self._read[1]

    def known(self, secret: str) -> Key | None:
        """Whose secret that is. Compares with every key, each in constant time."""
        digest, found = digest_of(secret), None
        for key in self.all:
            if hmac.compare_digest(key.digest, digest):
                found = key
        return found


def keys_in(file: Path) -> tuple[Key, ...]:
    try:
        return _KEYS.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise SettingsError(f"{file} cannot be read; delete it and make the keys again.") from error


def create(home: Path, name: str, scopes: Sequence[Scope], limits: Limits, expires_at: datetime | None = None) -> str:
    """Make a key; returns its secret, which is kept nowhere. Raises ``SettingsError``."""
    there = Keys(home).all
    if not name.strip() or any(key.name == name for key in there) or name == LOCAL.name:
        raise SettingsError(f"A key cannot be called {name!r}, or there is one already; choose another name.")
    secret = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    key = Key(name, digest_of(secret), tuple(scopes), limits, now.isoformat())
    key = key if expires_at is None else replace(key, expires_at=expires_at.astimezone(UTC).isoformat())
    write(home, (*there, key))
    return secret


def revoke(home: Path, name: str) -> None:
    """Raises ``SettingsError`` where there is no such key."""
    there = Keys(home).all
    if name not in (known := [key.name for key in there]):
        raise SettingsError(f"There is no key {name!r}; there are {', '.join(known) or 'none'}.")
    write(home, [key for key in there if key.name != name])


def write(home: Path, keys: Sequence[Key]) -> None:
    write_private(home / FILE, json.dumps(list(map(asdict, keys)), indent=1))


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
