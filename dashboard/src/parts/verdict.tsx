/** The first thing read: is it all right? */
import { loopHref } from "../router";
import type { Loop } from "../state/loop";
import { verdict } from "../state/verdict";
import { capital } from "../words";
import { MoodIcon } from "./icons";

export function VerdictLine({ loops, now }: { loops: Loop[]; now: number }) {
  const { mood, word, text, loop } = verdict(loops, now);
  return (
    <div class={`verdict ${mood}`}>
      <span class="verdict-sign">
        <MoodIcon mood={mood} size={24} />
      </span>
      <div>
        <div role="status" aria-live="polite" data-testid="verdict" data-mood={mood}>
          <h1>
            <strong>{word}</strong> <span>{text}</span>
          </h1>
        </div>
        <p class="verdict-under">
          <References loops={loops} />
          {loop && loops.length > 1 && <a href={loopHref(loop.app.id)}>Look at {loop.name}</a>}
        </p>
      </div>
    </div>
  );
}

/** Right answers are only as good as who says so: that is always in sight, as is made-up traffic. */
export function References({ loops }: { loops: Loop[] }) {
  const oracles = [...new Set(loops.map((loop) => loop.oracle))];
  const simulated = loops.some((loop) => loop.simulated);
  return (
    <>
      {oracles.length > 0 && (
        <span data-testid="oracle" title="Who says what the right answer is">
          <span class="dim">Reference:</span> {oracles.length <= 2 ? oracles.join(" · ") : `${oracles.length} different ones`}
        </span>
      )}
      {simulated && (
        <span class="badge simulated" data-testid="simulated" title={capital("these inputs are made up by a simulator")}>
          simulated traffic
        </span>
      )}
    </>
  );
}

