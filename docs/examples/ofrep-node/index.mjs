// npm install && KEY=… node index.mjs ada@acme.example
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

const { AT = 'http://localhost:8000', KEY } = process.env;
const headers = { Authorization: `Bearer ${KEY}` };
await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: AT, headers }));
const licet = OpenFeature.getClient();

const user = { targetingKey: process.argv[2] };
const email = await licet.getBooleanDetails('inbound-email-security', false, user);
console.log(email.value ? 'yes:' : 'no:', email.flagMetadata.message ?? email.errorMessage);

const mailboxes = await licet.getNumberValue('mailboxes', 0, user);
console.log('mailboxes:', mailboxes);
