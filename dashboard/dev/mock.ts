/**
 * MADE-UP DATA. A little world that behaves like the server: a snapshot, a history with positions, and a stream.
 * The story: a spam filter meets a new kind of message, a better program is written, tried at 10, 50, 100 %.
 */
import type { Api } from "../src/api";
import type { Transport, TransportEvents } from "../src/feed/ports";
import type { Ack, Agreement, Envelope, MetricsWindow, Program, Rollout, Seconds, ValidationResult } from "../src/wire";

const EPOCH = "made-up";
const iso = (ms: number): string => new Date(ms).toISOString();

interface LoopPlan {
  id: string;
  name: string;
  rate: number;
  p50: number;
  right: number;
  oracle: { kind: "labels" | "llm"; model: string };
}

const PLANS: LoopPlan[] = [
  { id: "spam-filter", name: "spam-filter", rate: 4200, p50: 38, right: 0.976, oracle: { kind: "labels", model: "" } },
  { id: "sentiment", name: "sentiment", rate: 310, p50: 95, right: 0.943, oracle: { kind: "llm", model: "gpt-5-mini" } },
  { id: "log-fields", name: "log-fields", rate: 12800, p50: 21, right: 0.994, oracle: { kind: "labels", model: "" } },
];

export function madeUp(scene: string) {
  const begun = Date.now() - 300_000;
  const plans = scene === "one" ? PLANS.slice(0, 1) : scene === "empty" ? [] : PLANS;
  const history: Envelope[] = [];
  const loops = plans.map((plan) => new MadeUpLoop(plan));
  let events: TransportEvents | null = null;
  let connected = false;
  let n = 0;

  function wrap(type: string, app: string, data: unknown, at: number): Envelope {
    n += 1;
    return { id: `m${n}`, type: `io.loopai.${type}.v1`, source: "/made-up", time: iso(at), subject: app, data };
  }
  function keep(type: string, app: string, data: Record<string, unknown>, at = Date.now()): void {
    const envelope: Envelope = {
      ...wrap(type, app, data, at), epoch: EPOCH, sequence: String(history.length + 1).padStart(20, "0"),
    };
    history.push(envelope);
    if (connected) events?.envelopes([envelope]);
  }
  function loose(batch: Envelope[]): void {
    if (connected && batch.length > 0) events?.envelopes(batch);
  }

  const spam = loops[0];
  if (spam) {
    keep("loop.created", spam.plan.id, { summary: "Loop spam-filter created." }, begun);
    keep("program.generated", spam.plan.id, { summary: "v1: linear model, 97.4 % on 1 115 held-out examples.", version: 1 }, begun + 4000);
    keep("program.activated", spam.plan.id, { summary: "v1 answers all inputs.", version: 1 }, begun + 5000);
  }

  let weight = 0;
  const fields = (state: Rollout["state"], reason = ""): Record<string, unknown> => ({
    id: "r1", app: "spam-filter", from_version: 1, to_version: 2, stages: [10, 50, 100], weight, state, reason,
    checks: 0, started_at: iso(Date.now()), updated_at: iso(Date.now()),
  });
  function move(type: string, to: number, state: Rollout["state"], summary: string, reason = ""): void {
    if (!spam) return;
    weight = to;
    const row = fields(state, reason);
    spam.rollout = row as unknown as Rollout;
    spam.share = state === "running" || state === "paused" ? to : 0;
    if (state === "completed") spam.stable = 2;
    keep(type, "spam-filter", { ...row, summary });
  }
  const story: [number, () => void][] = [
    [3, () => spam && keep("drift.detected", "spam-filter", { summary: "Right answers of spam-filter fell from 97.6 % to 93.1 % within 400 checks.", detector: "adwin", score: 0.31, threshold: 0.2 })],
    [5, () => spam && keep("program.generating", "spam-filter", { summary: "Learning from 41 wrong answers." })],
    [8, () => spam && keep("program.generated", "spam-filter", { summary: "v2: linear model, 98.2 % on 1 115 held-out examples.", version: 2 })],
    [10, () => move("rollout.started", 10, "running", "v2 answers 10 % of inputs.")],
    [30, () => move("rollout.step_changed", 50, "running", "v2 answers 50 % of inputs: 97.9 % right in 64 checks.")],
    [50, () => move("rollout.completed", 100, "completed", "v2 answers all inputs.")],
    [52, () => spam && keep("drift.cleared", "spam-filter", { summary: "Right answers are back at 97.8 %." })],
  ];
  const halted = scene === "trial" ? 29 : Infinity;
  let second = scene === "trial" ? 25 : 0;
  if (scene === "trial") for (const [at, act] of story) if (at <= 25) act();
  if (scene === "back" && spam) {
    move("rollout.started", 10, "running", "v2 answers 10 % of inputs.");
    move("rollout.rolled_back", 0, "rolled_back", "Went back to v1 automatically: 91.2 % right < 95 % (412 checks).", "agreement 91.2 % is under the limit of 95 % (412 checks)");
  }

  setInterval(() => {
    second += 1;
    if (second < halted && scene !== "back" && scene !== "calm") for (const [at, act] of story) if (at === second) act();
    const drifting = scene !== "calm" && second > 0 && (spam?.stable ?? 1) === 1;
    const now = Date.now();
    for (const loop of loops) {
      loop.tick(now, drifting && loop === spam);
      loose([
        wrap("metrics.window", loop.plan.id, loop.window(now, "executor-1", 0.5), now),
        wrap("metrics.window", loop.plan.id, loop.window(now, "executor-2", 0.5), now),
        ...loop.newChecks.map((check) => wrap("validation.completed", loop.plan.id, check, now)),
        ...loop.agreements(now).map((row) => wrap("agreement.window", loop.plan.id, row, now)),
      ]);
    }
  }, 1000);

  const transport: Transport = {
    open: (handlers) => {
      events = handlers;
      setTimeout(() => wire(true), 150);
    },
    subscribe: async (request): Promise<Ack> => ({
      epoch: EPOCH, seq: String(history.length), reset: false, events: history.slice(Number(request.after ?? 0)),
    }),
    hurry: () => wire(true),
    close: () => wire(false),
  };
  function wire(up: boolean): void {
    connected = up;
    if (up) events?.up();
    else events?.down();
  }

  const api: Api = {
    get: async <T,>(path: string): Promise<T> => answer(path) as T,
    post: async <T,>(path: string): Promise<T> => {
      const verb = path.split("/").pop();
      const next = weight === 10 ? 50 : 100;
      if (verb === "promote") move(next === 100 ? "rollout.completed" : "rollout.step_changed", next, next === 100 ? "completed" : "running", `v2 answers ${next} % of inputs.`);
      if (verb === "promote-all") move("rollout.completed", 100, "completed", "v2 answers all inputs.");
      if (verb === "pause") move("rollout.paused", weight, "paused", `Paused at ${weight} %.`);
      if (verb === "resume") move("rollout.resumed", weight, "running", `Resumed at ${weight} %.`);
      if (verb === "rollback") move("rollout.rolled_back", 0, "rolled_back", "Went back to v1.", "asked for by a person");
      return {} as T;
    },
  };

  function answer(path: string): unknown {
    const loop = loops.find((l) => path.includes(`/loop-apps/${l.plan.id}/`));
    if (path.endsWith("/overview")) {
      return {
        epoch: EPOCH, sequence: history.length, at: iso(Date.now()), environment: "Made-up data", version: "0.1.0",
        apps: loops.map((l) => l.status(begun)), rollouts: [], live: { clients: 1, dropped: 0 },
        alerts: spam && history.some((e) => e.type.includes("drift.detected")) && !history.some((e) => e.type.includes("drift.cleared"))
          ? [{ id: "a1", type: "drift.detected", app: "spam-filter", at: iso(Date.now()), summary: "Right answers of spam-filter fell from 97.6 % to 93.1 % within 400 checks.", open: true, data: {} }]
          : [],
        events: history.slice(-50).toReversed(),
      };
    }
    if (!loop) return { items: [...history].reverse(), next_cursor: null };
    if (path.includes("/metrics")) return { windows: loop.past(), agreement: [] };
    if (path.endsWith("/programs")) return { items: loop.programs(), next_cursor: null };
    if (path.includes("/programs/")) return { ...loop.programs()[0], source: SOURCE, data_bytes: 48_120 };
    return { items: [], next_cursor: null };
  }

  return { api, transport, cut: () => wire(false), mend: () => wire(true), keep };
}

