"""Every command of the README, run in order against a demo, real Kafka and the stand-in for a language model."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.conftest import Demo, begin_at_the_end, get, groups
from tests.docs.fences import ROOT, Fence, Shell, fences, until
from tests.support.services import free_port

README = ROOT / "README.md"
FENCES = fences(README)
NAMES = ("validation_result", "drift_alert", "rollout_event")


@pytest.fixture(scope="module")
def shell(demo: Demo, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Shell]:
    """The README's addresses are those of this run; the CLI finds the gateway where the reader was told to say."""
    model, second = str(free_port()), str(free_port())
    words = {
        "http://127.0.0.1:8080": demo.url,
        "127.0.0.1:9092": demo.kafka,
        "127.0.0.1:8081": f"127.0.0.1:{model}",
        "--port 8081": f"--port {model}",
        "127.0.0.1:8090": f"127.0.0.1:{second}",
        "--port 8090": f"--port {second}",
        # The topics are shared with other tests and other runs.
        " asked": f" asked-{second}",
    }
    folder = tmp_path_factory.mktemp("readme")
    made = Shell(words, {"LOOPAI_URL": demo.url, "LOOPAI_DATA_DIR": str(folder), **groups(f"readme-{second}")})
    yield made
    made.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fence", FENCES, ids=lambda fence: f"line-{fence.line}-{fence.language}")
def test_every_command_of_the_readme_does_what_the_readme_says(
    fence: Fence, shell: Shell, demo: Demo, request: pytest.FixtureRequest
) -> None:
    check = next((found for words, found in CHECKS.items() if fence.first.startswith(words)), None)
    assert check is not None, f"nothing is asserted of the fence in line {fence.line}: {fence.first}"
    if "kafka.example:9092" in fence.text:
        shell.words["kafka.example:9092"] = bootstrap = request.getfixturevalue("kafka_bootstrap")
        begin_at_the_end(bootstrap, [v for k, v in shell.environment.items() if k.endswith("__GROUP")])
    check(shell, fence, demo)


