// What the pages about domains and the edge compute.
import assert from 'node:assert/strict';
import test from 'node:test';
import { lib } from './helpers.mjs';

const domain = (/** @type {Partial<Record<string, any>>} */ more) => ({ host: 'a.test', requests: 0, statuses: [0, 0, 0, 0, 0], bytes_in: 0, bytes_out: 0, cache_hits: 0, cache_misses: 0, latency: [{ millis: 1, answers: 0 }, { millis: 10, answers: 0 }, { millis: null, answers: 0 }], ...more });
const at = (/** @type {number} */ seconds, /** @type {any[]} */ ...domains) => ({ at: seconds * 1000, report: { domains } });

test('rates are differences, also over a restart of the edge', async () => {
  const { points, grown } = await lib('traffic');
  const line = points([at(0, domain({ requests: 10 })), at(2, domain({ requests: 30, statuses: [0, 16, 0, 2, 2], bytes_out: 4096 })), at(4, domain({ requests: 6 })), at(6)], 'a.test');
  assert.deepEqual(line.map((/** @type {any} */ one) => one.requests), [10, 3, 0]);
  assert.deepEqual(line[0].statuses, [0, 8, 0, 1, 1]);
  assert.equal(line[0].bytesOut, 2048);
  assert.deepEqual(points([at(0), at(2, domain({ requests: 8 }))], 'a.test').map((/** @type {any} */ one) => one.requests), [4]);
  assert.deepEqual(points([at(0)], 'a.test'), []);
  const { pointNow, totals } = await lib('traffic');
  const two = [at(0, domain({ requests: 1 }), domain({ host: 'b.test', requests: 2 })), at(2, domain({ requests: 5 }), domain({ host: 'b.test', requests: 8, bytes_out: 20, statuses: [0, 0, 0, 0, 4] }))];
  assert.deepEqual(totals(two), [{ requests: 5, sent: 10, failed: 2 }]);
  assert.equal(pointNow(two, 'b.test').requests, 3);
  assert.equal(pointNow([], 'b.test'), undefined);
  assert.deepEqual([grown(undefined, 5), grown(3, 5), grown(9, 2)], [0, 2, 2]);
});
test('times are bounds of what was answered lately', async () => {
  const { latency, percentile, within } = await lib('traffic');
  const buckets = (/** @type {number[]} */ ...answers) => [1, 10, null].map((millis, index) => ({ millis, answers: answers[index] }));
  const samples = [at(0, domain({ latency: buckets(100, 0, 0) })), at(2, domain({ latency: buckets(101, 9, 0) }))];
  assert.equal(latency(samples, 'a.test', 50), 10);
  assert.equal(latency([samples[0], samples[0]], 'a.test', 50), 1, 'none lately: all');
  assert.equal(latency(samples, 'b.test', 50), null);
  assert.equal(percentile(buckets(0, 0, 4), 95), 10, 'those without a bound count as the last');
  assert.equal(percentile(buckets(0, 0, 0), 95), null);
  assert.deepEqual([within(10), within(null)], ['≤\u00a010ms', '–']);
});
test('public names', async () => {
  const { isPublic } = await lib('traffic');
  for (const host of ['example.com', 'a.b.example.org', '*.example.com', 'latest.io']) assert.ok(isPublic(host), host);
  for (const host of ['blog.localhost', 'localhost', 'a.test', 'x.internal', 'x.lan', '*.apps.local', '192.0.2.1', '2001:db8::1', 'x.home.arpa', 'host']) assert.ok(!isPublic(host), host);
});
test('rules in words', async () => {
  const { matchWords, actionWords } = await lib('traffic');
  const words = (/** @type {any} */ matches) => matchWords(matches).map((/** @type {any} */ one) => one.text);
  assert.deepEqual(words({}), ['every request']);
  assert.deepEqual(words({ path: { kind: 'any' } }), ['every request']);
  assert.deepEqual(words({ path: { kind: 'prefix', path: '/api' }, methods: ['GET', 'POST'], headers: [{ name: 'x-a', test: { kind: 'equals', value: '1' } }, { name: 'x-b', test: { kind: 'absent' } }] }), ['GET, POST', '/api/…', 'x-a: 1', 'no x-b']);
  assert.deepEqual(words({ path: { kind: 'exact', path: '/' } }), ['= /']);
  const to = (/** @type {any} */ action) => actionWords(action, (/** @type {string} */ id) => `app ${id}`, 'own');
  assert.equal(to({ kind: 'app' }), 'own');
  assert.deepEqual(matchWords({}, '^/old/'), [{ kind: 'path', text: '~ ^/old/' }]);
  assert.equal(to({ kind: 'app', service: { service: 'api', port: 8080 } }), 'own api');
  assert.equal(to({ kind: 'app', app: 'x', path: { strip_prefix: '/api', rewrite: { pattern: 'a', to: '/b' } } }), 'app x, without /api, path becomes /b');
  assert.equal(to({ kind: 'redirect', to: '/new', status: 301 }), '301 to /new');
  assert.equal(to({ kind: 'origin', origin: { kind: 'host', host: '10.0.0.1', port: 80 } }), '10.0.0.1:80');
  assert.equal(to({ kind: 'origin', origin: { kind: 'socket', path: '/run/a.sock' } }), '/run/a.sock');
  assert.equal(to({ kind: 'respond', status: 204 }), 'answers 204');
});
test('a rule survives its form', async () => {
  const { ruleValues, ruleWish } = await lib('traffic');
  const base = { name: 'a', priority: 20, enabled: true };
  for (const rule of [
    { ...base, matches: { path: { kind: 'prefix', path: '/api' }, methods: ['GET'], headers: [{ name: 'x-a', test: { kind: 'contains', value: 'b' } }, { name: 'x-c', test: { kind: 'present' } }] }, action: { kind: 'app', app: 'app_1', path: { strip_prefix: '/api', rewrite: { pattern: '^/a', to: '/b' } } } },
    { ...base, enabled: false, matches: {}, action: { kind: 'app' } },
    { ...base, matches: {}, action: { kind: 'app', app: 'app_1', service: { service: 'api', port: 8080 } } },
    { ...base, matches: {}, action: { kind: 'origin', origin: { kind: 'host', host: '10.0.0.1', port: 8080 } } },
    { ...base, matches: {}, action: { kind: 'origin', origin: { kind: 'socket', path: '/run/a.sock' } } },
    { ...base, matches: { path: { kind: 'exact', path: '/x' } }, action: { kind: 'redirect', pattern: '^/(.*)$', to: '/y/$1', status: 308 } },
    { ...base, matches: {}, action: { kind: 'respond', status: 200, content_type: 'text/html', body: '<b>\n' } },
  ]) assert.deepEqual(ruleWish(ruleValues({ id: 'rul_1', policy: null, ...rule })), rule);
  const policy = { compression: true };
  assert.deepEqual(ruleWish(ruleValues({ id: 'rul_1', policy, ...base, matches: {}, action: { kind: 'app' } }), policy).policy, policy, 'its own policy stays');
  assert.deepEqual(ruleWish({ ...ruleValues(null), name: ' x ', path: '/api', kind: 'redirect', to: '/b' }), { name: 'x', priority: 0, enabled: true, matches: { path: { kind: 'prefix', path: '/api' } }, action: { kind: 'redirect', to: '/b', status: 302 } });
});
test('rules change places', async () => {
  const { moved } = await lib('traffic');
  assert.deepEqual(moved(['a', 'b', 'c'], 'c', -1), ['a', 'c', 'b']);
  assert.deepEqual(moved(['a', 'b', 'c'], 'a', 2), ['b', 'c', 'a']);
  assert.deepEqual(moved(['a', 'b'], 'a', -1), ['a', 'b']);
  assert.deepEqual(moved(['a'], 'z', 1), ['a']);
});
test('lists and headers as people write them', async () => {
  const { listOf, headersOf } = await lib('traffic');
  assert.deepEqual(listOf(' a, b\n\nc ,'), ['a', 'b', 'c']);
  assert.deepEqual(headersOf('X-A: 1\n\nno header\nCookie: a=b: c'), [{ name: 'X-A', value: '1' }, { name: 'Cookie', value: 'a=b: c' }]);
});
test('times and sizes are said whole', async () => {
  const { secondsOf, spanOf, sizeOf } = await lib('policy');
  for (const [text, seconds] of [['90', 90], ['90s', 90], ['15m', 900], ['2h', 7200], ['365d', 31_536_000], ['1.5h', 5400], ['', null], ['soon', null], ['-1', null]]) assert.equal(secondsOf(String(text)), seconds, String(text));
  for (const seconds of [0, 1, 59, 60, 61, 3600, 86_400, 63_072_000]) assert.equal(secondsOf(spanOf(seconds)), seconds);
  const { parseBytes } = await lib('format');
  for (const bytes of [1, 1000, 1024, 1536, 4 << 20, 10 * 1024 ** 3]) assert.equal(parseBytes(sizeOf(bytes)), bytes);
  assert.deepEqual([sizeOf(null), spanOf(null), sizeOf(64 << 20), spanOf(5400)], ['', '', '64 MiB', '90m']);
});
const FULL = {
  maintenance: { message: 'soon', allow: ['10.0.0.0/8'], retry_after_seconds: 60 }, access: { allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16', '::1/128'] },
  rate_limits: [{ name: 'a', key: { kind: 'header', name: 'x-key' }, requests: 5, period_seconds: 60, burst: 9, dry_run: true, exempt: ['127.0.0.1/32'] }],
  limits: { body_bytes: 1, response_seconds: 2, idle_seconds: 3 }, basic_auth: { realm: 'x', users: [{ name: 'ada' }] }, forward_auth: { url: 'https://auth.test/check', pass_headers: ['x-user'] },
  cors: { origins: ['https://a.test'], methods: ['PUT'], headers: ['x-a'], expose: ['x-b'], credentials: true, max_age_seconds: 5 },
  response_headers: { hsts: { max_age_seconds: 5, include_subdomains: true, preload: true }, content_security_policy: "default-src 'self'", set: { 'x-a': '1: 2' }, remove: ['server'] },
  compression: true, cache: { max_bytes: 1, max_object_bytes: 1, default_seconds: 1, stale_while_revalidate_seconds: 1, stale_if_error_seconds: 1 }, error_pages: [{ statuses: [404, 503], body: 'x\n', replace_app: true }],
  balancing: { kind: 'consistent_hash', key: { kind: 'cookie', name: 'id' } }, active_health: { probe: { kind: 'http', path: '/', status: 204 }, interval_seconds: 1, timeout_seconds: 1, healthy_after: 1, unhealthy_after: 1 }, ejection: { failures: 1, seconds: 1, max_percent: 50 },
  slow_start_seconds: 3, retries: { attempts: 1, on_unavailable: true }, upstream: { kind: 'https', name: 'inner.test', ca_pem: 'x\n' }, upstream_host: 'inner.test', proxy_protocol: 'v2', bandwidth: 1000,
};
test('a policy survives its forms, field by field', async () => {
  const { PARTS, changed, policyWords } = await lib('policy');
  let made = {};
  for (const part of Object.values(PARTS)) made = changed(made, part.to(part.of(FULL)));
  assert.deepEqual(made, FULL);
  let none = {};
  for (const part of Object.values(PARTS)) none = changed(none, part.to(part.of({})));
  assert.deepEqual(none, {}, 'what is off stays off');
  assert.deepEqual(changed(FULL, PARTS.cors.to({ ...PARTS.cors.of(FULL), on: false })), Object.fromEntries(Object.entries(FULL).filter(([name]) => name !== 'cors')));
  assert.deepEqual(policyWords({}), []);
  assert.equal(policyWords(FULL).length, 14);
});
test('presets of headers are known again', async () => {
  const { PARTS, HSTS, CSP } = await lib('policy');
  for (const { value } of HSTS.filter((/** @type {any} */ one) => one.value !== 'own')) for (const { value: csp } of CSP.filter((/** @type {any} */ one) => one.value !== 'own')) {
    const made = PARTS.headers.to({ ...PARTS.headers.of({}), hsts: value, csp });
    const again = PARTS.headers.of(made);
    assert.deepEqual([again.hsts, again.csp], [value, csp]);
  }
});
test('what a form of the policy refuses names its field', async () => {
  const { PARTS } = await lib('policy');
  const field = (/** @type {() => unknown} */ run) => { try { run(); } catch (error) { return Object.keys(/** @type {any} */ (error).fields)[0]; } return null; };
  const limit = { name: 'a', kind: 'address', header: '', requests: '5', period: '1m', burst: '', dry: false, exempt: '' };
  for (const [change, name] of /** @type {[any, string | null][]} */ ([[{}, null], [{ name: ' ' }, 'rate_limits[0].name'], [{ requests: 'many' }, 'rate_limits[0].requests'], [{ period: '' }, 'rate_limits[0].period'], [{ kind: 'header' }, 'rate_limits[0].header'], [{ burst: '-1' }, 'rate_limits[0].burst']])) {
    assert.equal(field(() => PARTS.rates.to({ limits: [{ ...limit, ...change }] })), name);
  }
  assert.equal(field(() => PARTS.limits.to({ body: 'big', response: '', idle: '', bandwidth: '' })), 'limits_body');
  assert.equal(field(() => PARTS.pages.to({ pages: [{ statuses: '200', body: '', replace: false }] })), 'error_pages[0].statuses');
  assert.equal(field(() => PARTS.headers.to({ ...PARTS.headers.of({}), set: 'no colon' })), 'response_headers_set');
  assert.equal(field(() => PARTS.password.to({ on: true, realm: 'x', users: [{ name: 'bob', password: '', known: false }] })), 'basic_auth_users');
  assert.deepEqual(PARTS.password.to({ on: true, realm: 'x', users: [{ name: 'ada', password: '', known: true }, { name: 'bob', password: 'p', known: false }] }), { basic_auth: { realm: 'x', users: [{ name: 'ada' }, { name: 'bob', password: 'p' }] } });
});
