"""What generation without a language model is worth: ours in the jail beside scikit-learn's usual two, same rows.

    LOOPAI_DATA=FOLDER python -m benchmarks.generation [--quick] [--json] [--sets sms,sst2]

For every data set and number of random labelled rows: accuracy and macro-F1 in percent on the public test, the mean of
seeds 1 to 3, of `loopai evaluate` and of TF-IDF (words and pairs) with logistic regression and with a linear support
vector machine on the very same rows. No setting differs between the sets. `--quick` takes the small ones.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from executors.direct import JailRunner
from executors.jail.jail import Jail
from loopai.records import Example
from programs.artifact import Program, encode
from programs.datasets import read_examples
from programs.evaluate import draw, evaluate
from programs.running import encode_inputs, output_of
from programs.scoring import accuracy, macro_f1
from programs.synthesis import synthesise
from programs.task import infer_task

SEEDS = (1, 2, 3)
BARS: tuple[tuple[str, str, int | None, float], ...] = (
    ("sms", "spam", 100, 97.5),
    ("sms", "spam", 500, 98.3),
    ("sms", "spam", None, 99.0),
    ("spamassassin", "spam", 100, 93.0),
    ("spamassassin", "spam", 500, 95.5),
    ("spamassassin", "spam", None, 97.0),
    ("sst2", "sentiment", None, 81.0),
    ("airline", "sentiment", None, 84.0),
    ("agnews", "intent", None, 88.0),
    ("issues", "intent", None, 78.0),
    ("banking77", "intent", None, 90.0),
    ("clinc150", "intent", None, 90.0),
)
QUICK = {("sms", 100), ("sms", 500), ("spamassassin", 100)}
SLACK = 0.5
"""Points that `--quick` forgives, as it has one seed."""


class Report:
    """Rows and claims, printed as they come."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.claims: list[dict[str, Any]] = []

    def row(self, **row: Any) -> None:
        self.rows.append(row)
        print("  " + "  ".join(f"{name} {value}" for name, value in row.items()), flush=True)

    def claim(self, name: str, measured: float, bar: float, unit: str, *, least: bool = True) -> None:
        holds = measured >= bar if least else measured <= bar
        self.claims.append({"name": name, "measured": round(measured, 3), "bar": bar, "unit": unit, "holds": holds})
        sign = ">=" if least else "<="
        print(f"  {'ok ' if holds else 'NOT'} {name:<46} {measured:>9,.2f} {unit} ({sign} {bar:g})", flush=True)


def peer(model: Any, train: Sequence[Example], test: Sequence[Example]) -> tuple[float, float, float]:
    """Accuracy, macro-F1 (percent) and seconds of TF-IDF with a scikit-learn model."""
    began = time.perf_counter()
    pipeline = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), model)
    pipeline.fit([row.input["text"] for row in train], [row.expected for row in train])
    took = time.perf_counter() - began
    said = pipeline.predict([row.input["text"] for row in test]).tolist()
    expected = [row.expected for row in test]
    return 100 * accuracy(expected, said), 100 * macro_f1(expected, said), took


async def compare(report: Report, jail: Jail, folder: Path, name: str, part: str, labels: int | None, bar: float,
                  seeds: Sequence[int], slack: float) -> None:  # fmt: skip
    """One line of the table: ours and the peers in turn, seed by seed."""
    train, test = (read_examples(folder / part / f"{name}.{half}.jsonl") for half in ("train", "test"))
    results: dict[str, list[tuple[float, float, float]]] = {"loopai": [], "TF-IDF+LR": [], "TF-IDF+SVC": []}
    micros, sizes, special = [], [], []
    for seed in seeds:
        rows = draw(train, labels, seed)
        results["TF-IDF+LR"].append(peer(LogisticRegression(C=10, max_iter=300), rows, test))
        runner = JailRunner(jail)
        found, program = await evaluate(train, test, labels=labels, seed=seed, run=runner)
        special.append(await recalls(runner, program, test))
        await runner.close()
        results["loopai"].append((found.accuracy, found.macro_f1, found.seconds))
        micros.append(found.us_per_record)
        sizes.append(len(encode(program)))
        results["TF-IDF+SVC"].append(peer(LinearSVC(random_state=seed), rows, test))
    many = "all" if labels is None else str(labels)
    for who, values in results.items():
        mean = [statistics.mean(column) for column in zip(*values, strict=True)]
        row = {"data": name, "labels": many, "who": who, "accuracy": round(mean[0], 2), "macro_f1": round(mean[1], 2)}
        row |= {"seconds": round(mean[2], 1)}
        if who == "loopai":
            row |= {"us": round(statistics.median(micros), 1), "bytes": max(sizes)}
        report.row(**row)
    ours = results["loopai"]
    report.claim(f"{name}, {many} labels: accuracy", statistics.mean(a for a, _, _ in ours), bar - slack, "%")
    report.claim(f"{name}, {many} labels: the program", max(sizes) / 1e6, 8.0, "MB", least=False)
    if name == "sms" and labels is None:
        report.claim("sms, all labels: recall of spam", statistics.mean(r["spam"] for r in special), 0.93, "")
    if name == "sms" and labels == 500:
        report.claim("sms, 500 labels: generation", max(s for _, _, s in ours), 10.0, "s", least=False)
    if name == "clinc150":
        report.claim("clinc150: recall of out-of-scope", statistics.mean(r["oos"] for r in special), 0.5, "")
        report.claim("clinc150: in-scope lost", statistics.mean(r["lost"] for r in special), 0.05, "", least=False)
        report.claim("clinc150: generation", max(s for _, _, s in ours), 120.0, "s", least=False)


