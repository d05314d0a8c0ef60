/** The words of the page. One thing, one word; the jargon stays in tooltips and in the API. */
import type { Variant } from "./wire";

export type Tone = "good" | "info" | "warn" | "bad" | "quiet";

/** Type of an event → what a person would call it, and how loud it is. */
const EVENTS: Record<string, { title: string; tone: Tone; group: Group }> = {
  "loop.created": { title: "Loop created", tone: "quiet", group: "loops" },
  "loop.deleted": { title: "Loop deleted", tone: "warn", group: "loops" },
  "loop.updated": { title: "Loop changed", tone: "quiet", group: "loops" },
  "validation.completed": { title: "Checks", tone: "quiet", group: "checks" },
  "validation.budget_exhausted": { title: "Budget used up", tone: "warn", group: "alerts" },
  "drift.detected": { title: "Inputs look different", tone: "warn", group: "alerts" },
  "drift.cleared": { title: "Inputs look familiar again", tone: "good", group: "alerts" },
  "program.generating": { title: "Writing a program", tone: "info", group: "programs" },
  "program.generated": { title: "New program", tone: "info", group: "programs" },
  "program.rejected": { title: "Program rejected", tone: "warn", group: "programs" },
  "program.activated": { title: "Program in use", tone: "good", group: "programs" },
  "rollout.started": { title: "Trial started", tone: "info", group: "rollouts" },
  "rollout.step_changed": { title: "Trial goes on", tone: "info", group: "rollouts" },
  "rollout.paused": { title: "Trial paused", tone: "warn", group: "rollouts" },
  "rollout.resumed": { title: "Trial resumed", tone: "info", group: "rollouts" },
  "rollout.completed": { title: "Rolled out to all", tone: "good", group: "rollouts" },
  "rollout.rolled_back": { title: "Went back", tone: "bad", group: "rollouts" },
  "command.accepted": { title: "Request accepted", tone: "quiet", group: "loops" },
  "command.refused": { title: "Request refused", tone: "warn", group: "loops" },
};

export type Group = "alerts" | "rollouts" | "programs" | "checks" | "loops";

export const GROUPS: { id: Group; label: string }[] = [
  { id: "alerts", label: "Alerts" },
  { id: "rollouts", label: "Rollouts" },
  { id: "programs", label: "Programs" },
  { id: "checks", label: "Checks" },
  { id: "loops", label: "Loops" },
];

export function wordsFor(name: string): { title: string; tone: Tone; group: Group } {
  return EVENTS[name] ?? { title: name.replaceAll("_", " ").replace(".", " "), tone: "quiet", group: "loops" };
}

export function program(version: number | null | undefined): string {
  return version === null || version === undefined ? "no program" : `v${version}`;
}

export function variantWord(variant: Variant): string {
  return variant === "candidate" ? "on trial" : "in use";
}

/** Who says what is right, as a sentence's subject. */
export function oracleWords(oracle: { kind: string; model: string }): string {
  switch (oracle.kind) {
    case "llm":
      return oracle.model ? `reference model ${oracle.model}` : "reference model";
    case "human":
      return "people";
    case "none":
      return "nobody: answers are only checked for their form";
    default:
      return "known labels";
  }
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
