//! How fast the panel serves after its start, and how much memory it holds: empty, and with 100 running apps and
//! 1,000 domains. Needs root, an engine, and the image `tests/http` of tests/images.
//!
//!     node tests/bench/startup_memory.mjs [APPS] [DOMAINS]

import { Panel, ask, line, quantile, sleep } from './panel.mjs';

const apps = Number(process.argv[2] ?? 100);
const domains = Number(process.argv[3] ?? 1000);
const SETTLE = 10_000;

/** The median of five starts until `host` is answered over TLS. */
async function starts(panel, host, wanted) {
  const times = [];
  for (let round = 0; round < 5; round += 1) {
    await panel.stop();
    times.push(await panel.spawn(() => ask(panel.https, host, '/').then((answer) => answer.status === wanted, () => false)));
  }
  return quantile(times, 0.5);
}

const panel = await Panel.start();
try {
  panel.claim();
  await sleep(SETTLE);
  line('resident memory, no apps', panel.memory(), 'MB', 60);
  line('start to serving, no apps (404 page over TLS)', await starts(panel, 'nobody.test', 404), 'ms');

  const each = Math.ceil(domains / apps);
  let begun = performance.now();
  const made = [];
  for (let number = 0; number < apps; number += 1) {
    const hosts = Array.from({ length: each }, (_, place) => `d${place}.app-${number}.test`);
    made.push(await panel.post('/api/v1/apps', {
      name: `app-${number}`, source: { kind: 'image', reference: 'tests/http:latest' }, domains: hosts,
      limits: { memory_bytes: 64 << 20, cpu_millis: 200, pids: 50 },
    }));
  }
  line(`making ${apps} apps with ${apps * each} domains by the API`, (performance.now() - begun) / 1000, 's');
  for (const app of made) {
    const { items } = await panel.get(`/api/v1/apps/${app.id}/deployments?limit=1`);
    await panel.live(items[0].id);
  }
  line(`until all ${apps} are live`, (performance.now() - begun) / 1000, 's');
  const last = `d${each - 1}.app-${apps - 1}.test`;
  for (;;) {
    const { items } = await panel.get('/api/v1/certificates?limit=500');
    const answer = await ask(panel.https, last, '/').catch(() => ({ status: 0 }));
    if (answer.status === 200 && items.every((one) => one.state === 'valid')) break;
    await sleep(200);
  }
  await sleep(SETTLE);
  line(`resident memory after making them`, panel.memory(), 'MB');
  line(`start to serving, ${apps} apps, ${apps * each} domains (an app's 200)`, await starts(panel, last, 200), 'ms', 300);
  await sleep(SETTLE * 3);
  line(`resident memory, ${apps} apps, ${apps * each} domains, 40 s after a start`, panel.memory(), 'MB', 100);
} finally {
  await panel.end();
}
