"""Each outcome, from a real worker."""

from __future__ import annotations

import pytest

from executors.jail.jail import Jail
from loopai.errors import ConflictError, ProgramError
from tests.executors.jail.helpers import Open, outcomes, outputs, program

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}


async def test_an_answer_is_the_json_of_what_run_returned(opened: Open) -> None:
    cell = await opened("def run(record):\n    return {'n': record['n'] + 1, 'list': [1, 'é', None]}")
    answers = await cell.run([b'{"n": 1}', b'{"n": 2}'])
    assert outcomes(answers) == ["ok", "ok"]
    assert outputs(answers) == ['{"n":2,"list":[1,"é",null]}'.encode(), '{"n":3,"list":[1,"é",null]}'.encode()]
    assert answers[0].confidence is None
    assert answers[0].reason is None


async def test_no_records_give_no_answers(opened: Open) -> None:
    cell = await opened("def run(record):\n    return 1")
    assert await cell.run([]) == []


async def test_none_abstains(opened: Open) -> None:
    cell = await opened("def run(record):\n    return None if record else (None, 0.25)")
    first, second = await cell.run([b"1", b"0"])
    assert (first.outcome, bytes(first.output), first.confidence) == ("abstained", b"null", None)
    assert (second.outcome, second.confidence) == ("abstained", 0.25)


async def test_a_pair_with_a_number_is_an_output_and_its_confidence(opened: Open) -> None:
    cell = await opened("def run(record):\n    return 'spam', record")
    answers = await cell.run([b"0.5", b"1", b"0", b"1.5", b"-0.1", b'"x"', b"true"])
    assert [a.confidence for a in answers[:3]] == [0.5, 1.0, 0.0]
    assert outputs(answers[:3]) == [b'"spam"'] * 3
    assert outcomes(answers[3:5]) == ["error", "error"]
    assert "confidence" in (answers[3].reason or "")
    assert outputs(answers[5:]) == [b'["spam","x"]', b'["spam",true]']


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "JSON: empty"),
        (b"{", "JSON: "),
        (b"NaN", "JSON: "),
        (b'{"a": Infinity}', "JSON: "),
        (b'"\\ud800"', "JSON: "),
        (b"\xff\xfe", "JSON: "),
        (b'"\xed\xa0\x80"', "JSON: "),
        (b"{} {}", "JSON: "),
        (b"1e999", "JSON: "),
        (b"9" * 5000, "JSON: "),
        (b"[" * 10_000 + b"]" * 10_000, "JSON: nested too deeply"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "JSON: nested too deeply"),
    ],
)
async def test_what_is_not_json_is_rejected_and_says_so(opened: Open, raw: bytes, says: str) -> None:
    cell = await opened("def run(record):\n    return 'ok'")
    answers = await cell.run([b"1", raw, b"2"])
    assert outcomes(answers) == ["ok", "rejected", "ok"]
    assert (answers[1].reason or "").startswith(says)


async def test_the_last_of_two_equal_keys_counts_and_large_integers_are_exact(opened: Open) -> None:
    cell = await opened("def run(record):\n    return record")
    answers = await cell.run([b'{"a":1,"a":2}', b"9223372036854775808", b"-9223372036854775809", b"1" * 40])
    assert outputs(answers) == [b'{"a":2}', b"9223372036854775808", b"-9223372036854775809", b"1" * 40]


async def test_a_crafted_value_cannot_shift_its_neighbours(opened: Open) -> None:
    cell = await opened("def run(record):\n    return record")
    answers = await cell.run([b"1", b'2],["ok",9', b'],["', b"3"])
    assert outcomes(answers) == ["ok", "rejected", "rejected", "ok"]
    assert outputs(answers)[3] == b"3"


async def test_a_record_that_does_not_match_the_input_schema_is_rejected(opened: Open) -> None:
    cell = await opened("def run(record):\n    return record['text']", input_schema=TEXT)
    answers = await cell.run([b'{"text":"a"}', b'{"text":3}', b"{}", b"[]"])
    assert outcomes(answers) == ["ok", "rejected", "rejected", "rejected"]
    assert answers[1].reason == 'schema: $.text: value is not of type "string"'
    assert answers[2].reason == 'schema: $: "text" is a required property'


async def test_an_output_that_does_not_match_the_output_schema_is_an_error(opened: Open) -> None:
    cell = await opened("def run(record):\n    return record", output_schema={"enum": ["spam", "ham"]})
    answers = await cell.run([b'"spam"', b'"eggs"', b"3"])
    assert outcomes(answers) == ["ok", "error", "error"]
    assert (answers[1].reason or "").startswith("output: $: ")


async def test_what_the_program_raises_is_its_reason(opened: Open) -> None:
    cell = await opened(
        "def run(record):\n    if record == 2: raise SystemExit(3)\n    raise ValueError('no ' + 'x' * record)"
    )
    answers = await cell.run([b"1", b"2", b"100000"])
    assert outcomes(answers) == ["error"] * 3
    assert answers[0].reason == "ValueError: no x"
    assert answers[1].reason == "SystemExit: 3"
    assert len(answers[2].reason or "") == 300


