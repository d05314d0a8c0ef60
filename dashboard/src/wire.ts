/** What the server sends, over HTTP and over the socket, as typed here and nowhere else. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export type Variant = "stable" | "candidate";

export interface Envelope {
  id: string;
  type: string;
  source: string;
  time: string;
  /** The loop it is about. */
  subject?: string;
  data: unknown;
  epoch?: string;
  /** Only events that are kept have one; charts and checks travel without. */
  sequence?: string;
}

export interface SubscribeRequest {
  rooms: string[];
  epoch?: string;
  after?: string;
  /** False: do not send every event a second time under its plain name. */
  names?: boolean;
}

export interface Ack {
  epoch: string;
  seq: string | number;
  reset: boolean;
  events: Envelope[];
}

export interface LoopApp {
  id: string;
  name?: string;
  kind?: "classification" | "extraction" | "validation";
  description?: string;
  labels?: string[];
  sampling?: { sampler?: string; rate?: number };
  oracle?: { kind?: "labels" | "llm" | "human" | "none"; model?: string };
  budget?: { usd_per_day?: number; calls_per_day?: number };
  rollout?: { stages?: number[]; min_checks?: number; min_agreement?: number; automatic?: boolean };
  simulated?: boolean;
  revision?: number;
}

export interface Deployment {
  app: string;
  revision: number;
  stable?: number | null;
  candidate?: number | null;
  mode?: "none" | "shadow" | "canary";
  share?: number;
  programs?: Record<string, string>;
  paused?: boolean;
}

export interface Rollout {
  id: string;
  app: string;
  from_version: number;
  to_version: number;
  stages: number[];
  weight?: number;
  state?: "running" | "paused" | "completed" | "rolled_back";
  reason?: string;
  checks?: number;
  started_at?: string;
  updated_at?: string;
}

export interface Agreement {
  app: string;
  version: number;
  variant: Variant;
  checks: number;
  estimate: number | null;
  low: number;
  high: number;
  drift_score?: number;
  at?: string;
}

export interface MetricsWindow {
  app: string;
  source: string;
  window_start: string;
  window_ms: number;
  inputs?: number;
  ok?: number;
  abstained?: number;
  failed?: number;
  set_aside?: number;
  sampled?: number;
  p50_us?: number | null;
  p95_us?: number | null;
  p99_us?: number | null;
  oldest_waiting_s?: number | null;
  by_version?: Record<string, number>;
}

/** All executors of one loop together, one second: what `GET …/metrics` answers with. */
export interface Seconds extends Omit<MetricsWindow, "app" | "source" | "window_start"> {
  at: string;
  inputs_per_second?: number;
}

export interface Score {
  n: number;
  accuracy: number;
  low: number;
  high: number;
  macro_f1: number;
  abstained?: number;
  us_per_record?: number;
}

export interface Program {
  version: number;
  id: string;
  kind: string;
  strategy: string;
  created_at?: string;
  waiver?: string | null;
  manifest?: {
    created_at?: string;
    reason?: string;
    parent?: string | null;
    n_examples?: number;
    n_held_out?: number;
    score?: Score | null;
    attempts?: { strategy: string; score?: Score | null; reason?: string; seconds?: number }[];
    why?: string;
    model?: string;
    cost_usd?: number;
    seconds?: number;
  };
  source?: string;
  data_bytes?: number;
}

export interface ValidationResult {
  id: string;
  app: string;
  version: number;
  program: string;
  variant: Variant;
  tier: 1 | 2 | 3;
  verdict: "match" | "mismatch" | "unsure" | "error";
  expected?: Json;
  output?: Json;
  oracle?: string;
  cost_usd?: number;
  oracle_ms?: number;
  reason?: string | null;
  validated_at?: string;
}

/** A fact for people, out of its envelope. `summary` is the sentence to show; `data` depends on the type. */
export interface LoopEvent {
  id: string;
  type: string;
  app: string;
  at: string;
  summary: string;
  data?: Record<string, Json>;
}

/** `io.loopai.rollout.step_changed.v1` and `rollout.step_changed` are one name. */
export function eventName(type: string): string {
  return type.replace(/^io\.loopai\./, "").replace(/\.v\d+$/, "");
}
