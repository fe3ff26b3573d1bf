"""The log: what goes in comes out, once, whatever happens between."""

import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import errors
from agent.records import Ending, Feedback, Node, PolicyVersion, Sample, SamplingParams, Usage
from agent.store import RunFilter, StartedTool, Store
from retrieval.passage import Passage
from tests.agent.logs import MINI, RUN, node, sample, scalar
from tools.tool import ToolResult
from verifiers.verdict import Verdict

FOUND = Passage("Pens are blue.", "pens.md", 3, 17, 0.5, "Pens")


# --- what goes in comes out -------------------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was(log_path: Path) -> None:
    grown = Node(
        path=(0,),
        sample=replace(
            sample(), first_token_seconds=0.1, total_seconds=0.5, cached_prompt_tokens=1, template_hash="ab"
        ),
        ending=Ending.TOOL_CALL,
        thought="Let me look.",
        calls=({"name": "search", "arguments": {"query": "pens"}}, {"name": "search", "arguments": "{broken"}),
        tool_results=(
            ToolResult("search", {"query": "pens"}, output="[1] Pens", seconds=0.2, passages=(FOUND,), truncated=True),
            ToolResult("search", "{broken", error="The arguments are not JSON.", sandbox_tier="landlock"),
        ),
        verdicts=(Verdict("format", 1.0, "Well formed."), Verdict("exact", None)),
        note="repaired once",
    )
    answer = node((0, 0), Sample((1, 2, 3, 4, 9), (5,), (), "stop", MINI, SamplingParams(), not_trainable="no ids"))
    done = replace(
        RUN,
        status="finished",
        nodes=(grown, answer),
        chosen=(0, 0),
        answer="75",
        verdicts=(Verdict("exact", 1.0),),
        usage=Usage(prompt_tokens=7, seconds=1.5),
        reference=True,
        metadata={"task": "arithmetic/7", "tags": ["a"]},
    )
    with Store.open(log_path) as store:
        store.begin(RUN)
        store.add_node(RUN.run_id, grown)
        store.add_node(RUN.run_id, answer)
        store.finish(done)
    with Store.open(log_path) as store:
        assert store.run(RUN.run_id) == done
        assert store.node(RUN.run_id, (0, 0)) == answer
        assert store.runs() == [replace(done, nodes=())]


tokens = st.lists(st.integers(0, 2**31 - 1), max_size=30).map(tuple)
logprobs = st.floats(max_value=0, allow_nan=False, width=32)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Nodes in an order of growing; prompts share all, some or nothing of their parent's sequence."""
    nodes: list[Node] = []
    for _ in range(draw(st.integers(1, 8))):
        parent = draw(st.sampled_from([None, *nodes]))
        place = parent.path if parent else ()
        known = parent.sample.prompt_token_ids + parent.sample.token_ids if parent else ()
        drawn = draw(tokens)
        drawn_sample = Sample(
            prompt_token_ids=known[: draw(st.integers(0, len(known)))] + draw(tokens),
            token_ids=drawn,
            logprobs=tuple(draw(st.lists(logprobs, min_size=len(drawn), max_size=len(drawn)))),
            finish_reason="stop",
            policy=PolicyVersion(draw(texts), draw(st.none() | texts)),
            params=SamplingParams(draw(st.floats(0, 2)), seed=draw(st.integers(0, 2**64)), stop_token_ids=draw(tokens)),
        )
        siblings = sum(grown.parent == place for grown in nodes)
        nodes.append(Node((*place, siblings), drawn_sample, Ending.STEP, thought=draw(texts), text=draw(texts)))
    return nodes


def test_every_tree_comes_back_with_whole_prompts_and_exact_float32_logprobs(store: Store) -> None:
    run_ids = map("run-{}".format, itertools.count(2))

    @given(trees())
    @settings(max_examples=60, deadline=None)
    def comes_back(nodes: list[Node]) -> None:
        run_id = next(run_ids)
        store.begin(replace(RUN, run_id=run_id))
        for grown in nodes:
            assert store.add_node(run_id, grown) == grown
            assert store.node(run_id, grown.path) == grown
        assert list(store.run(run_id).nodes) == sorted(nodes, key=lambda grown: grown.path)

    comes_back()


