"""`loopai input`: inputs into the stream, by way of the gateway."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import typer

from loopai.cli.client import GatewayClient
from loopai.cli.output import JSON, err, out, print_json
from loopai.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Inputs: send them into the stream.")

_PER_CALL = 500


@app.callback()
def _group() -> None:
    """Inputs: send them into the stream."""


@app.command()
def send(
    app_id: str = typer.Argument(..., metavar="APP"),
    text: str = typer.Argument("", help='Sent as {"text": ...}. Leave it out with --file or --record.'),
    record: str = typer.Option("", help="One input as a JSON object."),
    file: Path | None = typer.Option(None, exists=True, dir_okay=False, help="JSON Lines with text or record."),
    key: str = typer.Option("", help="Inputs with one key stay in order and on one version."),
    execute: bool = typer.Option(False, "--execute", help="Answer at once, without the stream."),
    as_json: bool = JSON,
) -> None:
    """Send one input, or a file of them."""
    client = GatewayClient()
    if file is not None:
        print_json({"sent": _send_file(client, app_id, file)})
        return
    body: dict[str, Any] = {"input": _one(text, record)}
    if execute:
        result = client.post(f"/loop-apps/{app_id}/execute", body)
        if as_json:
            print_json(result)
        else:
            out.print(f"{result['outcome']}: {result['output']}  ({result['latency_us']:.0f} µs)", highlight=False)
        return
    if key:
        body["key"] = key
    answer = client.post(f"/loop-apps/{app_id}/inputs", body)
    if as_json:
        print_json(answer)
    else:
        out.print(f"Sent {answer['ids'][0]}.", highlight=False)


def _one(text: str, record: str) -> Any:
    if record:
        try:
            return msgspec.json.decode(record)
        except msgspec.DecodeError as error:
            raise ConfigurationError(f"--record is not JSON: {error}.") from None
    if text == "-":
        text = sys.stdin.read().strip()
    if not text:
        raise ConfigurationError("There is nothing to send.", next_step="Give a text, --record or --file.")
    return {"text": text}


def _send_file(client: GatewayClient, app_id: str, file: Path) -> int:
    from programs.datasets import read_examples

    rows = read_examples(file, labelled=False)
    for begin in range(0, len(rows), _PER_CALL):
        part = rows[begin : begin + _PER_CALL]
        client.post(f"/loop-apps/{app_id}/inputs", [{"id": e.id, "input": e.input} for e in part])
        err.print(f"{begin + len(part)} of {len(rows)}", end="\r") if err.is_terminal else None
    return len(rows)
