/** One loop as the page knows it: the snapshot, then every event since. */
import { oracleWords } from "../words";
import { eventName } from "../wire";
import type { Agreement, Deployment, LoopApp, LoopEvent, MetricsWindow, Rollout, Seconds, ValidationResult } from "../wire";
import { object, type Status, type Totals } from "./overview";
import { Ring } from "./ring";
import { AgreementLine, Windows } from "./series";

export interface Marker {
  at: number;
  label: string;
  tone: "info" | "warn" | "bad" | "good";
}

const MARKED: Record<string, { label: string; tone: Marker["tone"] }> = {
  "drift.detected": { label: "different", tone: "warn" },
  "program.activated": { label: "in use", tone: "good" },
  "rollout.started": { label: "trial", tone: "info" },
  "rollout.step_changed": { label: "step", tone: "info" },
  "rollout.paused": { label: "paused", tone: "warn" },
  "rollout.completed": { label: "all", tone: "good" },
  "rollout.rolled_back": { label: "back", tone: "bad" },
};

export class Loop {
  app: LoopApp;
  deployment: Deployment | null = null;
  rollout: Rollout | null = null;
  oracle = "";
  simulated = false;
  programs = 0;
  agreement: { stable: Agreement | null; candidate: Agreement | null } = { stable: null, candidate: null };
  drift: LoopEvent | null = null;
  budget: LoopEvent | null = null;
  totals: Totals;
  readonly windows = new Windows();
  readonly lines = { stable: new AgreementLine(), candidate: new AgreementLine() };
  readonly markers = new Ring<Marker>(200);
  readonly checks = new Ring<ValidationResult>(200);

  constructor(status: Status) {
    this.app = status.app;
    this.totals = status.totals;
  }

  /** A snapshot: it replaces everything but what the charts have drawn. `events` are its history, oldest first. */
  restart(status: Status, events: LoopEvent[], alerts: LoopEvent[], nowMs: number): void {
    this.rollout = null;
    this.agreement = { stable: null, candidate: null };
    this.markers.clear();
    // How the last trial ended is in the history alone; a trial under way is in the snapshot.
    for (const event of events) this.addEvent(eventName(event.type), event);
    this.deployment = status.deployment;
    if (status.rollout) this.rollout = status.rollout;
    else if (this.rollout && !isOver(this.rollout)) this.rollout = null;
    for (const agreement of status.agreement) this.addAgreement(agreement, nowMs);
    this.drift = alerts.find((alert) => eventName(alert.type) === "drift.detected") ?? null;
    this.budget = alerts.find((alert) => eventName(alert.type) === "validation.budget_exhausted") ?? null;
    this.recount(status);
  }

  /** The sums of a newer snapshot. They travel without a position, so an outage would skew them for good. */
  recount(status: Status): void {
    this.app = status.app;
    this.simulated = status.simulated;
    this.oracle = oracleWords(status.oracle);
    this.totals = status.totals;
    this.programs = status.programs;
  }

  get name(): string {
    return this.app.name || this.app.id;
  }

  /** Below this share of right answers a trial goes back by itself. */
  get limit(): number {
    return this.app.rollout?.min_agreement ?? 0.9;
  }

  addWindow(window: MetricsWindow): void {
    this.windows.add(window);
    this.totals.inputs += window.inputs ?? 0;
    this.totals.ok += window.ok ?? 0;
    this.totals.abstained += window.abstained ?? 0;
    this.totals.failed += window.failed ?? 0;
    this.totals.setAside += window.set_aside ?? 0;
  }

  addAgreement(agreement: Agreement, nowMs: number): void {
    this.agreement[agreement.variant] = agreement;
    this.lines[agreement.variant].add(agreement, nowMs);
  }

  fill(windows: Seconds[], agreement: Agreement[], joined: number): void {
    this.windows.fill(windows, joined);
    for (const variant of ["stable", "candidate"] as const) {
      this.lines[variant].fill(agreement.filter((row) => row.variant === variant));
    }
  }