def test_a_prompt_that_many_nodes_share_is_stored_once(log_path: Path, store: Store) -> None:
    noise = random.Random(0)
    prompt = tuple(noise.randrange(2**31) for _ in range(4000))  # incompressible: 16 kB
    for attempt in range(8):
        before = prompt
        for depth in range(1, 6):
            drawn = sample(before, tuple(noise.randrange(2**31) for _ in range(10)), seed=attempt)
            store.add_node(RUN.run_id, node((attempt,) + (0,) * (depth - 1), drawn))
            before += drawn.token_ids
    stored = scalar(log_path, "SELECT sum(length(suffix) + length(token_ids)) FROM nodes")
    assert isinstance(stored, int)
    assert stored < 4 * (len(prompt) + 40 * 10) + 40 * 40


def test_text_that_is_not_valid_unicode_is_kept_as_far_as_sqlite_can(store: Store) -> None:
    broken = replace(node(), text="caf\udce9", tool_results=(ToolResult("python", {"code": "\ud800"}, "\udcff"),))
    store.add_node(RUN.run_id, broken)
    logged = store.run(RUN.run_id).nodes[0]
    assert logged.text == "caf?"
    assert logged.tool_results == broken.tool_results


# --- growing is get-or-sample -----------------------------------------------------------------------------------------


def test_adding_the_same_draw_again_changes_nothing_and_returns_what_is_logged(store: Store) -> None:
    store.add_node(RUN.run_id, node())
    store.update_node(RUN.run_id, (0,), verdicts=[Verdict("exact", 1.0)])
    again = store.add_node(RUN.run_id, replace(node(), sample=replace(sample(), total_seconds=9.0)))
    assert again.verdicts == (Verdict("exact", 1.0),)
    assert again.sample.total_seconds == 0.0
    assert len(store.run(RUN.run_id).nodes) == 1


@pytest.mark.parametrize("other", [sample((1,)), sample(tokens=(3, 5)), sample(seed=1)])
def test_another_draw_at_the_same_path_is_an_error(store: Store, other: Sample) -> None:
    store.add_node(RUN.run_id, node())
    with pytest.raises(errors.NodeConflict, match=r"run-1 has another draw at \(0,\)"):
        store.add_node(RUN.run_id, node(drawn=other))
    assert store.run(RUN.run_id).nodes == (node(),)


def test_beginning_again_changes_nothing_and_another_question_is_an_error(store: Store) -> None:
    store.finish(replace(RUN, status="finished", answer="75"))
    store.begin(RUN)
    assert store.run(RUN.run_id).answer == "75"
    with pytest.raises(errors.NodeConflict, match="another question"):
        store.begin(replace(RUN, question="How many cats?"))


def test_what_is_not_in_the_log_is_named(store: Store) -> None:
    assert store.node(RUN.run_id, (0,)) is None
    with pytest.raises(errors.NotInLog, match="no run nobody"):
        store.run("nobody")
    with pytest.raises(errors.NotInLog, match=r"no node at \(7,\)"):
        store.update_node(RUN.run_id, (7,), note="?")


# --- tools and people -------------------------------------------------------------------------------------------------


def test_a_tool_that_was_started_and_never_finished_is_found(store: Store) -> None:
    store.add_node(RUN.run_id, node())
    store.started_tool(RUN.run_id, (0,), 0, "calculator", {"expression": "12*7"})
    store.started_tool(RUN.run_id, (0,), 1, "send_mail", {"to": "tom"})
    done = ToolResult("calculator", {"expression": "12*7"}, "84")
    store.update_node(RUN.run_id, (0,), tool_results=[done])
    (left,) = store.unfinished_tools(RUN.run_id)
    assert left == StartedTool((0,), 1, "send_mail", {"to": "tom"}, left.started_at)
    assert store.run(RUN.run_id).nodes[0].tool_results == (done,)


