"""`loopai program`: generate a version of an app's program, list them, look at one."""

from __future__ import annotations

from typing import Any

import typer

from loopai.cli.client import GatewayClient
from loopai.cli.output import JSON, out, print_json, print_rows, progress
from loopai.errors import ProgramError

app = typer.Typer(no_args_is_help=True, help="Programs: the versions of an app.")


@app.command()
def generate(
    app_id: str = typer.Argument(..., metavar="APP"),
    seed: int = typer.Option(0, help="The same seed and examples give the same program."),
    strategy: str = typer.Option("", help="Try this strategy alone (rule, tree, lexicon, linear, cascade, llm)."),
    rollout: bool = typer.Option(False, "--rollout", help="Start a trial of the new version when one runs already."),
    timeout: float = typer.Option(300.0, help="Seconds to wait."),
    as_json: bool = JSON,
) -> None:
    """Generate a program from the app's examples and wait for it."""
    client = GatewayClient()
    body: dict[str, Any] = {"seed": seed, "rollout": rollout}
    if strategy:
        body["strategy"] = strategy
    run = client.post(f"/loop-apps/{app_id}/programs", body)
    with progress() as bar:
        task = bar.add_task("generating", total=1.0)
        state = client.wait_for_run(
            run["id"], timeout, lambda done, step: bar.update(task, completed=done, description=step or "generating")
        )
    if state["state"] != "succeeded":
        raise ProgramError(
            f"No program came of it: {state.get('error') or state['state']}",
            next_step=f"See the examples with `loopai app show {app_id}`.",
        )
    if as_json:
        print_json(state)
    else:
        result = state.get("result", {})
        out.print(f"Program v{result.get('version')} of {app_id}: {result.get('summary') or result}", highlight=False)


@app.command("list")
def list_programs(app_id: str = typer.Argument(..., metavar="APP"), as_json: bool = JSON) -> None:
    """Every version of an app's program."""
    rows = [
        {**row, "id": row["id"][:12] if not as_json else row["id"]} | _score(row)
        for row in GatewayClient().pages(f"/loop-apps/{app_id}/programs")
    ]
    print_rows(
        rows,
        ("version", "strategy", "held_out", "id", "created_at"),
        as_json=as_json,
        empty=f"{app_id} has no program yet. Generate one: loopai program generate {app_id}",
    )


def _score(row: dict[str, Any]) -> dict[str, Any]:
    score = (row.get("manifest") or {}).get("score")
    return {"held_out": f"{100 * score['accuracy']:.1f} % of {score['n']}" if score else None}


@app.command()
def show(
    app_id: str = typer.Argument(..., metavar="APP"), version: int = typer.Argument(...), as_json: bool = JSON
) -> None:
    """One version: its source, its score and why it was chosen."""
    program = GatewayClient().get(f"/loop-apps/{app_id}/programs/{version}")
    if as_json:
        print_json(program)
        return
    manifest = program.get("manifest") or {}
    out.print(f"v{version} of {app_id} · {program['strategy']} · {program['id'][:12]}", highlight=False)
    if manifest.get("why"):
        out.print(manifest["why"], highlight=False)
    out.print(program["source"], highlight=False, markup=False)
