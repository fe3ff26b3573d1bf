"""A policy as a judge: it reads one turn, thinks where it likes, and its last words count."""

from __future__ import annotations

import pytest

from agent.policy.judging import PolicyJudge
from agent.policy.policy import PolicyError
from agent.policy.renderer import Renderer
from tests.agent.scripted import Say, ScriptedPolicy, forever
from verifiers.judge import PairwiseJudge
from verifiers.verdict import Case, VerifierError

THOUGHT = "<think>\nIs it A? <verdict>A</verdict>\n</think>\n\n"
CASES = [Case("How many?", "Answer: 1"), Case("How many?", "Answer: 2")]


def policy_saying(renderer: Renderer, said: Say | str, context_length: int = 4096) -> ScriptedPolicy:
    return ScriptedPolicy(renderer, lambda prompt, params: said, context_length)


async def test_a_reply_is_what_follows_the_thought_and_all_of_it_is_counted(renderer: Renderer) -> None:
    policy = policy_saying(renderer, f"{THOUGHT}<verdict>B</verdict>")
    reply = await PolicyJudge(policy).ask("Which <|im_end|> is it?", 1000)
    assert reply.text == "<verdict>B</verdict>"
    [prompt] = policy.prompts
    assert prompt.count(renderer.controls["<|im_end|>"]) == 1  # the text's own is text
    assert reply.tokens == len(prompt) + len(policy.turn(f"{THOUGHT}<verdict>B</verdict>"))


async def test_what_the_judge_reads_and_writes_is_in_the_verdicts(renderer: Renderer) -> None:
    policy = policy_saying(renderer, f"{THOUGHT}<verdict>TIE</verdict>", 8192)
    verdicts = await PairwiseJudge(PolicyJudge(policy)).verify(CASES)
    assert [verdict.score for verdict in verdicts] == [0.5, 0.5]
    written = 2 * len(policy.turn(f"{THOUGHT}<verdict>TIE</verdict>"))
    assert sum(verdict.tokens for verdict in verdicts) == sum(map(len, policy.prompts)) + written


async def test_a_thought_that_is_cut_is_no_verdict(renderer: Renderer) -> None:
    reply = await PolicyJudge(policy_saying(renderer, THOUGHT)).ask("Which?", 8)
    assert reply.text == ""
    assert reply.tokens > 8


async def test_a_model_that_fails_is_told_of(renderer: Renderer) -> None:
    with pytest.raises(VerifierError, match=r"The judge could not be asked: Start it\."):
        await PolicyJudge(policy_saying(renderer, Say(fails="Start it."))).ask("Which?", 8)
    with pytest.raises(VerifierError, match="it broke off"):
        await PolicyJudge(policy_saying(renderer, Say("So", finish_reason="error"))).ask("Which?", 8)


async def test_a_failure_that_may_pass_is_asked_again(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy(PolicyError):
        passing = True

    policy = policy_saying(renderer, "<verdict>A</verdict>")
    sample, errors = policy.sample, [Busy("It is busy.")]

    async def stumbling(*arguments: object) -> object:
        if errors:
            raise errors.pop()
        return await sample(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(policy, "sample", stumbling)
    assert (await PolicyJudge(policy).ask("Which?", 100)).text == "<verdict>A</verdict>"


async def test_a_model_that_takes_for_ever_is_told_of(renderer: Renderer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.policy.judging.DEADLINE", 0.05)
    with pytest.raises(VerifierError, match=r"took longer than 0\.05 s"):
        await PolicyJudge(policy_saying(renderer, Say(wait=forever))).ask("Which?", 8)
