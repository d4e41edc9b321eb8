import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { lib, part } from './helpers.mjs';

test('events come whole however they are cut', async () => {
  const { parser } = await lib('events');
  const text = ': ping\r\n\r\nretry: 2000\n\nevent: metrics\ndata: {"a":1}\n\nid: evt_1\nevent: app_created\ndata: one\ndata: two\n\nid: evt_2\rdata: x\r\rdata: never ends';
  for (const size of [1, 2, 3, 7, 1000]) {
    /** @type {any[]} */
    const got = [];
    const read = parser((/** @type {any} */ one) => got.push(one));
    for (let at = 0; at < text.length; at += size) read(text.slice(at, at + size));
    assert.deepEqual(got, [{ event: 'metrics', id: null, data: '{"a":1}' }, { event: 'app_created', id: 'evt_1', data: 'one\ntwo' }, { event: 'message', id: 'evt_2', data: 'x' }], `cut by ${size}`);
  }
});
test('addresses match their page', async () => {
  const { match } = await lib('router');
  assert.deepEqual(match('/apps/:app/:tab?', '/apps/my%20app/logs'), { app: 'my app', tab: 'logs' });
  assert.deepEqual(match('/apps/:app/:tab?', '/apps/x'), { app: 'x' });
  assert.deepEqual(match('/', '/'), {});
  for (const [pattern, path] of [['/apps/:app/:tab?', '/apps'], ['/apps', '/apps/x'], ['/apps/:app', '/apps/%E0%A4%A'], ['/', '/x']]) assert.equal(match(pattern, path), null, path);
});
test('ANSI colours', async () => {
  const { runs, plain } = await lib('ansi');
  assert.deepEqual(runs('\u001b[1;31merror\u001b[0m ok'), [{ text: 'error', classes: 'a-1 a-bold' }, { text: ' ok', classes: '' }]);
  assert.deepEqual(runs('\u001b[38;5;196mred\u001b[39m'), [{ text: 'red', classes: 'a-9' }]);
  assert.deepEqual(runs('\u001b[38;2;10;220;10mg').map((/** @type {any} */ one) => one.classes), ['a-10']);
  assert.equal(plain('\u001b[2K10%\r50%\r100%\u001b]0;title\u0007'), '100%');
  assert.equal(plain('a\tb\u0000'), 'a    b');
  assert.deepEqual(runs(''), [{ text: '', classes: '' }]);
});
test('the palette finds words in any order', async () => {
  const { score } = await lib('fuzzy');
  assert.ok(score('deploy blog', 'Deploy blog') > score('deploy blog', 'blog: deployments'));
  assert.ok(score('logs api', 'shop-api: logs') !== null);
  assert.ok(score('dpl', 'Deploy') !== null);
  assert.equal(score('xyz', 'Deploy'), null);
});
test('command lines', async () => {
  const { splitWords, joinWords, nameFrom } = await lib('words');
  assert.deepEqual(splitWords(`node 'my server.js' --x="a b" \\"q`), ['node', 'my server.js', '--x=a b', '"q']);
  assert.equal(splitWords(`a 'b`), null);
  for (const words of [['a', 'b c', "it's", '', '$x', '"', 'ü;rm -rf']]) assert.deepEqual(splitWords(joinWords(words)), words);
  for (const [from, name] of [['https://github.com/you/My_App.git', 'my-app'], ['git@github.com:you/app.git', 'app'], ['ghcr.io/you/app:1.2', 'app'], ['redis:7.4-alpine', 'redis'], ['nginx', 'nginx'], ['localhost:5000/x/y', 'y'], ['app@sha256:abc', 'app'], ['', '']]) assert.equal(nameFrom(from), name, from);
});
test('steps of a deployment', async () => {
  const { stepsOf, certificateState } = await lib('states');
  const step = (/** @type {string} */ phase, end = true) => ({ phase, started_at: '2026-01-01T00:00:00Z', finished_at: end ? '2026-01-01T00:00:01Z' : null });
  const words = (/** @type {any} */ deployment, builds = true) => stepsOf(deployment, builds).map((/** @type {any} */ one) => `${one.phase}:${one.status}`).join(' ');
  assert.equal(words({ phase: 'fetching', steps: [step('queued'), step('fetching', false)] }), 'queued:done fetching:now building:next starting:next checking:next live:next');
  assert.equal(words({ phase: 'fetching', steps: [step('queued'), step('fetching', false)] }, false), 'queued:done fetching:now starting:next checking:next live:next');
  assert.equal(words({ phase: 'queued', cause: 'rollback', steps: [step('queued', false)] }), 'queued:now starting:next checking:next live:next');
  assert.equal(words({ phase: 'trying', steps: [step('checking'), step('trying', false)] }), 'checking:done trying:now live:next');
  assert.equal(words({ phase: 'failed', steps: [step('queued'), step('building'), step('failed')] }), 'queued:done building:bad failed:bad');
  assert.equal(words({ phase: 'live', steps: [step('queued'), step('live')] }), 'queued:done live:done');
  const now = Date.parse('2026-01-01T00:00:00Z');
  assert.deepEqual([['valid', '2026-03-01T00:00:00Z'], ['valid', '2026-01-09T00:00:00Z'], ['valid', '2025-12-31T00:00:00Z'], ['pending', null]].map(([state, not_after]) => certificateState({ state, not_after }, now)), ['valid', 'expiring', 'expired', 'pending']);
});
test('rows are filtered and sorted', async () => {
  const { arrange } = await part('parts/table');
  const rows = [{ n: 'b10' }, { n: 'b9' }, { n: 'A' }];
  assert.deepEqual(arrange(rows, '', (/** @type {any} */ r) => r.n, (/** @type {any} */ r) => r.n, false).map((/** @type {any} */ r) => r.n), ['A', 'b9', 'b10']);
  assert.deepEqual(arrange(rows, 'B 1', (/** @type {any} */ r) => r.n, undefined, false).map((/** @type {any} */ r) => r.n), ['b10']);
});
test('a request renews the session once, and sends the token of the new one', async () => {
  const { api, session, Problem } = await lib('api');
  /** @type {string[]} */
  const seen = [];
  session.value = { csrf: 'old', user: {}, expires_at: null };
  let fresh = false;
  const json = (/** @type {number} */ status, /** @type {unknown} */ body) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
  globalThis.fetch = /** @type {any} */ (async (/** @type {URL | string} */ url, /** @type {any} */ how = {}) => {
    const path = new URL(String(url), 'http://panel.test').pathname.replace('/api/v1', '');
    seen.push(`${how.method ?? 'GET'} ${path} ${how.headers?.['x-csrf-token'] ?? '-'} ${how.headers?.['idempotency-key']?.length ?? 0}`);
    if (path === '/session/refresh') { fresh = true; return json(200, { csrf: 'new', user: {}, expires_at: null }); }
    return fresh ? json(202, { id: 'dep_1' }) : json(401, { status: 401, code: 'unauthenticated', detail: 'the session has expired' });
  });
  await Promise.all([api.deploymentCreate('blog'), api.deploymentCreate('shop')]);
  assert.deepEqual(seen, ['POST /apps/blog/deployments old 32', 'POST /apps/shop/deployments old 32', 'POST /session/refresh - 0', 'POST /apps/blog/deployments new 32', 'POST /apps/shop/deployments new 32']);

  globalThis.fetch = /** @type {any} */ (async () => json(422, { status: 422, code: 'invalid', detail: 'name: no', field: 'name', errors: [{ field: 'name', message: 'no' }], request_id: 'req_1' }));
  await assert.rejects(api.projectCreate({ name: '!' }), (/** @type {any} */ error) => error instanceof Problem && error.fields.name === 'no' && error.requestId === 'req_1');
  globalThis.fetch = /** @type {any} */ (async () => { throw new TypeError('failed to fetch'); });
  await assert.rejects(api.appList(), (/** @type {any} */ error) => error.code === 'unreachable');
});
test('a tab does nothing in another organization than it shows', async () => {
  const { api, session } = await lib('api');
  const of = (/** @type {string} */ id) => ({ csrf: id, user: {}, organization: { id }, expires_at: null });
  const json = (/** @type {number} */ status, /** @type {unknown} */ body) => new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });
  /** @type {string[]} */
  const left = [];
  const before = globalThis.location;
  Object.defineProperty(globalThis, 'location', { configurable: true, value: { origin: 'http://panel.test', assign: (/** @type {string} */ to) => left.push(to) } });
  // With the word from before a change is refused, and an old cookie is renewed for the other one.
  for (const refused of [403, 401]) {
    /** @type {string[]} */
    const seen = [];
    session.value = of('org_a');
    globalThis.fetch = /** @type {any} */ (async (/** @type {URL | string} */ url, /** @type {any} */ how = {}) => {
      const path = new URL(String(url), 'http://panel.test').pathname.replace('/api/v1', '');
      seen.push(`${how.method ?? 'GET'} ${path}`);
      return path.startsWith('/session') ? json(200, of('org_b')) : json(refused, { status: refused, code: 'forbidden', detail: 'no' });
    });
    let settled = false;
    api.projectCreate({ name: 'stray' }).finally(() => { settled = true; });
    await new Promise((resolve) => { setTimeout(resolve, 20); });
    assert.deepEqual([settled, seen.filter((one) => one === 'POST /projects').length], [false, 1], seen.join(', '));
    assert.equal(session.value.organization.id, 'org_a');
  }
  assert.deepEqual(left, ['/', '/']);
  Object.defineProperty(globalThis, 'location', { configurable: true, value: before });
});
test('sparklines leave gaps where nothing was measured', async () => {
  const { sparkPaths } = await part('parts/tile');
  const { line, area } = sparkPaths([1, 2, null, 4, 5]);
  assert.equal(line.split('M').length - 1, 2);
  assert.equal(area.split('Z').length - 1, 2);
  assert.deepEqual(sparkPaths([null, 1]), { line: '', area: '' });
});
test('a search forgives what is mistyped', async () => {
  const { find, mistakes } = await lib('fuzzy');
  const all = ['WordPress wordpress blog cms', 'Grafana grafana monitoring', 'Gitea gitea git forge', 'PostgreSQL postgresql database', 'Uptime Kuma uptime-kuma monitoring', 'Redis redis cache'];
  const first = (/** @type {string} */ query) => find(query, all, (one) => one)[0]?.split(' ')[0];
  for (const [query, wanted] of [['wordpress', 'WordPress'], ['wordpres', 'WordPress'], ['wrodpress', 'WordPress'], ['wordprss', 'WordPress'], ['grafna', 'Grafana'], ['gtiea', 'Gitea'], ['postgre', 'PostgreSQL'], ['postgers', 'PostgreSQL'], ['kuma', 'Uptime'], ['up kuma', 'Uptime'], ['redis', 'Redis'], ['graf', 'Grafana'], ['monitoring grafana', 'Grafana'], ['uptimekuma', 'Uptime'], ['uptime-kuma', 'Uptime'], ['wordpress for us', 'WordPress'], ['redis thing', 'Redis']]) assert.equal(first(query), wanted, query);
  assert.deepEqual(find('monitoring', all, (one) => one).length, 2);
  assert.deepEqual(find('xyzzy', all, (one) => one), []);
  assert.equal(mistakes('ab', 'ba', 2), 1);
  assert.equal(mistakes('abc', 'abcdefg', 2), Infinity);
});
test('a prepared search finds the same again and again, among those that are wanted', async () => {
  const { find, searcher } = await lib('fuzzy');
  const all = ['Grafana dashboards monitoring', 'Uptime Kuma monitoring', 'Zabbix monitoring', 'Ärzte 数据库'];
  const search = searcher(all, (one) => one);
  for (const query of ['monitoring', 'grafan', 'uptimekuma', 'monitornig', 'zzz', 'ärzte', '数据', '  ']) assert.deepEqual(search(query), find(query, all, (one) => one), query);
  assert.deepEqual(search('monitoring', (one) => one.startsWith('Z')), ['Zabbix monitoring']);
  assert.deepEqual(search('monitroing', (one) => one.startsWith('U')), ['Uptime Kuma monitoring']);
});
test('a number that is none is told beside its field, and none is sent in its place', async () => {
  const { whole, amount } = await part('parts/field');
  assert.equal(whole(' 15 ', 'poll_seconds'), 15);
  assert.deepEqual(['0,5', '0.5', ' 2 '].map((text) => amount(text, 'cpu_millis', 'Use a number of cores')), [0.5, 0.5, 2]);
  const beside = (/** @type {() => unknown} */ read) => { try { read(); } catch (problem) { return /** @type {any} */ (problem).fields; } return null; };
  for (const text of ['', 'ten', '1.5', '-1', '1e9999']) assert.deepEqual(beside(() => whole(text, 'poll_seconds')), { poll_seconds: 'Use a whole number' }, text);
  for (const text of ['', 'half', '0', '-1', '1e9999', '1,000,5']) assert.deepEqual(beside(() => amount(text, 'cpu_millis', 'Use a number of cores')), { cpu_millis: 'Use a number of cores' }, text);
});
test('a sketch goes from who answers to what that one needs', async () => {
  const { rowsOf } = await part('parts/sketch');
  const service = (/** @type {string} */ name, /** @type {string[]} */ depends_on, main = false) => ({ name, image: 'a:1', main, ports: [], replicas: 1, once: false, depends_on });
  const names = (/** @type {{ name: string }[]} */ row) => row.map((one) => one.name).join(' ');
  const { rows, beside } = rowsOf([service('db', []), service('cache', ['db']), service('web', ['db', 'cache'], true), service('cron', ['web'])]);
  assert.deepEqual([rows.map(names), names(beside)], [['web', 'db cache'], 'cron']);
  assert.deepEqual(rowsOf([service('a', ['b'], true), service('b', ['a'])]).rows.map(names), ['a', 'b']);
  assert.deepEqual(rowsOf([]), { rows: [], beside: [] });
});
test('letters on a colour can be read', async () => {
  const { inkOn } = await part('parts/monogram');
  assert.equal(inkOn('#ffffff'), '#000');
  assert.equal(inkOn('#000000'), '#fff');
  assert.equal(inkOn('#21759b'), '#fff');
  assert.equal(inkOn('#ffdd00'), '#000');
});
test('a token is for kinds that the API knows', async () => {
  const { KINDS, changed } = await part('parts/token-kinds');
  const known = JSON.parse(readFileSync(new URL('../../../openapi.json', import.meta.url), 'utf8')).tags.map((/** @type {{ name: string }} */ tag) => tag.name.toLowerCase());
  // Setting up asks nobody who they are; settings and upgrades are for everything or nothing.
  const shown = [...KINDS.map((/** @type {string[]} */ [kind]) => kind), 'settings', 'setup', 'upgrades'];
  assert.deepEqual(shown.sort(), known.sort());
  assert.deepEqual(changed([], 'jobs', 'write', true), ['jobs:read', 'jobs:write']);
  assert.deepEqual(changed(['jobs:read', 'jobs:write', 'apps:read'], 'jobs', 'write', false), ['jobs:read', 'apps:read']);
  assert.deepEqual(changed(['jobs:read', 'jobs:write', 'apps:read'], 'jobs', 'read', false), ['apps:read']);
  assert.deepEqual(changed(['apps:read'], 'apps', 'read', true), ['apps:read']);
});
