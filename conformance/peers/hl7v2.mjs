// What @medplum/core needs to parse HL7 v2 messages: a line of JSON for each.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename } from 'node:path';

const { Hl7Message } = createRequire(import.meta.url)('@medplum/core');
for (const path of process.argv.slice(2).filter((path) => path.endsWith('.hl7'))) {
  const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '').replace(/\r?\n/g, '\r');
  let best = Infinity;
  for (let run = 0; run < 300; run += 1) {
    const before = process.hrtime.bigint();
    Hl7Message.parse(text);
    best = Math.min(best, Number(process.hrtime.bigint() - before) / 1e3);
  }
  console.log(JSON.stringify({ peer: '@medplum/core', file: basename(path), micros: best, found: 0, of: 0 }));
}
