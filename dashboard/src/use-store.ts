/** Parts read the store through this and are drawn again when it has told its listeners. */
import { createContext, useContext, useEffect, useReducer } from "react";
import type { Store } from "./state/store";

export const StoreContext = createContext<Store | null>(null);

export function useStore(): Store {
  const store = useContext(StoreContext);
  if (!store) throw new Error("no store above this part");
  const [, draw] = useReducer((n: number) => n + 1, 0);
  useEffect(() => store.subscribe(() => draw(undefined as never)), [store]);
  return store;
}

/** For ages ("4 s old") and idle streams: a steady tick, slow when nothing needs it. */
export function useTick(ms: number): number {
  const [now, setNow] = useReducer(() => Date.now(), Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(undefined as never), ms);
    return () => clearInterval(timer);
  }, [ms]);
  return now;
}
