// The page that a popup comes back to: it tells the app, and goes.
new BroadcastChannel('signed-in').postMessage(location.search);
window.close();
