import { useMutation } from 'urql';
import { SignOutDocument, type ViewerQuery } from './gql/graphql';
import { Picture } from './Picture';
import { Troubles } from './Troubles';

type Ended = { ended: (notice: string) => void };

/** Who is signed in, and the way out. */
export function Header({ viewer, ended }: { viewer: ViewerQuery['viewer'] | undefined } & Ended) {
  return (
    <header>
      {viewer?.picture && <Picture src={viewer.picture} size={48} />}
      <h1>{viewer?.name ?? 'Your identity'}</h1>
      {viewer && <SignOut ended={ended} />}
    </header>
  );
}

function SignOut({ ended }: Ended) {
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
