"""The stand-in as a process of its own, as a person without a key would try it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from loopai.settings import Oracle
from programs.providers.local_answers import LocalAnswers
from programs.providers.local_server import main
from programs.providers.openai_model import OpenAIModel
from tests.programs.providers.helpers import judge


def test_it_is_started_by_one_command_and_answers_from_its_table(tmp_path: Path, free_port: int) -> None:
    known = tmp_path / "known.jsonl"
    known.write_text('{"id": 1, "text": "lunch?", "label": "ham"}\n\n{"record": {"text": "b"}, "expected": "spam"}\n')
    command = [sys.executable, "-m", "programs.providers.local_server", "--port", str(free_port)]
    command += ["--labels", str(known), "--rule", "prize=spam", "--default", "ham"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        url = f"http://127.0.0.1:{free_port}"
        for _ in range(300):
            try:
                assert httpx2.get(f"{url}/_local").json()["calls"] == 0
                break
            except httpx2.ConnectError:
                time.sleep(0.1)
        assert httpx2.get(f"{url}/v1/models").json()["data"][0]["id"] == "loopai-local"
        answers = asyncio.run(ask(f"{url}/v1", ["lunch?", "b", "a prize", "else"]))
        assert answers == ["ham", "spam", "spam", "ham"]
    finally:
        process.terminate()
        _, said = process.communicate(timeout=10)
    assert b"Traceback" not in said


async def ask(url: str, texts: list[str]) -> list[Any]:
    model = OpenAIModel(Oracle(base_url=url, model="loopai-local"))
    try:
        return [(await model.complete(judge(text))).parsed["answer"] for text in texts]
    finally:
        await model.close()


def test_a_rule_that_is_none_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--rule", "prize"])
    assert caught.value.code == 2
    assert "KEYWORD=ANSWER" in capsys.readouterr().err


@pytest.mark.parametrize("body", [{}, {"messages": []}, {"messages": [{"role": "user", "content": "hi"}]}])
def test_what_is_not_one_of_our_prompts_is_told_who_answers(body: dict[str, Any]) -> None:
    assert "stand-in" in LocalAnswers().text(body)


def test_without_a_rule_the_first_legal_label_is_given() -> None:
    schema = {"properties": {"answer": {"enum": ["x", "y"]}}}
    body = {
        "messages": [{"role": "user", "content": "<data>\nnot json\n</data>"}],
        "response_format": {"type": "json_schema", "json_schema": {"schema": schema}},
    }
    assert json.loads(LocalAnswers().text(body)) == {"answer": "x"}
