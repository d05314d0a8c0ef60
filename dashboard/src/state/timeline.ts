/** What happened, as sentences, newest first. Checks are rolled up: one row for each loop and half minute. */
import { count } from "../format";
import { eventName, type Json, type LoopEvent, type ValidationResult } from "../wire";
import { capital, wordsFor, type Group, type Tone } from "../words";

export interface Miss {
  id: string;
  expected: string;
  got: string;
}

export interface Item {
  id: string;
  at: number;
  app: string;
  name: string;
  title: string;
  sentence: string;
  tone: Tone;
  group: Group;
  /** Changes whenever the row must be drawn again. */
  revision: number;
  event?: LoopEvent;
  checks?: { right: number; wrong: number; unsure: number; misses: Miss[] };
}

const ROLL_UP_MS = 30_000;
const KEPT = 500;
const MISSES = 5;

export class Timeline {
  items: Item[] = [];
  #ids = new Set<string>();
  #rollUps = new Map<string, Item>();

  addEvent(event: LoopEvent): boolean {
    const id = `${event.id}/${event.type}`;
    if (this.#ids.has(id)) return false;
    const name = eventName(event.type);
    const words = wordsFor(name);
    this.#insert({
      id,
      at: Date.parse(event.at) || Date.now(),
      app: event.app,
      name,
      title: words.title,
      sentence: withoutTitle(event.summary, words.title),
      tone: words.tone,
      group: words.group,
      revision: 0,
      event,
    });
    return true;
  }

  addCheck(check: ValidationResult, atMs: number): void {
    const bucket = Math.floor(atMs / ROLL_UP_MS) * ROLL_UP_MS;
    const key = `checks/${check.app}/${bucket}`;
    let item = this.#rollUps.get(key);
    if (!item) {
      const words = wordsFor("validation.completed");
      item = {
        id: key, at: bucket, app: check.app, name: "validation.completed", title: words.title, sentence: "",
        tone: words.tone, group: words.group, revision: 0, checks: { right: 0, wrong: 0, unsure: 0, misses: [] },
      };
      this.#rollUps.set(key, item);
      this.#insert(item);
    }
    const sums = item.checks;
    if (!sums) return;
    if (check.verdict === "match") sums.right += 1;
    else if (check.verdict === "mismatch") {
      sums.wrong += 1;
      if (sums.misses.length < MISSES) {
        sums.misses.push({ id: check.id, expected: short(check.expected), got: short(check.output) });
      }
    } else sums.unsure += 1;
    item.sentence = checksSentence(sums);
    item.revision += 1;
  }

  clear(): void {
    this.items = [];
    this.#ids.clear();
    this.#rollUps.clear();
  }

  #insert(item: Item): void {
    this.#ids.add(item.id);
    const index = this.items.findIndex((other) => other.at <= item.at);
    if (index === -1) this.items.push(item);
    else this.items.splice(index, 0, item);
    if (this.items.length > KEPT) {
      for (const gone of this.items.splice(KEPT)) {
        this.#ids.delete(gone.id);
        this.#rollUps.delete(gone.id);
      }
    }
  }
}

/** "Went back to v1: …" under the title "Went back" reads "To v1: …". */
function withoutTitle(summary: string, title: string): string {
  if (!summary.startsWith(title)) return summary;
  return capital(summary.slice(title.length).replace(/^[\s/,:–.]+/, ""));
}

function checksSentence(sums: { right: number; wrong: number; unsure: number }): string {
  const total = sums.right + sums.wrong + sums.unsure;
  const parts = [`${count(sums.right)} right`];
  if (sums.wrong > 0) parts.push(`${count(sums.wrong)} wrong`);
  if (sums.unsure > 0) parts.push(`${count(sums.unsure)} undecided`);
  return `${count(total)} ${total === 1 ? "answer" : "answers"} checked: ${parts.join(", ")}.`;
}

/** An answer as one short line. */
export function short(value: Json | undefined): string {
  if (value === null || value === undefined) return "no answer";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}
