// Uses the playground of a gateway that does not describe itself. Usage: node
// playground-mute.mjs gateway
import assert from 'node:assert/strict';
import { accessible, inBrowser } from './browser.mjs';
import { ask, open } from './playground-page.mjs';

const [, , base] = process.argv;

await inBrowser(async (context) => {
  const page = context.pages()[0];
  await open(page, base);
  await page.getByText('Introspection is turned off here').waitFor();
  assert.equal((await ask(page, '{ scopes { name } }')).data.scopes[0].name, 'openid');
  await accessible(page, 'without introspection');
});
