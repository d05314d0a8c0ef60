/** The theme's colours, read from the style sheet so that they are written down once. */
export interface Palette {
  ink: string;
  dim: string;
  grid: string;
  hatch: string;
  stable: string;
  stableBand: string;
  trial: string;
  trialBand: string;
  info: string;
  good: string;
  warn: string;
  bad: string;
}

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement);
  const read = (name: string): string => style.getPropertyValue(name).trim();
  return {
    ink: read("--ink"), dim: read("--dim"), grid: read("--line-soft"), hatch: read("--hatch"),
    stable: read("--accent"), stableBand: read("--accent-band"), trial: read("--trial"), trialBand: read("--trial-band"),
    info: read("--trial"), good: read("--good"), warn: read("--warn"), bad: read("--bad"),
  };
}
