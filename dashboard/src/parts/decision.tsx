/** What waits for a person. Nothing waits: nothing is shown. */
import { percent } from "../format";
import { loopHref } from "../router";
import type { Loop } from "../state/loop";
import { program } from "../words";
import { Icon } from "./icons";

export function Decisions({ loops }: { loops: Loop[] }) {
  const cards = loops.flatMap((loop) => [...waitingTrial(loop), ...openAlerts(loop)]);
  if (cards.length === 0) return null;
  return (
    <section class="decisions" aria-label="Needs your decision">
      <h2 class="section-title">Needs your decision</h2>
      {cards}
    </section>
  );
}

function waitingTrial(loop: Loop) {
  const { rollout } = loop;
  if (!rollout) return [];
  const enough = (loop.agreement.candidate?.checks ?? rollout.checks ?? 0) >= (loop.app.rollout?.min_checks ?? 0);
  const waits = rollout.state === "running" && loop.app.rollout?.automatic === false && enough;
  if (!waits && rollout.state !== "paused") return [];
  const now = loop.agreement.stable;
  const fresh = loop.agreement.candidate;
  const compared =
    fresh && fresh.checks > 0
      ? ` It gives ${percent(fresh.estimate)} % right answers${now && now.checks > 0 ? ` (in use: ${percent(now.estimate)} %)` : ""}.`
      : "";
  const text = waits
    ? `Program ${program(rollout.to_version)} of ${loop.name} waits for your yes.${compared}`
    : `The trial of ${program(rollout.to_version)} of ${loop.name} is paused at ${rollout.weight ?? 0} %.${compared}`;
  return [<Card key={`r/${loop.app.id}`} icon="trial" text={text} href={loopHref(loop.app.id)} link="See the trial" />];
}

function openAlerts(loop: Loop) {
  const cards = [];
  // A trial that goes on by itself is already the answer to it.
  const answered = loop.rollout?.state === "running" && loop.app.rollout?.automatic !== false;
  if (loop.drift && !answered) {
    const text = loop.drift.summary || `${loop.name} gets inputs unlike the ones it learned from.`;
    cards.push(<Card key={`d/${loop.app.id}`} icon="warn" text={text} href={loopHref(loop.app.id, "checks")} link="See the checks" testid="drift-card" />);
  }
  if (loop.budget) {
    const text = loop.budget.summary || `${loop.name} has used up its budget for checks.`;
    cards.push(<Card key={`b/${loop.app.id}`} icon="warn" text={text} href={loopHref(loop.app.id, "checks")} link="See the checks" />);
  }
  return cards;
}

function Card(props: { icon: string; text: string; href: string; link: string; testid?: string }) {
  return (
    <div class={`decision ${props.icon}`} data-testid={props.testid}>
      <Icon name={props.icon} />
      <p>{props.text}</p>
      <a class="button" href={props.href}>
        {props.link}
      </a>
    </div>
  );
}
