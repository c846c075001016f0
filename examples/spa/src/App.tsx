import { useEffect, useState } from 'react';
import { Provider, useQuery } from 'urql';
import { newClient } from './gateway';
import { ViewerDocument } from './gql/graphql';
import { Header } from './Header';
import { Home } from './Home';
import { Notice } from './Notice';
import { onPopupReturn, signInError } from './signIn';
import { SignInButtons } from './SignInButtons';
import { Troubles } from './Troubles';

/** Begins anew, with nothing kept, whenever the page may have become another user's. */
export function App({ notice }: { notice: string }) {
  const [visit, setVisit] = useState(() => ({ number: 0, client: newClient(), notice }));
  const next = (number: number, notice: string) => ({ number: number + 1, client: newClient(), notice });
  const begin = (notice: string) => setVisit(({ number }) => next(number, notice));
  // The end is told by the stream and by the mutation: whichever comes second is of a visit that is over.
  const end = (over: number, notice: string) => setVisit((now) => (now.number === over ? next(over, notice) : now));
  useEffect(() => onPopupReturn((query) => begin(signInError(query))), []);
  return (
    <Provider key={visit.number} value={visit.client}>
      <Visit notice={visit.notice} ended={(notice) => end(visit.number, notice)} />
    </Provider>
  );
}

function Visit({ notice, ended }: { notice: string; ended: (notice: string) => void }) {
  const [{ data, error, fetching }, ask] = useQuery({ query: ViewerDocument });
  const troubles = <Troubles error={error} fetching={fetching} retry={() => ask({ requestPolicy: 'network-only' })} />;
  const viewer = data?.viewer;
  return (
    <>
      <Header viewer={viewer} ended={ended} />
      <main aria-busy={fetching}>
        <Notice>{notice}</Notice>
        {viewer ? <Home viewer={viewer} troubles={troubles} ended={ended} /> : troubles}
        {viewer === null && <><p>Sign in to see what you share with this page.</p><SignInButtons /></>}
      </main>
    </>
  );
}
