/** The page's sums and sentences over small worlds. */
import { expect, test } from "vitest";
import { Loop } from "../src/state/loop";
import { readOverview } from "../src/state/overview";
import { AgreementLine, Windows } from "../src/state/series";
import { Timeline } from "../src/state/timeline";
import { ofLoop, verdict } from "../src/state/verdict";
import { eventName, type LoopEvent, type ValidationResult } from "../src/wire";

const NOW = Date.parse("2026-01-31T12:00:00Z");
const iso = (seconds: number): string => new Date(NOW + seconds * 1000).toISOString();

function status(inputs = 1000) {
  const raw = {
    epoch: "e", sequence: "7", environment: "test", version: "1",
    apps: [
      {
        app: { id: "spam", name: "spam", rollout: { stages: [10, 50, 100], min_checks: 5, min_agreement: 0.9, automatic: true } },
        deployment: { app: "spam", revision: 1, stable: 1, candidate: null, mode: "none", share: 0 },
        rollout: null, agreement: { stable: null, candidate: null }, metrics: null,
        totals: { inputs, since: iso(-60) }, checks: { match: 90, mismatch: 10, unsure: 0, error: 0 },
        spending: { usd: 0, calls: 0 }, oracle: { kind: "llm", model: "m-1" }, simulated: true,
      },
    ],
    alerts: [], events: [],
  };
  return readOverview(raw).apps[0]!;
}

function loop(events: LoopEvent[] = [], alerts: LoopEvent[] = [], inputs = 1000): Loop {
  const made = new Loop(status(inputs));
  made.restart(status(inputs), events, alerts, NOW);
  return made;
}

function event(type: string, data: LoopEvent["data"] = {}, at = 0): LoopEvent {
  return { id: `${type}${at}`, type: `io.loopai.${type}.v1`, app: "spam", at: iso(at), summary: `about ${type}`, data };
}

function add(to: Loop, ...events: LoopEvent[]): void {
  for (const e of events) to.addEvent(eventName(e.type), e);
}

const trial = (weight: number, state: string) => ({ rollout: "r1", from: 1, to: 2, steps: [10, 50, 100], weight, state });

test("windows of several executors are summed, and one over a border is shared between its seconds", () => {
  const windows = new Windows();
  windows.add({ app: "spam", source: "a", window_start: iso(0), window_ms: 1000, inputs: 100, p50_us: 10 });
  windows.add({ app: "spam", source: "b", window_start: iso(0.25), window_ms: 1000, inputs: 100, p50_us: 30 });
  expect(windows.seconds.items.map((s) => Math.round(s.inputs))).toEqual([175, 25]);
  expect(windows.seconds.items[0]?.p50).toBeCloseTo((10 * 100 + 30 * 75) / 175);
});

test("history fills the seconds before the stream was joined, and only those", () => {
  const windows = new Windows();
  const row = (at: number, inputs: number) => ({ at: iso(at), window_ms: 1000, inputs });
  for (const [at, inputs] of [[0, 40], [1, 100], [2, 100]] as const) {
    windows.add({ app: "spam", source: "a", window_start: iso(at), window_ms: 1000, inputs });
  }
  windows.fill([row(-1, 90), row(0, 95), row(1, 60), row(2, 7)], NOW / 1000);
  expect(windows.seconds.items.map((s) => s.inputs)).toEqual([90, 95, 100, 100]);
});

test("an agreement line keeps one point a second and stays in order when history arrives later", () => {
  const line = new AgreementLine();
  const row = (at: number, estimate: number) => ({
    app: "spam", version: 1, variant: "stable" as const, checks: 9, estimate, low: 0.5, high: 1, at: iso(at),
  });
  line.add(row(10, 0.9), NOW);
  line.add(row(10.4, 0.95), NOW);
  line.fill([row(8, 0.7), row(9, 0.8)]);
  expect(line.points.items.map((p) => p.estimate)).toEqual([0.7, 0.8, 0.95]);
});

