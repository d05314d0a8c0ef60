/** The HTTP API as the page uses it. Errors become a sentence that can be shown. */

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export interface Api {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: unknown): Promise<T>;
}

const KEY = "loopai.key";

/** Outside loopback the server asks for a key. It lives as long as the tab and goes nowhere but to this server. */
export const key = {
  get: (): string => sessionStorage.getItem(KEY) ?? "",
  set: (value: string): void => sessionStorage.setItem(KEY, value.trim()),
};

export const httpApi: Api = {
  get: (path) => call(path, { method: "GET" }),
  post: (path, body) =>
    call(path, {
      method: "POST",
      body: JSON.stringify(body),
      // A second click or a retried request must not do the thing twice.
      headers: { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) },
    }),
};

async function call<T>(path: string, init: RequestInit): Promise<T> {
  const headers = new Headers(init.headers);
  headers.set("Accept", "application/json");
  if (key.get()) headers.set("Authorization", `Bearer ${key.get()}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, credentials: "same-origin", signal: AbortSignal.timeout(15_000) });
  } catch {
    throw new ApiError(0, "The server does not answer. Nothing was changed as far as this page can tell.");
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, sentence(response.status, body));
  return body as T;
}

/** What the socket is opened with: a ticket where a key is needed, nothing on loopback. */
export async function socketAuth(): Promise<Record<string, string>> {
  if (!key.get()) return {};
  const answer = await httpApi.post<{ ticket: string }>("/api/v1/tickets", {});
  return { ticket: answer.ticket };
}

/** The `detail` of an RFC 9457 problem, else its title, else the bare status. */
function sentence(status: number, body: unknown): string {
  if (body && typeof body === "object") {
    const problem = body as { detail?: unknown; title?: unknown };
    if (typeof problem.detail === "string" && problem.detail) return problem.detail;
    if (typeof problem.title === "string" && problem.title) return problem.title;
  }
  return `The server answered with status ${status}.`;
}

const loop = (id: string): string => `/api/v1/loop-apps/${encodeURIComponent(id)}`;

export const paths = {
  overview: "/api/v1/overview",
  metrics: (id: string, seconds: number): string => `${loop(id)}/metrics?seconds=${seconds}`,
  programs: (id: string): string => `${loop(id)}/programs`,
  program: (id: string, version: number): string => `${loop(id)}/programs/${version}`,
  validations: (id: string): string => `${loop(id)}/validations?limit=100`,
  rollouts: (id: string): string => `${loop(id)}/rollouts`,
  rolloutVerb: (id: string, verb: string): string => `${loop(id)}/rollouts/current/${verb}`,
  events: (cursor: string | null): string => `/api/v1/events?limit=100${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`,
};
