/** The few signs of the page, as strokes that take the colour of their text. Decoration: the words carry the meaning. */
import type { Mood } from "../state/verdict";
import type { Tone } from "../words";

const PATHS: Record<string, string> = {
  good: "M4.5 10.5l3.6 3.6 7.4-8",
  trial: "M4 10h12M11.5 5.5L16 10l-4.5 4.5",
  warn: "M10 5v6.2M10 14.6v.2",
  acting: "M15.5 10a5.5 5.5 0 1 1-1.6-3.9M14.2 3v3.4h-3.4",
  quiet: "M6 10h.1M10 10h.1M14 10h.1",
  back: "M8 5L4 9l4 4M4.5 9H12a4 4 0 0 1 0 8h-1",
  sun: "M10 6.4a3.6 3.6 0 1 0 0 7.2 3.6 3.6 0 0 0 0-7.2M10 2v1.6M10 16.4V18M2 10h1.6M16.4 10H18M4.4 4.4l1.1 1.1M14.5 14.5l1.1 1.1M4.4 15.6l1.1-1.1M14.5 5.5l1.1-1.1",
  moon: "M16 11.8A6.6 6.6 0 0 1 8.2 4a6.6 6.6 0 1 0 7.8 7.8z",
  copy: "M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3",
  down: "M6 8l4 4 4-4",
  pause: "M7.5 5v10M12.5 5v10",
  play: "M7 4.8l8 5.2-8 5.2z",
};

export function Icon({ name, size = 20 }: { name: keyof typeof PATHS & string; size?: number }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name] ?? PATHS.quiet} fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" />
    </svg>
  );
}

export function MoodIcon({ mood, size = 20 }: { mood: Mood; size?: number }) {
  return <Icon name={mood} size={size} />;
}

export function toneIcon(tone: Tone): string {
  return tone === "bad" ? "back" : tone === "info" ? "trial" : tone;
}

export function Mark() {
  return (
    <svg class="mark" width="26" height="26" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="9" class="mark-back" />
      <path d="M11 16a4.5 4.5 0 1 1 4.5 4.5c-3.5 0-4-9 5-9A4.5 4.5 0 1 1 16 16" fill="none" class="mark-line" stroke-width="2.6" stroke-linecap="round" />
    </svg>
  );
}
