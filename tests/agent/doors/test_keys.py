"""Keys of a home: a secret is shown once, compared by its hash, and refused from the moment it is revoked."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.doors.keys import FILE, Keys, Limits, create, revoke
from agent.errors import SettingsError


def test_a_key_is_known_by_its_secret_of_which_only_a_hash_is_kept(home: Path) -> None:
    secret = create(home, "app", ["ask"], Limits(requests=5))
    other = create(home, "other", ["admin"], Limits())
    keys = Keys(home)
    known = keys.known(secret)
    assert known is not None
    assert (known.name, known.limits.requests) == ("app", 5)
    assert secret not in (home / FILE).read_text()
    assert (home / FILE).stat().st_mode & 0o777 == 0o600
    assert keys.known(secret[:-1]) is None
    assert keys.known("") is None
    assert secret != other


def test_a_key_that_is_revoked_is_unknown_to_who_read_the_file_before(home: Path) -> None:
    secret, keys = create(home, "app", ["ask"], Limits()), Keys(home)
    assert keys.known(secret) is not None
    revoke(home, "app")
    assert keys.known(secret) is None
    with pytest.raises(SettingsError, match="There is no key 'app'; there are none"):
        revoke(home, "app")


def test_two_keys_have_two_names(home: Path) -> None:
    create(home, "app", ["ask"], Limits())
    for name in ("app", "", "local"):
        with pytest.raises(SettingsError, match="choose another name"):
            create(home, name, ["ask"], Limits())


def test_a_key_expires_on_its_day(home: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    create(home, "app", ["ask"], Limits(), tomorrow)
    [key] = Keys(home).all
    assert not key.expired(tomorrow - timedelta(seconds=1))
    assert key.expired(tomorrow)


def test_an_admin_may_everything_and_the_others_what_their_scopes_say(home: Path) -> None:
    create(home, "app", ["ask"], Limits())
    create(home, "owner", ["admin"], Limits())
    app, owner = Keys(home).all
    assert [app.may("ask"), app.may("documents"), app.may("admin")] == [True, False, False]
    assert all(owner.may(scope) for scope in ("ask", "documents", "admin"))


def test_a_damaged_file_lets_nobody_in(home: Path) -> None:
    create(home, "app", ["ask"], Limits())
    (home / FILE).write_text("[{]")
    with pytest.raises(SettingsError, match="cannot be read; delete it"):
        Keys(home).known("anything")
