// The playground: who is signed in, what they have consented to, and GraphiQL.
import { byId, notify } from './dom.js';
import { header } from './header.js';
import { ConsentPanel } from './consent.js';
import { Editors } from './editors.js';
import { Outcome } from './outcome.js';
import { Session } from './session.js';
import { SignIn } from './signin.js';

// GraphiQL's dialogs add a style element, which the page's policy allows by nonce.
window.__webpack_nonce__ = document.querySelector('script[nonce]').nonce;

/** By another name of this machine, 127.0.0.1 for localhost, no sign-in is seen: its cookie is not sent. */
function goHome() {
  const home = new URL(document.body.dataset.origin);
  const loopback = ({ hostname }) => ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
  if (home.origin === location.origin || home.port !== location.port || !loopback(home) || !loopback(location)) return false;
  location.replace(home);
  return true;
}

async function begin() {
  const session = new Session();
  const refresh = () => session.refresh();
  let editors;
  const signIn = new SignIn({ settled: () => editors.settled(), changed: refresh });
  const panel = new ConsentPanel({ session, signIn });
  const outcome = new Outcome({ session, panel, signIn });
  header({ session, signIn });
  editors = new Editors({ session, outcome, changed: refresh });

  // Whoever signed in elsewhere, or in a window that could not tell, is seen on coming back.
  window.addEventListener('focus', refresh);
  if (location.search) history.replaceState(null, '', '/'); // an error is not to come back with a reload
  const error = byId('notices').textContent.trim();
  if (error) notify(error, { alarm: true }); // it can be dismissed then
  if (document.body.dataset.introspection !== 'true') {
    notify('Introspection is turned off here (INTROSPECTION): there are no docs and no completion. Operations run.');
  }
  byId('playground').setAttribute('aria-label', 'Playground');
  await session.refresh();
}

if (!goHome()) begin();