  addCheck(check: ValidationResult): void {
    this.checks.push(check);
    // The snapshot counts the checks of the program in use; a trial's checks are counted at its stepper.
    if (check.version === this.deployment?.stable) {
      if (check.verdict === "match") this.totals.right += 1;
      else if (check.verdict === "mismatch") this.totals.wrong += 1;
      else this.totals.undecided += 1;
    }
    if (check.cost_usd) {
      this.totals.calls += 1;
      this.totals.usd += check.cost_usd;
    }
  }

  addEvent(name: string, event: LoopEvent): void {
    const atMs = Date.parse(event.at) || Date.now();
    const mark = MARKED[name];
    if (mark) this.markers.push({ at: atMs / 1000, label: labelFor(name, mark.label, event), tone: mark.tone });
    if (name === "drift.detected") this.drift = event;
    if (name === "drift.cleared") this.drift = null;
    if (name === "validation.budget_exhausted") this.budget = event;
    if (name.startsWith("rollout.")) this.#rolloutEvent(name, event);
    if (name === "program.activated") this.#activated(event);
  }

  #activated(event: LoopEvent): void {
    const version = numberIn(event, "program") ?? numberIn(event, "version");
    if (this.deployment && version !== null) this.deployment = { ...this.deployment, stable: version };
  }

  /** An event carries where the trial is now; the rest is known from before. */
  #rolloutEvent(name: string, event: LoopEvent): void {
    const data = object(event.data);
    const row: Record<string, unknown> = { ...data, id: data.rollout };
    const before = this.rollout;
    const fresh = name === "rollout.started" || !before;
    const base: Rollout = fresh
      ? { id: event.id, app: this.app.id, from_version: 0, to_version: 0, stages: this.app.rollout?.stages ?? [10, 50, 100] }
      : before;
    const next: Rollout = { ...base, updated_at: event.at };
    if (fresh) next.started_at = event.at;
    if (typeof row.id === "string") next.id = row.id;
    const from = first(row.from_version, row.from);
    const to = first(row.to_version, row.to);
    if (from !== null) next.from_version = from;
    if (to !== null) next.to_version = to;
    const weight = first(row.weight, row.share);
    if (weight !== null) next.weight = weight;
    const stages = row.stages ?? row.steps;
    if (Array.isArray(stages) && stages.every((s) => typeof s === "number")) next.stages = stages as number[];
    if (typeof row.checks === "number") next.checks = row.checks;
    if (typeof row.reason === "string") next.reason = row.reason;
    next.state = STATE_AFTER[name] ?? next.state ?? "running";
    if (next.state === "completed") next.weight = 100;
    this.rollout = next;
    this.#moveDeployment(next);
  }

  #moveDeployment(rollout: Rollout): void {
    const ended = isOver(rollout);
    if (!this.deployment) return;
    this.deployment = {
      ...this.deployment,
      stable: rollout.state === "completed" ? rollout.to_version : (this.deployment.stable ?? rollout.from_version),
      candidate: ended ? null : rollout.to_version,
      share: ended ? 0 : (rollout.weight ?? 0),
      mode: ended ? "none" : "canary",
    };
    if (ended) this.agreement.candidate = null;
    // The difference was about what the old program knew.
    if (rollout.state === "completed") this.drift = null;
  }
}

export function isOver(rollout: Rollout): boolean {
  return rollout.state === "completed" || rollout.state === "rolled_back";
}

const STATE_AFTER: Record<string, NonNullable<Rollout["state"]>> = {
  "rollout.started": "running",
  "rollout.step_changed": "running",
  "rollout.resumed": "running",
  "rollout.paused": "paused",
  "rollout.completed": "completed",
  "rollout.rolled_back": "rolled_back",
};

function labelFor(name: string, label: string, event: LoopEvent): string {
  const weight = numberIn(event, "weight");
  return name === "rollout.step_changed" && weight !== null ? `${weight} %` : label;
}

function numberIn(event: LoopEvent, key: string): number | null {
  return first(object(event.data)[key]);
}

function first(...values: unknown[]): number | null {
  for (const value of values) if (typeof value === "number" && Number.isFinite(value)) return value;
  return null;
}
