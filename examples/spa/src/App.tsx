import { useEffect, useRef, useState } from 'react';
import { Provider, useQuery } from 'urql';
import { newClient } from './gateway';
import { ViewerDocument } from './gql/graphql';
import { Home } from './Home';
import { onPopupReturn, signInError } from './signIn';
import { SignInButtons } from './SignInButtons';
import { Troubles } from './Troubles';

/** Begins anew, with nothing kept, whenever the page may have become another user's. */
export function App({ notice }: { notice: string }) {
  const [visit, setVisit] = useState(() => ({ number: 0, client: newClient(), notice }));
  const begin = (notice: string) => setVisit(({ number }) => ({ number: number + 1, client: newClient(), notice }));
  useEffect(() => onPopupReturn((query) => begin(signInError(query))), []);
  return (
    <Provider key={visit.number} value={visit.client}>
      <Notice>{visit.notice}</Notice>
      <Visit ended={begin} />
    </Provider>
  );
}

/** Tells what has just happened, and takes the focus, which was on something that has gone. */
function Notice({ children }: { children: string }) {
  const notice = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (children) notice.current?.focus();
  }, [children]);
  return <p className="notice" role="status" tabIndex={-1} ref={notice}>{children}</p>;
}

function Visit({ ended }: { ended: (notice: string) => void }) {
  const [{ data, error }, ask] = useQuery({ query: ViewerDocument });
  const troubles = <Troubles error={error} retry={() => ask({ requestPolicy: 'network-only' })} />;
  if (data?.viewer) return <Home viewer={data.viewer} troubles={troubles} ended={ended} />;
  return (
    <main>
      <h1>Your identity</h1>
      {troubles}
      {data && <><p>Sign in to see what you share with this page.</p><SignInButtons /></>}
    </main>
  );
}
