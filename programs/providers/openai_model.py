"""A chat request to any OpenAI-compatible endpoint by the official SDK; a reply with its tokens and cost.

One attempt a call: the SDK's own retries are off, because retrying belongs to one place (`retrying`), where each
attempt can be counted against the budget. Redirects are not followed and nothing is read from the environment, so a
request goes where the settings say, or nowhere.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, Literal

import httpx2
import jsonschema_rs
import msgspec
import openai
from openai.types.chat import ChatCompletion
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode

from loopai.errors import ConfigurationError
from loopai.settings import Oracle
from programs.providers.chat import AnswerError, ChatReply, ChatRequest, ProviderError, ProviderUnavailable
from programs.providers.prices import Price, price_of

OPENAI_URL: Final = "https://api.openai.com/v1"
CONNECT_SECONDS: Final = 2.0
"""A host that does not even accept is given up early, so that the next provider answers within five seconds."""

Dialect = Literal["openai", "compatible"]


class OpenAIModel:
    """One endpoint. `dialect` says how the output limit is called: OpenAI's newer name, or the one others know."""

    def __init__(
        self, settings: Oracle, *, provider: str = "openai", price: Price | None = None, dialect: Dialect | None = None
    ) -> None:
        """`price` overrides the table, for models served by yourself.

        Raises:
            ConfigurationError: there is neither a key nor an endpoint that may work without one.
        """
        key = settings.api_key.get_secret_value()
        if not key and not settings.base_url:
            raise ConfigurationError(
                "No API key for the language model.",
                next_step="Set LOOPAI_ORACLE__API_KEY, or LOOPAI_ORACLE__BASE_URL for an endpoint of your own. "
                "Without either, programs are still generated from labelled examples and checked against labels.",
            )
        self._base_url = settings.base_url or OPENAI_URL
        self._model = settings.model
        self._provider = provider
        self._price = price
        self._dialect: Dialect = dialect or ("compatible" if settings.base_url else "openai")
        self._timeout = settings.timeout_seconds
        self._client = openai.AsyncOpenAI(
            api_key=key or "none",
            base_url=self._base_url,
            max_retries=0,
            timeout=httpx2.Timeout(settings.timeout_seconds, connect=min(CONNECT_SECONDS, settings.timeout_seconds)),
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        self._tracer = trace.get_tracer("loopai.programs.providers")

    @property
    def provider(self) -> str:
        """The `gen_ai.provider.name`."""
        return self._provider

    @property
    def model(self) -> str:
        """The model that is asked when a request names none."""
        return self._model

    async def close(self) -> None:
        """Lets the connections go."""
        await self._client.close()

    def worst_cost(self, request: ChatRequest) -> float | None:
        """Every byte a token, the whole output used, nothing cached."""
        price = self._price or price_of(request.model or self._model)
        return None if price is None else price.cost(request.most_input_tokens(), request.max_output_tokens)

    async def complete(self, request: ChatRequest) -> ChatReply:
        """One attempt, under a `chat {model}` span. Prompts and answers are never put on the span."""
        model = request.model or self._model
        with self._tracer.start_as_current_span(
            f"chat {model}",
            kind=SpanKind.CLIENT,
            attributes=self._request_attributes(request, model),
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await self._attempt(request, model, span)
            except (ProviderError, ProviderUnavailable) as error:
                span.set_attribute("error.type", error.reason)
                span.set_status(StatusCode.ERROR)
                raise

    async def _attempt(self, request: ChatRequest, model: str, span: Span) -> ChatReply:
        started = time.perf_counter()
        try:
            # The SDK's timeout is per read: an endpoint that drips would never trip it.
            async with asyncio.timeout(self._timeout):
                completion: object = await self._client.chat.completions.create(**self._arguments(request, model))
        except (openai.APITimeoutError, TimeoutError):
            raise ProviderUnavailable(
                f"{self._provider} did not answer within {self._timeout:g} s.", reason="timeout", maybe_billed=True
            ) from None
        except openai.APIConnectionError as error:
            raise self._broken(error) from None
        except openai.APIStatusError as error:
            raise self._refused(error) from None
        except (openai.OpenAIError, ValueError) as error:
            raise self._garbled(type(error).__name__) from None
        ms = (time.perf_counter() - started) * 1e3
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise self._garbled("not a chat completion")  # the SDK hands over foreign bodies as they are
        reply = self._reply(completion, request, model, ms)
        span.set_attributes(
            {
                "gen_ai.response.id": completion.id or "",
                "gen_ai.response.model": reply.model,
                "gen_ai.response.finish_reasons": (reply.finish,),
                "gen_ai.usage.input_tokens": reply.tokens_in,
                "gen_ai.usage.output_tokens": reply.tokens_out,
                "gen_ai.usage.cache_read.input_tokens": reply.cached_tokens,
            }
        )
        return reply if request.schema is None else _parse(reply, request.schema)

    def _request_attributes(self, request: ChatRequest, model: str) -> dict[str, str | int | float]:
        url = httpx2.URL(self._base_url)
        attributes: dict[str, str | int | float] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": model,
            "gen_ai.request.max_tokens": request.max_output_tokens,
            "server.address": url.host,
            "server.port": url.port or (443 if url.scheme == "https" else 80),
        }
        if request.seed is not None:
            attributes["gen_ai.request.seed"] = request.seed
        if request.temperature is not None:
            attributes["gen_ai.request.temperature"] = request.temperature
        return attributes

    def _arguments(self, request: ChatRequest, model: str) -> dict[str, Any]:
        limit = "max_completion_tokens" if self._dialect == "openai" else "max_tokens"
        arguments: dict[str, Any] = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            limit: request.max_output_tokens,
        }
        if request.schema is not None:
            arguments["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": request.schema_name, "schema": request.schema, "strict": request.strict},
            }
        if request.temperature is not None:
            arguments["temperature"] = request.temperature
        if request.seed is not None:
            arguments["seed"] = request.seed
        return arguments

    def _reply(self, completion: ChatCompletion, request: ChatRequest, model: str, ms: float) -> ChatReply:
        choice, usage = completion.choices[0], completion.usage
        text = (choice.message.content or "") if choice.message else ""
        # An endpoint that reports no usage is charged at the bound: too much in the ledger, never too little.
        tokens_in = usage.prompt_tokens if usage else request.most_input_tokens()
        tokens_out = usage.completion_tokens if usage else request.max_output_tokens
        details = usage.prompt_tokens_details if usage else None
        cached = (details.cached_tokens or 0) if details else 0
        answered_by = completion.model or model
        price = self._price or price_of(model) or price_of(answered_by)
        return ChatReply(
            text=text,
            model=answered_by,
            provider=self._provider,
            request=request.digest(),
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            cached_tokens=cached,
            cost_usd=None if price is None else price.cost(tokens_in, tokens_out, cached),
            ms=ms,
            finish=choice.finish_reason or "stop",
        )

    def _broken(self, error: openai.APIConnectionError) -> ProviderUnavailable:
        refused = isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout)
        what = "could not be reached" if refused else "broke off"
        return ProviderUnavailable(
            f"{self._provider} at {httpx2.URL(self._base_url).host} {what}.",
            reason="connection",
            maybe_billed=not refused,
        )

    def _garbled(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"{self._provider} sent {what}.", reason="garbled", maybe_billed=True)

    def _refused(self, error: openai.APIStatusError) -> ProviderError | ProviderUnavailable:
        status = error.status_code
        if status == 429 and error.code == "insufficient_quota":
            return ProviderError(f"{self._provider}: the account's quota is used up.", reason="quota")
        if status == 429:
            return ProviderUnavailable(
                f"{self._provider} limits the rate.", reason="rate_limit", retry_after=_retry_after(error.response)
            )
        if status >= 500 or status in (408, 409):
            return ProviderUnavailable(
                f"{self._provider} answered {status}.", reason="server", retry_after=_retry_after(error.response)
            )
        if status in (401, 403):
            return ProviderError(
                f"{self._provider} refused the key ({status}).", reason="key", next_step="Check LOOPAI_ORACLE__API_KEY."
            )
        return ProviderError(f"{self._provider} refused the request ({status}).", reason="refused")


