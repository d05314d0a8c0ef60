/** `GET /api/v1/overview`: the snapshot the page starts from. Reads what is there, does without what is not. */
import type { Agreement, Deployment, Envelope, LoopApp, LoopEvent, Rollout, Seconds } from "../wire";

export interface Totals {
  inputs: number;
  ok: number;
  abstained: number;
  failed: number;
  setAside: number;
  /** What the sums above count from. */
  since: string;
  right: number;
  wrong: number;
  undecided: number;
  /** Calls of the reference model and their price, today. */
  calls: number;
  usd: number;
}

export interface Status {
  app: LoopApp;
  deployment: Deployment | null;
  rollout: Rollout | null;
  agreement: Agreement[];
  metrics: Seconds | null;
  totals: Totals;
  oracle: { kind: string; model: string };
  simulated: boolean;
  programs: number;
  examples: number;
}

export interface Overview {
  epoch: string;
  sequence: number;
  environment: string;
  version: string;
  apps: Status[];
  alerts: LoopEvent[];
  events: LoopEvent[];
}

type Loose = Record<string, unknown>;

export function readOverview(raw: unknown): Overview {
  const root = object(raw);
  return {
    epoch: text(root.epoch),
    sequence: Number(root.sequence) || 0,
    environment: text(root.environment),
    version: text(root.version),
    apps: list(root.apps).map(readStatus).filter((row): row is Status => row !== null),
    alerts: list(root.alerts).map(readAlert).filter((row): row is LoopEvent => row !== null),
    events: list(root.events).map((row) => readEvent(object(row))).filter((row) => row.id !== ""),
  };
}

function readStatus(raw: unknown): Status | null {
  const row = object(raw);
  const app = object(row.app) as unknown as LoopApp;
  if (typeof app.id !== "string") return null;
  const agreement = object(row.agreement);
  const oracle = object(row.oracle);
  return {
    app,
    deployment: row.deployment ? (row.deployment as Deployment) : null,
    rollout: row.rollout ? (row.rollout as Rollout) : null,
    agreement: [agreement.stable, agreement.candidate].filter(isAgreement),
    metrics: row.metrics ? (row.metrics as Seconds) : null,
    totals: readTotals(object(row.totals), object(row.checks), object(row.spending)),
    oracle: { kind: text(oracle.kind) || (app.oracle?.kind ?? ""), model: text(oracle.model) || (app.oracle?.model ?? "") },
    simulated: row.simulated === true || app.simulated === true,
    programs: number(row.programs),
    examples: number(row.examples),
  };
}

function readTotals(totals: Loose, checks: Loose, spending: Loose): Totals {
  return {
    inputs: number(totals.inputs),
    ok: number(totals.ok),
    abstained: number(totals.abstained),
    failed: number(totals.failed),
    setAside: number(totals.set_aside),
    since: text(totals.since),
    right: number(checks.match),
    wrong: number(checks.mismatch),
    undecided: number(checks.unsure) + number(checks.error),
    calls: number(spending.calls),
    usd: number(spending.usd),
  };
}

function isAgreement(raw: unknown): raw is Agreement {
  const row = object(raw);
  return typeof row.low === "number" && typeof row.high === "number";
}

function readAlert(raw: unknown): LoopEvent | null {
  const row = object(raw);
  if (typeof row.id !== "string" || typeof row.type !== "string" || row.open === false) return null;
  return {
    id: row.id,
    type: row.type,
    app: text(row.app),
    at: text(row.at),
    summary: text(row.summary),
    data: object(row.data) as NonNullable<LoopEvent["data"]>,
  };
}

/** The sentence travels inside the envelope's data. */
export function readEvent(envelope: Loose | Envelope): LoopEvent {
  const row = envelope as Loose;
  const data = object(row.data);
  return {
    id: text(row.id),
    type: text(row.type),
    app: text(row.subject) || text(data.app),
    at: text(row.time),
    summary: text(data.summary),
    data: data as NonNullable<LoopEvent["data"]>,
  };
}

export function object(raw: unknown): Loose {
  return raw !== null && typeof raw === "object" && !Array.isArray(raw) ? (raw as Loose) : {};
}

export function list(raw: unknown): unknown[] {
  return Array.isArray(raw) ? raw : [];
}

export function text(raw: unknown): string {
  return typeof raw === "string" ? raw : "";
}

function number(raw: unknown): number {
  return typeof raw === "number" && Number.isFinite(raw) ? raw : 0;
}
