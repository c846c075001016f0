// What makes elements, and finds them.

/** Returns the page's element with that id. */
export const byId = (id) => document.getElementById(id);

/** Returns a new element with these properties, attributes where the name has a hyphen, and children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes('-') || name === 'role') made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

let notices = 0;

/** Shows a notice above the editors, in the place of any other, and returns what takes it away. */
export function notify(text, { alarm = false, action } = {}) {
  notices += 1;
  const mine = notices;
  const dismiss = element('button', { className: 'button quiet', textContent: 'Dismiss' });
  dismiss.addEventListener('click', () => byId('notices').replaceChildren());
  byId('notices').replaceChildren(element('div', { className: alarm ? 'banner alarm' : 'banner' },
    element('p', { textContent: text }), ...(action ? [action] : []), dismiss));
  return () => {
    if (mine === notices) byId('notices').replaceChildren();
  };
}

/** Returns the text with the date and time in the reader's own way of writing them. */
export function when(date) {
  return new Date(date).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' });
}
