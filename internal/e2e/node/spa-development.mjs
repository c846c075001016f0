// Signs in in the single-page app as its developers run it. Usage: node spa-development.mjs app
import { consent, inBrowser } from './browser.mjs';

const [, , app] = process.argv;

await inBrowser(async (context) => {
  const page = context.pages()[0];
  await page.goto(app);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await consent(page);
  await page.getByRole('heading', { name: 'Alice Example' }).waitFor();
  await page.getByText('alice@example.com').first().waitFor();
  await page.getByText('alice.eth').waitFor();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByText('You have signed out.').waitFor();
});
