/** Is it all right? One sentence out of everything that is known, the worst thing first. */
import { ago, count, plural, timeOf } from "../format";
import { program } from "../words";
import type { Loop } from "./loop";

export type Mood = "good" | "trial" | "warn" | "acting" | "quiet";

export interface Verdict {
  mood: Mood;
  word: string;
  text: string;
  /** The loop it is about, for the link. */
  loop?: Loop;
}

/** A step back is news for this long, then history. */
const ACTING_MS = 30_000;
const NEWS_MS = 15 * 60_000;

export function verdict(loops: Loop[], nowMs: number): Verdict {
  if (loops.length === 0) return { mood: "quiet", word: "Nothing runs yet.", text: "Create a first loop to see it here." };
  const found = loops.map((loop) => ofLoop(loop, nowMs)).sort((a, b) => RANK[a.mood] - RANK[b.mood]);
  const worst = found[0];
  if (worst && worst.mood !== "good" && worst.mood !== "quiet") {
    const others = found.filter((v) => v.mood === "warn" || v.mood === "acting").length - 1;
    return others > 0 ? { ...worst, text: `${worst.text} ${plural(others, "other loop")} too.` } : worst;
  }
  const inputs = loops.reduce((sum, loop) => sum + loop.totals.inputs, 0);
  if (inputs === 0) return { mood: "quiet", word: "No inputs yet.", text: `${plural(loops.length, "loop")} ready, waiting for a first input.` };
  const since = loops.map((loop) => loop.totals.since).filter(Boolean).sort()[0];
  return {
    mood: "good",
    word: "All is well.",
    text: `${plural(loops.length, "loop")} answered ${inputs < 100 ? inputs : `more than ${count(roundedDown(inputs))}`} inputs${since ? ` since ${timeOf(since, false)}` : ""}.`,
  };
}

/** Two digits: the sentence is read aloud at each change, so it must not count along. */
function roundedDown(n: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(n)) - 1);
  return Math.floor(n / unit) * unit;
}

const RANK: Record<Mood, number> = { acting: 0, warn: 1, trial: 2, good: 3, quiet: 4 };

export function ofLoop(loop: Loop, nowMs: number): Verdict {
  const { rollout, drift, budget, name } = loop;
  const changed = Date.parse(rollout?.updated_at ?? "");
  const age = Number.isFinite(changed) ? nowMs - changed : Infinity;
  if (rollout?.state === "rolled_back" && age < NEWS_MS) {
    const why = rollout.reason ? `: ${rollout.reason.replace(/\.$/, "")}` : "";
    const text = `${name} went back from ${program(rollout.to_version)} to ${program(rollout.from_version)} ${ago(age)} ago${why}.`;
    return age < ACTING_MS ? { mood: "acting", word: "Acting.", text, loop } : { mood: "warn", word: "Needs a look.", text, loop };
  }
  const trial = rollout?.state === "running" ? rollout : null;
  const right = loop.agreement.stable;
  const under = right !== null && right.checks > 0 && right.high < loop.limit;
  const trouble = drift
    ? `${name} gets inputs unlike the ones it learned from`
    : under
      ? `${name} gives fewer right answers than its limit of ${(loop.limit * 100).toFixed(0)} %`
      : "";
  if (trouble && trial) {
    const text = `${trouble}; ${program(trial.to_version)} is on trial on ${trial.weight ?? 0} % of inputs.`;
    return { mood: "acting", word: "Acting.", text, loop };
  }
  if (trouble) return { mood: "warn", word: "Needs a look.", text: `${trouble}.`, loop };
  if (budget) return { mood: "warn", word: "Needs a look.", text: `${name} has used up its budget for checks.`, loop };
  if (rollout?.state === "paused") {
    const text = `The trial of ${program(rollout.to_version)} of ${name} is paused at ${rollout.weight ?? 0} % of inputs.`;
    return { mood: "warn", word: "Needs a look.", text, loop };
  }
  if (trial) {
    const text = `${program(trial.to_version)} of ${name} is on trial on ${trial.weight ?? 0} % of inputs.`;
    return { mood: "trial", word: "All is well.", text, loop };
  }
  if (loop.totals.inputs === 0) return { mood: "quiet", word: "No inputs yet.", text: `${name} waits for a first input.`, loop };
  return { mood: "good", word: "All is well.", text: "", loop };
}

/** The state word of the loops table. */
export function stateWord(loop: Loop, nowMs: number): { word: string; mood: Mood } {
  if (loop.deployment?.paused) return { word: "Paused", mood: "quiet" };
  if (!loop.deployment || (loop.deployment.stable ?? null) === null) return { word: "No program yet", mood: "quiet" };
  const { mood } = ofLoop(loop, nowMs);
  const words: Record<Mood, string> = {
    good: "Healthy", trial: "Trial running", warn: "Needs a look", acting: "Acting", quiet: "No inputs yet",
  };
  return { word: words[mood], mood };
}

/** The loop that the charts show when nobody has chosen one: the one that needs eyes, else the busiest. */
export function neediest(loops: Loop[], nowMs: number): Loop | undefined {
  return [...loops].sort(
    (a, b) => RANK[ofLoop(a, nowMs).mood] - RANK[ofLoop(b, nowMs).mood] || b.totals.inputs - a.totals.inputs,
  )[0];
}
