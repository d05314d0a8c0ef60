/** Everything that happened: the live tail first, then the history as far back as one asks. */
import { useState } from "react";
import { paths } from "../api";
import { TimelinePanel } from "../parts/timeline";
import { list, object, readEvent } from "../state/overview";
import { useStore } from "../use-store";

const SHOWN = 300;

export function EventsPage({ query }: { query: URLSearchParams }) {
  const store = useStore();
  const [cursor, setCursor] = useState<string | null | undefined>(undefined);
  const [problem, setProblem] = useState("");

  async function older(): Promise<void> {
    setProblem("");
    try {
      const page = object(await store.api.get(paths.events(cursor ?? null)));
      for (const row of list(page.items)) store.timeline.addEvent(readEvent(object(row)));
      setCursor(typeof page.next_cursor === "string" ? page.next_cursor : null);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  }

  return (
    <>
      <h1 class="page-title">Events</h1>
      <TimelinePanel store={store} limit={SHOWN} query={query} />
      {problem && (
        <p class="refusal" role="alert">
          {problem}
        </p>
      )}
      {cursor !== null && (
        <p class="after-list">
          <button type="button" class="button" onClick={() => void older()}>
            Show older
          </button>
        </p>
      )}
    </>
  );
}
