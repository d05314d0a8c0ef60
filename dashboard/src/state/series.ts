/** What the charts draw: one point a second and loop, kept for an hour, summed over all executors. */
import type { Agreement, MetricsWindow, Seconds } from "../wire";
import { Ring } from "./ring";

export const KEPT_SECONDS = 3600;

export interface Second {
  /** Unix seconds. */
  at: number;
  inputs: number;
  failed: number;
  setAside: number;
  abstained: number;
  sampled: number;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  oldest: number | null;
}

export interface AgreementPoint {
  at: number;
  version: number;
  checks: number;
  estimate: number | null;
  low: number;
  high: number;
}

export class Windows {
  readonly seconds = new Ring<Second>(KEPT_SECONDS);
  /** Grows with every change, so that a chart knows whether to draw. */
  revision = 0;

  add(window: MetricsWindow): void {
    const start = Date.parse(window.window_start) / 1000;
    const length = Math.max(0.001, window.window_ms / 1000);
    if (!Number.isFinite(start) || length > KEPT_SECONDS) return;
    this.revision += 1;
    // Windows are a little longer than a second and drift over its borders: each second gets the share that lies in it,
    // else the line would jump between none and double.
    const end = start + length;
    for (let at = Math.floor(start); at < end; at += 1) {
      const share = (Math.min(end, at + 1) - Math.max(start, at)) / length;
      if (share > 0.001) this.#merge(at, window, share);
    }
  }

  /**
   * What the server has summed up, for the seconds before the stream was joined. Seconds after `joined` are known here
   * already; at the border both saw a part, and the larger part is nearer the truth.
   */
  fill(rows: Seconds[], joined: number): void {
    for (const row of rows) {
      const at = Math.floor(Date.parse(row.at) / 1000);
      if (!Number.isFinite(at) || at > joined + 1) continue;
      const second = this.#secondAt(at);
      if (!second || (at >= joined && second.inputs > (row.inputs ?? 0))) continue;
      second.inputs = row.inputs ?? 0;
      second.failed = row.failed ?? 0;
      second.setAside = row.set_aside ?? 0;
      second.abstained = row.abstained ?? 0;
      second.sampled = row.sampled ?? 0;
      second.p50 = row.p50_us ?? null;
      second.p95 = row.p95_us ?? null;
      second.p99 = row.p99_us ?? null;
      second.oldest = row.oldest_waiting_s ?? null;
    }
    this.revision += 1;
  }

  #merge(at: number, window: MetricsWindow, share: number): void {
    const second = this.#secondAt(at);
    if (!second) return;
    const inputs = (window.inputs ?? 0) * share;
    // Percentiles of several executors cannot be merged exactly: the median by weight, the tails by the worst.
    second.p50 = weighted(second.p50, second.inputs, window.p50_us, inputs);
    second.p95 = worst(second.p95, window.p95_us);
    second.p99 = worst(second.p99, window.p99_us);
    second.oldest = worst(second.oldest, window.oldest_waiting_s);
    second.inputs += inputs;
    second.failed += (window.failed ?? 0) * share;
    second.setAside += (window.set_aside ?? 0) * share;
    second.abstained += (window.abstained ?? 0) * share;
    second.sampled += (window.sampled ?? 0) * share;
  }

  #secondAt(at: number): Second | null {
    const items = this.seconds.items;
    let index = items.length;
    while (index > 0 && (items[index - 1]?.at ?? 0) > at) index -= 1;
    const found = items[index - 1];
    if (found?.at === at) return found;
    const fresh: Second = {
      at, inputs: 0, failed: 0, setAside: 0, abstained: 0, sampled: 0, p50: null, p95: null, p99: null, oldest: null,
    };
    if (index === items.length) this.seconds.push(fresh);
    else if (index > 0) items.splice(index, 0, fresh);
    else if (items.length < KEPT_SECONDS) items.unshift(fresh);
    else return null;
    return fresh;
  }

  /** Inputs per second now: the mean of the last three whole seconds, so that a late executor does not make it flicker. */
  rate(nowSeconds: number): number {
    const items = this.seconds.items;
    const newest = items[items.length - 1]?.at;
    if (newest === undefined || nowSeconds - newest > 10) return 0;
    let inputs = 0;
    for (let i = items.length - 1; i >= 0 && i >= items.length - 4; i -= 1) {
      const second = items[i];
      // The newest second may still be filling up.
      if (second && second.at < newest && second.at >= newest - 3) inputs += second.inputs;
    }
    if (items.length === 1) return items[0]?.inputs ?? 0;
    const span = Math.min(3, newest - (items[0]?.at ?? newest));
    return inputs / Math.max(1, span);
  }

  /** The latest second in which anything was answered. */
  latest(): Second | undefined {
    const items = this.seconds.items;
    for (let i = items.length - 1; i >= 0 && i >= items.length - 30; i -= 1) {
      const second = items[i];
      if (second && second.p50 !== null) return second;
    }
    return undefined;
  }
}

export class AgreementLine {
  readonly points = new Ring<AgreementPoint>(KEPT_SECONDS);
  revision = 0;

  add(agreement: Agreement, fallbackMs: number): void {
    const parsed = Date.parse(agreement.at ?? "");
    const at = (Number.isFinite(parsed) ? parsed : fallbackMs) / 1000;
    const last = this.points.last;
    if (last && at < last.at) return;
    this.#put(agreement, at, last);
  }

  /** History from the server, put in front of and between what was seen here. */
  fill(rows: Agreement[]): void {
    const seen = this.points.items.splice(0);
    const past = rows.map((row) => ({ row, at: Date.parse(row.at ?? "") / 1000 })).filter(({ at }) => Number.isFinite(at));
    const known = seen.map((point) => ({ row: point as unknown as Agreement, at: point.at }));
    for (const { row, at } of [...past, ...known].sort((a, b) => a.at - b.at)) this.#put(row, at, this.points.last);
  }

  #put(agreement: Agreement, at: number, last: AgreementPoint | undefined): void {
    const { version, checks, low, high } = agreement;
    const estimate = agreement.estimate ?? null;
    const point = { at, version, checks, estimate, low, high };
    this.revision += 1;
    // More than one a second says nothing more.
    if (last && Math.floor(last.at) === Math.floor(at) && last.version === version) {
      this.points.items[this.points.items.length - 1] = point;
    } else {
      this.points.push(point);
    }
  }
}

function weighted(a: number | null, aWeight: number, b: number | null | undefined, bWeight: number): number | null {
  if (b === null || b === undefined) return a;
  if (a === null || aWeight + bWeight <= 0) return b;
  return (a * aWeight + b * bWeight) / (aWeight + bWeight);
}

function worst(a: number | null, b: number | null | undefined): number | null {
  if (b === null || b === undefined) return a;
  return a === null ? b : Math.max(a, b);
}
