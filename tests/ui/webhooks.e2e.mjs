// The public example payloads of GitHub (npm @octokit/webhooks-examples), each kind of event, with right and wrong signatures, to a real panel.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import http from 'node:http';
import { join } from 'node:path';
import test from 'node:test';
import { binary, startPanel } from './panel.mjs';

/** @type {{ name: string, examples: any[] }[]} */
const events = createRequire(import.meta.url)('@octokit/webhooks-examples');

/** Over the panel's socket, as root. @param {string} socketPath @param {string} method @param {string} path @param {string} [body] @param {Record<string, string>} [headers] @returns {Promise<{ status: number, json: any }>} */
const call = (socketPath, method, path, body, headers = {}) => new Promise((done, fail) => {
  const request = http.request({ socketPath, method, path, headers: { 'content-type': 'application/json', ...headers } }, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => done({ status: answer.statusCode ?? 0, json: text ? JSON.parse(text) : null }));
  });
  request.on('error', fail);
  request.end(body);
});

test('GitHub’s own examples', { skip: binary() ? false : 'SERVERKIT_BIN names no binary' }, async (t) => {
  const panel = await startPanel();
  t.after(() => panel.stop());
  const socket = join(panel.folder, 'data/panel.sock');
  const api = (/** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ body) => call(socket, method, `/api/v1${path}`, body === undefined ? undefined : JSON.stringify(body));
  const claimed = await api('POST', '/setup', { token: panel.link.split('#')[1], email: 'ada@example.test', name: 'Ada', password: 'seven quiet otters swim north' });
  assert.equal(claimed.status, 201);
  await api('POST', '/apps', { name: 'blog', source: { kind: 'git', url: 'http://127.0.0.1:9/blog.git' }, deploy: false });
  const made = (await api('POST', '/apps/blog/webhook/rotate', {})).json;
  const path = new URL(made.url).pathname;
  const send = (/** @type {string} */ name, /** @type {string} */ id, /** @type {any} */ payload, /** @type {string} */ secret) => {
    const body = JSON.stringify(payload);
    return call(socket, 'POST', path, body, { 'x-github-event': name, 'x-github-delivery': id, 'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}` });
  };
  let sent = 0;
  /** @type {Map<string, number>} */ const decisions = new Map();
  for (const { name, examples } of events) {
    for (const [index, payload] of examples.entries()) {
      const id = `${name}-${index}`;
      const wrong = await send(name, id, payload, `${made.secret}x`);
      assert.deepEqual([wrong.status, wrong.json.decision], [401, 'bad_signature'], id);
      const right = await send(name, id, payload, made.secret);
      const push = name === 'push';
      const expected = name === 'ping' ? 'ping' : !push ? 'other_event' : payload.deleted ? 'deleted' : payload.ref.startsWith('refs/tags/') ? 'tag_filter' : ['deployed', 'unchanged'];
      assert.ok([expected].flat().includes(right.json.decision), `${id}: ${right.json.decision}, not ${expected}: ${right.json.why}`);
      assert.equal(right.status, right.json.decision === 'deployed' ? 202 : 200, id);
      assert.ok(right.json.why.length > 8, id);
      decisions.set(right.json.decision, (decisions.get(right.json.decision) ?? 0) + 1);
      sent += 1;
    }
  }
  assert.ok(sent > 100, `${sent} examples`);
  // The examples have one commit; once its deployment has failed, which may be soon, a push of it deploys again.
  assert.ok((decisions.get('deployed') ?? 0) >= 1, [...decisions.keys()].join());
  assert.ok(decisions.has('ping') && decisions.has('deleted') && decisions.has('tag_filter') && decisions.has('other_event'), [...decisions.keys()].join());
});
