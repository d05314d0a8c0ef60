/** The programs a loop has had: which is in use, how each did on held-out examples, why it was chosen, what it says. */
import { useEffect, useState } from "react";
import { paths } from "../api";
import { count, durationText, percent, plural, usd, utc, whenOf } from "../format";
import { Confirm, type Question } from "../parts/confirm";
import { Command } from "../parts/copy";
import { IntervalBar } from "../parts/interval";
import { choose } from "../router";
import { isOver, type Loop } from "../state/loop";
import { list, object } from "../state/overview";
import { useStore } from "../use-store";
import type { Agreement, Program, Score } from "../wire";

export function ProgramsTab({ loop, query }: { loop: Loop; query: URLSearchParams }) {
  const store = useStore();
  const [programs, setPrograms] = useState<Program[] | null>(null);
  const [problem, setProblem] = useState("");
  const id = loop.app.id;
  useEffect(() => {
    let gone = false;
    store.api.get(paths.programs(id)).then(
      (page) => {
        if (!gone) setPrograms((list(object(page).items) as Program[]).sort((a, b) => b.version - a.version));
      },
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
    return () => {
      gone = true;
    };
    // A program that was written meanwhile raises the count.
  }, [id, loop.programs, loop.deployment?.stable]);

  if (problem) return <p class="refusal">{problem}</p>;
  if (!programs) return <p class="empty-line">Opening…</p>;
  if (programs.length === 0) {
    return (
      <section class="panel">
        <h2>No program yet</h2>
        <p class="panel-text">Have one written from the examples:</p>
        <Command text={`loopai program generate ${id}`} />
      </section>
    );
  }
  const open = Number(query.get("v")) || null;
  return (
    <section class="programs" aria-label="Programs">
      {programs.map((row) => (
        <Card key={row.version} row={row} loop={loop} open={open === row.version} />
      ))}
    </section>
  );
}

function Card({ row, loop, open }: { row: Program; loop: Loop; open: boolean }) {
  const { deployment } = loop;
  const score = row.manifest?.score;
  const inUse = deployment?.stable === row.version;
  const onTrial = deployment?.candidate === row.version;
  const trialRuns = loop.rollout !== null && !isOver(loop.rollout);
  return (
    <article class="panel program">
      <div class="panel-head">
        <h2>Program v{row.version}</h2>
        {inUse && <span class="state good">in use</span>}
        {onTrial && <span class="state trial">on trial</span>}
        <span class="panel-note">{row.strategy}</span>
        <span class="grow" />
        {!inUse && !trialRuns && (deployment?.stable ?? null) !== null && <StartTrial loop={loop} version={row.version} />}
      </div>
      <dl class="facts">
        <div>
          <dt>Held-out score</dt>
          <dd>
            {score ? (
              <>
                <strong>{percent(score.accuracy)} %</strong>{" "}
                <span class="dim">
                  {percent(score.low)} – {percent(score.high)} % on {plural(score.n, "example")}
                </span>
                <IntervalBar agreement={asAgreement(score)} limit={loop.limit} floor={Math.min(0.8, loop.limit - 0.05, score.low - 0.02)} />
              </>
            ) : (
              <span class="dim">not scored{row.waiver ? `: ${row.waiver}` : ""}</span>
            )}
          </dd>
        </div>
        <div>
          <dt>Time per answer</dt>
          <dd>{durationText(score?.us_per_record)}</dd>
        </div>
        <div>
          <dt>Learned from</dt>
          <dd>{plural(row.manifest?.n_examples ?? 0, "example")}</dd>
        </div>
        <div>
          <dt>Written</dt>
          <dd>
            <time title={utc(row.created_at)}>{whenOf(row.created_at || row.manifest?.created_at)}</time>
            {row.manifest?.model && <span class="dim"> by {row.manifest.model} for {usd(row.manifest.cost_usd)}</span>}
          </dd>
        </div>
      </dl>
      {row.manifest?.why && <p class="panel-text">{row.manifest.why}</p>}
      <Attempts row={row} />
      <button type="button" class="quiet-button" aria-expanded={open} onClick={() => choose({ v: open ? null : String(row.version) })}>
        {open ? "Hide source" : "Show source"}
      </button>
      {open && <Source loop={loop.app.id} version={row.version} />}
      <p class="address dim" title="What it is, in one number: the SHA-256 of its content">{row.id}</p>
    </article>
  );
}

function asAgreement(score: Score): Agreement {
  return { app: "", version: 0, variant: "stable", checks: score.n, estimate: score.accuracy, low: score.low, high: score.high };
}

function Attempts({ row }: { row: Program }) {
  const attempts = row.manifest?.attempts ?? [];
  if (attempts.length < 2) return null;
  return (
    <details>
      <summary>{plural(attempts.length, "way")} tried</summary>
      <ul class="attempts">
        {attempts.map((attempt, index) => (
          <li key={`${attempt.strategy}${index}`}>
            <strong>{attempt.strategy}</strong>{" "}
            {attempt.score ? `${percent(attempt.score.accuracy)} % (${percent(attempt.score.low)} – ${percent(attempt.score.high)})` : ""}
            <span class="dim"> {attempt.reason}</span>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Source({ loop, version }: { loop: string; version: number }) {
  const store = useStore();
  const [found, setFound] = useState<Program | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    store.api.get<Program>(paths.program(loop, version)).then(setFound, (error: unknown) => setProblem(String(error)));
  }, [loop, version]);
  if (problem) return <p class="refusal">{problem}</p>;
  if (!found) return <p class="empty-line">Opening…</p>;
  return (
    <>
      <pre class="source" tabIndex={0} aria-label={`Source of program v${version}`}>{found.source}</pre>
      {found.data_bytes ? <p class="dim">and {count(found.data_bytes)} bytes of data</p> : null}
    </>
  );
}

function StartTrial({ loop, version }: { loop: Loop; version: number }) {
  const store = useStore();
  const [question, setQuestion] = useState<Question | null>(null);
  const first = loop.app.rollout?.stages?.[0] ?? 10;
  return (
    <>
      <button
        type="button"
        class="button"
        onClick={() =>
          setQuestion({
            title: `Try v${version} on live inputs?`,
            consequence: `${first} % of inputs will be answered by v${version}; the rest stays with v${loop.deployment?.stable}. It goes back by itself when right answers fall under ${percent(loop.limit, 0)} %.`,
            button: "Start trial",
            act: (reason) => store.api.post(paths.rollouts(loop.app.id), reason ? { version, reason } : { version }),
          })
        }
      >
        Start trial
      </button>
      {question && <Confirm question={question} done={() => setQuestion(null)} />}
    </>
  );
}
