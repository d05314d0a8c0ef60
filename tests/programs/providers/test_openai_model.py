"""The OpenAI form over real HTTP against the local server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from loopai.errors import ConfigurationError
from loopai.settings import Oracle
from programs.providers.chat import AnswerError, ChatRequest, ProviderError, ProviderUnavailable, user
from programs.providers.local_answers import LocalAnswers
from programs.providers.local_server import Behaviour, LocalModelServer
from programs.providers.openai_model import OpenAIModel
from tests.programs.providers.helpers import endpoint, judge


@pytest.fixture
async def server() -> AsyncIterator[LocalModelServer]:
    answers = LocalAnswers({"win a prize": "spam"}, [("free", "spam")], "ham")
    async with LocalModelServer(answers) as running:
        yield running


@pytest.fixture
async def model(server: LocalModelServer) -> AsyncIterator[OpenAIModel]:
    made = endpoint(server)
    yield made
    await made.close()


async def test_an_answer_comes_back_parsed_with_tokens_cost_and_digest(model: OpenAIModel) -> None:
    request = judge("win  a prize")
    reply = await model.complete(request)
    assert reply.parsed == {"answer": "spam"}
    assert (reply.model, reply.provider, reply.request) == ("loopai-local", "openai", request.digest())
    assert reply.tokens_in > 0
    assert reply.tokens_out > 0
    assert reply.cost_usd == 0.0
    assert (await model.complete(judge("a FREE thing"))).parsed == {"answer": "spam"}
    assert (await model.complete(judge("see you"))).parsed == {"answer": "ham"}


async def test_the_schema_limit_and_seed_are_sent(model: OpenAIModel, server: LocalModelServer) -> None:
    await model.complete(judge(seed=7, max_output_tokens=33))
    body = server.bodies[-1]
    assert body["response_format"]["json_schema"]["strict"] is True
    assert (body["seed"], body["max_tokens"]) == (7, 33)
    assert "temperature" not in body


async def test_an_unknown_model_has_no_cost_rather_than_a_guess(server: LocalModelServer) -> None:
    model = OpenAIModel(Oracle(base_url=server.base_url, model="my-own"))
    assert model.worst_cost(judge()) is None
    await model.close()


@pytest.mark.parametrize(
    ("behaviour", "reason", "billed"),
    [
        ("429", "rate_limit", False),
        ("500", "server", False),
        ("half", "connection", True),
        ("nonsense", "garbled", True),
    ],
)
async def test_an_unwell_provider_is_transient(
    model: OpenAIModel, server: LocalModelServer, behaviour: Behaviour, reason: str, billed: bool
) -> None:
    server.behave(behaviour, seconds=3)
    with pytest.raises(ProviderUnavailable) as caught:
        await model.complete(judge())
    assert (caught.value.reason, caught.value.maybe_billed) == (reason, billed)
    assert caught.value.retry_after == (3 if behaviour == "429" else None)
    assert (await model.complete(judge())).parsed == {"answer": "ham"}


@pytest.mark.parametrize("behaviour", ["prose", "wrong"])
async def test_an_answer_outside_the_schema_carries_what_it_cost(
    model: OpenAIModel, server: LocalModelServer, behaviour: Behaviour
) -> None:
    server.behave(behaviour)
    with pytest.raises(AnswerError) as caught:
        await model.complete(judge())
    assert caught.value.reply.tokens_out > 0


@pytest.mark.parametrize(("behaviour", "reason"), [("quota", "quota"), ("key", "key")])
async def test_what_asking_again_cannot_mend_is_not_transient(
    model: OpenAIModel, server: LocalModelServer, behaviour: Behaviour, reason: str
) -> None:
    server.behave(behaviour)
    with pytest.raises(ProviderError) as caught:
        await model.complete(judge())
    assert caught.value.reason == reason


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
async def test_a_hanging_provider_is_left_after_the_timeout(server: LocalModelServer, behaviour: Behaviour) -> None:
    model = endpoint(server, timeout=0.2)
    server.behave(behaviour)
    with pytest.raises(ProviderUnavailable, match=r"within 0\.2 s") as caught:
        await model.complete(judge())
    assert (caught.value.reason, caught.value.maybe_billed) == ("timeout", True)
    await model.close()


async def test_a_slow_provider_within_the_timeout_is_fine(model: OpenAIModel, server: LocalModelServer) -> None:
    server.behave("slow", seconds=0.1)
    assert (await model.complete(judge())).ms >= 100


async def test_nobody_at_the_address_is_a_connection_that_cost_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    model = OpenAIModel(Oracle(base_url=f"http://127.0.0.1:{port}/v1"))
    with pytest.raises(ProviderUnavailable, match="could not be reached") as caught:
        await model.complete(judge())
    assert not caught.value.maybe_billed
    await model.close()


def test_no_key_says_what_works_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not ours to read")
    with pytest.raises(ConfigurationError, match=r"No API key.*labelled examples"):
        OpenAIModel(Oracle())


async def test_prose_is_asked_for_without_a_schema(model: OpenAIModel) -> None:
    reply = await model.complete(ChatRequest(messages=(user("Who are you?"),)))
    assert "stand-in" in reply.text
    assert reply.parsed is None


async def test_a_call_is_a_span_with_todays_names_and_no_content(
    server: LocalModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    model = endpoint(server)
    await model.complete(judge("secret text"))
    server.behave("500")
    with pytest.raises(ProviderUnavailable):
        await model.complete(judge())
    good, bad = spans.get_finished_spans()
    assert (good.name, good.kind) == ("chat loopai-local", trace.SpanKind.CLIENT)
    attributes = dict(good.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.response.model"] == "loopai-local"
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "server.address"} <= set(attributes)
    assert "secret" not in str(attributes) + str(good.events)
    assert dict(bad.attributes or {})["error.type"] == "server"
    await model.close()
    provider.shutdown()


async def test_the_server_counts_and_is_told_over_http(server: LocalModelServer, model: OpenAIModel) -> None:
    control = server.base_url.removesuffix("/v1") + "/_local"
    async with httpx2.AsyncClient() as client:
        assert (await client.post(control, json={"behaviour": "500", "times": 2})).status_code == 200
        assert (await client.post(control, json={"behaviour": "dance"})).status_code == 422
        for _ in range(2):
            with pytest.raises(ProviderUnavailable):
                await model.complete(judge())
        await model.complete(judge())
        state = (await client.get(control)).json()
    assert state == {"model": "loopai-local", "calls": 3, "kinds": {"500": 2, "ok": 1}}


async def test_many_at_once_share_one_model(model: OpenAIModel, server: LocalModelServer) -> None:
    replies = await asyncio.gather(*(model.complete(judge(f"free {i}")) for i in range(50)))
    assert {reply.parsed["answer"] for reply in replies} == {"spam"}
    assert server.calls == 50
