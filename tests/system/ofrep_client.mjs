// Asks for every flavour with the real client; prints what it was told as JSON. tests/system/test_standards.py runs it.
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const { AT, KEY } = process.env;
await OpenFeature.setProviderAndWait(
  new OFREPProvider({ baseUrl: AT, headers: { Authorization: `Bearer ${KEY}` } }),
);
OpenFeature.setLogger({ error() {}, warn() {}, info() {}, debug() {} });
const client = OpenFeature.getClient();
const feature = 'inbound-email-security';
const ada = { targetingKey: 'ada@acme.example' };
const told = {
  boolean: await client.getBooleanDetails(feature, false, ada),
  number: await client.getNumberDetails('mailboxes', -1, ada),
  string: await client.getStringDetails(`${feature}:reason`, '', ada),
  object: await client.getObjectDetails(`${feature}:decision`, {}, ada),
  denied: await client.getBooleanDetails(feature, true, { targetingKey: 'bob@poor.example' }),
  outright: await client.getBooleanDetails(feature, false, { targetingKey: 'x', customer: 'tenant:4711' }),
  unknown: await client.getBooleanDetails('teleportation', false, ada),
  mistyped: await client.getBooleanDetails('mailboxes', false, ada),
  nobody: await client.getBooleanDetails(feature, false, {}),
  malformed: await client.getBooleanDetails(feature, false, { targetingKey: 'a b' }),
};
console.log(JSON.stringify(told));
