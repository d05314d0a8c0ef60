/** All loops, one row each; on a narrow screen each row becomes a small card. */
import { count, durationText, percent, rate } from "../format";
import { loopHref } from "../router";
import type { Loop } from "../state/loop";
import { stateWord } from "../state/verdict";
import { program } from "../words";
import { Cell } from "./cell";
import { MoodIcon } from "./icons";

export function LoopsTable({ loops, now, asOf }: { loops: Loop[]; now: number; asOf: number }) {
  return (
    <section class="panel" aria-label="Loops">
      <h2>Loops</h2>
      <table class="rows">
        <thead>
          <tr>
            <th scope="col">Loop</th>
            <th scope="col">State</th>
            <th scope="col" class="num">Right answers</th>
            <th scope="col" class="num">Inputs per second</th>
            <th scope="col" class="num">Time p50 · p99</th>
            <th scope="col" class="num">Set aside</th>
            <th scope="col">Program</th>
          </tr>
        </thead>
        <tbody>
          {loops.map((loop) => (
            <Row key={loop.app.id} loop={loop} now={now} asOf={asOf} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function Row({ loop, now, asOf }: { loop: Loop; now: number; asOf: number }) {
  const state = stateWord(loop, now);
  const right = loop.agreement.stable;
  const second = loop.windows.latest();
  const trial = loop.deployment?.mode === "canary" ? loop.deployment : null;
  return (
    <tr>
      <Cell label="Loop">
        <a class="strong-link" href={loopHref(loop.app.id)}>
          {loop.name}
        </a>
      </Cell>
      <Cell label="State">
        <span class={`state ${state.mood}`}>
          <MoodIcon mood={state.mood} size={14} />
          {state.word}
        </span>
      </Cell>
      <Cell label="Right answers" class="num">
        {right && right.checks > 0 ? (
          <span title={`${count(right.checks)} checks`}>
            {percent(right.estimate)} % <span class="dim">({percent(right.low)} – {percent(right.high)})</span>
          </span>
        ) : (
          <span class="dim">no checks yet</span>
        )}
      </Cell>
      <Cell label="Inputs per second" class="num">{rate(loop.windows.rate(asOf / 1000))}</Cell>
      <Cell label="Time p50 · p99" class="num">
        {durationText(second?.p50)} <span class="dim">· {durationText(second?.p99)}</span>
      </Cell>
      <Cell label="Set aside" class="num">{count(loop.totals.setAside)}</Cell>
      <Cell label="Program">
        {program(loop.deployment?.stable)}
        {trial && <span class="trial-text"> → {program(trial.candidate)} on {trial.share ?? 0} %</span>}
      </Cell>
    </tr>
  );
}
