/** Three charts of one loop under one cursor, with the same numbers as a table for those who read rather than look. */
import { useState } from "react";
import { count, durationText, percent, rate, timeOf } from "../format";
import { choose } from "../router";
import type { Loop } from "../state/loop";
import type { Store } from "../state/store";
import { useTheme } from "../theme";
import { Chart } from "./chart";
import { agreementColumns, rateColumns, timeColumns } from "./data";

const RANGES = [
  { id: "2m", label: "2 min", seconds: 120 },
  { id: "10m", label: "10 min", seconds: 600 },
  { id: "1h", label: "1 h", seconds: 3600 },
];

interface LiveParts {
  store: Store;
  loop: Loop;
  loops: Loop[];
  query: URLSearchParams;
  now: number;
}

export function LiveCharts({ store, loop, loops, query, now }: LiveParts) {
  const theme = useTheme();
  const range = RANGES.find((r) => r.id === query.get("range")) ?? RANGES[0];
  const seconds = range?.seconds ?? 120;
  const base = { seconds, now, theme };
  const over = { gaps: () => store.gaps, loop: loop.app.id, markers: () => loop.markers.items };
  const windows = String(loop.windows.revision);
  const checks = `${loop.lines.stable.revision}/${loop.lines.candidate.revision}`;
  const percentText = (value: number | null): string => `${percent(value)} %`;
  return (
    <section class="panel charts" aria-label={`Live charts of ${loop.name}`}>
      <div class="panel-head">
        <h2>Live</h2>
        {loops.length > 1 ? (
          <label class="pick">
            <span class="sr">Loop</span>
            <select value={loop.app.id} onChange={(event) => choose({ loop: event.currentTarget.value })}>
              {loops.map((other) => (
                <option key={other.app.id} value={other.app.id}>
                  {other.name}
                </option>
              ))}
            </select>
          </label>
        ) : (
          <span class="panel-note">{loop.name}</span>
        )}
        <span class="grow" />
        <div class="chips" role="group" aria-label="Time range">
          {RANGES.map((r) => (
            <button key={r.id} type="button" class="chip" aria-pressed={r === range} onClick={() => choose({ range: r.id })}>
              {r.label}
            </button>
          ))}
        </div>
      </div>
      <Chart
        {...base}
        title="Inputs per second"
        lines={[{ label: "", colour: "stable", show: (v) => `${rate(v)}/s`, fill: "stableBand" }]}
        axis={(value) => rate(value)}
        range={(_low, high) => [0, Math.max(1, (high ?? 0) * 1.15)]}
        columns={(from, to) => rateColumns(loop, from, to)}
        overlay={over}
        revision={windows}
      />
      <Chart
        {...base}
        title="Right answers"
        lines={[
          { label: "in use", colour: "stable", show: percentText },
          { label: "low", colour: "stable", show: percentText, bound: true },
          { label: "high", colour: "stable", show: percentText, bound: true },
          { label: "on trial", colour: "trial", show: percentText },
          { label: "low", colour: "trial", show: percentText, bound: true },
          { label: "high", colour: "trial", show: percentText, bound: true },
        ]}
        bands={[
          { upper: 3, lower: 2, colour: "stableBand" },
          { upper: 6, lower: 5, colour: "trialBand" },
        ]}
        axis={(value) => `${percent(value, 0)} %`}
        range={(low) => [Math.max(0, Math.min(low ?? 1, loop.limit) - 0.03), 1.005]}
        columns={(from, to) => agreementColumns(loop, from, to)}
        overlay={{ ...over, limit: () => loop.limit }}
        revision={checks}
      />
      <Chart
        {...base}
        title="Time per answer"
        lines={[
          { label: "p50", colour: "stable", show: durationText },
          { label: "p99", colour: "warn", show: durationText, width: 1.25 },
        ]}
        axis={(value) => (Math.log10(value) % 1 === 0 ? durationText(value) : "")}
        logarithmic
        range={(low, high) => [10 ** Math.floor(Math.log10(low || 1)), 10 ** Math.ceil(Math.log10((high || 1000) * 1.01))]}
        columns={(from, to) => timeColumns(loop, from, to)}
        overlay={over}
        revision={windows}
      />
      <AsTable loop={loop} />
    </section>
  );
}

const TABLE_ROWS = 12;

function AsTable({ loop }: { loop: Loop }) {
  const [open, setOpen] = useState(false);
  const rows = open ? loop.windows.seconds.items.slice(-TABLE_ROWS).reverse() : [];
  return (
    <details class="as-table" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Show as table</summary>
      {open && (
        <table class="rows compact">
          <thead>
            <tr>
              <th scope="col">Second</th>
              <th scope="col" class="num">Inputs</th>
              <th scope="col" class="num">p50</th>
              <th scope="col" class="num">p99</th>
              <th scope="col" class="num">Failed</th>
              <th scope="col" class="num">Set aside</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <tr key={row.at}>
                <td data-label="Second">{timeOf(row.at * 1000)}</td>
                <td data-label="Inputs" class="num">{count(row.inputs)}</td>
                <td data-label="p50" class="num">{durationText(row.p50)}</td>
                <td data-label="p99" class="num">{durationText(row.p99)}</td>
                <td data-label="Failed" class="num">{count(row.failed)}</td>
                <td data-label="Set aside" class="num">{count(row.setAside)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </details>
  );
}