def _retry_after(response: httpx2.Response) -> float | None:
    """Seconds to wait as the provider asks for them; dates are not worth trusting a foreign clock for."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(response.headers.get(name, "")) * unit
        except ValueError:
            continue
        if 0 <= seconds < 86_400:
            return seconds
    return None


def _parse(reply: ChatReply, schema: dict[str, Any]) -> ChatReply:
    """The reply with its answer decoded. Compatible endpoints may ignore the schema, so it is checked here."""
    if reply.finish == "length":
        raise AnswerError("The answer was cut off at the output limit.", reply)
    try:
        parsed = msgspec.json.decode(unfence(reply.text))
        # Offline: a schema comes from a user, and a `$ref` in it must never make this process fetch anything.
        jsonschema_rs.validator_for(schema, mask="value", offline=True).validate(parsed)
    except (msgspec.DecodeError, UnicodeError):
        raise AnswerError("The answer is not JSON.", reply) from None
    except jsonschema_rs.ValidationError as error:
        raise AnswerError(f"The answer is outside the schema: {error.message[:200]}", reply) from None
    return msgspec.structs.replace(reply, parsed=parsed)


def unfence(text: str) -> str:
    """JSON as models like to wrap it: a Markdown fence around the whole answer is taken off."""
    bare = text.strip()
    if bare.startswith("```") and bare.endswith("```") and "\n" in bare:
        return bare[bare.index("\n") + 1 : -3]
    return bare
