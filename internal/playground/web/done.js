// The page that a sign-in in a window of its own ends on: it tells the playground, and
// closes itself as soon as the playground has heard.
import { channelName } from './signin.js';

const channel = new BroadcastChannel(channelName);
channel.addEventListener('message', ({ data }) => {
  if (data.heard) window.close();
});
const query = new URLSearchParams(location.search);
channel.postMessage({ done: true, mark: query.get('mark'), error: query.get('error') ?? '' });
