/** What the feed needs from the world: a way to talk and a way to wait. Tests hand in their own. */
import type { Ack, Envelope, SubscribeRequest } from "../wire";

export interface TransportEvents {
  up(): void;
  down(): void;
  envelopes(batch: Envelope[]): void;
  /** The server hangs up on purpose and says when to come back. */
  bye(reason: string): void;
}

/** One connection that reopens by itself. `subscribe` rejects when the connection is lost before the answer. */
export interface Transport {
  open(events: TransportEvents): void;
  subscribe(request: SubscribeRequest): Promise<Ack>;
  /** Try now instead of after the current delay. */
  hurry(): void;
  close(): void;
}

export interface Clock {
  /** Milliseconds, the wall's. */
  now(): number;
  /** Runs once after `ms`; the returned function cancels. */
  after(ms: number, run: () => void): () => void;
  /** 0 ≤ x < 1 */
  random(): number;
}

export const browserClock: Clock = {
  now: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
  random: () => Math.random(),
};
