/** How the page is built: into the wheel's static folder, hashed files only, nothing inline. */
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** `npm run mock`: the same page over made-up data. The swap lives here so that no build can contain it. */
function madeUpData(): Plugin {
  return {
    name: "made-up-data",
    apply: "serve",
    transformIndexHtml: (html) => html.replace("/src/main.tsx", "/dev/main.tsx"),
  };
}

export default defineConfig(({ mode }) => ({
  plugins: mode === "mock" ? [madeUpData()] : [],
  resolve: {
    // React's names, Preact's code. Delete these lines and the same source is React.
    alias: [
      { find: /^react-dom\/client$/, replacement: "preact/compat/client" },
      { find: /^react\/jsx-(dev-)?runtime$/, replacement: "preact/jsx-runtime" },
      { find: /^react(-dom)?$/, replacement: "preact/compat" },
    ],
  },
  oxc: { jsx: { runtime: "automatic", importSource: "react" } },
  build: {
    outDir: "../gateway/static",
    emptyOutDir: true,
    target: "es2022",
    // The content security policy allows no data: fonts and no inline code, so small files stay files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { "/api": "http://127.0.0.1:8080", "/socket.io": { target: "http://127.0.0.1:8080", ws: true } } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
}));
