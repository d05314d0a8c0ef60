/** What lies over and under the lines: hatched gaps with their words, the limit, and a mark for each event. */
import type uPlot from "uplot";
import type { Marker } from "../state/loop";
import type { Gap } from "../state/store";
import type { Palette } from "./palette";

export interface Overlay {
  gaps: () => Gap[];
  loop: string;
  markers: () => Marker[];
  limit?: () => number;
  palette: Palette;
}

export function overlay(what: Overlay): uPlot.Plugin {
  return {
    hooks: {
      drawAxes: (chart) => {
        drawGaps(chart, what);
        if (what.limit) drawLimit(chart, what.limit(), what.palette);
      },
      draw: (chart) => drawMarkers(chart, what),
    },
  };
}

function drawGaps(chart: uPlot, { gaps, loop, palette }: Overlay): void {
  const { ctx } = chart;
  const { left, top, width, height } = chart.bbox;
  for (const gap of gaps()) {
    if (gap.filled.has(loop)) continue;
    const from = Math.max(left, chart.valToPos(gap.from, "x", true));
    const to = Math.min(left + width, gap.to === null ? left + width : chart.valToPos(gap.to, "x", true));
    if (to - from < 1) continue;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, top, to - from, height);
    ctx.clip();
    ctx.strokeStyle = palette.hatch;
    ctx.lineWidth = 1;
    ctx.beginPath();
    for (let x = from - height; x < to; x += 9 * devicePixelRatio) {
      ctx.moveTo(x, top + height);
      ctx.lineTo(x + height, top);
    }
    ctx.stroke();
    ctx.font = font();
    const words = "no data";
    if (ctx.measureText(words).width + 12 < to - from) {
      ctx.fillStyle = palette.dim;
      ctx.textAlign = "center";
      ctx.fillText(words, (from + to) / 2, top + height / 2);
    }
    ctx.restore();
  }
}

function drawLimit(chart: uPlot, limit: number, palette: Palette): void {
  const { ctx } = chart;
  const { left, top, width, height } = chart.bbox;
  const y = chart.valToPos(limit, "y", true);
  if (y < top || y > top + height) return;
  ctx.save();
  ctx.strokeStyle = palette.bad;
  ctx.setLineDash([5 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.lineWidth = devicePixelRatio;
  ctx.beginPath();
  ctx.moveTo(left, y);
  ctx.lineTo(left + width, y);
  ctx.stroke();
  ctx.fillStyle = palette.bad;
  ctx.font = font();
  ctx.textAlign = "left";
  ctx.fillText(`limit ${Math.round(limit * 100)} %`, left + 6 * devicePixelRatio, y - 5 * devicePixelRatio);
  ctx.restore();
}

function drawMarkers(chart: uPlot, { markers, palette }: Overlay): void {
  const { ctx } = chart;
  const { left, top, width, height } = chart.bbox;
  let wordsEnd = -Infinity;
  ctx.save();
  ctx.font = font();
  ctx.textAlign = "left";
  for (const marker of markers()) {
    const x = chart.valToPos(marker.at, "x", true);
    if (x < left || x > left + width) continue;
    const colour = palette[marker.tone];
    ctx.strokeStyle = colour;
    ctx.fillStyle = colour;
    ctx.globalAlpha = 0.75;
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(Math.round(x) + 0.5, top);
    ctx.lineTo(Math.round(x) + 0.5, top + height);
    ctx.stroke();
    ctx.globalAlpha = 1;
    const start = x + 4 * devicePixelRatio;
    const length = ctx.measureText(marker.label).width;
    // Words that would run into each other are left out; the line stays.
    if (start > wordsEnd && start + length < left + width) {
      ctx.fillText(marker.label, start, top + 10 * devicePixelRatio);
      wordsEnd = start + length + 6 * devicePixelRatio;
    }
  }
  ctx.restore();
}

function font(): string {
  return `${11 * devicePixelRatio}px system-ui, sans-serif`;
}
