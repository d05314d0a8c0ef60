/**
 * Between the socket and the painting: a bounded queue that is emptied at a steady pace.
 *
 * When the page cannot keep up, chart windows go first, then checks: both are summed up again by what follows. An event
 * that is kept by the server is never dropped here: when only those are left, the page starts over from a snapshot.
 */
import { eventName, type Envelope } from "../wire";
import type { Clock } from "./ports";

export interface OutboxOptions {
  clock: Clock;
  apply: (batch: Envelope[]) => void;
  every: number;
  bound: number;
  overflow: () => void;
}

const REMEMBERED_IDS = 4096;
const LATEST_ONLY = new Set(["metrics.window", "agreement.window"]);

export class Outbox {
  skipped = 0;
  readonly #options: OutboxOptions;
  #queue: Envelope[] = [];
  #seen = new Set<string>();
  #lastFlush = -Infinity;
  #cancel: (() => void) | null = null;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  push(envelope: Envelope): void {
    this.#queue.push(envelope);
    if (this.#queue.length > this.#options.bound) this.#makeRoom();
    this.#schedule();
  }

  /** For events without a position: false when this id was here before. */
  pushLoose(envelope: Envelope): boolean {
    const key = `${envelope.source}\n${envelope.id}`;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    if (this.#seen.size > REMEMBERED_IDS) {
      const oldest = this.#seen.values().next().value;
      if (oldest !== undefined) this.#seen.delete(oldest);
    }
    this.push(envelope);
    return true;
  }

  close(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#queue = [];
  }

  #schedule(): void {
    if (this.#cancel || this.#queue.length === 0) return;
    const wait = Math.max(0, this.#lastFlush + this.#options.every - this.#options.clock.now());
    this.#cancel = this.#options.clock.after(wait, () => this.#flush());
  }

  #flush(): void {
    this.#cancel = null;
    this.#lastFlush = this.#options.clock.now();
    const batch = this.#queue;
    this.#queue = [];
    if (batch.length > 0) this.#options.apply(batch);
  }

  #makeRoom(): void {
    const keep = Math.floor(this.#options.bound / 2);
    for (const expendable of [isLatestOnly, isLoose]) {
      if (this.#queue.length <= this.#options.bound) return;
      let surplus = this.#queue.length - keep;
      this.#queue = this.#queue.filter((envelope) => {
        if (surplus <= 0 || !expendable(envelope)) return true;
        surplus -= 1;
        this.skipped += 1;
        return false;
      });
    }
    if (this.#queue.length > this.#options.bound) {
      this.#queue = [];
      this.#options.overflow();
    }
  }
}

function isLatestOnly(envelope: Envelope): boolean {
  return envelope.sequence === undefined && LATEST_ONLY.has(eventName(envelope.type));
}

function isLoose(envelope: Envelope): boolean {
  return envelope.sequence === undefined;
}
