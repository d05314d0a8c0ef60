"""`loopai evaluate`: generate from labelled rows, run in the jail over others, print one honest row."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from loopai import settings as settings_module
from loopai.cli.output import JSON, err, out, print_json, progress

app = typer.Typer(help="Generate from labelled rows, score on others, in the jail.")


@app.command()
def evaluate(
    train: Path = typer.Option(..., exists=True, dir_okay=False, help="Labelled rows to learn from, JSON Lines."),
    test: Path = typer.Option(..., exists=True, dir_okay=False, help="Labelled rows to be scored on."),
    labels: int | None = typer.Option(None, min=1, help="Learn from so many random rows. Default: all."),
    seed: int = typer.Option(0, help="The same seed gives the same program."),
    seconds: float = typer.Option(120.0, min=1, help="Time for the search."),
    save: Path | None = typer.Option(None, dir_okay=False, help="Write the program to this file."),
    as_json: bool = JSON,
) -> None:
    """Generate a program from the training rows and score it on the test rows."""
    from executors.direct import JailRunner
    from executors.jail.jail import Jail
    from programs import artifact
    from programs.datasets import read_examples
    from programs.evaluate import EvaluationReport
    from programs.evaluate import evaluate as measure

    rows, held_out = read_examples(train), read_examples(test)
    settings = settings_module.load()

    async def work() -> tuple[EvaluationReport, artifact.Program]:
        with progress() as bar:
            task = bar.add_task("generating", total=1.0)
            async with Jail(mode=settings.executor.jail) as jail:
                runner = JailRunner(jail)
                report, program = await measure(
                    rows, held_out, labels=labels, seed=seed, seconds=seconds, run=runner,
                    progress=lambda done, step: bar.update(task, completed=done, description=step),
                )  # fmt: skip
                await runner.close()
        return report, program

    report, program = asyncio.run(work())
    if save is not None:
        save.write_bytes(artifact.encode(program))
        err.print(f"Wrote {save}.", highlight=False)
    if as_json:
        print_json(report)
        return
    out.print(
        f"{report.strategy}: {report.accuracy:.2f} % right, macro-F1 {report.macro_f1:.2f} %, of {report.n} rows; "
        f"{report.us_per_record:.1f} µs a record; {report.seconds:.1f} s to generate; {report.program_id[:12]}",
        highlight=False,
    )
