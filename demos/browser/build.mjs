// The page and what it needs of its packages, side by side in dist/: `npm ci && npm run build`.

import { copyFile, mkdir } from "node:fs/promises";
import { basename } from "node:path";

const FILES = [
  "index.html",
  "page.css",
  "page.js",
  "worker.js",
  "woosh.js",
  "noise.js",
  "node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs",
  "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm",
  "node_modules/@huggingface/tokenizers/dist/tokenizers.min.mjs",
];

await mkdir("dist", { recursive: true });
for (const file of FILES) await copyFile(file, `dist/${basename(file)}`);
