"""A local stand-in for a language model: an HTTP server with the OpenAI chat protocol that misbehaves on request.

    python -m programs.providers.local_server --port 8081 --labels known.jsonl --rule "free entry=spam" --default ham
    LOOPAI_ORACLE__BASE_URL=http://127.0.0.1:8081/v1 LOOPAI_ORACLE__MODEL=loopai-local loopai demo

For trying the LLM paths without a key, and for tests over real HTTP. It answers as model `loopai-local` whatever is
asked for, counts what it was asked (`GET /_local`), and `POST /_local {"behaviour": "429", "times": 2}` makes its next
answers go wrong. It listens on loopback unless told otherwise and checks no key.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from programs.providers.local_answers import MODEL, LocalAnswers

Behaviour = Literal["slow", "429", "500", "half", "nonsense", "prose", "wrong", "hang", "drip", "quota", "key"]
"""`drip` sends a byte every `seconds`; `nonsense` is a body that is no JSON; `prose` an answer that is no JSON; `wrong`
JSON outside the schema."""

BEHAVIOURS: Final = frozenset(get_args(Behaviour))


class Misbehaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next `times` answers (-1: all) are of this kind. `seconds` is a delay or a Retry-After."""

    behaviour: Behaviour
    times: int = 1
    seconds: float = 0.0


