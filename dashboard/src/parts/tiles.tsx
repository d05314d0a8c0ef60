/** The four numbers. Each says its unit, its window and how much it rests on; a stale one says its age. */
import type { ComponentChildren } from "preact";
import { DASH, ago, count, duration, durationText, percent, plural, rate, timeOf, usd } from "../format";
import type { Loop } from "../state/loop";
import type { Second } from "../state/series";
import { sums } from "../state/sums";
import { Spark } from "./spark";

const STALE_MS = 5000;
const SPARK_SECONDS = 120;

/** `asOf` is now, or while offline the moment of the newest data: an outage of the page is no standstill of the loops. */
export function Tiles({ loops, now, asOf, live }: { loops: Loop[]; now: number; asOf: number; live: boolean }) {
  const sum = sums(loops, asOf);
  const age = sum.newest ? now - sum.newest : 0;
  const stale = sum.newest > 0 && (age > STALE_MS || !live) ? `${ago(age)} old` : "";
  const time = duration(sum.p50);
  const half = sum.right ? (sum.right.high - sum.right.low) / 2 : null;
  return (
    <section class="tiles" aria-label="The four numbers">
      <Tile
        label="Right answers"
        stale={live ? "" : stale}
        hint="Share of checked answers that agree with the reference, with its 95 % interval"
        value={<Value id="right-answers" raw={sum.right?.estimate} text={percent(sum.right?.estimate)} unit="%" />}
        under={
          sum.right ? (
            <>
              <span data-testid="right-answers-interval" title={`± ${percent(half)} around the middle`}>
                {percent(sum.right.low)} – {percent(sum.right.high)} %
              </span>
              <span class="dim"> from the latest {plural(sum.basis, "check")}</span>
            </>
          ) : (
            <span class="dim" data-testid="right-answers-interval">no checks yet</span>
          )
        }
        spark={<Spark values={agreementSpark(loops, asOf)} floor={null} />}
      />
      <Tile
        label="Inputs per second"
        hint="All executors together, mean of the last three seconds"
        stale={stale}
        value={<Value id="inputs-rate" raw={sum.rate} text={rate(sum.rate)} unit="/s" />}
        under={
          <>
            <span data-testid="inputs-total" data-value={sum.inputs}>
              {count(sum.inputs)}
            </span>
            <span class="dim"> in all{sum.since ? ` since ${timeOf(sum.since, false)}` : ""}</span>
            {sum.setAside > 0 && <span class="warn-text"> · {count(sum.setAside)} set aside</span>}
          </>
        }
        spark={<Spark values={secondsSpark(loops, asOf, (s) => s.inputs)} floor={0} />}
      />
      <Tile
        label="Time per answer"
        hint="Half of the answers are faster than the first number, 99 % than the second. Newest second."
        stale={stale}
        value={<Value id="time-p50" raw={sum.p50} text={time.value} unit={time.unit} />}
        under={
          <>
            <span data-testid="time-p99">{durationText(sum.p99)}</span>
            <span class="dim"> for the slowest 1 %</span>
            {sum.oldest !== null && sum.oldest >= 1 && <span class="dim"> · oldest waiting {sum.oldest.toFixed(0)} s</span>}
          </>
        }
        spark={<Spark values={secondsSpark(loops, asOf, (s) => s.p50)} floor={0} />}
      />
      <Tile
        label="Checks"
        stale={live ? "" : stale}
        hint="Answers of the programs in use that were compared with the reference"
        value={<Value id="checks" raw={sum.checks} text={sum.checks ? count(sum.checks) : sum.inputs ? "0" : DASH} unit="" />}
        under={
          <>
            <span>{count(sum.wrong)} wrong</span>
            <span class="dim" title="Calls of the reference model today">
              {sum.calls > 0 ? ` · ${plural(sum.calls, "model call")}, ${usd(sum.usd)} today` : " · no model calls today"}
            </span>
          </>
        }
        spark={<Spark values={secondsSpark(loops, asOf, (s) => s.sampled)} floor={0} />}
      />
    </section>
  );
}

interface TileParts {
  label: string;
  hint: string;
  value: ComponentChildren;
  under: ComponentChildren;
  spark?: ComponentChildren;
  stale?: string;
}

function Tile({ label, hint, value, under, spark, stale }: TileParts) {
  return (
    <div class={stale ? "tile stale" : "tile"}>
      <div class="tile-label" title={hint}>
        {label}
        {stale && <span class="age">{stale}</span>}
      </div>
      <div class="tile-row">
        {value}
        {spark}
      </div>
      <div class="tile-under">{under}</div>
    </div>
  );
}

function Value({ id, raw, text, unit }: { id: string; raw: number | null | undefined; text: string; unit: string }) {
  return (
    <span class="tile-value">
      <span data-testid={id} data-value={raw ?? ""}>
        {text}
      </span>
      {unit && text !== DASH && <span class="unit">{unit}</span>}
    </span>
  );
}

/** Sums over the loops, one value for each of the last two minutes' seconds, in steps of two. */
function secondsSpark(loops: Loop[], now: number, read: (second: Second) => number | null): (number | null)[] {
  // Steps of two whole seconds, without the newest, which is still filling up.
  const end = Math.floor(now / 2000) * 2 - 2;
  const values: (number | null)[] = Array.from({ length: SPARK_SECONDS / 2 }, () => null);
  for (const loop of loops) {
    const { items } = loop.windows.seconds;
    for (let i = items.length - 1; i >= 0; i -= 1) {
      const second = items[i];
      if (!second || second.at <= end - SPARK_SECONDS) break;
      const slot = Math.floor((second.at - 1 - (end - SPARK_SECONDS)) / 2);
      const value = read(second);
      if (slot < values.length && value !== null) values[slot] = (values[slot] ?? 0) + value;
    }
  }
  return values;
}

function agreementSpark(loops: Loop[], now: number): (number | null)[] {
  const only = loops.length === 1 ? loops[0] : undefined;
  const from = now / 1000 - SPARK_SECONDS;
  return only ? only.lines.stable.points.items.filter((p) => p.at > from).map((p) => p.estimate) : [];
}
