/**
 * The live stream by position: nothing lost, nothing twice, over any disconnect.
 *
 * Kept events carry a sequence: at or below the last one is dropped, the next one is taken, anything further is a gap
 * and the feed subscribes again with its position; the answer holds what is missing, or says `reset`, and then the
 * snapshot is loaded anew. Events without a sequence (charts, checks) are only made unique by id.
 *
 * What arrives is handed on at most `paintsPerSecond` times a second: painting per event is what makes live pages slow.
 */
import type { Ack, Envelope } from "../wire";
import type { Clock, Transport } from "./ports";
import { Outbox } from "./outbox";

export interface Position {
  epoch: string;
  sequence: number;
}

export type Connection =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "catching-up"; events: number }
  | { kind: "offline"; since: number };

export interface FeedOptions {
  transport: Transport;
  clock: Clock;
  rooms: () => string[];
  /** Loads the snapshot into the page and tells which position it has. */
  load: () => Promise<Position>;
  /** Takes a batch, in order. */
  apply: (batch: Envelope[]) => void;
  /** The connection changed. */
  changed: (connection: Connection) => void;
  paintsPerSecond?: number;
  /** Envelopes held between two paints, and while a gap is being filled. */
  bound?: number;
}

/** Resubscriptions never come faster than this, so that a stream with many holes cannot become a storm of requests. */
const RESYNC_EVERY_MS = 250;
const RETRY_MAX_MS = 5000;

export class Feed {
  connection: Connection = { kind: "connecting" };
  position: Position | null = null;
  readonly stats = { duplicates: 0, gaps: 0, resets: 0, skipped: 0 };

  readonly #options: Required<FeedOptions>;
  readonly #outbox: Outbox;
  #pending: Envelope[] = [];
  #up = false;
  #syncing = false;
  #syncAgain = false;
  #failures = 0;
  #lastSync = -Infinity;
  #cancelRetry: () => void = () => {};
  #closed = false;

  constructor(options: FeedOptions) {
    this.#options = { paintsPerSecond: 8, bound: 2000, ...options };
    this.#outbox = new Outbox({
      clock: options.clock,
      apply: options.apply,
      every: 1000 / this.#options.paintsPerSecond,
      bound: this.#options.bound,
      overflow: () => this.#startOver(),
    });
  }

  start(): void {
    this.#options.transport.open({
      up: () => {
        this.#up = true;
        this.#failures = 0;
        this.#requestSync(true);
      },
      down: () => this.#lost(),
      envelopes: (batch) => this.#receive(batch),
      bye: () => this.#lost(),
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
    this.#outbox.close();
    this.#options.transport.close();
  }

  /** The tab is seen again or the network is back: ask for what was missed instead of waiting for a timer. */
  nudge(): void {
    if (this.#up) this.#requestSync(true);
    else this.#options.transport.hurry();
  }

  /** Rooms changed (a loop was created): ask again, from the same position. */
  resubscribe(): void {
    if (this.#up) this.#requestSync(false);
  }

  #lost(): void {
    this.#up = false;
    if (this.connection.kind !== "offline") this.#become({ kind: "offline", since: this.#options.clock.now() });
  }

  #become(connection: Connection): void {
    this.connection = connection;
    this.#options.changed(connection);
  }

  #receive(batch: Envelope[]): void {
    for (const envelope of batch) this.#take(envelope);
  }

  #take(envelope: Envelope): void {
    const sequence = sequenceOf(envelope);
    if (sequence === null) {
      // Without a snapshot there is nothing to add a window to.
      if (this.position && !this.#outbox.pushLoose(envelope)) this.stats.duplicates += 1;
      this.stats.skipped = this.#outbox.skipped;
      return;
    }
    const here = this.position;
    if (!here || this.#syncing) {
      this.#hold(envelope);
    } else if (envelope.epoch !== undefined && envelope.epoch !== here.epoch) {
      this.#hold(envelope);
      this.#requestSync(false);
    } else if (sequence <= here.sequence) {
      this.stats.duplicates += 1;
    } else if (sequence === here.sequence + 1) {
      here.sequence = sequence;
      this.#outbox.push(envelope);
    } else {
      this.stats.gaps += 1;
      this.#hold(envelope);
      this.#requestSync(false);
    }
  }

  #hold(envelope: Envelope): void {
    // Past the bound the held ones are let go: the next answer brings them again by position.
    if (this.#pending.length >= this.#options.bound) this.#pending = [];
    this.#pending.push(envelope);
  }

  #startOver(): void {
    this.position = null;
    this.#pending = [];
    this.stats.resets += 1;
    this.#requestSync(false);
  }

  #requestSync(atOnce: boolean): void {
    if (this.#syncing) {
      this.#syncAgain = true;
      return;
    }
    this.#cancelRetry();
    const wait = this.#lastSync + RESYNC_EVERY_MS - this.#options.clock.now();
    if (atOnce || wait <= 0) void this.#sync();
    else this.#cancelRetry = this.#options.clock.after(wait, () => void this.#sync());
  }

  async #sync(): Promise<void> {
    if (this.#syncing || this.#closed || !this.#up) return;
    this.#syncing = true;
    this.#syncAgain = false;
    this.#lastSync = this.#options.clock.now();
    let settled = false;
    try {
      // A second reset straight after a fresh snapshot means the history is being lost right now: wait, then retry.
      for (let attempt = 0; attempt < 2 && !settled; attempt += 1) {
        this.position ??= await this.#options.load();
        settled = this.#settle(await this.#ask(this.position));
      }
    } catch {
      settled = false;
    }
    this.#syncing = false;
    if (this.#closed) return;
    if (!settled) return this.#retryLater();
    this.#failures = 0;
    if (this.connection.kind !== "live") this.#become({ kind: "live" });
    const held = this.#pending;
    this.#pending = [];
    this.#receive(held);
    if (this.#syncAgain) this.#requestSync(false);
  }

  #ask(from: Position): Promise<Ack> {
    return this.#options.transport.subscribe({
      rooms: this.#options.rooms(),
      epoch: from.epoch,
      after: String(from.sequence),
      names: false,
    });
  }

  /** Takes the answer to a subscription; false when the history is another one and the snapshot must be loaded. */
  #settle(ack: Ack): boolean {
    const here = this.position;
    if (!here || ack.reset || ack.epoch !== here.epoch) {
      this.stats.resets += 1;
      this.position = null;
      return false;
    }
    if (ack.events.length > 0 && this.connection.kind !== "live") {
      this.#become({ kind: "catching-up", events: ack.events.length });
    }
    for (const envelope of ack.events) {
      const sequence = sequenceOf(envelope);
      if (sequence === null) {
        this.#outbox.pushLoose(envelope);
      } else if (sequence <= here.sequence) {
        this.stats.duplicates += 1;
      } else {
        // Rooms that are not ours leave holes in the answer: it is complete as it stands.
        here.sequence = sequence;
        this.#outbox.push(envelope);
      }
    }
    here.sequence = Math.max(here.sequence, Number(ack.seq) || 0);
    return true;
  }

  #retryLater(): void {
    if (!this.#up) return;
    const base = Math.min(RETRY_MAX_MS, RESYNC_EVERY_MS * 2 ** this.#failures);
    this.#failures += 1;
    const wait = base * (0.5 + this.#options.clock.random());
    this.#cancelRetry = this.#options.clock.after(wait, () => void this.#sync());
  }
}

function sequenceOf(envelope: Envelope): number | null {
  if (envelope.sequence === undefined || envelope.sequence === "") return null;
  const value = Number(envelope.sequence);
  return Number.isSafeInteger(value) ? value : null;
}
