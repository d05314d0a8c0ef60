"""`loopai app`: loop apps by way of the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from loopai.cli.client import GatewayClient
from loopai.cli.output import JSON, out, print_json, print_rows

app = typer.Typer(no_args_is_help=True, help="Loop apps.")

_PER_CALL = 500


@app.command()
def create(
    app_id: str = typer.Argument(..., metavar="APP", help="Lower-case letters, digits and dashes."),
    kind: str = typer.Option("classification", help="classification, extraction or validation."),
    name: str = typer.Option("", help="What people call it."),
    description: str = typer.Option("", help="The judgement, in a sentence; an LLM is told this."),
    label: list[str] = typer.Option([], "--label", help="One possible answer; repeat it."),
    examples: Path | None = typer.Option(None, exists=True, dir_okay=False, help="Labelled rows, JSON Lines."),
    sample_rate: float = typer.Option(0.1, min=0.0001, max=1.0, help="Share of the answers that is checked."),
    oracle: str = typer.Option(
        "labels", help="Who says what is right: labels (from loopai.labels or validator.labels_file), llm or none."
    ),
    as_json: bool = JSON,
) -> None:
    """Create a loop app, with its labelled examples when there are some."""
    rows = _read(examples) if examples is not None else []
    labels = list(label)
    if not labels and kind == "classification":
        labels = sorted({str(row["expected"]) for row in rows})
    client = GatewayClient()
    body = {
        "id": app_id,
        "kind": kind,
        "name": name or app_id,
        "description": description,
        "labels": labels,
        "sampling": {"rate": sample_rate},
        "oracle": {"kind": oracle},
    }
    created = client.post("/loop-apps", body)
    _add(client, app_id, rows)
    if as_json:
        print_json(created)
    else:
        out.print(f"Created {app_id} with {len(rows)} examples. Next: loopai program generate {app_id}")


@app.command("add-examples")
def add_examples(
    app_id: str = typer.Argument(..., metavar="APP"),
    file: Path = typer.Argument(..., exists=True, dir_okay=False, help="Labelled rows, JSON Lines."),
    as_json: bool = JSON,
) -> None:
    """Give an app more labelled rows to learn from."""
    rows = _read(file)
    total = _add(GatewayClient(), app_id, rows)
    if as_json:
        print_json({"added": len(rows), "total": total})
    else:
        out.print(f"{app_id} has {total} examples. Next: loopai program generate {app_id}", highlight=False)


def _read(file: Path) -> list[dict[str, Any]]:
    from programs.datasets import read_examples

    return [{"id": e.id, "input": e.input, "expected": e.expected} for e in read_examples(file)]


def _add(client: GatewayClient, app_id: str, rows: list[dict[str, Any]]) -> int:
    """Sends them in parts that fit a request; returns how many the app has then."""
    total = 0
    for begin in range(0, len(rows), _PER_CALL):
        total = client.post(f"/loop-apps/{app_id}/examples", rows[begin : begin + _PER_CALL])["total"]
    return total


@app.command("list")
def list_apps(as_json: bool = JSON) -> None:
    """Every loop app."""
    print_rows(
        GatewayClient().pages("/loop-apps"),
        ("id", "name", "kind", "revision"),
        as_json=as_json,
        empty="There is no loop app yet. Create one: loopai app create my-app --examples rows.jsonl",
    )


@app.command()
def show(app_id: str = typer.Argument(..., metavar="APP"), as_json: bool = JSON) -> None:
    """One loop app: what it runs, how it does, what is under way."""
    status = GatewayClient().get(f"/loop-apps/{app_id}/status")
    if as_json:
        print_json(status)
        return
    _picture(status)


def _picture(status: dict[str, Any]) -> None:
    """What a person asks first: how it is, what runs, how right it is."""
    app_fields, deployment = status["app"], status["deployment"] or {}
    right = (status["agreement"] or {}).get("stable")
    checks, totals = status["checks"], status["totals"]
    lines = {
        "state": f"{status['state'].replace('_', ' ')} {status['because']}".strip(),
        "program": f"v{deployment['stable']}" if deployment.get("stable") else "none yet",
        "trial": f"v{deployment['candidate']} on {deployment['share']} %" if deployment.get("candidate") else "none",
        "right answers": f"{100 * right['estimate']:.1f} % ({100 * right['low']:.1f}–{100 * right['high']:.1f})"
        if right and right["estimate"] is not None
        else "no checks yet",
        "checks": ", ".join(f"{n} {verdict}" for verdict, n in checks.items()),
        "inputs": f"{totals['inputs']} since {totals['since']}, {totals['set_aside']} set aside",
        "reference": f"{status['oracle']['kind']} {status['oracle']['model']}".strip(),
        "examples": f"{status['examples']} rows, {status['programs']} programs",
    }
    out.print(f"[bold]{app_fields['id']}[/bold] {app_fields['name']}", highlight=False)
    for name, text in lines.items():
        out.print(f"  {name:<14} {text}", highlight=False)
