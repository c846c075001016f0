// Uses the playground at an address that is not PUBLIC_URL, where no cookie of a sign-in
// comes. Usage: node playground-elsewhere.mjs gateway
import assert from 'node:assert/strict';
import { accessible, inBrowser } from './browser.mjs';
import { ask, open } from './playground-page.mjs';

const [, , base] = process.argv;

await inBrowser(async (context) => {
  const page = context.pages()[0];
  await open(page, base);
  await page.getByText('Nobody can sign in here: it works at https://gate.example.com alone').waitFor();
  assert.equal(await page.getByRole('link', { name: 'Go there' }).getAttribute('href'), 'https://gate.example.com');
  await accessible(page, 'by another name');
  assert.equal((await ask(page, '{ scopes { name } }')).data.scopes[0].name, 'openid');
});