@pytest.mark.parametrize(
    "expression",
    [
        "object()",
        "lambda: 1",
        "{1, 2} and {('a', 'b'): 1}",
        "float('nan')",
        "[float('inf')]",
        "'\\ud800'",
        "'x' * 300000",
        "deep()",
        "round_and_round()",
    ],
)
async def test_an_output_that_cannot_be_json_is_an_error(opened: Open, expression: str) -> None:
    source = f"""
def deep():
    value = []
    for _ in range(100000):
        value = [value]
    return value
def round_and_round():
    value = []
    value.append(value)
    return value
def run(record):
    return ({expression}) if record else 'fine'
"""
    cell = await opened(source)
    answers = await cell.run([b"0", b"1", b"0"])
    assert outcomes(answers) == ["ok", "error", "ok"]
    assert (answers[1].reason or "").startswith("output: ")


async def test_a_loop_ends_at_the_soft_limit_and_costs_one_record(opened: Open) -> None:
    cell = await opened("def run(record):\n    while record:\n        pass\n    return 'ok'")
    answers = await cell.run([b"0"] * 5 + [b"1"] + [b"0"] * 5)
    assert outcomes(answers) == ["ok"] * 5 + ["timeout"] + ["ok"] * 5


async def test_a_program_that_swallows_the_soft_limit_is_killed(jail: Jail, opened: Open) -> None:
    source = """
def spin():
    n = 0
    while True:
        n += 1
def run(record):
    while record:
        try:
            spin()
        except BaseException:
            n = 1
    return 'ok'
"""
    cell = await opened(source)
    answers = await cell.run([b"0"] * 300 + [b"1"] + [b"0"] * 300)
    assert outcomes(answers) == ["ok"] * 300 + ["timeout"] + ["ok"] * 300
    assert jail.kills["timeout"] == 1


async def test_a_memory_bomb_is_killed_and_costs_one_record(jail: Jail, opened: Open) -> None:
    cell = await opened("def run(record):\n    return len('x' * (record << 20))")
    answers = await cell.run([b"1", b"4096", b"2"])
    assert outcomes(answers) == ["ok", "killed", "ok"]
    assert "MemoryError" in (answers[1].reason or "")
    assert jail.kills["memory"] == 1


async def test_print_goes_nowhere(opened: Open) -> None:
    cell = await opened("def run(record):\n    for _ in range(1000): print('x' * 1000)\n    return 1")
    assert outcomes(await cell.run([b"1"] * 10)) == ["ok"] * 10


async def test_run_batch_is_used_and_run_names_the_culprit(opened: Open) -> None:
    source = """
def run(record):
    return ['one', 10 // record]
def run_batch(records):
    return [['many', 10 // r] for r in records]
"""
    cell = await opened(source)
    assert outputs(await cell.run([b"1", b"2"])) == [b'["many",10]', b'["many",5]']
    answers = await cell.run([b"1", b"0", b"x", b"2"])
    assert outcomes(answers) == ["ok", "error", "rejected", "ok"]
    assert outputs(answers)[0] == b'["one",10]'


async def test_a_run_batch_that_returns_another_number_is_not_believed(opened: Open) -> None:
    cell = await opened("def run(r):\n    return r\ndef run_batch(rs):\n    return rs[1:]")
    assert outputs(await cell.run([b"1", b"2", b"3"])) == [b"1", b"2", b"3"]


async def test_a_run_batch_that_dies_or_hangs_costs_one_record(opened: Open) -> None:
    source = """
import os
def run(record):
    if record == 7: os._exit(1)
    return record
def run_batch(records):
    return [run(r) for r in records]
"""
    cell = await opened(source, gate=False)
    answers = await cell.run([str(n).encode() for n in range(20)])
    assert outcomes(answers) == ["ok"] * 7 + ["killed"] + ["ok"] * 12


async def test_data_is_the_bytes_of_the_artifact(opened: Open) -> None:
    data = bytes(range(256)) * 20_000
    cell = await opened("def run(r):\n    return [len(DATA), DATA[r]]", data=data)
    assert outputs(await cell.run([b"255"])) == [b"[5120000,255]"]


async def test_a_program_that_does_not_load_says_why(jail: Jail) -> None:
    for source, says in (
        ("def run(", "line 1: syntax"),
        ("import os\ndef run(r): pass", "line 1: import os is not allowed"),
        ("x = 1", "does not define run"),
        ("def run(r): pass\nraise KeyError('k')", "KeyError: 'k'"),
        ("def run(r): pass\nx = [0] * 10**10", "MemoryError"),
    ):
        with pytest.raises(ProgramError, match=says):
            await jail.open(program(source))
    with pytest.raises(ProgramError, match="output_schema is not a JSON Schema"):
        await jail.open(program("def run(r): pass", output_schema={"type": "nonsense"}))
    with pytest.raises(ProgramError, match="ended its process"):
        await jail.open(program("import os\nos._exit(0)"), gate=False)


async def test_a_closed_cell_says_so(opened: Open) -> None:
    cell = await opened("def run(r):\n    return r")
    await cell.close()
    with pytest.raises(ConflictError):
        await cell.run([b"1"])
