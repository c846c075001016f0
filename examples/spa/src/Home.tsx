// What a user sees who is signed in, until that ends.
import type { ReactNode } from 'react';
import { Accounts } from './Accounts';
import type { ViewerQuery } from './gql/graphql';
import { useSessionEnd } from './sessionEnd';
import { Sessions } from './Sessions';

type Props = { viewer: NonNullable<ViewerQuery['viewer']>; troubles: ReactNode; ended: (notice: string) => void };

export function Home({ viewer, troubles, ended }: Props) {
  useSessionEnd(viewer.id, ended);
  return (
    <>
      <section aria-labelledby="you">
        <h2 id="you">You</h2>
        <dl>
          <dt>Identity</dt>
          <dd>{viewer.id}</dd>
          {viewer.email && <><dt>E-mail</dt><dd>{viewer.email}</dd></>}
        </dl>
        {troubles}
      </section>
      <Accounts />
      <Sessions />
    </>
  );
}