async def recalls(runner: JailRunner, program: Program, test: Sequence[Example]) -> dict[str, float]:
    """The recall of spam and of out-of-scope rows, and the share of the others that went out of scope."""
    said = [output_of(answer) for answer in await runner(program, encode_inputs([row.input for row in test]))]
    pairs = [(row.expected, answer) for row, answer in zip(test, said, strict=True)]

    def share(rows: list[tuple[Any, Any]], answer: str) -> float:
        return sum(given == answer for _, given in rows) / len(rows) if rows else 0.0

    return {
        "spam": share([pair for pair in pairs if pair[0] == "spam"], "spam"),
        "oos": share([pair for pair in pairs if pair[0] == "oos"], "oos"),
        "lost": share([pair for pair in pairs if pair[0] != "oos"], "oos"),
    }


async def speed(report: Report, jail: Jail, folder: Path, rounds: int) -> None:
    """Jailed batches of 1,000 short texts, of a program that has seen other texts of the kind; then one alone."""
    train = read_examples(folder / "spam" / "sms.train.jsonl")
    values = encode_inputs([row.input for row in train])
    for strategy, bar in (("rule", 10.0), ("linear", 25.0)):
        runner = JailRunner(jail)
        program = await synthesise(infer_task(train[:500]), train[:500], run=runner, only=strategy)
        await runner(program, values[:1000])
        times = []
        for number in range(rounds):
            first = 1000 + 1000 * (number % 2)
            began = time.perf_counter()
            await runner(program, values[first : first + 1000])
            times.append((time.perf_counter() - began) * 1000)
        report.claim(f"{strategy} in the jail, batches of 1,000", statistics.median(times), bar, "us", least=False)
        alone = []
        for value in values[:500]:
            began = time.perf_counter()
            await runner(program, [value])
            alone.append((time.perf_counter() - began) * 1000)
        alone.sort()
        report.claim(f"{strategy}, one record alone, p99", alone[int(0.99 * len(alone))], 5.0, "ms", least=False)
        await runner.close()


async def main(quick: bool, sets: Sequence[str]) -> Report:
    """All lines of the table; `quick` the small ones with one seed."""
    report = Report()
    folder = Path(os.environ["LOOPAI_DATA"])
    async with Jail() as jail:
        await speed(report, jail, folder, 10 if quick else 40)
        for name, part, labels, bar in BARS:
            if (sets and name not in sets) or (quick and (name, labels) not in QUICK):
                continue
            seeds, slack = (SEEDS[:1], SLACK) if quick else (SEEDS, 0.0)
            await compare(report, jail, folder, name, part, labels, bar, seeds, slack)
    return report


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--sets", default="", help="Only these, with commas between.")
    options = parser.parse_args()
    if not os.environ.get("LOOPAI_DATA"):
        sys.exit("LOOPAI_DATA must name the folder of example data.")
    load_before = os.getloadavg()[0]
    done = asyncio.run(main(options.quick, [name for name in options.sets.split(",") if name]))
    if options.json:
        machine = {"system": platform.platform(), "cpus": os.cpu_count(), "load_before": load_before}
        versions = {"python": platform.python_version(), "scikit-learn": sklearn.__version__}
        print(json.dumps({"machine": machine, "versions": versions, "rows": done.rows, "claims": done.claims}))
    sys.exit(0 if all(claim["holds"] for claim in done.claims) else 1)
