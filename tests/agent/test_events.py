"""Events: what every door matches on."""

import dataclasses
import typing

from agent import events

MADE_HERE = {kind for kind in vars(events).values() if getattr(kind, "__module__", "") == events.__name__}
OF_THE_RUN = {events.RunStarted, events.Finished, events.ThreadSummarised}


def test_every_event_of_the_module_is_in_the_union_that_doors_match_on() -> None:
    assert set(typing.get_args(events.Event)) == {kind for kind in MADE_HERE if dataclasses.is_dataclass(kind)}


def test_every_event_but_the_runs_own_names_its_node() -> None:
    for event in set(typing.get_args(events.Event)) - OF_THE_RUN:
        assert dataclasses.fields(event)[0].name == "path"
