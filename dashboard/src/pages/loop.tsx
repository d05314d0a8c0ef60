/** One loop: what it does now, how its answers were checked, and the programs it has had. */
import { LiveCharts } from "../charts/live";
import { Stepper } from "../parts/stepper";
import { Tiles } from "../parts/tiles";
import { TimelinePanel } from "../parts/timeline";
import { References } from "../parts/verdict";
import { MoodIcon } from "../parts/icons";
import { choose } from "../router";
import { stateWord } from "../state/verdict";
import { useStore, useTick } from "../use-store";
import { program } from "../words";
import { ChecksTab } from "./checks";
import { ProgramsTab } from "./programs";

const TABS = [
  { id: "live", label: "Live" },
  { id: "checks", label: "Checks" },
  { id: "programs", label: "Programs" },
];

export function LoopPage({ id, query }: { id: string; query: URLSearchParams }) {
  const store = useStore();
  useTick(1000);
  const now = store.now();
  const loop = store.loops.get(id);
  if (!loop) {
    return (
      <section class="lone">
        <h1>{store.loaded ? `There is no loop “${id}”` : "Opening…"}</h1>
        <p>
          <a href="/">Back to the first page</a>
        </p>
      </section>
    );
  }
  const tab = TABS.find((t) => t.id === query.get("tab"))?.id ?? "live";
  const state = stateWord(loop, now);
  const live = store.connection.kind === "live";
  const asOf = store.asOf;
  return (
    <>
      <div class="loop-head">
        <h1>{loop.name}</h1>
        <span class={`state ${state.mood}`}>
          <MoodIcon mood={state.mood} size={16} />
          {state.word}
        </span>
        <span class="dim">{program(loop.deployment?.stable)} in use</span>
      </div>
      <p class="verdict-under">
        <References loops={[loop]} />
        {loop.app.description && <span>{loop.app.description}</span>}
      </p>
      <div class="tabs" role="tablist" aria-label="About this loop">
        {TABS.map((t) => (
          <button key={t.id} type="button" role="tab" aria-selected={t.id === tab} onClick={() => choose({ tab: t.id })}>
            {t.label}
          </button>
        ))}
      </div>
      <div role="tabpanel" aria-label={TABS.find((t) => t.id === tab)?.label}>
        {tab === "live" && (
          <>
            <Tiles loops={[loop]} now={now} asOf={asOf} live={live} />
            <div class="columns">
              <div class="wide">
                <LiveCharts store={store} loop={loop} loops={[loop]} query={query} now={now} />
              </div>
              <div class="narrow">
                <Stepper loop={loop} />
                <TimelinePanel store={store} loop={id} limit={50} query={query} more />
              </div>
            </div>
          </>
        )}
        {tab === "checks" && <ChecksTab loop={loop} query={query} />}
        {tab === "programs" && <ProgramsTab loop={loop} query={query} />}
      </div>
    </>
  );
}
