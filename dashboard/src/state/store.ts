/** Everything the page shows. One writer (the feed), many readers (the parts), told at most eight times a second. */
import { paths, type Api, ApiError } from "../api";
import type { Connection, Position } from "../feed/feed";
import { eventName, type Agreement, type Envelope, type LoopEvent, type MetricsWindow, type Seconds, type ValidationResult } from "../wire";
import { list, object, readEvent, readOverview, type Overview } from "./overview";
import { Loop } from "./loop";
import { Timeline } from "./timeline";

export interface Gap {
  from: number;
  /** Null while it lasts. Unix seconds, as the charts have it. */
  to: number | null;
  /** The loops whose charts have been completed since. */
  filled: Set<string>;
}

const KEPT_GAPS = 50;
const FILLED_SECONDS = 600;
const CHARTS_FILLED = 12;
const FILL_AFTER_MS = 2500;

export class Store {
  loaded = false;
  environment = "";
  version = "";
  problem: ApiError | null = null;
  connection: Connection = { kind: "connecting" };
  loops = new Map<string, Loop>();
  readonly timeline = new Timeline();
  readonly gaps: Gap[] = [];
  /** When the newest data was made, by the server's clock. */
  dataUntil = 0;
  lagMs: number | null = null;
  /** Counts events that came in, so that a paused timeline can say how many wait. */
  arrivals = 0;

  #listeners = new Set<() => void>();
  #asked = new Set<string>();
  /** Unix second from which on the stream has been whole. */
  #joined = Infinity;

  constructor(
    readonly api: Api,
    readonly now: () => number = Date.now,
  ) {}

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  tell(): void {
    for (const listener of this.#listeners) listener();
  }

  rooms(): string[] {
    return ["loops", "alerts", "system"];
  }

  /** The snapshot. Charts keep what they have drawn: only their gap stays visible until it is filled. */
  async load(): Promise<Position> {
    const overview = await this.#fetch();
    this.environment = overview.environment;
    this.version = overview.version;
    const events = overview.events.toReversed();
    for (const event of events) this.#addToTimeline(event);
    const named = new Set(overview.apps.map((row) => row.app.id));
    for (const id of this.loops.keys()) if (!named.has(id)) this.loops.delete(id);
    for (const status of overview.apps) {
      const { id } = status.app;
      const loop = this.loops.get(id) ?? new Loop(status);
      this.loops.set(id, loop);
      loop.restart(status, events.filter((e) => e.app === id), overview.alerts.filter((a) => a.app === id), this.now());
    }
    this.loaded = true;
    this.tell();
    void this.fillCharts();
    return { epoch: overview.epoch, sequence: overview.sequence };
  }

  /** Sums are read again now and then; loops made since the snapshot are found this way too. */
  async recount(): Promise<void> {
    const overview = await this.#fetch();
    for (const status of overview.apps) {
      const known = this.loops.get(status.app.id);
      if (known) {
        known.recount(status);
      } else {
        const loop = new Loop(status);
        this.loops.set(status.app.id, loop);
        loop.restart(status, [], overview.alerts.filter((a) => a.app === status.app.id), this.now());
      }
    }
    this.tell();
  }

  /** The charts' past: at the start, and after an outage, whose gap is hatched until this has succeeded. */
  async fillCharts(): Promise<void> {
    const upTo = this.now() / 1000;
    for (const [id, loop] of [...this.loops].slice(0, CHARTS_FILLED)) {
      try {
        const past = object(await this.api.get(paths.metrics(id, FILLED_SECONDS)));
        loop.fill(list(past.windows) as Seconds[], list(past.agreement) as Agreement[], this.#joined);
        for (const gap of this.gaps) if (gap.to !== null && gap.to <= upTo && gap.from > upTo - FILLED_SECONDS) gap.filled.add(id);
      } catch {
        return; // The gap stays hatched with the words "no data".
      }
    }
    this.tell();
  }

  async #fetch(): Promise<Overview> {
    try {
      const overview = readOverview(await this.api.get(paths.overview));
      this.problem = null;
      return overview;
    } catch (error) {
      this.problem = error instanceof ApiError ? error : new ApiError(0, String(error));
      this.tell();
      throw error;
    }
  }

  apply(batch: Envelope[]): void {
    for (const envelope of batch) this.#applyOne(envelope);
    this.tell();
  }

  #applyOne(envelope: Envelope): void {
    const name = eventName(envelope.type);
    const data = object(envelope.data);
    // A window is named by its start, and is as new as its end.
    const length = name === "metrics.window" && typeof data.window_ms === "number" ? data.window_ms : 0;
    const made = Date.parse(envelope.time) + length;
    if (Number.isFinite(made)) {
      this.dataUntil = Math.max(this.dataUntil, made);
      this.lagMs = Math.max(0, this.now() - made);
    }
    const app = typeof data.app === "string" ? data.app : (envelope.subject ?? "");
    const loop = this.loops.get(app);
    if (!loop && app && this.loaded && !this.#asked.has(app)) {
      // A loop made after the snapshot.
      this.#asked.add(app);
      void this.recount().catch(() => this.#asked.delete(app));
    }
    switch (name) {
      case "metrics.window":
        return loop?.addWindow({ ...data, app } as unknown as MetricsWindow);
      case "agreement.window":
        return loop?.addAgreement({ variant: "stable", ...data, app } as unknown as Agreement, made || this.now());
      case "validation.completed": {
        const check = { ...data, app } as unknown as ValidationResult;
        loop?.addCheck(check);
        return this.timeline.addCheck(check, Date.parse(check.validated_at ?? "") || made || this.now());
      }
      default:
        this.#addEvent(name, readEvent(envelope));
    }
  }

  #addEvent(name: string, event: LoopEvent): void {
    if (!this.#addToTimeline(event)) return;
    this.loops.get(event.app)?.addEvent(name, event);
    if (name === "loop.deleted") this.loops.delete(event.app);
  }

  #addToTimeline(event: LoopEvent): boolean {
    const added = this.timeline.addEvent(event);
    if (added) this.arrivals += 1;
    return added;
  }

  connected(connection: Connection): void {
    const before = this.connection;
    this.connection = connection;
    const last = this.gaps[this.gaps.length - 1];
    if (connection.kind === "offline" && before.kind !== "offline" && this.loaded && last?.to !== null) {
      this.gaps.push({ from: connection.since / 1000, to: null, filled: new Set() });
      if (this.gaps.length > KEPT_GAPS) this.gaps.shift();
    }
    if (connection.kind === "live" && last && last.to === null) {
      last.to = this.now() / 1000;
      void this.recount().catch(() => undefined);
    }
    if (connection.kind === "live" && before.kind !== "live") {
      this.#joined = Math.floor(this.now() / 1000);
      // A moment later, so that the server has summed up the second in which the stream was joined.
      setTimeout(() => void this.fillCharts(), FILL_AFTER_MS);
    }
    this.tell();
  }

  /** The moment that the numbers are about. */
  get asOf(): number {
    return this.connection.kind === "offline" && this.dataUntil > 0 ? this.dataUntil : this.now();
  }
}
