/** The five verbs of a trial. Each asks once and says what it will do to the inputs. */
import { useState } from "react";
import { paths } from "../api";
import type { Loop } from "../state/loop";
import { useStore } from "../use-store";
import type { Rollout } from "../wire";
import { program } from "../words";
import { Confirm, type Question } from "./confirm";

type Verb = "promote" | "promote-all" | "pause" | "resume" | "rollback";

export function Verbs({ loop, rollout }: { loop: Loop; rollout: Rollout }) {
  const store = useStore();
  const [question, setQuestion] = useState<Question | null>(null);
  const paused = rollout.state === "paused";
  const next = rollout.stages.find((stage) => stage > (rollout.weight ?? 0));
  // At the last step the two ways of going on are one.
  const onward: Verb[] = next === undefined ? ["promote"] : ["promote", "promote-all"];
  const verbs: Verb[] = [...onward, paused ? "resume" : "pause", "rollback"];
  return (
    <div class="verbs">
      {verbs.map((verb) => {
        const words = say(verb, rollout, next);
        return (
          <button
            key={verb}
            type="button"
            data-testid={`verb-${verb}`}
            class={verb === "rollback" ? "button danger-quiet" : "button"}
            onClick={() =>
              setQuestion({
                ...words,
                act: (reason) => store.api.post(paths.rolloutVerb(loop.app.id, verb), reason ? { reason } : {}),
              })
            }
          >
            {words.button}
          </button>
        );
      })}
      {question && <Confirm question={question} done={() => setQuestion(null)} />}
    </div>
  );
}

function say(verb: Verb, rollout: Rollout, next: number | undefined): Omit<Question, "act"> {
  const from = program(rollout.from_version);
  const to = program(rollout.to_version);
  const weight = rollout.weight ?? 0;
  switch (verb) {
    case "promote": {
      if (next === undefined) {
        return {
          title: `Put ${to} in use?`,
          consequence: `${to} becomes the program in use and the trial ends. ${from} stays at hand.`,
          button: `Put ${to} in use`,
        };
      }
      const target = next;
      const consequence =
        target >= 100
          ? `All inputs will be answered by ${to} (now ${weight} %), and ${to} becomes the program in use.`
          : `${target} % of inputs will be answered by ${to} (now ${weight} %). The rest stays with ${from}.`;
      return { title: `Go on to ${target} %?`, consequence, button: `Go on to ${target} %` };
    }
    case "promote-all":
      return {
        title: "Give it all inputs?",
        consequence: `All inputs will be answered by ${to} (now ${weight} %), without the steps in between.`,
        button: "Promote all",
      };
    case "pause":
      return {
        title: "Pause the trial?",
        consequence: `${to} keeps ${weight} % of inputs and does not get more until somebody resumes.`,
        button: "Pause",
      };
    case "resume":
      return {
        title: "Resume the trial?",
        consequence: `${to} goes on from ${weight} % of inputs, step by step.`,
        button: "Resume",
      };
    case "rollback":
      return {
        title: `Roll back to ${from}?`,
        consequence: `${weight} % of inputs go back from ${to} to ${from} within a second or two. The trial ends.`,
        button: `Roll back to ${from}`,
        danger: true,
      };
  }
}
