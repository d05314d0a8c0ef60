/** Light or dark: the system's choice until a person makes their own. */
import { useEffect, useState } from "react";

export type Theme = "light" | "dark";
const KEPT = "loopai.theme";
const CHANGED = "loopai:theme";
const system = matchMedia("(prefers-color-scheme: dark)");

export function theme(): Theme {
  const own = localStorage.getItem(KEPT);
  return own === "light" || own === "dark" ? own : system.matches ? "dark" : "light";
}

export function applyTheme(): void {
  document.documentElement.dataset.theme = theme();
}

export function switchTheme(): void {
  localStorage.setItem(KEPT, theme() === "dark" ? "light" : "dark");
  applyTheme();
  dispatchEvent(new Event(CHANGED));
}

/** Charts draw on canvas with the theme's colours, so they must hear of a change. */
export function useTheme(): Theme {
  const [current, setCurrent] = useState(theme);
  useEffect(() => {
    const update = (): void => {
      applyTheme();
      setCurrent(theme());
    };
    system.addEventListener("change", update);
    addEventListener(CHANGED, update);
    return () => {
      system.removeEventListener("change", update);
      removeEventListener(CHANGED, update);
    };
  }, []);
  return current;
}