def test_starting_a_tool_again_keeps_its_first_start(store: Store) -> None:
    store.add_node(RUN.run_id, node())
    store.started_tool(RUN.run_id, (0,), 0, "search", {})
    first = store.unfinished_tools(RUN.run_id)
    store.started_tool(RUN.run_id, (0,), 0, "search", {})
    assert store.unfinished_tools(RUN.run_id) == first


def test_feedback_is_kept_in_order(store: Store) -> None:
    said = [
        Feedback(RUN.run_id, 1.0, "Right.", None, "2026-11-02"),
        Feedback(RUN.run_id, None, "No.", (1, 0), "2026-11-03"),
    ]
    for word in said:
        store.add_feedback(word)
    assert store.feedback(RUN.run_id) == said


# --- finding and deleting ---------------------------------------------------------------------------------------------


def test_the_runs_under_way_are_those_that_a_process_drives(store: Store) -> None:
    store.begin(replace(RUN, run_id="left behind", root_seed=9))
    assert store.under_way() == []
    with store.claim(RUN.run_id):
        assert [run.run_id for run in store.under_way()] == [RUN.run_id]
    assert store.under_way() == []


@pytest.fixture
def three(store: Store) -> Store:
    """RUN, and a second run of its thread, and a third of another thread and version, for an evaluation."""
    store.begin(replace(RUN, run_id="run-2", started_at="2026-11-02", status="finished", reference=True))
    newer = PolicyVersion("mini", version="v2")
    store.begin(
        replace(
            RUN, run_id="run-3", started_at="2026-11-03", thread_id="thread-2", policy=newer, metadata={"task_id": "t"}
        )
    )
    return store


@pytest.mark.parametrize(
    ("which", "found"),
    [
        (RunFilter(), ["run-3", "run-2", "run-1"]),
        (RunFilter(run_id="run-2"), ["run-2"]),
        (RunFilter(thread_id="thread-1"), ["run-2", "run-1"]),
        (RunFilter(status="running", thread_id="thread-1"), ["run-1"]),
        (RunFilter(version="v2"), ["run-3"]),
        (RunFilter(tasks=True), ["run-3"]),
        (RunFilter(tasks=False), ["run-2", "run-1"]),
        (RunFilter(reference=True), ["run-2"]),
        (RunFilter(reference=False), ["run-3", "run-1"]),
        (RunFilter(since="2026-11-02"), ["run-3", "run-2"]),
        (RunFilter(before="2026-11-02"), ["run-1"]),
    ],
)
def test_runs_are_found_newest_first_and_deleted_by_the_same_filter(
    three: Store, which: RunFilter, found: list[str]
) -> None:
    assert [run.run_id for run in three.runs(which)] == found
    assert [run.run_id for run in three.runs(which, limit=1)] == found[:1]
    assert three.delete(which) == len(found)
    assert three.runs(which) == []
    assert len(three.runs()) == 3 - len(found)


def test_deleted_words_are_nowhere_in_the_files(log_path: Path, store: Store) -> None:
    secret = "xyzzy-the-secret-question"
    doomed = replace(RUN, run_id="doomed", question=secret)
    store.begin(doomed)
    store.add_node("doomed", replace(node(), text=secret * 500))
    store.add_feedback(Feedback("doomed", comment=secret))
    store.delete(RunFilter(run_id="doomed"))
    store.compact()
    assert not [file for file in log_path.parent.iterdir() if secret.encode() in file.read_bytes()]
    assert scalar(log_path, "SELECT count(*) FROM nodes") == 0
    assert scalar(log_path, "SELECT count(*) FROM feedback") == 0