const SOURCE = `"""Spam or not, by the words that tell: made up for this picture."""\n\ndef run(record):\n    text = record["text"].lower()\n    score = sum(WEIGHTS.get(word, 0.0) for word in text.split())\n    return ("spam", 0.97) if score > 0.4 else ("ham", 0.99)\n`;

class MadeUpLoop {
  stable = 1;
  share = 0;
  rollout: Rollout | null = null;
  newChecks: ValidationResult[] = [];
  #inputs = 0;
  #counts = { match: 1180, mismatch: 28 };
  #trial = { match: 0, mismatch: 0 };
  #recent = 0.976;
  #k = 0;

  constructor(readonly plan: LoopPlan) {
    this.#inputs = plan.rate * 280;
    this.#recent = plan.right;
  }

  tick(now: number, drifting: boolean): void {
    const per = this.plan.id === "log-fields" ? 6 : 4;
    const target = drifting ? 0.921 : this.plan.right;
    this.#recent += (target - this.#recent) * 0.12;
    this.newChecks = Array.from({ length: per }, (): ValidationResult => {
      this.#k += 1;
      const candidate = Math.random() * 100 < this.share;
      const right = Math.random() < (candidate ? 0.981 : this.#recent);
      const counts = candidate ? this.#trial : this.#counts;
      counts[right ? "match" : "mismatch"] += 1;
      return {
        id: `${this.plan.id}-${this.#k}`, app: this.plan.id, version: candidate ? 2 : this.stable, program: "sha256:0",
        variant: candidate ? "candidate" : "stable", tier: 3, verdict: right ? "match" : "mismatch",
        expected: right ? "ham" : "spam", output: "ham", oracle: this.plan.oracle.model || "labels",
        cost_usd: this.plan.oracle.kind === "llm" ? 0.0002 : 0, validated_at: iso(now - Math.random() * 900),
      };
    });
    this.#inputs += this.plan.rate;
  }

  agreements(now: number): Agreement[] {
    const row = (variant: "stable" | "candidate", version: number, estimate: number, n: number): Agreement => {
      const half = 1.96 * Math.sqrt((estimate * (1 - estimate) + 0.002) / Math.max(n, 4));
      return {
        app: this.plan.id, version, variant, checks: n, estimate, low: Math.max(0, estimate - half),
        high: Math.min(1, estimate + half * 0.8), at: iso(now),
      };
    };
    const rows = [row("stable", this.stable, this.#recent, 420)];
    const n = this.#trial.match + this.#trial.mismatch;
    if (this.share > 0 && n > 3) rows.push(row("candidate", 2, (this.#trial.match + 0.5) / (n + 0.5), n));
    return rows;
  }

  window(now: number, source: string, part: number): MetricsWindow {
    const wave = 1 + 0.1 * Math.sin(now / 9000) + 0.07 * (Math.random() - 0.5);
    const inputs = Math.round(this.plan.rate * wave * part);
    return {
      app: this.plan.id, source, window_start: iso(Math.floor(now / 1000) * 1000), window_ms: 1000, inputs, ok: inputs,
      p50_us: this.plan.p50 * (1 + 0.1 * Math.random()), p95_us: this.plan.p50 * 3, p99_us: this.plan.p50 * (22 + 12 * Math.random()),
      oldest_waiting_s: 0.01,
    };
  }

  past(): Seconds[] {
    const now = Math.floor(Date.now() / 1000) * 1000;
    return Array.from({ length: 280 }, (_, i): Seconds => {
      const { window_start, ...row } = this.window(now - (280 - i) * 1000, "all", 1);
      return { ...row, at: window_start };
    });
  }

  programs(): Program[] {
    return [2, 1].filter((v) => v === 1 || this.rollout).map((version): Program => ({
      version, id: `sha256:${"4f1c9e0b77a2".repeat(5)}`, kind: "classification", strategy: "linear", created_at: iso(Date.now()),
      manifest: {
        n_examples: 4459, n_held_out: 1115, why: "Best lower end of the interval among four ways; the fastest of those that tie.",
        score: { n: 1115, accuracy: 0.982, low: 0.972, high: 0.989, macro_f1: 0.961, us_per_record: 12 },
        attempts: [
          { strategy: "linear", score: { n: 1115, accuracy: 0.982, low: 0.972, high: 0.989, macro_f1: 0.961 } },
          { strategy: "rule", score: { n: 1115, accuracy: 0.951, low: 0.936, high: 0.963, macro_f1: 0.9 } },
          { strategy: "tree", reason: "worse than the rules, and slower" },
        ],
      },
    }));
  }

  status(begun: number): unknown {
    const { id, name, oracle } = this.plan;
    return {
      app: {
        id, name, kind: "classification", description: "", oracle, simulated: id === "spam-filter", revision: 1,
        rollout: { stages: [10, 50, 100], min_checks: 50, min_agreement: 0.9, automatic: true },
      },
      deployment: { app: id, revision: 1, stable: this.stable, candidate: this.share ? 2 : null, mode: this.share ? "canary" : "none", share: this.share },
      rollout: this.rollout && (this.rollout.state === "running" || this.rollout.state === "paused") ? this.rollout : null,
      agreement: { stable: this.agreements(Date.now())[0] ?? null, candidate: null },
      metrics: null,
      totals: { inputs: this.#inputs, ok: this.#inputs, abstained: 0, failed: 0, set_aside: id === "log-fields" ? 12 : 0, since: iso(begun) },
      checks: { ...this.#counts, unsure: 0, error: 0 },
      spending: { day: "", usd: oracle.kind === "llm" ? 1.84 : 0, calls: oracle.kind === "llm" ? 9210 : 0, reserved_usd: 0 },
      oracle, simulated: id === "spam-filter", alerts_open: 0, examples: 5574, programs: this.rollout ? 2 : 1,
    };
  }
}
