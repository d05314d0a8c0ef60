/** The four numbers, over one loop or all of them. */
import type { Loop } from "./loop";

export interface Sums {
  rate: number;
  inputs: number;
  since: string;
  right: { estimate: number; low: number; high: number } | null;
  /** The checks that the share of right answers rests on: the latest ones, not all. */
  basis: number;
  checks: number;
  wrong: number;
  calls: number;
  usd: number;
  p50: number | null;
  p99: number | null;
  oldest: number | null;
  setAside: number;
  /** Unix milliseconds of the newest second, 0 when none. */
  newest: number;
}

export function sums(loops: Loop[], nowMs: number): Sums {
  const sum: Sums = {
    rate: 0, inputs: 0, since: "", right: null, basis: 0, checks: 0, wrong: 0, calls: 0, usd: 0, p50: null, p99: null,
    oldest: null, setAside: 0, newest: 0,
  };
  let weight = 0;
  let p50Weight = 0;
  for (const loop of loops) {
    const { totals, windows } = loop;
    const rate = windows.rate(nowMs / 1000);
    sum.rate += rate;
    sum.inputs += totals.inputs;
    if (totals.since && (!sum.since || totals.since < sum.since)) sum.since = totals.since;
    sum.checks += totals.right + totals.wrong + totals.undecided;
    sum.wrong += totals.wrong;
    sum.calls += totals.calls;
    sum.usd += totals.usd;
    sum.setAside += totals.setAside;
    sum.newest = Math.max(sum.newest, (windows.seconds.last?.at ?? 0) * 1000);
    const second = windows.latest();
    if (second) {
      const by = Math.max(second.inputs, 1);
      sum.p50 = ((sum.p50 ?? 0) * p50Weight + (second.p50 ?? 0) * by) / (p50Weight + by);
      p50Weight += by;
      sum.p99 = Math.max(sum.p99 ?? 0, second.p99 ?? 0);
      if (second.oldest !== null) sum.oldest = Math.max(sum.oldest ?? 0, second.oldest);
    }
    const own = loop.agreement.stable;
    if (own && own.estimate !== null && own.checks > 0) {
      // Weighted by inputs. The weighted bounds contain the weighted truth whenever each interval contains its own.
      const by = Math.max(1, totals.inputs);
      const before: NonNullable<Sums["right"]> = sum.right ?? { estimate: 0, low: 0, high: 0 };
      const mix = (a: number, b: number): number => (a * weight + b * by) / (weight + by);
      sum.right = {
        estimate: mix(before.estimate, own.estimate), low: mix(before.low, own.low), high: mix(before.high, own.high),
      };
      weight += by;
      sum.basis += own.checks;
    }
  }
  return sum;
}