def test_deleting_while_somebody_reads_says_that_the_bytes_are_still_there(log_path: Path, store: Store) -> None:
    with closing(sqlite3.connect(log_path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(errors.StoreBusy, match="erased when it has ended"):
            store.delete(RunFilter(run_id=RUN.run_id))
    assert store.runs() == []
    wal = log_path.with_name(f"{log_path.name}-wal")
    assert wal.stat().st_size > 0
    store.begin(replace(RUN, run_id="next"))  # whoever writes next erases them
    assert wal.stat().st_size == 0


# --- many at once, and sudden death -----------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
from agent.records import Ending, Node, PolicyVersion, Run, Sample, SamplingParams
from agent.store import Store

path, run_id, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
policy = PolicyVersion("mini")
with Store.open(path) as store:
    store.begin(Run(run_id, "q", "t", "low", "single", {}, "fixed", 1, policy, "2026-11-01"))
    start = len(store.run(run_id).nodes)
    prompt = (1, 2, 3)
    for i in range(start, start + count):
        sample = Sample(prompt, tuple(range(i, i + 50)), (-0.25,) * 50, "stop", policy, SamplingParams(seed=i))
        store.add_node(run_id, Node((i,), sample, Ending.ANSWER, text=str(i)))
        print(i, flush=True)
"""


def writer(path: Path, run_id: str, count: int) -> subprocess.Popen[str]:
    """A real process that logs ``count`` nodes and prints the number of each when it is committed."""
    command = [sys.executable, "-c", WRITER, str(path), run_id, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def assert_whole(store: Store, run_id: str, acknowledged: int) -> None:
    nodes = store.run(run_id).nodes
    assert [grown.path for grown in nodes] == [(i,) for i in range(len(nodes))]
    assert len(nodes) >= acknowledged
    for i, grown in enumerate(nodes):
        assert (grown.text, grown.sample.token_ids) == (str(i), tuple(range(i, i + 50)))
        assert (grown.sample.prompt_token_ids, len(grown.sample.logprobs)) == ((1, 2, 3), 50)


def test_several_processes_create_and_write_one_log_at_the_same_time(log_path: Path) -> None:
    writers = [writer(log_path, f"run-{i}", 60) for i in range(4)]
    for process in writers:
        process.communicate(timeout=60)
        assert process.returncode == 0
    with Store.open(log_path) as store:
        for i in range(4):
            assert_whole(store, f"run-{i}", 60)


def test_threads_of_one_process_share_a_store(store: Store) -> None:
    def grow(first: int) -> None:
        for i in range(first, first + 25):
            store.add_node(RUN.run_id, node((i,), sample(seed=i)))
            store.run(RUN.run_id)

    threads = [threading.Thread(target=grow, args=(25 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [grown.path for grown in store.run(RUN.run_id).nodes] == [(i,) for i in range(100)]


def test_killed_at_any_moment_the_log_holds_all_that_was_committed_once(log_path: Path) -> None:
    moments, acknowledged = random.Random(7), 0
    for _ in range(5):
        process = writer(log_path, "run-1", 1_000_000)
        assert process.stdout is not None
        for _ in range(moments.randrange(1, 120)):
            acknowledged = int(process.stdout.readline()) + 1
        os.kill(process.pid, signal.SIGKILL)
        left = process.communicate(timeout=60)[0].split("\n")[:-1]  # the last line may have been cut off
        acknowledged = max([acknowledged, *(int(line) + 1 for line in left)])
        with Store.open(log_path) as store:
            assert_whole(store, "run-1", acknowledged)
    assert scalar(log_path, "PRAGMA integrity_check") == "ok"


def test_a_run_can_be_named_by_its_beginning_where_no_other_begins_so(log_path: Path) -> None:
    with Store.open(log_path) as store:
        for run_id in ("ab12", "ab34", "cd%6"):
            store.begin(replace(RUN, run_id=run_id))
        named = {beginning: store.whole_id(beginning) for beginning in ("ab1", "ab", "c", "cd%6", "%", "", "zz")}
    assert named == {"ab1": "ab12", "ab": "ab", "c": "cd%6", "cd%6": "cd%6", "%": "%", "": "", "zz": "zz"}
