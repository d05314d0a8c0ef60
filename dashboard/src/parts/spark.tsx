/** Two minutes at a glance, without axes. The charts below have the numbers, so this is hidden from readers of text. */
const WIDTH = 96;
const HEIGHT = 30;

export function Spark({ values, floor }: { values: (number | null)[]; floor: number | null }) {
  const known = values.filter((value): value is number => value !== null);
  if (known.length < 2) return <svg class="spark" width={WIDTH} height={HEIGHT} aria-hidden="true" />;
  const low = Math.min(...known, floor ?? Infinity);
  const span = Math.max(...known) - low || 1;
  const path: string[] = [];
  let pen = false;
  values.forEach((value, index) => {
    if (value === null) {
      pen = false;
      return;
    }
    const x = (index / (values.length - 1)) * (WIDTH - 4) + 2;
    const y = HEIGHT - 3 - ((value - low) / span) * (HEIGHT - 6);
    path.push(`${pen ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    pen = true;
  });
  return (
    <svg class="spark" width={WIDTH} height={HEIGHT} viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      <path d={path.join("")} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round" />
    </svg>
  );
}
