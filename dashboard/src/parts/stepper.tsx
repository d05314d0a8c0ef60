/** A trial, step by step: where it is, how both programs do, and what can be done. */
import { count, percent, plural, whenOf, utc } from "../format";
import { isOver, type Loop } from "../state/loop";
import type { Agreement, Rollout } from "../wire";
import { program } from "../words";
import { Icon } from "./icons";
import { IntervalBar, commonFloor } from "./interval";
import { Verbs } from "./verbs";

export function Stepper({ loop }: { loop: Loop }) {
  const { rollout } = loop;
  if (!rollout) return null;
  const over = isOver(rollout);
  const floor = commonFloor(loop.limit, loop.agreement.stable, loop.agreement.candidate);
  return (
    <section class="panel" data-testid="rollout-stepper" data-state={rollout.state ?? "running"} aria-label={`Trial of ${loop.name}`}>
      <div class="panel-head">
        <h2>
          Trial <span class="versions">{program(rollout.from_version)} → {program(rollout.to_version)}</span>
        </h2>
        <span class="panel-note">{loop.name}</span>
      </div>
      <Steps rollout={rollout} />
      <p class={`trial-state ${rollout.state ?? "running"}`}>{sentence(loop, rollout)}</p>
      {!over && (
        <>
          <dl class="versus">
            <Side words={`${program(rollout.from_version)} in use`} agreement={loop.agreement.stable} limit={loop.limit} floor={floor} />
            <Side words={`${program(rollout.to_version)} on trial`} agreement={loop.agreement.candidate} limit={loop.limit} floor={floor} trial />
          </dl>
          <p class="limit-note">Goes back when right answers are surely under {percent(loop.limit, 0)} %.</p>
          <Verbs loop={loop} rollout={rollout} />
        </>
      )}
    </section>
  );
}

function Steps({ rollout }: { rollout: Rollout }) {
  return (
    <ol class={`steps ${rollout.state ?? "running"}`}>
      {rollout.stages.map((stage) => {
        const state = stateOf(stage, rollout);
        return (
          <li
            key={stage}
            data-testid="rollout-step"
            data-weight={stage}
            data-state={state}
            aria-current={state === "current" ? "step" : undefined}
          >
            <span class="step-sign" aria-hidden="true">
              {state === "done" && <Icon name="good" size={14} />}
            </span>
            <span class="step-words">
              {stage} %<span class="sr"> {WORDS[state]}</span>
            </span>
          </li>
        );
      })}
    </ol>
  );
}

const WORDS = { done: "passed", current: "now", todo: "to come" };

function stateOf(stage: number, rollout: Rollout): "done" | "current" | "todo" {
  if (rollout.state === "completed") return "done";
  if (rollout.state === "rolled_back") return "todo";
  const weight = rollout.weight ?? 0;
  return stage < weight ? "done" : stage === weight ? "current" : "todo";
}

function sentence(loop: Loop, rollout: Rollout) {
  const to = program(rollout.to_version);
  const from = program(rollout.from_version);
  const when = <time title={utc(rollout.updated_at)}>{whenOf(rollout.updated_at)}</time>;
  switch (rollout.state) {
    case "completed":
      return <>{to} answers all inputs since {when}.</>;
    case "rolled_back":
      return <>Went back to {from} at {when}{rollout.reason ? `: ${rollout.reason}` : "."}</>;
    case "paused":
      return <>Paused at {rollout.weight ?? 0} % since {when}{rollout.reason ? `: ${rollout.reason}` : "."}</>;
    default: {
      const policy = loop.app.rollout;
      const had = loop.agreement.candidate?.checks ?? rollout.checks ?? 0;
      const need = Math.max(0, (policy?.min_checks ?? 0) - had);
      if (policy?.automatic === false) {
        return need > 0 ? <>Waits for {plural(need, "more check")}, then for your yes.</> : <>Enough checks. Waits for your yes.</>;
      }
      return need > 0
        ? <>{rollout.weight ?? 0} % watching; goes on by itself after {plural(need, "more check")}.</>
        : <>{rollout.weight ?? 0} % watching; goes on by itself when the checks allow.</>;
    }
  }
}

function Side(props: { words: string; agreement: Agreement | null; limit: number; floor: number; trial?: boolean }) {
  const { agreement } = props;
  const known = agreement !== null && agreement.checks > 0;
  return (
    <div class={props.trial ? "side trial" : "side"}>
      <dt>{props.words}</dt>
      <dd>
        <strong>{known ? `${percent(agreement.estimate)} %` : "–"}</strong>
        <span class="dim">
          {known ? ` ${percent(agreement.low)} – ${percent(agreement.high)} %, ${count(agreement.checks)} checks` : " no checks yet"}
        </span>
        <IntervalBar agreement={agreement} limit={props.limit} floor={props.floor} />
      </dd>
    </div>
  );
}
