/** One live chart: uPlot does the drawing, this keeps it fed, sized and in step with its neighbours. */
import { useEffect, useLayoutEffect, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { timeOf } from "../format";
import type { Theme } from "../theme";
import type { Columns } from "./data";
import { overlay, type Overlay } from "./overlay";
import { readPalette, type Palette } from "./palette";

export interface Line {
  label: string;
  colour: keyof Palette;
  show: (value: number | null) => string;
  width?: number;
  /** Bounds of a band: drawn by the fill alone. */
  bound?: boolean;
  fill?: keyof Palette;
}

export interface ChartParts {
  title: string;
  lines: Line[];
  /** Index pairs of columns (1-based): upper, lower, colour of the fill between. */
  bands?: { upper: number; lower: number; colour: keyof Palette }[];
  axis: (value: number) => string;
  logarithmic?: boolean;
  /** Lower and upper end of the vertical scale for what is in sight. */
  range: (low: number | null, high: number | null) => [number, number];
  columns: (from: number, to: number) => Columns;
  overlay: Omit<Overlay, "palette">;
  seconds: number;
  now: number;
  /** Changes when there is something new to draw. */
  revision: string;
  theme: Theme;
}

const HEIGHT = 186;
const shared = uPlot.sync("live");

export function Chart(parts: ChartParts) {
  const box = useRef<HTMLDivElement>(null);
  const values = useRef<HTMLSpanElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(parts);
  latest.current = parts;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const made = new uPlot(options(element.clientWidth, latest, values), [[]], element);
    chart.current = made;
    draw(made, latest.current);
    const resized = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [parts.theme, parts.overlay.loop]);

  useEffect(() => {
    if (chart.current) draw(chart.current, parts);
  }, [parts.revision, parts.seconds, Math.floor(parts.now / 1000)]);

  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{parts.title}</span>
        <span class="chart-values" ref={values} />
      </figcaption>
      <div ref={box} class="chart-box" />
    </figure>
  );
}

function draw(chart: uPlot, parts: ChartParts): void {
  const to = parts.now / 1000;
  const from = to - parts.seconds;
  const columns = parts.columns(from, to);
  chart.batch(() => {
    chart.setData(columns as uPlot.AlignedData, false);
    chart.setScale("x", { min: from, max: to });
  });
}

function options(
  width: number,
  latest: { current: ChartParts },
  values: { current: HTMLSpanElement | null },
): uPlot.Options {
  const palette = readPalette();
  const { lines, bands, logarithmic, overlay: over } = latest.current;
  const axis = { stroke: palette.dim, font: "11px system-ui, sans-serif", ticks: { show: false } };
  return {
    width,
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: shared.key, setSeries: false }, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true },
      y: {
        ...(logarithmic ? { distr: 3 as const } : {}),
        range: (_chart, low, high) => latest.current.range(low, high),
      },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 26, space: 90, values: (_c, splits) => splits.map((s) => timeOf(s * 1000, latest.current.seconds <= 600)) },
      {
        ...axis,
        grid: { stroke: palette.grid, width: 1, ...(logarithmic ? { filter: wholePowers } : {}) },
        size: 56,
        space: 34,
        values: (_c, splits) => splits.map((value) => (value === null ? "" : latest.current.axis(value))),
      },
    ],
    series: [
      {},
      ...lines.map((line): uPlot.Series => ({
        label: line.label,
        stroke: line.bound ? "transparent" : palette[line.colour],
        width: line.bound ? 0 : (line.width ?? 1.75),
        points: { show: false },
        gaps: wideGaps,
        // Early intervals are wide as a barn door: the scale follows the lines, and the bands are cut off.
        auto: !line.bound,
        ...(line.fill ? { fill: palette[line.fill] } : {}),
      })),
    ],
    bands: (bands ?? []).map((band) => ({ series: [band.upper, band.lower] as [number, number], fill: palette[band.colour] })),
    plugins: [overlay({ ...over, gaps: () => latest.current.overlay.gaps(), markers: () => latest.current.overlay.markers(), palette })],
    hooks: {
      setCursor: [(chart) => showValues(chart, latest.current, values.current)],
      setData: [(chart) => showValues(chart, latest.current, values.current)],
    },
  };
}

/** Labels and lines at 1, 10, 100 … only: those in between make a wall of them. */
function wholePowers(_chart: uPlot, splits: number[]): (number | null)[] {
  return splits.map((value) => (Math.abs(Math.log10(value) % 1) < 1e-9 ? value : null));
}

const BRIDGED_SECONDS = 2.5;

/** A second without a report is jitter and is bridged; more than that is a hole and stays one. */
function wideGaps(chart: uPlot, _series: number, _first: number, _last: number, gaps: [number, number][]): [number, number][] {
  const pixels = chart.valToPos(BRIDGED_SECONDS, "x", true) - chart.valToPos(0, "x", true);
  return gaps.filter(([from, to]) => to - from > pixels);
}

/** The values under the cursor, else the newest: as text, in the caption, the same place for both. */
function showValues(chart: uPlot, parts: ChartParts, target: HTMLSpanElement | null): void {
  if (!target) return;
  const at = chart.cursor.idx ?? null;
  const pieces: Node[] = [];
  if (at !== null && chart.data[0][at] !== undefined) {
    pieces.push(piece("chart-at", timeOf(chart.data[0][at] * 1000)));
  }
  parts.lines.forEach((line, index) => {
    if (line.bound) return;
    const column = chart.data[index + 1] ?? [];
    const value = at === null ? lastKnown(column) : (column[at] ?? null);
    if (value === null) return;
    pieces.push(piece(`key key-${line.colour}`, `${line.label} ${line.show(value)}`));
  });
  target.replaceChildren(...pieces);
}

function lastKnown(column: ArrayLike<number | null | undefined>): number | null {
  for (let i = column.length - 1; i >= 0; i -= 1) {
    const value = column[i];
    if (value !== null && value !== undefined) return value;
  }
  return null;
}

function piece(name: string, words: string): HTMLSpanElement {
  const span = document.createElement("span");
  span.className = name;
  span.textContent = words;
  return span;
}
