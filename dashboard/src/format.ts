/** Numbers and times as people read them. Every function takes what the server sends and never throws. */

const LOCALE = "en-GB";
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const shortClock = new Intl.DateTimeFormat(LOCALE, { hour: "2-digit", minute: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(LOCALE, { day: "numeric", month: "short" });

export const DASH = "–";

/** 1234567 → "1 234 567"; thin spaces, since commas and points mean different things to different readers. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  return whole.format(Math.round(value)).replaceAll(",", "\u202f");
}

/** A rate: two digits under ten, else none. */
export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  if (value > 0 && value < 10) return value.toFixed(1);
  return count(value);
}

export function percent(ratio: number | null | undefined, digits = 1): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return DASH;
  return (ratio * 100).toFixed(digits);
}

/** Microseconds → "38 µs", "1.2 ms", "3.4 s". */
export function duration(us: number | null | undefined): { value: string; unit: string } {
  if (us === null || us === undefined || !Number.isFinite(us)) return { value: DASH, unit: "" };
  const [value, unit] = us < 1000 ? [us, "µs"] : us < 1e6 ? [us / 1000, "ms"] : [us / 1e6, "s"];
  return { value: value < 10 ? value.toFixed(1) : value.toFixed(0), unit };
}

export function durationText(us: number | null | undefined): string {
  const { value, unit } = duration(us);
  return unit ? `${value}\u202f${unit}` : value;
}

export function usd(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return DASH;
  return value > 0 && value < 0.01 ? "< $0.01" : `$${value.toFixed(2)}`;
}

export function timeOf(iso: string | number | null | undefined, seconds = true): string {
  const date = toDate(iso);
  return date ? (seconds ? clock : shortClock).format(date) : DASH;
}

/** Today: the time alone; another day: with the day. */
export function whenOf(iso: string | number | null | undefined): string {
  const date = toDate(iso);
  if (!date) return DASH;
  const time = clock.format(date);
  return date.toDateString() === new Date().toDateString() ? time : `${day.format(date)} ${time}`;
}

/** For the tooltip: the same moment for everybody. */
export function utc(iso: string | number | null | undefined): string {
  return toDate(iso)?.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC") ?? "";
}

export function ago(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}

export function plural(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}

function toDate(value: string | number | null | undefined): Date | null {
  if (value === null || value === undefined || value === "") return null;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? null : date;
}
