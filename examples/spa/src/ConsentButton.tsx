// Says what the user has not shared yet, and leads to where they can.
import { useQuery } from 'urql';
import { DialogButton } from './DialogButton';
import { ConsentDocument } from './gql/graphql';
import { here } from './signIn';
import { Troubles } from './Troubles';

export function ConsentButton({ missing }: { missing: string[] }) {
  return (
    <DialogButton label="Share more" title="What you would share">
      {() => <Missing scopes={missing} />}
    </DialogButton>
  );
}

function Missing({ scopes }: { scopes: string[] }) {
  const [{ data, error, fetching }, ask] = useQuery({ query: ConsentDocument, variables: { scopes, returnTo: here } });
  const url = data?.viewer?.authorization.consentUrl;
  return (
    <>
      <ul>
        {data?.scopes.filter(({ name }) => scopes.includes(name)).map(({ name, description }) => (
          <li key={name}><div>{description}<small>{name}</small></div></li>
        ))}
      </ul>
      <Troubles error={error} fetching={fetching} retry={ask} />
      {url && <a className="button" href={url}>Continue</a>}
    </>
  );
}
