"""How many requests a minute a key makes, whichever process they come to."""

import math
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.database import Database
from agent.requests import MINUTE, Requests

START = datetime(2026, 11, 1, tzinfo=UTC)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 30), max_size=40), st.integers(1, 5))
def test_no_minute_has_more_requests_than_the_limit_and_none_is_refused_for_nothing(gaps: list[int], most: int) -> None:
    now, let_in = 0.0, list[float]()
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(Path(folder) / "log.sqlite")
        requests = Requests(database, lambda: START + timedelta(seconds=now))
        for gap in gaps:
            now += gap
            wait = requests.within("shop", most)
            assert requests.within("other", 1_000) == 0
            if not wait:
                let_in.append(now)
                continue
            inside = [each for each in let_in if now - MINUTE < each]
            assert len(inside) >= most
            assert math.isclose(wait, inside[-most] + MINUTE - now, abs_tol=1e-4)
        database.close()
    for each in let_in:
        assert sum(each - MINUTE < other <= each for other in let_in) <= most
