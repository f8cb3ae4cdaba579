// Translates lines.txt of both models with Bergamot itself, as Firefox runs it, into bergamot.txt beside it.
//
//     npm pack @browsermt/bergamot-translator@0.4.9 && tar xzf browsermt-bergamot-translator-0.4.9.tgz
//     node golden.mjs package OUT          (Node 20; OUT is what make.py wrote to)
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Worker } from "node:worker_threads";

const [pack, out] = process.argv.slice(2);
const worker = new Worker(resolve(pack, "worker/translator-worker.js"));
const waiting = new Map();
let last = 0;
worker.on("message", ({ id, result, error }) => {
  const [accept, reject] = waiting.get(id);
  error ? reject(error) : accept(result);
});
const call = (name, ...args) =>
  new Promise((accept, reject) => {
    waiting.set(++last, [accept, reject]);
    worker.postMessage({ id: last, name, args });
  });

await call("initialize", {});
for (const [folder, name, vocabularies] of [
  ["shared", "enes", ["vocab"]],
  ["separate", "zhen", ["srcvocab", "trgvocab"]],
]) {
  const read = (file) => { const b = readFileSync(join(out, folder, file)); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };
  const key = { from: name.slice(0, 2), to: name.slice(2) };
  await call("loadTranslationModel", key, {
    model: read(`model.${name}.intgemm.alphas.bin`),
    shortlist: read(`lex.50.50.${name}.s2t.bin`),
    vocabs: vocabularies.map((v) => read(`${v}.${name}.spm`)),
  });
  const texts = readFileSync(join(out, folder, "lines.txt"), "utf8").trimEnd().split("\n");
  const results = [];
  for (const text of texts) {
    // One at a time: Bergamot's shortlist is of the whole batch.
    const [r] = await call("translate", { models: [key], texts: [{ text, html: false, qualityScores: false }] });
    results.push(r.target.text);
  }
  writeFileSync(join(out, folder, "bergamot.txt"), results.map((r) => r + "\n").join(""));
}
await worker.terminate();
