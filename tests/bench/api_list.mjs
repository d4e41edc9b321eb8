//! How long the API takes for its lists with 100 apps: 1,000 requests each, one after the other, on one connection.
//!
//!     node tests/bench/api_list.mjs [APPS]

import https from 'node:https';
import { OWNER, Panel, ask, line, quantile } from './panel.mjs';

const apps = Number(process.argv[2] ?? 100);
const REQUESTS = 1000;

const panel = await Panel.start();
try {
  panel.claim();
  for (let number = 0; number < apps; number += 1) {
    await panel.post('/api/v1/apps', {
      name: `app-${number}`, source: { kind: 'git', url: `https://git.example.test/app-${number}.git` }, domains: [`app-${number}.test`], deploy: false,
      variables: Array.from({ length: 10 }, (_, place) => ({ key: `KEY_${place}`, value: `value ${place}` })),
    });
  }
  const cookie = await signIn();
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
  for (const path of ['/api/v1/apps?limit=100', '/api/v1/domains?limit=100', '/api/v1/certificates?limit=100', '/api/v1/overview', '/api/v1/events/history?limit=100']) {
    const times = [];
    for (let number = 0; number < REQUESTS + 50; number += 1) {
      const answer = await ask(panel.panel, '127.0.0.1', path, { agent, headers: { cookie } });
      if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${answer.text}`);
      // The first ones warm the connection up.
      if (number >= 50) times.push(answer.ms);
    }
    line(`GET ${path}, ${apps} apps: median`, quantile(times, 0.5), 'ms');
    line(`GET ${path}, ${apps} apps: p99`, quantile(times, 0.99), 'ms', path.includes('apps') ? 10 : undefined);
  }
  agent.destroy();
} finally {
  await panel.end();
}

/** A browser's session, over TLS through the edge, as the panel itself asks. */
function signIn() {
  const body = JSON.stringify(OWNER);
  return new Promise((done, fail) => {
    const headers = { host: '127.0.0.1', 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = https.request({ host: '127.0.0.1', port: panel.panel, path: '/api/v1/session', method: 'POST', headers, servername: '', rejectUnauthorized: false }, (answer) => {
      answer.resume();
      if (answer.statusCode !== 201) fail(new Error(`sign-in: ${answer.statusCode}`));
      done((answer.headers['set-cookie'] ?? []).map((one) => one.split(';')[0]).join('; '));
    });
    request.on('error', fail);
    request.end(body);
  });
}
