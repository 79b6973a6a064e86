// npm fhir-kit-client against the running demo: metadata, search by POST with includes, read, history of one version, update with If-Match.
import * as kit from 'fhir-kit-client';

const Client = kit.default ?? kit.Client ?? kit.FhirClient;
const { SILTA_BASE: baseUrl, SILTA_BEARER: bearer, SILTA_PATIENT: patient } = process.env;
const fhir = new Client({ baseUrl, bearerToken: bearer });
let wrong = 0;
const check = (name, holds) => {
  if (!holds) wrong += 1;
  console.log(holds ? 'ok   ' : 'WRONG', name);
};
const refused = async (action) => {
  try {
    await action();
  } catch (error) {
    return { status: error.response?.status, issue: error.response?.data?.issue?.[0] };
  }
  return {};
};

const statement = await fhir.capabilityStatement();
check('metadata is R4', statement.resourceType === 'CapabilityStatement' && statement.fhirVersion === '4.0.1');

const bundle = await fhir.search({
  resourceType: 'CarePlan',
  searchParams: {
    'patient.identifier': patient,
    _include: 'CarePlan:activity-reference',
    '_revinclude:iterate': 'Task:focus',
  },
  options: { postSearch: true },
});
const entries = bundle.entry ?? [];
const types = entries.filter((e) => e.search.mode === 'include').map((e) => e.resource.resourceType);
check('a search by POST finds plans', entries.some((e) => e.search.mode === 'match' && e.resource.resourceType === 'CarePlan'));
check('with their orders and Tasks', types.includes('ServiceRequest') && types.includes('Task'));
check('and says who was asked', entries.at(-1).search.mode === 'outcome' && entries.at(-1).resource.resourceType === 'OperationOutcome');

const open = entries.map((e) => e.resource).find((r) => r.resourceType === 'ServiceRequest');
const order = await fhir.read({ resourceType: 'ServiceRequest', id: open.id });
check('an order is read', order.id === open.id && order.meta.versionId);

const task = entries.map((e) => e.resource).find((r) => r.resourceType === 'Task');
const current = await fhir.read({ resourceType: 'Task', id: task.id });
const version = await fhir.vread({ resourceType: 'Task', id: task.id, version: current.meta.versionId });
check('a version of a Task is read', version.meta.versionId === current.meta.versionId);

let answer = await refused(() => fhir.update({ resourceType: 'Task', id: task.id, body: current }));
check('an update without If-Match is 400 required', answer.status === 400 && answer.issue?.code === 'required');
answer = await refused(() =>
  fhir.update({ resourceType: 'Task', id: task.id, body: current, options: { headers: { 'If-Match': 'W/"0"' } } }),
);
check('an update of a stale version is 412 conflict', answer.status === 412 && answer.issue?.code === 'conflict');
answer = await refused(() => fhir.read({ resourceType: 'Task', id: 'none' }));
check('an unknown Task is 404 not-found', answer.status === 404 && answer.issue?.code === 'not-found');
answer = await refused(() => fhir.delete({ resourceType: 'Task', id: task.id }));
check('what is not permitted is refused', answer.status === 403 && answer.issue?.code === 'forbidden');
process.exit(wrong ? 1 : 0);
