// Where the gateway is, and how the app speaks with it.
import { persistedExchange } from '@urql/exchange-persisted';
import type { DocumentNode } from 'graphql';
import { cacheExchange, Client, fetchExchange } from 'urql';

export const gateway = (import.meta.env.VITE_GATEWAY ?? 'http://localhost:8080').replace(/\/+$/, '');

/** The name that generate.mjs gave to a document. */
export function idOf(document: DocumentNode) {
  return (document as DocumentNode & { __meta__: { hash: string } }).__meta__.hash;
}

/** Sends an operation's name, and never its text. */
const trusted = persistedExchange({
  enforcePersistedQueries: true,
  enableForMutation: true,
  preferGetForPersistedQueries: false, // what is in an address is in logs too
  generateHash: async (_, document) => idOf(document),
});

/** A client that knows nothing yet: there is one for each visit, since what it keeps is the user's. */
export function newClient() {
  return new Client({
    url: `${gateway}/graphql`,
    exchanges: [cacheExchange, ...(import.meta.env.PROD ? [trusted] : []), fetchExchange],
    fetchOptions: { credentials: 'include' }, // the session is a cookie of the gateway's
    preferGetMethod: false,
  });
}