test("a trial moves through its steps by events alone", () => {
  const it = loop();
  add(it, event("rollout.started", trial(10, "running"), 1));
  expect(it.rollout).toMatchObject({ from_version: 1, to_version: 2, weight: 10, state: "running" });
  expect(it.deployment).toMatchObject({ candidate: 2, share: 10, mode: "canary" });
  add(it, event("rollout.step_changed", trial(50, "running"), 2), event("rollout.completed", trial(100, "completed"), 3));
  expect(it.rollout?.state).toBe("completed");
  expect(it.deployment).toMatchObject({ stable: 2, candidate: null, share: 0 });
});

test("a snapshot tells how the last trial ended from its history", () => {
  const it = loop([event("rollout.started", trial(10, "running"), 1), event("rollout.rolled_back", { ...trial(0, "rolled_back"), reason: "too few right answers" }, 2)]);
  expect(it.rollout).toMatchObject({ state: "rolled_back", reason: "too few right answers" });
  expect(it.deployment?.stable).toBe(1);
});

test("a trial that the snapshot no longer has is not shown as running", () => {
  expect(loop([event("rollout.started", trial(10, "running"), 1)]).rollout).toBeNull();
});

test("the verdict says the worst thing first", () => {
  const calm = loop();
  expect(verdict([calm], NOW)).toMatchObject({ mood: "good", text: "1 loop answered more than 1\u202f000 inputs since " + new Date(NOW - 60_000).toTimeString().slice(0, 5) + "." });
  expect(verdict([loop([], [], 0)], NOW).mood).toBe("quiet");
  expect(verdict([], NOW).word).toBe("Nothing runs yet.");
  const drifting = loop();
  add(drifting, event("drift.detected"));
  expect(verdict([calm, drifting], NOW)).toMatchObject({ mood: "warn", loop: drifting });
  add(drifting, event("rollout.started", trial(10, "running")));
  expect(ofLoop(drifting, NOW).mood).toBe("acting");
  const back = loop();
  add(back, event("rollout.started", trial(10, "running"), -9), event("rollout.rolled_back", { ...trial(0, "rolled_back"), reason: "right answers fell to 91 %" }, -2));
  expect(ofLoop(back, NOW).text).toBe("spam went back from v2 to v1 2 s ago: right answers fell to 91 %.");
});

test("right answers under the limit need a look only when that is sure", () => {
  const it = loop();
  const row = { app: "spam", version: 1, variant: "stable" as const, checks: 50, estimate: 0.85, low: 0.7, high: 0.93 };
  it.addAgreement(row, NOW);
  expect(ofLoop(it, NOW).mood).toBe("good");
  it.addAgreement({ ...row, high: 0.89 }, NOW);
  expect(ofLoop(it, NOW).mood).toBe("warn");
});

test("checks are rolled up, events are not shown twice, and a title is not repeated", () => {
  const timeline = new Timeline();
  const check = (id: string, verdict: ValidationResult["verdict"]): ValidationResult => ({
    id, app: "spam", version: 1, program: "p", variant: "stable", tier: 3, verdict, output: "ham", expected: "spam",
  });
  timeline.addCheck(check("1", "match"), NOW);
  timeline.addCheck(check("2", "mismatch"), NOW + 1000);
  timeline.addCheck(check("3", "match"), NOW + 40_000);
  expect(timeline.items.map((i) => i.sentence)).toEqual(["1 answer checked: 1 right.", "2 answers checked: 1 right, 1 wrong."]);
  const back = { ...event("rollout.rolled_back", {}, 60), summary: "Went back to v1." };
  expect([timeline.addEvent(back), timeline.addEvent(back)]).toEqual([true, false]);
  expect(timeline.items[0]).toMatchObject({ title: "Went back", sentence: "To v1." });
});

test("an overview with nothing in it is an empty page, not an error", () => {
  expect(readOverview(null)).toMatchObject({ sequence: 0, apps: [], events: [] });
  expect(readOverview({ apps: [null, {}, { app: { id: 5 } }], alerts: ["x"], events: [{}] }).apps).toEqual([]);
});
