/** A share of right answers with its interval, drawn on one scale with the limit, so that two programs compare at sight. */
import { percent } from "../format";
import type { Agreement } from "../wire";

export function IntervalBar({ agreement, limit, floor }: { agreement: Agreement | null; limit: number; floor: number }) {
  const x = (ratio: number): number => Math.max(0, Math.min(100, ((ratio - floor) / (1 - floor)) * 100));
  const known = agreement !== null && agreement.checks > 0;
  const words = known
    ? `between ${percent(agreement.low)} and ${percent(agreement.high)} percent, limit ${percent(limit, 0)}`
    : `no checks yet, limit ${percent(limit, 0)}`;
  return (
    <svg class="interval" viewBox="0 0 100 12" preserveAspectRatio="none" role="img" aria-label={words}>
      <line x1="0" x2="100" y1="6" y2="6" class="interval-track" />
      {known && <line x1={x(agreement.low)} x2={x(agreement.high)} y1="6" y2="6" class="interval-span" />}
      {known && agreement.estimate !== null && (
        <line x1={x(agreement.estimate)} x2={x(agreement.estimate)} y1="1.5" y2="10.5" class="interval-point" />
      )}
      <line x1={x(limit)} x2={x(limit)} y1="0" y2="12" class="interval-limit" />
    </svg>
  );
}

/** A common left end for a few intervals: round, below all of them and below the limit. */
export function commonFloor(limit: number, ...agreements: (Agreement | null)[]): number {
  const lows = agreements.filter((a): a is Agreement => a !== null && a.checks > 0).map((a) => a.low);
  return Math.max(0, Math.floor(Math.min(limit - 0.02, ...lows) * 20) / 20);
}
