/** Puts the page together: store, feed and the parts. The mock of `dev/` hands in another wire. */
import { createRoot } from "react-dom/client";
import type { Api } from "./api";
import { App } from "./app";
import { Feed } from "./feed/feed";
import { browserClock, type Transport } from "./feed/ports";
import { followLink } from "./router";
import { Store } from "./state/store";
import { applyTheme } from "./theme";
import { StoreContext } from "./use-store";

const RECOUNT_MS = 20_000;

export function start(api: Api, transport: Transport): Feed {
  applyTheme();
  const store = new Store(api);
  // The snapshot does not wait for the socket: numbers first, liveness after.
  let first: ReturnType<Store["load"]> | null = store.load();
  first.catch(() => undefined);
  const feed = new Feed({
    transport,
    clock: browserClock,
    rooms: () => store.rooms(),
    load: () => {
      const snapshot = first ?? store.load();
      first = null;
      return snapshot;
    },
    apply: (batch) => store.apply(batch),
    changed: (connection) => store.connected(connection),
  });
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState === "visible") feed.nudge();
  });
  addEventListener("online", () => feed.nudge());
  document.addEventListener("click", followLink);
  setInterval(() => {
    if (feed.connection.kind === "live" && document.visibilityState === "visible") void store.recount().catch(() => undefined);
  }, RECOUNT_MS);

  const root = document.getElementById("root");
  if (!root) throw new Error("the page has no #root");
  createRoot(root).render(
    <StoreContext.Provider value={store}>
      <App />
    </StoreContext.Provider>,
  );
  feed.start();
  return feed;
}
