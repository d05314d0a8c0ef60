/** The latest checks of a loop, one row each: what was answered, what was right, and who said so. */
import { useEffect, useState } from "react";
import { paths } from "../api";
import { usd, utc, whenOf } from "../format";
import { choose } from "../router";
import type { Loop } from "../state/loop";
import { list, object } from "../state/overview";
import { short } from "../state/timeline";
import { Cell } from "../parts/cell";
import { useStore } from "../use-store";
import type { ValidationResult } from "../wire";
import { program } from "../words";

const VERDICTS: Record<string, { word: string; tone: string }> = {
  match: { word: "right", tone: "good" },
  mismatch: { word: "wrong", tone: "warn" },
  unsure: { word: "undecided", tone: "quiet" },
  error: { word: "not checked", tone: "quiet" },
};

const TIERS: Record<number, string> = { 1: "its form", 2: "rules", 3: "the reference" };
const SHOWN = 100;

export function ChecksTab({ loop, query }: { loop: Loop; query: URLSearchParams }) {
  const store = useStore();
  const [past, setPast] = useState<ValidationResult[]>([]);
  const [problem, setProblem] = useState("");
  const id = loop.app.id;
  useEffect(() => {
    let gone = false;
    store.api.get(paths.validations(id)).then(
      (page) => {
        if (!gone) setPast(list(object(page).items) as ValidationResult[]);
      },
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      gone = true;
    };
  }, [id]);

  const wrongOnly = query.get("only") === "wrong";
  const seen = new Set<string>();
  const rows = [...loop.checks.items.toReversed(), ...past]
    .filter((check) => {
      const key = `${check.id}/${check.version}`;
      if (seen.has(key) || (wrongOnly && check.verdict !== "mismatch")) return false;
      seen.add(key);
      return true;
    })
    .slice(0, SHOWN);

  return (
    <section class="panel" aria-label="Checks">
      <div class="panel-head">
        <h2>Latest checks</h2>
        <div class="chips" role="group" aria-label="Show only">
          <button type="button" class="chip" aria-pressed={!wrongOnly} onClick={() => choose({ only: null })}>
            All
          </button>
          <button type="button" class="chip" aria-pressed={wrongOnly} onClick={() => choose({ only: "wrong" })}>
            Wrong
          </button>
        </div>
      </div>
      {problem && <p class="refusal">{problem}</p>}
      {rows.length === 0 ? (
        <p class="empty-line">{wrongOnly ? "No wrong answer among the latest checks." : "No checks yet."}</p>
      ) : (
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">When</th>
              <th scope="col">Answer was</th>
              <th scope="col">Answered</th>
              <th scope="col">Right is</th>
              <th scope="col">Program</th>
              <th scope="col">Decided by</th>
              <th scope="col" class="num">Cost</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((check) => (
              <tr key={`${check.id}/${check.version}`}>
                <Cell label="When">
                  <time title={utc(check.validated_at)}>{whenOf(check.validated_at)}</time>
                </Cell>
                <Cell label="Answer was">
                  <span class={`state ${VERDICTS[check.verdict]?.tone ?? "quiet"}`} title={check.reason ?? undefined}>
                    {VERDICTS[check.verdict]?.word ?? check.verdict}
                  </span>
                </Cell>
                <Cell label="Answered" class="value">{short(check.output)}</Cell>
                <Cell label="Right is" class="value">{check.expected === undefined ? "–" : short(check.expected)}</Cell>
                <Cell label="Program">
                  {program(check.version)}
                  {check.variant === "candidate" && <span class="trial-text"> on trial</span>}
                </Cell>
                <Cell label="Decided by">{check.tier === 3 && check.oracle ? check.oracle : TIERS[check.tier]}</Cell>
                <Cell label="Cost" class="num">{check.cost_usd ? usd(check.cost_usd) : "–"}</Cell>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}
