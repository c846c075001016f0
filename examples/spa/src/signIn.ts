// Sign-in goes by the gateway's pages and the provider's, and comes back to one of ours.
import { gateway } from './gateway';

/** Where sign-in comes back to. */
export const here = `${location.origin}/`;
const popupReturn = `${location.origin}/signed-in.html`;

export function loginUrl(returnTo: string) {
  return `${gateway}/auth/login?${new URLSearchParams({ return_to: returnTo })}`;
}

/** Signs in in a window of its own; where the browser does not open one, in this window. */
export function signInByPopup() {
  if (!window.open(loginUrl(popupReturn), 'sign-in', 'popup,width=480,height=720')) location.assign(loginUrl(here));
}

/**
 * Calls back with what the popup came back with, a query string. The popup tells it to every page of
 * this origin, since a provider may cut the line between a popup and its opener
 * (Cross-Origin-Opener-Policy).
 */
export function onPopupReturn(returned: (query: string) => void) {
  const channel = new BroadcastChannel('signed-in');
  channel.onmessage = ({ data }: MessageEvent<string>) => returned(data);
  return () => channel.close();
}

/**
 * Says why sign-in failed; '' where it did not. The words are ours: anybody can write a
 * link with an error_description.
 */
export function signInError(query: string) {
  switch (new URLSearchParams(query).get('error')) {
    case null: return '';
    case 'access_denied': return 'You declined, so nothing has changed.';
    case 'temporarily_unavailable': return 'Sign-in is not possible at the moment. Try again in a while.';
    default: return 'Sign-in did not work. Try again.';
  }
}

/** Says why the sign-in failed that has led here, and takes it out of the address. */
export function takeSignInError() {
  const error = signInError(location.search);
  if (error) history.replaceState(null, '', location.pathname);
  return error;
}
