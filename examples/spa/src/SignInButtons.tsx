import { here, loginUrl, signInByPopup } from './signIn';

export function SignInButtons() {
  return (
    <p className="row">
      <a className="button" href={loginUrl(here)}>Sign in</a>
      <button type="button" onClick={signInByPopup}>Sign in in a new window</button>
    </p>
  );
}
