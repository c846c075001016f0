// What a user sees who is signed in.
import type { ReactNode } from 'react';
import { useMutation } from 'urql';
import { Accounts } from './Accounts';
import { SignOutDocument, type ViewerQuery } from './gql/graphql';
import { useSessionEnd } from './sessionEnd';
import { Sessions } from './Sessions';
import { Troubles } from './Troubles';

type Props = { viewer: NonNullable<ViewerQuery['viewer']>; troubles: ReactNode; ended: (notice: string) => void };

export function Home({ viewer, troubles, ended }: Props) {
  useSessionEnd(ended);
  return (
    <>
      <header>
        {viewer.picture && <img src={viewer.picture} alt="" width="48" height="48" />}
        <h1>{viewer.name ?? 'Your identity'}</h1>
        <SignOut ended={ended} />
      </header>
      <main>
        <section aria-labelledby="you">
          <h2 id="you">You</h2>
          <dl>
            <div><dt>Identity</dt><dd>{viewer.id}</dd></div>
            {viewer.email && <div><dt>E-mail</dt><dd>{viewer.email}</dd></div>}
          </dl>
          {troubles}
        </section>
        <Accounts />
        <Sessions />
      </main>
    </>
  );
}

function SignOut({ ended }: { ended: (notice: string) => void }) {
  const [{ error, fetching }, signOut] = useMutation(SignOutDocument);
  const leave = async () => {
    const { data } = await signOut({});
    if (data) ended('You have signed out.');
  };
  return (
    <>
      <button type="button" onClick={leave} disabled={fetching}>Sign out</button>
      <Troubles error={error} />
    </>
  );
}
