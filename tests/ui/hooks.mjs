// What the tests of webhooks share: a panel with an owner, and deliveries as each forge signs them.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { startPanel } from './panel.mjs';

const hmac = (/** @type {string} */ secret, /** @type {string} */ body) => createHmac('sha256', secret).update(body).digest('hex');

/** The headers of a delivery, by forge. @type {Record<string, (event: string, id: string, secret: string, body: string) => Record<string, string>>} */
const HEADERS = {
  github: (event, id, secret, body) => ({ 'x-github-event': event, 'x-github-delivery': id, 'x-hub-signature-256': `sha256=${hmac(secret, body)}` }),
  gitlab: (event, id, secret) => ({ 'x-gitlab-event': event, 'x-gitlab-event-uuid': id, 'x-gitlab-token': secret }),
  gitea: (event, id, secret, body) => ({ 'x-gitea-event': event, 'x-gitea-event-type': event, 'x-gitea-delivery': id, 'x-gitea-signature': hmac(secret, body), 'x-github-event': event, 'x-github-delivery': id, 'x-hub-signature-256': `sha256=${hmac(secret, body)}` }),
  forgejo: (event, id, secret, body) => ({ 'x-forgejo-event': event, 'x-forgejo-delivery': id, 'x-forgejo-signature': hmac(secret, body), ...HEADERS.gitea(event, id, secret, body) }),
  bitbucket: (event, id, secret, body) => ({ 'x-event-key': event, 'x-request-uuid': id, 'x-hook-uuid': '0b1f', 'x-attempt-number': '1', 'x-hub-signature': `sha256=${hmac(secret, body)}` }),
  'bitbucket data center': (event, id, secret, body) => ({ 'x-event-key': event, 'x-request-id': id, 'x-hub-signature': `sha256=${hmac(secret, body)}` }),
};

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

/** A panel with an owner. @param {import('node:test').TestContext} t */
export async function owned(t) {
  const panel = await startPanel();
  t.after(() => panel.stop());
  const socket = join(panel.folder, 'data/panel.sock');
  const api = async (/** @type {string} */ method, /** @type {string} */ path, /** @type {any} */ body) => {
    const answer = await call(socket, method, `/api/v1${path}`, body === undefined ? undefined : JSON.stringify(body));
    assert.ok(answer.status < 300, `${method} ${path}: ${answer.status} ${JSON.stringify(answer.json)}`);
    return answer.json;
  };
  await api('POST', '/setup', { token: panel.link.split('#')[1], email: 'ada@example.test', name: 'Ada', password: 'seven quiet otters swim north' });
  /** Answers how to send to the webhook of an app. @param {string} app @param {string} [forge] who sends */
  const hook = async (app, forge = 'github') => {
    const made = await api('POST', `/apps/${app}/webhook/rotate`, {});
    const path = new URL(made.url).pathname;
    /** First with a wrong signature, then with the right one. @param {string} name @param {string} id @param {string} body */
    return async (name, id, body) => {
      const signed = (/** @type {string} */ secret) => call(socket, 'POST', path, body, HEADERS[forge](name, id, secret, body));
      const wrong = await signed(`${made.secret}x`);
      assert.deepEqual([wrong.status, wrong.json.decision], [401, 'bad_signature'], id);
      const right = await signed(made.secret);
      assert.ok(right.json.why.length > 8, id);
      assert.equal(right.status, right.json.decision === 'deployed' ? 202 : right.json.decision === 'unreadable' ? 422 : 200, id);
      return right.json;
    };
  };
  return { api, hook };
}

/** A repository that never answers: what is deployed from it stays on its way, until the panel is to stop. @param {import('node:test').TestContext} t */
export async function silent(t) {
  /** @type {Set<import('node:net').Socket>} */ const lines = new Set();
  const server = createServer((line) => { lines.add(line); line.on('error', () => line.destroy()); });
  await new Promise((done) => { server.listen(0, '127.0.0.1', () => done(null)); });
  t.after(() => { lines.forEach((line) => line.destroy()); server.close(); });
  return `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}/hello.git`;
}
