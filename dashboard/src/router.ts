/** Every view is a URL: the path names the page, the query what is chosen on it. */
import { useEffect, useState } from "react";

export interface Route {
  path: string;
  query: URLSearchParams;
}

const CHANGED = "loopai:route";

export function read(): Route {
  return { path: location.pathname.replace(/\/+$/, "") || "/", query: new URLSearchParams(location.search) };
}

export function useRoute(): Route {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const update = (): void => setRoute(read());
    addEventListener("popstate", update);
    addEventListener(CHANGED, update);
    return () => {
      removeEventListener("popstate", update);
      removeEventListener(CHANGED, update);
    };
  }, []);
  return route;
}

export function go(href: string): void {
  history.pushState(null, "", href);
  dispatchEvent(new Event(CHANGED));
  scrollTo({ top: 0 });
}

/** Changes what is chosen on this page. Choices do not fill the back button's history. */
export function choose(changes: Record<string, string | null>): void {
  const { query } = read();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === "") query.delete(name);
    else query.set(name, value);
  }
  const search = query.toString();
  history.replaceState(null, "", location.pathname + (search ? `?${search}` : ""));
  dispatchEvent(new Event(CHANGED));
}

/** Lets plain links stay links (new tab, copy address) and still change the page without loading it. */
export function followLink(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = (event.target as Element | null)?.closest?.("a[href]");
  if (!(anchor instanceof HTMLAnchorElement) || anchor.target || anchor.origin !== location.origin) return;
  if (anchor.pathname.startsWith("/api") || anchor.pathname === "/docs" || anchor.hash) return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}

export const loopHref = (id: string, tab?: string): string => `/loops/${encodeURIComponent(id)}${tab ? `?tab=${tab}` : ""}`;
