/** From the loop's rings to the columns that uPlot draws. Missing seconds are null: a line is never drawn over them. */
import type { Loop } from "../state/loop";
import type { AgreementLine, Second } from "../state/series";

export type Column = (number | null)[];
export type Columns = [number[], ...Column[]];

function inRange<T extends { at: number }>(items: T[], from: number, to: number): T[] {
  let start = items.length;
  while (start > 0 && (items[start - 1]?.at ?? 0) >= from) start -= 1;
  let end = items.length;
  while (end > start && (items[end - 1]?.at ?? 0) > to) end -= 1;
  return items.slice(start, end);
}

/** Every second of the span, whether or not something arrived in it. */
function perSecond(items: Second[], from: number, to: number, reads: ((second: Second) => number | null)[]): Columns {
  const rows = inRange(items, from, to);
  const first = rows[0];
  const last = rows[rows.length - 1];
  if (!first || !last) return [[], ...reads.map(() => [])];
  const length = last.at - first.at + 1;
  const at = Array.from({ length }, (_, i) => first.at + i);
  const columns = reads.map((): Column => Array.from({ length }, () => null));
  for (const row of rows) {
    reads.forEach((read, i) => {
      const column = columns[i];
      if (column) column[row.at - first.at] = read(row);
    });
  }
  return [at, ...columns];
}

/** The newest second is left out: executors report one after the other, and a half-full second looks like a fall. */
const UNSETTLED_SECONDS = 1;

export function rateColumns(loop: Loop, from: number, to: number): Columns {
  const { items, last } = loop.windows.seconds;
  return perSecond(items, from, Math.min(to, (last?.at ?? to) - UNSETTLED_SECONDS), [(s) => s.inputs]);
}

export function timeColumns(loop: Loop, from: number, to: number): Columns {
  // On a logarithmic scale there is no zero.
  const positive = (value: number | null): number | null => (value !== null && value > 0 ? value : null);
  return perSecond(loop.windows.seconds.items, from, to, [(s) => positive(s.p50), (s) => positive(s.p99)]);
}

/** Columns: stable estimate, low, high; candidate estimate, low, high. Both on one time axis. */
export function agreementColumns(loop: Loop, from: number, to: number): Columns {
  const stable = points(loop.lines.stable, from, to);
  const candidate = points(loop.lines.candidate, from, to);
  const at = [...new Set([...stable.keys(), ...candidate.keys()])].sort((a, b) => a - b);
  const columns: Column[] = Array.from({ length: 6 }, () => []);
  for (const second of at) {
    [stable.get(second), candidate.get(second)].forEach((point, i) => {
      columns[i * 3]?.push(point?.estimate ?? null);
      columns[i * 3 + 1]?.push(point && point.estimate !== null ? point.low : null);
      columns[i * 3 + 2]?.push(point && point.estimate !== null ? point.high : null);
    });
  }
  return [at, ...columns];
}

function points(line: AgreementLine, from: number, to: number) {
  return new Map(inRange(line.points.items, from, to + 1).map((point) => [Math.floor(point.at), point]));
}
