/** A world for the feed in which time moves only when told: a clock, a server with a history, and a wire to cut. */
import type { Clock, Transport, TransportEvents } from "../src/feed/ports";
import type { Ack, Envelope, SubscribeRequest } from "../src/wire";

export class StillClock implements Clock {
  time = 1_000_000;
  #timers: { at: number; run: () => void }[] = [];

  now(): number {
    return this.time;
  }
  after(ms: number, run: () => void): () => void {
    const timer = { at: this.time + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }
  random(): number {
    return 0.5;
  }
  /** Moves time on, running what falls due, and lets promises settle in between. */
  async pass(ms: number): Promise<void> {
    const until = this.time + ms;
    await settle();
    for (;;) {
      const due = this.#timers.filter((t) => t.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#timers = this.#timers.filter((t) => t !== due);
      this.time = Math.max(this.time, due.at);
      due.run();
      await settle();
    }
    this.time = until;
  }
}

export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
}

export function kept(sequence: number, epoch = "e1", type = "rollout.step_changed"): Envelope {
  return {
    id: `k${sequence}`, source: "test", time: "2026-01-01T00:00:00Z", type: `io.loopai.${type}.v1`,
    subject: "spam", data: { n: sequence }, epoch, sequence: String(sequence).padStart(20, "0"),
  };
}

export function loose(id: string, type = "metrics.window"): Envelope {
  return { id, source: "test", time: "2026-01-01T00:00:00Z", type: `io.loopai.${type}.v1`, subject: "spam", data: {} };
}

/** Keeps a history, answers subscriptions from it, and can be told to fail. */
export class FakeServer implements Transport {
  epoch = "e1";
  history: Envelope[] = [];
  requests: SubscribeRequest[] = [];
  failNext = 0;
  hurried = 0;
  forget = false;
  #events: TransportEvents | null = null;
  #held: (() => void)[] | null = null;

  get head(): number {
    return this.history.length;
  }
  open(events: TransportEvents): void {
    this.#events = events;
  }
  up(): void {
    this.#events?.up();
  }
  down(): void {
    this.#events?.down();
  }
  bye(reason: string): void {
    this.#events?.bye(reason);
  }
  /** Stores the next `count` events without sending them. */
  store(count: number): Envelope[] {
    const added: Envelope[] = [];
    for (let i = 0; i < count; i += 1) {
      const envelope = kept(this.history.length + 1, this.epoch);
      this.history.push(envelope);
      added.push(envelope);
    }
    return added;
  }
  send(...batch: Envelope[]): void {
    this.#events?.envelopes(batch);
  }
  /** Answers wait until `release`. */
  hold(): void {
    this.#held = [];
  }
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const answer of held) answer();
  }
  subscribe(request: SubscribeRequest): Promise<Ack> {
    this.requests.push(request);
    return new Promise((resolve, reject) => {
      const answer = (): void => {
        if (this.failNext > 0) {
          this.failNext -= 1;
          reject(new Error("cut"));
          return;
        }
        const reset = request.epoch !== this.epoch || this.forget;
        const after = Number(request.after ?? 0);
        const events = reset ? [] : this.history.slice(after);
        resolve({ epoch: this.epoch, seq: String(this.head).padStart(20, "0"), reset, events });
      };
      if (this.#held) this.#held.push(answer);
      else answer();
    });
  }
  hurry(): void {
    this.hurried += 1;
  }
  close(): void {}
}
