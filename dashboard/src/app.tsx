/** Which page is shown, and the frame around all of them. */
import { Header } from "./parts/header";
import { KeyForm } from "./parts/key-form";
import { EventsPage } from "./pages/events";
import { FirstPage } from "./pages/first";
import { LoopPage } from "./pages/loop";
import { useRoute } from "./router";
import { useStore } from "./use-store";

export function App() {
  const route = useRoute();
  const store = useStore();
  return (
    <>
      <a class="skip" href="#content">
        Skip to content
      </a>
      <Header path={route.path} />
      <main id="content" class="page">
        {store.problem?.status === 401 ? <KeyForm /> : <Page path={route.path} query={route.query} />}
      </main>
      <footer class="foot">
        <span>Loopai {store.version}</span>
        <a href="/docs">API</a>
        <span class="foot-note">Times are local; point at one for UTC.</span>
      </footer>
    </>
  );
}

function Page({ path, query }: { path: string; query: URLSearchParams }) {
  if (path === "/") return <FirstPage query={query} />;
  if (path === "/events") return <EventsPage query={query} />;
  const loop = /^\/loops\/([^/]+)$/.exec(path)?.[1];
  if (loop) return <LoopPage id={decode(loop)} query={query} />;
  return (
    <section class="lone">
      <h1>There is no such page</h1>
      <p>
        <a href="/">Back to the first page</a>
      </p>
    </section>
  );
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
