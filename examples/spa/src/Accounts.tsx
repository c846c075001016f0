// A list that comes in pages. Each page is a query of its own, so all of them stay up to date.
import { useEffect, useRef, useState } from 'react';
import { useQuery } from 'urql';
import { AccountsDocument } from './gql/graphql';
import { Picture } from './Picture';
import { Troubles } from './Troubles';

const pageSize = 3;

export function Accounts() {
  const [cursors, setCursors] = useState<(string | null)[]>([null]);
  return (
    <section aria-labelledby="accounts">
      <h2 id="accounts">Connected accounts</h2>
      {cursors.map((after, i) => (
        <Page key={after} after={after} last={i === cursors.length - 1} more={(next) => setCursors([...cursors, next])} />
      ))}
    </section>
  );
}

type PageProps = { after: string | null; last: boolean; more: (after: string) => void };

function Page({ after, last, more }: PageProps) {
  const [{ data, error, fetching }, ask] = useQuery({ query: AccountsDocument, variables: { first: pageSize, after } });
  const page = data?.viewer?.connectedAccounts;
  const list = useRef<HTMLUListElement>(null);
  const arrived = after !== null && page !== undefined;
  useEffect(() => {
    if (arrived) list.current?.focus(); // the button that asked for it has gone
  }, [arrived]);
  return (
    <>
      <ul ref={list} tabIndex={-1} aria-label={after === null ? 'Accounts' : 'More accounts'}>
        {page?.nodes.map(({ id, icon, title, rawType, identifier }) => (
          <li key={id}>
            <Picture src={icon} size={32} />
            <div>{title ?? rawType}<small>{identifier}</small></div>
          </li>
        ))}
      </ul>
      {after === null && page?.nodes.length === 0 && <p>You share none.</p>}
      <Troubles error={error} fetching={fetching} retry={() => ask({ requestPolicy: 'network-only' })} />
      {last && page?.pageInfo.hasNextPage && page.pageInfo.endCursor && (
        <button type="button" onClick={() => more(page.pageInfo.endCursor!)}>More accounts</button>
      )}
    </>
  );
}
