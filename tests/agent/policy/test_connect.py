from pathlib import Path

import pytest

from agent.policy.chat import ChatPolicy
from agent.policy.connect import checked, connect
from agent.policy.embedded import EmbeddedPolicy
from agent.policy.endpoint import RAW_LOGPROBS, EndpointPolicy
from agent.policy.wire import Deadlines, EndpointDenied, EndpointRefused, EndpointTimeout, EndpointUnreachable
from agent.records import SamplingParams
from tests.agent.policy.servers import ChatServer, CompletionsServer, hang, hostile, says, serve

WARM = SamplingParams(temperature=0.7, max_tokens=4)


@pytest.mark.parametrize(("raw", "reason"), [(False, None), (True, RAW_LOGPROBS)])
async def test_a_server_with_ids_is_used_with_ids(
    policy: EmbeddedPolicy, model_folder: Path, raw: bool, reason: str | None
) -> None:
    server = CompletionsServer(policy, card={"root": str(model_folder)}, raw_logprobs=raw)
    async with serve(server.app()) as url:
        found = await connect(url)
        assert isinstance(found, EndpointPolicy)
        assert (found.version.model, found.context_length) == ("tiny", 1024)
        prompt = found.renderer.start([{"role": "user", "content": "x"}])
        (sample,) = await found.sample(prompt, WARM)
        assert sample.not_trainable == reason
        assert raw or sample.token_ids == (await policy.sample(prompt, WARM))[0].token_ids
        await found.close()


@pytest.mark.parametrize("length", ["32768", 0, -1, True, None, 7.5])
async def test_a_length_that_is_none_is_not_taken(policy: EmbeddedPolicy, model_folder: Path, length: object) -> None:
    async with serve(CompletionsServer(policy, card={"max_model_len": length}).app()) as url:
        found = await connect(url, tokenizer=model_folder)
        assert found.context_length == 32_768
        await found.close()


async def test_a_server_without_ids_answers_in_chat_and_says_why(policy: EmbeddedPolicy, model_folder: Path) -> None:
    async with serve(CompletionsServer(policy, with_ids=False).app()) as url:
        found = await connect(url, tokenizer=model_folder, carrier=model_folder)
        assert isinstance(found, ChatPolicy)
        assert "do not give them back" in found.reason
        await found.close()


async def test_a_server_without_completions_answers_in_chat(model_folder: Path) -> None:
    async with serve(ChatServer([{"content": "348 km"}]).app()) as url:
        found = await connect(url, "tiny", tokenizer=model_folder, carrier=model_folder)
        assert isinstance(found, ChatPolicy)
        (sample,) = await found.sample(found.renderer.start([{"role": "user", "content": "x"}]), WARM)
        assert found.renderer.read(sample.token_ids).text == "348 km"
        assert sample.not_trainable is not None
        assert sample.not_trainable.startswith("no token ids: ")
        await found.close()


async def test_a_model_whose_tokenizer_is_nowhere_answers_in_chat(policy: EmbeddedPolicy, model_folder: Path) -> None:
    async with serve(CompletionsServer(policy).app()) as url:
        found = await connect(url, carrier=model_folder)
        assert isinstance(found, ChatPolicy)
        assert "tokenizer" in found.reason
        await found.close()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8000/v1", "http://127.0.0.1:99999/v1", "http://:8000/v1", "ftp://a/v1", "http://a b/v1", ""]
)
async def test_what_is_no_address_is_said_before_anything_is_sent(address: str) -> None:
    with pytest.raises(EndpointRefused, match=r"is no server's address; write one like http://127.0.0.1:8000/v1"):
        await connect(address)


def test_spaces_around_an_address_are_dropped() -> None:
    assert checked(" http://127.0.0.1:8000/v1\n") == "http://127.0.0.1:8000/v1"


async def test_a_wrong_key_is_said_and_not_worked_around(policy: EmbeddedPolicy, model_folder: Path) -> None:
    async with serve(CompletionsServer(policy, api_key="right").app()) as url:
        with pytest.raises(EndpointDenied, match="PONDER_API_KEY"):
            await connect(url, api_key="wrong", tokenizer=model_folder, carrier=model_folder)


async def test_a_wrong_key_is_said_before_a_tokenizer_is_looked_for(model_folder: Path) -> None:
    async with hostile(says("application/json", '{"error": {"message": "no"}}', status="401 Unauthorized")) as url:
        with pytest.raises(EndpointDenied, match="wants another key"):
            await connect(url, "nobody/knows-it", "wrong", carrier=model_folder)


async def test_a_server_that_lists_nothing_at_an_address_without_a_path(model_folder: Path) -> None:
    async with hostile(says("application/json", '{"detail": "Not Found"}', status="404 Not Found")) as url:
        with pytest.raises(EndpointRefused, match="most servers are at"):
            await connect(url.removesuffix("/v1"), carrier=model_folder)


async def test_a_server_that_is_not_there_or_does_not_answer_has_a_name(model_folder: Path) -> None:
    async with hostile(hang) as url:
        with pytest.raises(EndpointTimeout):
            await connect(url, deadlines=Deadlines(first_token=0.2), carrier=model_folder)
    with pytest.raises(EndpointUnreachable):
        await connect(url, carrier=model_folder)
