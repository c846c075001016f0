// GraphiQL 4.1 draws its tabs as tabs that hold two buttons each, which no screen reader
// can make sense of: what is within a tab is not told. They become a list of buttons, of
// which one is the current. React draws aria-selected anew whenever it changes.

function relabel(root) {
  for (const tab of root.querySelectorAll('.graphiql-tab[aria-selected]')) {
    const [choose, close] = tab.querySelectorAll('button');
    choose.setAttribute('aria-current', tab.getAttribute('aria-selected'));
    close?.setAttribute('aria-label', `Close ${choose.textContent}`);
    tab.removeAttribute('aria-selected');
    tab.removeAttribute('role');
  }
  root.querySelector('.graphiql-tabs[role="tablist"]')?.setAttribute('role', 'list');
  root.querySelector('#graphiql-session[role="tabpanel"]')?.setAttribute('role', 'group');
}

/** Gives the tabs within root names and roles, whenever they are drawn. */
export function label(root) {
  new MutationObserver(() => relabel(root)).observe(root, {
    childList: true, subtree: true, attributes: true, attributeFilter: ['aria-selected'],
  });
}