class LocalModelServer:
    """The server. `async with LocalModelServer() as server` listens on a free port; `base_url` is what to ask."""

    def __init__(
        self, answers: LocalAnswers | None = None, *, host: str = "127.0.0.1", port: int = 0, tokens_out: int = 20
    ) -> None:
        self._answers = answers or LocalAnswers()
        self._host = host
        self._port = port
        self._tokens_out = tokens_out
        self._script: deque[Misbehaviour] = deque()
        self._stopping = asyncio.Event()
        self.calls = 0
        self.kinds: Counter[str] = Counter()
        self.bodies: deque[dict[str, Any]] = deque(maxlen=100)
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/_local", self._state, methods=["GET"]),
                Route("/_local", self._script_more, methods=["POST"]),
            ]
        )

    @property
    def base_url(self) -> str:
        """Without a trailing slash, as the OpenAI client wants it."""
        return f"http://{self._host}:{self._port}/v1"

    def behave(self, behaviour: Behaviour, times: int = 1, seconds: float = 0.0) -> None:
        """After what was asked for before, the next `times` answers are of this kind; -1 means from then on."""
        self._script.append(Misbehaviour(behaviour=behaviour, times=times, seconds=seconds))

    def forgive(self) -> None:
        """From now on it answers as it should."""
        self._script.clear()

    async def __aenter__(self) -> LocalModelServer:
        listener = socket.create_server((self._host, self._port))
        self._port = listener.getsockname()[1]
        self._server = _QuietServer(
            uvicorn.Config(self.app, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=2)
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
        while not self._server.started and not self._task.done():  # noqa: ASYNC110 - uvicorn tells by this flag alone
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stopping.set()
        self._server.should_exit = True
        await self._task

    def _next(self) -> Misbehaviour | None:
        if not self._script:
            return None
        first = self._script[0]
        if first.times <= 1 and first.times >= 0:
            self._script.popleft()
        elif first.times > 1:
            self._script[0] = msgspec.structs.replace(first, times=first.times - 1)
        return first

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.calls += 1
        self.bodies.append(body)
        how = self._next()
        self.kinds[how.behaviour if how else "ok"] += 1
        if how is None:
            return JSONResponse(self._completion(body, self._answers.text(body)))
        match how.behaviour:
            case "slow":
                await self._pause(how.seconds)
                return JSONResponse(self._completion(body, self._answers.text(body)))
            case "hang":
                await self._pause(how.seconds or 600.0)
                return _error(504, "The stand-in hung as told.", "hang")
            case "429":
                headers = {"retry-after": f"{how.seconds:g}"} if how.seconds else {}
                return _error(429, "The stand-in limits the rate as told.", "rate_limit_exceeded", headers)
            case "quota":
                return _error(429, "The stand-in has no quota, as told.", "insufficient_quota")
            case "key":
                return _error(401, "The stand-in refuses the key, as told.", "invalid_api_key")
            case "500":
                return _error(500, "The stand-in failed as told.", "server_error")
            case "half":
                whole = msgspec.json.encode(self._completion(body, self._answers.text(body)))
                return StreamingResponse(_half(whole), media_type="application/json")
            case "drip":
                whole = msgspec.json.encode(self._completion(body, self._answers.text(body)))
                return StreamingResponse(self._drip(whole, how.seconds or 0.1), media_type="application/json")
            case "nonsense":
                return Response("<html>502 — no model here</html>", media_type="text/html")
            case "prose":
                return JSONResponse(self._completion(body, f"Well, says {MODEL}, that depends on how you look at it."))
            case "wrong":
                return JSONResponse(self._completion(body, '{"answer": {"no such": ["<b>answer</b>"]}}'))

    async def _pause(self, seconds: float) -> None:
        """A wait that ends when the server does, so that a hanging answer never outlives it."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def _drip(self, whole: bytes, seconds: float) -> AsyncIterator[bytes]:
        for byte in whole:
            if self._stopping.is_set():
                return
            yield bytes([byte])
            await asyncio.sleep(seconds)

    def _completion(self, body: dict[str, Any], text: str) -> dict[str, Any]:
        """Token counts are words, roughly: enough for a ledger to have something to add up."""
        tokens_in = sum(len(str(message.get("content", "")).split()) for message in body.get("messages", []))
        tokens_out = max(self._tokens_out, len(text.split()))
        return {
            "id": f"chatcmpl-local-{self.calls}",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "system_fingerprint": "local-stand-in",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}},
            ],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
            },
        }

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "loopai"}]})

    async def _state(self, request: Request) -> Response:
        return JSONResponse({"model": MODEL, "calls": self.calls, "kinds": dict(self.kinds)})

    async def _script_more(self, request: Request) -> Response:
        try:
            wanted = msgspec.json.decode(await request.body(), type=Misbehaviour)
        except msgspec.DecodeError as error:
            return _error(422, str(error), "behaviour")
        self._script.append(wanted)
        return JSONResponse({"queued": len(self._script)})


class _QuietServer(uvicorn.Server):
    """Leaves the signal handlers of the process it lives in alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _half(whole: bytes) -> AsyncIterator[bytes]:
    yield whole[: len(whole) // 2]
    raise ConnectionAbortedError("The stand-in breaks off as told.")


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> JSONResponse:
    error = {"message": message, "type": code, "code": code, "param": None}
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def _rule(text: str) -> tuple[str, str]:
    keyword, equals, answer = text.partition("=")
    if not equals or not keyword or not answer:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEYWORD=ANSWER")
    return keyword, answer


def main(arguments: list[str] | None = None) -> None:
    """Serves until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m programs.providers.local_server", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--labels", type=Path, help="JSON Lines of known answers: text or record, label or expected")
    parser.add_argument("--rule", type=_rule, action="append", default=[], metavar="KEYWORD=ANSWER")
    parser.add_argument("--default", help="the answer when nothing else says")
    parser.add_argument("--behaviour", choices=sorted(BEHAVIOURS), help="misbehave like this, always")
    parser.add_argument("--seconds", type=float, default=0.0, help="the delay or the Retry-After of --behaviour")
    given = parser.parse_args(arguments)
    answers = (
        LocalAnswers.from_file(given.labels, given.rule, given.default)
        if given.labels
        else LocalAnswers(None, given.rule, given.default)
    )
    server = LocalModelServer(answers, host=given.host, port=given.port)
    if given.behaviour:
        server.behave(given.behaviour, times=-1, seconds=given.seconds)
    uvicorn.run(
        server.app,
        host=given.host,
        port=given.port,
        log_level="info",
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
