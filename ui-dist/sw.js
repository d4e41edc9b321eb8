// The service worker of the installed panel. It keeps nothing: every request goes to the panel, so no version can be stale.
// Only when the panel does not answer a page does it say so itself, instead of the browser's error.

const worker = /** @type {any} */ (self);
const AWAY = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>serverkit does not answer</title><meta name="color-scheme" content="dark light"><style>
body { margin: 0; min-height: 100dvh; display: grid; place-content: center; gap: 12px; padding: 24px; font: 15px/1.5 system-ui, sans-serif; text-align: center; background: #0d0f14; color: #e9eaf0; }
h1 { margin: 0; font-size: 20px; } p { margin: 0; max-width: 40ch; color: #a9adba; }
a { justify-self: center; margin-top: 8px; padding: 8px 18px; border-radius: 6px; background: #5b4be0; color: #fff; font-weight: 550; text-decoration: none; }
@media (prefers-color-scheme: light) { body { background: #fafafc; color: #1c1f27; } p { color: #565c6b; } }
</style></head><body><h1>The panel does not answer</h1><p>Check your connection, and whether serverkit runs on the server. Your apps are served without the panel too.</p><a href="">Try again</a></body></html>`;

worker.addEventListener('install', () => worker.skipWaiting());
worker.addEventListener('activate', (/** @type {any} */ event) => event.waitUntil((async () => {
  // The page is asked for while the worker wakes up.
  await worker.registration.navigationPreload?.enable();
  await worker.clients.claim();
})()));
worker.addEventListener('fetch', (/** @type {any} */ event) => {
  if (event.request.mode !== 'navigate') return;
  event.respondWith((async () => {
    try { return (await event.preloadResponse) ?? await fetch(event.request); } catch {
      return new Response(AWAY, { status: 503, headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'" } });
    }
  })());
});
