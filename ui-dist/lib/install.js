// The panel as an app of its own: registers the worker, and keeps the browser's offer to install until somebody wants it.
import { signal } from './html.js';

/** Asks the browser to install the panel; `null` while it does not offer to. */
export const install = signal(/** @type {null | (() => Promise<void>)} */ (null));

addEventListener('beforeinstallprompt', (event) => {
  event.preventDefault();
  const offer = /** @type {Event & { prompt: () => Promise<unknown> }} */ (event);
  install.value = async () => { install.value = null; await offer.prompt(); };
});
addEventListener('appinstalled', () => { install.value = null; });

/** A browser refuses where it does not trust the certificate; then the panel stays a page. */
export const startWorker = () => navigator.serviceWorker?.register('/sw.js').catch(() => {});
