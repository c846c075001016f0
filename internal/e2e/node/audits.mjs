// Runs every audit that graphql-http has for servers. Usage: node audits.mjs URL [cookie]
import assert from 'node:assert/strict';
import { serverAudits } from 'graphql-http';

const [, , url, cookie] = process.argv;
const fetchFn = (input, init) => fetch(input, cookie ? { ...init, headers: { ...init?.headers, cookie } } : init);

const audits = serverAudits({ url, fetchFn });
assert.equal(audits.length, 61);
const failed = [];
for (const audit of audits) {
  const { id, name, status, reason, response } = await audit.fn();
  if (status !== 'ok') failed.push(`${id} ${name}: ${status}, ${reason} (${response?.status})`);
}
assert.deepEqual(failed, []);
console.log(`${audits.length} audits are ok`);
