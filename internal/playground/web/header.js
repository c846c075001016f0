// The bar above the editors: who is signed in, and signing in and out.
import { byId, notify } from './dom.js';
import { loginAddress } from './signin.js';

function show(session) {
  const { viewer, session: live, stale, problem } = session;
  const who = byId('signed-in');
  who.hidden = !live && !problem;
  who.textContent = viewer?.name ?? viewer?.id ?? problem;
  who.title = viewer?.id ?? problem;
  const signIn = byId('sign-in');
  signIn.hidden = Boolean(live) && !stale;
  signIn.textContent = stale ? 'Sign in again' : 'Sign in';
  byId('sign-out').hidden = !live;
}

/** Shows who is signed in, and lets them sign in and out. */
export function header({ session, signIn }) {
  session.addEventListener('change', () => show(session));

  byId('sign-in').addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return; // for a tab of its own
    event.preventDefault();
    signIn.begin((returnTo) => loginAddress(returnTo));
  });

  byId('sign-out').addEventListener('click', async ({ currentTarget: button }) => {
    button.disabled = true;
    try {
      await session.signOut();
      byId('sign-in').focus();
    } catch {
      notify('You are still signed in: the gateway does not answer. Try again in a moment.', { alarm: true });
    }
    button.disabled = false;
  });
}
