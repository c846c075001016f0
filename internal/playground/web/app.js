// Who is signed in, signing out, and GraphiQL with a first query ready to run.
'use strict';

(() => {
  const endpoint = '/graphql';

  // GraphiQL's dialogs add a style element, which the page's policy allows by nonce.
  window.__webpack_nonce__ = document.currentScript.nonce;

  const firstQuery = `# Press the play button or Ctrl-Enter.
# What you have not consented to is null.
{
  viewer {
    name
    email
    connectedAccounts {
      nodes {
        type
        identifier
      }
    }
    authorization {
      scopes
    }
  }
  session {
    kind
  }
}
`;

  /** Sends one operation and returns its response, errors of HTTP included. */
  async function fetcher(operation, options = {}) {
    const response = await fetch(endpoint, {
      method: 'POST',
      credentials: 'same-origin',
      headers: {
        accept: 'application/graphql-response+json, application/json;q=0.9',
        'content-type': 'application/json',
        ...options.headers,
      },
      body: JSON.stringify(operation),
    });
    return response.json();
  }

  const element = (id) => document.getElementById(id);

  function show(id) {
    for (const other of ['signed-in', 'sign-in', 'sign-out']) {
      element(other).hidden = !id.includes(other);
    }
  }

  async function showWho() {
    const { data, errors } = await fetcher({ query: '{ viewer { id name } session { kind } }' });
    const viewer = data?.viewer;
    const again = errors?.some((error) => error.extensions?.code === 'REAUTHENTICATION_REQUIRED');
    if (again) {
      element('sign-in').textContent = 'Sign in again';
    }
    if (viewer) {
      element('signed-in').textContent = viewer.name ?? viewer.id;
      element('signed-in').title = viewer.id;
      show(again ? ['signed-in', 'sign-in', 'sign-out'] : ['signed-in', 'sign-out']);
    } else if (data?.session) {
      element('signed-in').textContent = 'Signed in';
      show(['signed-in', 'sign-in', 'sign-out']);
    } else {
      show(['sign-in']);
    }
  }

  function notSaid() {
    element('signed-in').textContent = 'The gateway does not answer.';
    show(['signed-in', 'sign-in']);
  }

  element('sign-out').addEventListener('click', async (event) => {
    event.currentTarget.disabled = true;
    try {
      const response = await fetch('/auth/logout', { method: 'POST', credentials: 'same-origin' });
      if (!response.ok) throw new Error(response.statusText);
      location.replace('/');
    } catch {
      element('sign-out').disabled = false;
      element('sign-out').textContent = 'Try to sign out again';
    }
  });

  const banner = element('banner');
  if (banner) {
    history.replaceState(null, '', '/'); // the error is not to come back with a reload
    element('dismiss').addEventListener('click', () => banner.remove());
  }

  showWho().catch(notSaid);

  ReactDOM.createRoot(element('playground')).render(
    React.createElement(GraphiQL, { fetcher, defaultQuery: firstQuery, shouldPersistHeaders: false }),
  );
})();
