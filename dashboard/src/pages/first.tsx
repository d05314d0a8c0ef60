/** The first page: the top third says whether all is right, the rest is for whoever is on call. */
import { LiveCharts } from "../charts/live";
import { Command } from "../parts/copy";
import { Decisions } from "../parts/decision";
import { LoopsTable } from "../parts/loops";
import { Stepper } from "../parts/stepper";
import { Tiles } from "../parts/tiles";
import { TimelinePanel } from "../parts/timeline";
import { VerdictLine } from "../parts/verdict";
import { isOver } from "../state/loop";
import { neediest } from "../state/verdict";
import { useStore, useTick } from "../use-store";

const SHOWN = 30;

export function FirstPage({ query }: { query: URLSearchParams }) {
  const store = useStore();
  useTick(1000);
  const now = store.now();
  const loops = [...store.loops.values()];
  if (!store.loaded) return <Opening />;
  if (loops.length === 0) return <NoLoops />;
  const loop = store.loops.get(query.get("loop") ?? "") ?? neediest(loops, now);
  const live = store.connection.kind === "live";
  const asOf = store.asOf;
  const trials = loops.filter((l) => l.rollout && (!isOver(l.rollout) || l === loop));
  const quiet = loops.every((l) => l.totals.inputs === 0);
  return (
    <>
      <VerdictLine loops={loops} now={now} />
      <Decisions loops={loops} />
      <Tiles loops={loops} now={now} asOf={asOf} live={live} />
      {quiet && loop && <FirstInput id={loop.app.id} />}
      <LoopsTable loops={loops} now={now} asOf={asOf} />
      <div class="columns">
        <div class="wide">{loop && <LiveCharts store={store} loop={loop} loops={loops} query={query} now={now} />}</div>
        <div class="narrow">
          {trials.map((l) => (
            <Stepper key={l.app.id} loop={l} />
          ))}
          <TimelinePanel store={store} limit={SHOWN} query={query} more />
        </div>
      </div>
    </>
  );
}

function Opening() {
  const store = useStore();
  return (
    <section class="lone">
      <div role="status" data-testid="verdict">
        <h1>{store.problem ? "Loopai does not answer." : "Opening…"}</h1>
      </div>
      {store.problem && <p>{store.problem.message} Trying again by itself.</p>}
    </section>
  );
}

function NoLoops() {
  return (
    <section class="lone">
      <div role="status" data-testid="verdict">
        <h1>Nothing runs yet.</h1>
      </div>
      <p>A loop is one judgement, made again and again: spam or not, which label, is this record valid. See one run on made-up messages:</p>
      <Command text="loopai demo" />
      <p>Or create your own. This page comes alive by itself.</p>
      <Command text="loopai app create spam-filter --label ham --label spam" />
    </section>
  );
}

function FirstInput({ id }: { id: string }) {
  return (
    <section class="panel">
      <h2>Waiting for a first input</h2>
      <p class="panel-text">Send one, or publish to the topic loopai.inputs with any Kafka client:</p>
      <Command text={`loopai input send ${id} '{"text": "You won a prize, call now"}'`} />
    </section>
  );
}
