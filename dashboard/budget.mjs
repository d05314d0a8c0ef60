/** Fails when the built page is heavier than it may be: 90 KB gzipped, everything the first visit loads. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const LIMIT = 90 * 1024;
const folder = fileURLToPath(new URL("../gateway/static", import.meta.url));

let total = 0;
for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue;
  const file = join(entry.parentPath ?? entry.path, entry.name);
  const size = gzipSync(readFileSync(file), { level: 9 }).length;
  total += size;
  console.log(`${String(size).padStart(8)}  ${file.slice(folder.length + 1)}`);
}

// The strict content security policy forbids both; a plugin that adds one would break the page silently.
const page = readFileSync(join(folder, "index.html"), "utf8");
if (/<script(?![^>]*\ssrc=)/i.test(page) || /<style|\sstyle=/i.test(page) || /https?:\/\//i.test(page)) {
  console.error("index.html has an inline script or style, or names another host");
  process.exit(1);
}

console.log(`${String(total).padStart(8)}  gzipped bytes in all, limit ${LIMIT}`);
if (total > LIMIT) {
  console.error("the page is heavier than its budget");
  process.exit(1);
}
