/** Where am I, and is what I see live? */
import { DASH, ago, count, timeOf, utc } from "../format";
import type { Store } from "../state/store";
import { switchTheme, useTheme } from "../theme";
import { useStore, useTick } from "../use-store";
import { Icon, Mark } from "./icons";

export function Header({ path }: { path: string }) {
  const store = useStore();
  const theme = useTheme();
  const here = (href: string): "page" | undefined => (path === href ? "page" : undefined);
  const production = /^prod/i.test(store.environment);
  return (
    <header class="bar">
      <a class="brand" href="/" aria-label="Loopai, first page">
        <Mark />
        <span>Loopai</span>
      </a>
      {store.environment && (
        <span class={production ? "environment production" : "environment"} title="Environment">
          {store.environment}
        </span>
      )}
      <nav class="nav" aria-label="Pages">
        <a href="/" aria-current={here("/")}>
          Now
        </a>
        <a href="/events" aria-current={here("/events")}>
          Events
        </a>
      </nav>
      <span class="grow" />
      <Pill store={store} />
      <button
        type="button"
        class="quiet-button square"
        onClick={switchTheme}
        aria-label={theme === "dark" ? "Switch to light" : "Switch to dark"}
        title={theme === "dark" ? "Light" : "Dark"}
      >
        <Icon name={theme === "dark" ? "sun" : "moon"} size={18} />
      </button>
    </header>
  );
}

/** The one thing that no live page shows: the state of its own connection. */
function Pill({ store }: { store: Store }) {
  useTick(1000);
  const { connection } = store;
  const until = store.dataUntil ? timeOf(store.dataUntil) : DASH;
  const age = store.dataUntil ? store.now() - store.dataUntil : Infinity;
  // A lag is only shown while data flows: on a quiet stream the age of the last event says nothing about the wire.
  const lag = store.lagMs !== null && age < 5000 ? ` · ${(store.lagMs / 1000).toFixed(1)} s` : "";
  switch (connection.kind) {
    case "live":
      return pill("live", <>Live{lag && <span class="pill-more">{lag}</span>}</>, `Newest data: ${utc(store.dataUntil) || "none yet"}`);
    case "catching-up":
      return pill("catching", <>Catching up ({count(connection.events)} events)</>, "Reading what was missed");
    case "offline":
      return pill(
        "offline",
        <>
          Offline since {timeOf(connection.since, false)}
          <span class="pill-more"> – showing data until {until}</span>
        </>,
        `Trying again by itself; offline for ${ago(store.now() - connection.since)}`,
      );
    default:
      return pill("connecting", <>Connecting…</>, "Opening the live stream");
  }
}

function pill(state: string, words: preact.ComponentChildren, title: string) {
  return (
    <span class={`pill ${state}`} data-testid="connection" data-state={state} title={title} role="status" aria-live="polite">
      <span class="pill-dot" aria-hidden="true" />
      <span>{words}</span>
    </span>
  );
}
