// GraphiQL on the page: its examples, how it sends operations, and what it leaves open
// for people who have no mouse or do not see it.
import { ask, subscribe, unanswered } from './api.js';
import { byId, element } from './dom.js';
import { label } from './labels.js';

const { React, ReactDOM, GraphiQL } = window;

/** The examples, each { title, query, variables }. */
const examples = JSON.parse(byId('example-operations').textContent);

/**
 * Returns what to send and of which kind it is. GraphiQL itself finds out a moment after
 * something was typed, so the name that it gives may be that of an operation before.
 */
function whatIsRun({ operationName, ...operation }) {
  let operations = [];
  try {
    operations = GraphiQL.GraphQL.parse(operation.query).definitions.filter(({ kind }) => kind === 'OperationDefinition');
  } catch {
    return { operation, kind: 'query' }; // the API says what is wrong with it
  }
  const named = operations.find(({ name }) => name?.value === operationName);
  return { operation: named ? { operationName, ...operation } : operation, kind: (named ?? operations[0])?.operation };
}

/** Returns GraphiQL's fetcher, which tells the outcome how each operation went. */
function fetcherFor({ session, outcome, changed }) {
  let left = 0;
  session.addEventListener('leave', () => { left += 1; });
  return async (given, { headers } = {}) => {
    if (given.operationName === 'IntrospectionQuery') return ask(given, { headers });
    const { operation, kind } = whatIsRun(given);
    if (kind === 'subscription') {
      outcome.begin('Waiting for events.');
      return heard(subscribe(operation, { headers }), outcome);
    }
    outcome.begin();
    const before = left;
    const response = await ask(operation, { headers });
    if (left > before) return unanswered('Who had asked this has signed out meanwhile.');
    outcome.end(response);
    if (kind === 'mutation') changed();
    return response;
  };
}

/** Passes the responses on, and tells the outcome of each, and of the end of them. */
function heard(responses, outcome) {
  return {
    [Symbol.asyncIterator]() { return this; },
    async next() {
      const step = await responses.next();
      if (!step.done) outcome.end(step.value);
      return step;
    },
    return() {
      outcome.begin('Stopped.');
      return responses.return();
    },
  };
}

/** Whether the answer is that of the subscription: it says why they have left, and no more. */
const tellsTheEnd = (answer) => /^\s*{\s*"data": {\s*"sessionEnded"/.test(answer ?? '');

/** GraphiQL shows pictures that an answer links to, by requests that would leave the machine. */
function showNoPictures() {
  GraphiQL.React.ImagePreview.shouldRender = () => false;
}

/** Lets people without a mouse in and out of an editor, and those who do not see it know which it is. */
function reach(editor, name) {
  if (!editor || editor.getOption('screenReaderLabel') === name) return;
  editor.setOption('screenReaderLabel', name);
  editor.setOption('lineWrapping', true);
  // The Tab key leads out of it, as everywhere else on the page, and arrows scroll it.
  editor.setOption('extraKeys', { ...editor.getOption('extraKeys'), Tab: false, 'Shift-Tab': false });
  editor.getScrollerElement().tabIndex = 0;
}

/** The editors of the page. */
export class Editors {
  #context; // GraphiQL's, as it was last drawn
  #wanted = null; // the example that the next new tab is for
  #edited = 0; // when something was last typed

  /** Draws GraphiQL; changed() is called after each mutation. */
  constructor({ session, outcome, changed }) {
    showNoPictures();
    session.addEventListener('leave', () => this.#forget());
    const edit = () => { this.#edited = performance.now(); };
    const explorable = document.body.dataset.introspection === 'true';
    ReactDOM.createRoot(byId('playground')).render(React.createElement(GraphiQL, {
      fetcher: fetcherFor({ session, outcome, changed }),
      schema: explorable ? undefined : null,
      defaultTabs: examples.map(({ query, variables }) => ({ query, variables })),
      defaultQuery: '',
      shouldPersistHeaders: false, // they may hold a session
      onEditQuery: edit,
      onEditVariables: edit,
      onTabChange: edit,
    }, React.createElement(GraphiQL.Logo, {}, null), this.#footer(outcome)));
    this.#menu();
    label(byId('playground'));
  }

  /** Waits until GraphiQL has stored what was typed, which it does half a second later. */
  async settled() {
    const left = this.#edited + 700 - performance.now();
    await new Promise((resolve) => { setTimeout(resolve, Math.max(left, 0)); });
  }

  /** The outcome below the answer, and with it a look at GraphiQL's own state. */
  #footer(outcome) {
    const put = (node) => node?.append(outcome.element);
    const Footer = () => {
      this.#context = GraphiQL.React.useEditorContext({ nonNull: true });
      React.useEffect(() => this.#drawn());
      return React.createElement('div', { ref: put });
    };
    return React.createElement(GraphiQL.Footer, {}, React.createElement(Footer));
  }

  #drawn() {
    const { queryEditor, variableEditor, headerEditor, responseEditor } = this.#context;
    reach(queryEditor, 'Operations');
    reach(variableEditor, 'Variables');
    reach(headerEditor, 'Headers');
    reach(responseEditor, 'Answer');
    const example = this.#wanted;
    if (!example || !queryEditor || queryEditor.getValue() !== '') return;
    this.#wanted = null;
    queryEditor.setValue(example.query);
    variableEditor?.setValue(example.variables ?? '');
    queryEditor.focus();
  }

  /** Empties what may be of whoever has left: the answers of all tabs, and headers, which may hold a session. */
  #forget() {
    const { tabs, headerEditor, responseEditor } = this.#context;
    // GraphiQL itself changes no tab but the one that is open.
    for (const tab of tabs) Object.assign(tab, { headers: null, response: tellsTheEnd(tab.response) ? tab.response : null });
    if (!tellsTheEnd(responseEditor?.getValue())) responseEditor?.setValue('');
    headerEditor?.setValue('');
    for (const editor of [responseEditor, headerEditor]) editor?.clearHistory(); // which Ctrl-Z would bring back
  }

  #menu() {
    byId('examples').append(element('ul', {}, ...examples.map((example) => {
      const button = element('button', { textContent: example.title });
      button.addEventListener('click', () => {
        byId('examples').hidePopover();
        this.#open(example);
      });
      return element('li', {}, button);
    })));
  }

  /** Opens the example in the tab that has it still as it was, or in a new one. */
  #open(example) {
    const { tabs, changeTab, addTab, queryEditor } = this.#context;
    const at = tabs.findIndex(({ query }) => query === example.query);
    if (at >= 0) {
      changeTab(at);
      queryEditor.focus();
      return;
    }
    this.#wanted = example;
    addTab();
  }
}