def dry(fence: Fence) -> str:
    """What make would run: the demo is running already, and these are the tests."""
    words = fence.text.split()
    done = subprocess.run([words[0], "-n", *words[1:]], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def make_demo(shell: Shell, fence: Fence, demo: Demo) -> None:
    assert re.search(r"^\.venv/bin/loopai demo\s*$", dry(fence), re.MULTILINE)
    assert "sms-spam" in {app["id"] for app in demo.get("/loop-apps")["items"]}


def make_test(shell: Shell, fence: Fence, demo: Demo) -> None:
    assert "python -m pytest" in dry(fence)


def publish(shell: Shell, fence: Fence, demo: Demo) -> None:
    shell.run(fence)


def read_answers(shell: Shell, fence: Fence, demo: Demo) -> None:
    answer: dict[str, Any] = {}

    def there() -> bool:
        # grep ends with 1 while there is no answer.
        try:
            answer.update(json.loads(shell.run(fence).splitlines()[0]))
        except AssertionError:
            return False
        return True

    until(there, 30.0)
    assert (answer["app"], answer["outcome"]) == ("sms-spam", "ok")
    assert answer["output"] == "spam"


def set_aside(shell: Shell, fence: Fence, demo: Demo) -> None:
    until(lambda: "JSON is malformed" in shell.run(fence), 30.0)


def send(shell: Shell, fence: Fence, demo: Demo) -> None:
    assert json.loads(shell.run(fence)) == {"ids": ["mine-2"]}


def execute(shell: Shell, fence: Fence, demo: Demo) -> None:
    answer = json.loads(shell.run(fence))
    assert (answer["app"], answer["outcome"]) == ("sms-spam", "ok")


def watch(shell: Shell, fence: Fence, demo: Demo) -> None:
    said = shell.run(fence)
    assert "right answers" in said
    events = [json.loads(line) for line in said.splitlines() if line.startswith('{"specversion"')]
    assert "io.loopai.validation.completed.v1" in {event["type"] for event in events}
    assert "healthy" in said


def listen(shell: Shell, fence: Fence, demo: Demo) -> None:
    assert all(name in fence.text for name in NAMES)
    running = shell.begin(fence, lambda said: "validation_result" in said and "match" in said)
    running.stop()


def own_app(shell: Shell, fence: Fence, demo: Demo) -> None:
    said = shell.run(fence)
    assert "Created my-spam with 300 examples" in said
    assert "Program v1 of my-spam" in said
    assert "ok: spam" in said


def second_program(shell: Shell, fence: Fence, demo: Demo) -> None:
    said = shell.run(fence)
    assert '{"added":150,"total":450}' in said
    assert "Program v2 of my-spam" in said
    assert {row["version"] for row in demo.get("/loop-apps/my-spam/programs")["items"]} == {1, 2}


def trial(shell: Shell, fence: Fence, demo: Demo) -> None:
    said = shell.run(fence)
    assert "v1 → v2: 10 % ◀" in said
    assert "50 % ◀" in said
    assert "rolled_back (Only trying it out)" in said
    assert demo.get("/loop-apps/my-spam/status")["deployment"]["stable"] == 1


def evaluate(shell: Shell, fence: Fence, demo: Demo) -> None:
    found = re.search(r"(\d+\.\d+) % right", shell.run(fence))
    assert found
    assert float(found[1]) > 80


def stand_in(shell: Shell, fence: Fence, demo: Demo) -> None:
    shell.begin(fence, lambda said: "Uvicorn running on" in said)
    assert get(f"http://{shell.words['127.0.0.1:8081']}/_local")["model"] == "loopai-local"


def serve_all(shell: Shell, fence: Fence, demo: Demo) -> None:
    running = shell.begin(fence, lambda said: '"ready":true' in said)
    told = next(json.loads(line) for line in running.said().splitlines() if '"ready":true' in line)
    assert told["kafka"] == shell.words["kafka.example:9092"]


def asked(shell: Shell, fence: Fence, demo: Demo) -> None:
    shell.run(fence)
    url = f"http://{shell.words['127.0.0.1:8090']}/api/v1/loop-apps/{shell.words[' asked'].strip()}"
    until(lambda: sum(get(f"{url}/status")["checks"].values()) >= 200, 90.0, lambda: str(get(f"{url}/status")))
    checks = get(f"{url}/validations")["items"]
    assert {check["oracle"] for check in checks if check["tier"] == 3} == {"openai/loopai-local"}
    assert {check["verdict"] for check in checks} <= {"match", "mismatch"}


CHECKS: dict[str, Callable[[Shell, Fence, Demo], None]] = {
    "make demo": make_demo,
    "make test": make_test,
    'echo \'{"text"': publish,
    "kcat -C": read_answers,
    "echo 'no JSON'": set_aside,
    "curl -s http://127.0.0.1:8080/api/v1/loop-apps/sms-spam/inputs": send,
    "curl -s http://127.0.0.1:8080/api/v1/loop-apps/sms-spam/execute": execute,
    ".venv/bin/loopai watch": watch,
    "import { io }": listen,
    "import asyncio": listen,
    ".venv/bin/loopai app create my-spam": own_app,
    "curl -s http://127.0.0.1:8080/api/v1/loop-apps/my-spam/examples": second_program,
    ".venv/bin/loopai rollout start": trial,
    ".venv/bin/loopai evaluate": evaluate,
    ".venv/bin/python -m programs.providers.local_server": stand_in,
    "LOOPAI_KAFKA__BOOTSTRAP_SERVERS=kafka.example:9092": serve_all,
    "export LOOPAI_URL=http://127.0.0.1:8090": asked,
}


def test_the_demo_says_that_its_traffic_is_simulated(demo: Demo) -> None:
    assert "simulated traffic" in demo.greeting
    assert demo.get("/loop-apps/sms-spam/status")["simulated"] is True


def test_every_promise_names_a_test_that_is_there() -> None:
    named = re.findall(r"`(tests/\S+\.py)::(test_\w+)`", README.read_text())
    assert len(named) >= 8
    missing = [f"{file}::{name}" for file, name in named if name not in functions(ROOT / file)]
    assert not missing


def test_every_link_of_the_pages_leads_somewhere() -> None:
    pages = [README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken


def functions(file: Path) -> set[str]:
    """The names of a file's functions."""
    tree = ast.parse(file.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
