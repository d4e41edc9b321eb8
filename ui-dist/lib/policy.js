// What the edge does with a domain's requests, as forms hold it and as the API takes it. Pure; tested in tests/ui/unit.
//
// Each part has `of` (the policy as values of its form) and `to` (the fields of the policy that the values make; `null` is off). What is no number, size or time is found here, the rest is the API's to judge.
import { Problem } from './api.js';
import { bytes, parseBytes } from './format.js';
import { linesOf, listOf } from './traffic.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */
/** @typedef {S<'TrafficPolicy'>} Policy */
/** Fields of a policy that are set or, by null, taken away. @typedef {{ [K in keyof Policy]?: Policy[K] | null }} Change */

/** @param {string} field @param {string} message */
const wrong = (field, message) => new Problem({ status: 422, code: 'invalid', detail: message, field });

/** "90", "90s", "15m", "2h", "365d" → seconds; null when it is none. @param {string} text */
export function secondsOf(text) {
  const found = /^\s*(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?\s*$/i.exec(text);
  return found ? Math.round(Number(found[1]) * { s: 1, m: 60, h: 3600, d: 86_400 }[/** @type {'s'} */ ((found[2] ?? 's')[0].toLowerCase())]) : null;
}
/** 31536000 → "365d": the largest unit that says it whole. @param {number | null | undefined} seconds */
export function spanOf(seconds) {
  if (seconds == null) return '';
  for (const [size, unit] of /** @type {[number, string][]} */ ([[86_400, 'd'], [3600, 'h'], [60, 'm']])) if (seconds && seconds % size === 0) return `${seconds / size}${unit}`;
  return `${seconds}s`;
}
/** The size in the largest unit that says it whole, so that saving it again changes nothing. @param {number | null | undefined} value */
export function sizeOf(value) {
  if (value == null) return '';
  for (const [size, unit] of /** @type {[number, string][]} */ ([[1024 ** 4, 'TiB'], [1024 ** 3, 'GiB'], [1024 ** 2, 'MiB'], [1024, 'KiB']])) if (value && value % size === 0) return `${value / size} ${unit}`;
  return `${value} B`;
}

/** @param {string} text @param {string} field @param {number | undefined} [otherwise] what an empty text means; without it, it is wrong */
function whole(text, field, otherwise) {
  if (!text.trim() && otherwise !== undefined) return otherwise;
  if (!/^\d+$/.test(text.trim())) throw wrong(field, 'Use a whole number');
  return Number(text);
}
/** @param {string} text @param {string} field @param {number | null | undefined} [otherwise] @returns {any} */
function span(text, field, otherwise) {
  if (!text.trim() && otherwise !== undefined) return otherwise;
  const found = secondsOf(text);
  if (found == null) throw wrong(field, 'Use a time such as 30s, 15m, 2h or 365d');
  return found;
}
/** @param {string} text @param {string} field @param {number | null | undefined} [otherwise] @returns {any} */
function size(text, field, otherwise) {
  if (!text.trim() && otherwise !== undefined) return otherwise;
  const found = parseBytes(text);
  if (found == null) throw wrong(field, 'Use a size such as 512 KiB or 10 MiB');
  return found;
}
/** An object without what is null or empty; null when nothing is left. @template {Record<string, any>} T @param {T} fields @returns {any} */
function filled(fields) {
  const left = Object.entries(fields).filter(([, value]) => value != null && value !== '' && !(Array.isArray(value) && !value.length));
  return left.length ? Object.fromEntries(left) : null;
}

export const HSTS = [
  { value: 'off', label: 'Off', age: 0 }, { value: 'day', label: 'A day, to try it', age: 86_400 }, { value: 'year', label: 'A year', age: 31_536_000 },
  { value: 'preload', label: 'Two years, with subdomains, for browsers’ own lists', age: 63_072_000 }, { value: 'own', label: 'My own', age: 0 },
];
export const CSP = [
  { value: 'off', label: 'Off', text: '' },
  { value: 'self', label: 'Everything from this site only', text: "default-src 'self'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'" },
  { value: 'frame', label: 'Not inside other pages', text: "frame-ancestors 'none'" },
  { value: 'secure', label: 'Everything over HTTPS', text: 'upgrade-insecure-requests' },
  { value: 'own', label: 'My own', text: '' },
];

/** @param {S<'Hsts'> | null | undefined} hsts */
function hstsKind(hsts) {
  if (!hsts) return 'off';
  const { max_age_seconds: age, include_subdomains: sub = false, preload = false } = hsts;
  if (age === 63_072_000 && sub && preload) return 'preload';
  if (sub || preload) return 'own';
  return HSTS.find((one) => one.age && one.age === age && one.value !== 'preload')?.value ?? 'own';
}
/** "Name: value" lines as an object. @param {string} text */
function headerLines(text) {
  /** @type {Record<string, string>} */
  const out = {};
  for (const line of text.split('\n').map((one) => one.trim()).filter(Boolean)) {
    const colon = line.indexOf(':');
    if (colon < 1) throw wrong('response_headers_set', `“${line}” is not like Name: value`);
    out[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  return out;
}

export const PARTS = {
  maintenance: {
    of: (/** @type {Policy} */ p) => ({ on: Boolean(p.maintenance), message: p.maintenance?.message ?? '', allow: linesOf(p.maintenance?.allow), retry: p.maintenance?.retry_after_seconds ? spanOf(p.maintenance.retry_after_seconds) : '' }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ maintenance: v.on ? { message: v.message.trim(), allow: listOf(v.allow), retry_after_seconds: span(v.retry, 'maintenance_retry', 0) } : null }),
  },
  access: {
    of: (/** @type {Policy} */ p) => ({ allow: linesOf(p.access?.allow), deny: linesOf(p.access?.deny) }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ access: filled({ allow: listOf(v.allow), deny: listOf(v.deny) }) }),
  },
  password: {
    of: (/** @type {Policy} */ p) => ({ on: Boolean(p.basic_auth), realm: p.basic_auth?.realm ?? 'Private', users: p.basic_auth ? p.basic_auth.users.map((one) => ({ name: one.name, password: '', known: true })) : [{ name: '', password: '', known: false }] }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => {
      if (!v.on) return { basic_auth: null };
      const users = v.users.filter((/** @type {any} */ one) => one.name.trim() || one.password);
      const none = users.find((/** @type {any} */ one) => !one.known && !one.password);
      if (none) throw wrong('basic_auth_users', `${none.name} needs a password`);
      return { basic_auth: { realm: v.realm.trim(), users: users.map((/** @type {any} */ one) => ({ name: one.name.trim(), ...(one.password ? { password: one.password } : {}) })) } };
    },
  },
  forward: {
    of: (/** @type {Policy} */ p) => ({ on: Boolean(p.forward_auth), url: p.forward_auth?.url ?? '', pass: (p.forward_auth?.pass_headers ?? []).join(', ') }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ forward_auth: v.on ? { url: v.url.trim(), pass_headers: listOf(v.pass) } : null }),
  },
  rates: {
    of: (/** @type {Policy} */ p) => ({ limits: (p.rate_limits ?? []).map((one) => ({ name: one.name, kind: one.key.kind, header: one.key.name ?? '', requests: String(one.requests), period: spanOf(one.period_seconds), burst: one.burst ? String(one.burst) : '', dry: Boolean(one.dry_run), exempt: (one.exempt ?? []).join(', ') })) }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({
      rate_limits: v.limits.length ? v.limits.map((/** @type {any} */ one, /** @type {number} */ at) => {
        if (!one.name.trim()) throw wrong(`rate_limits[${at}].name`, 'Give it a name; its counters are shown under it');
        if (one.kind === 'header' && !one.header.trim()) throw wrong(`rate_limits[${at}].header`, 'Name the header');
        return { name: one.name.trim(), key: { kind: one.kind, ...(one.kind === 'header' ? { name: one.header.trim() } : {}) }, requests: whole(one.requests, `rate_limits[${at}].requests`), period_seconds: span(one.period, `rate_limits[${at}].period`), burst: whole(one.burst, `rate_limits[${at}].burst`, 0), dry_run: one.dry, exempt: listOf(one.exempt) };
      }) : null,
    }),
  },
  headers: {
    of: (/** @type {Policy} */ p) => {
      const r = p.response_headers ?? {};
      const csp = r.content_security_policy ?? '';
      return { hsts: hstsKind(r.hsts), age: r.hsts ? spanOf(r.hsts.max_age_seconds) : '365d', sub: r.hsts?.include_subdomains ?? false, preload: r.hsts?.preload ?? false, csp: csp ? CSP.find((one) => one.text === csp)?.value ?? 'own' : 'off', csp_text: csp, set: Object.entries(r.set ?? {}).map(([name, value]) => `${name}: ${value}`).join('\n'), remove: (r.remove ?? []).join(', ') };
    },
    /** @returns {Change} */
    to: (/** @type {any} */ v) => {
      const hsts = v.hsts === 'off' ? null : v.hsts === 'own' ? { max_age_seconds: span(v.age, 'response_headers_hsts'), include_subdomains: v.sub, preload: v.preload }
        : { max_age_seconds: HSTS.find((one) => one.value === v.hsts)?.age ?? 0, include_subdomains: v.hsts === 'preload', preload: v.hsts === 'preload' };
      const set = headerLines(v.set);
      return { response_headers: filled({ hsts, content_security_policy: v.csp === 'own' ? v.csp_text.trim() : CSP.find((one) => one.value === v.csp)?.text, set: Object.keys(set).length ? set : null, remove: listOf(v.remove) }) };
    },
  },
  cors: {
    of: (/** @type {Policy} */ p) => ({ on: Boolean(p.cors), origins: linesOf(p.cors?.origins), methods: (p.cors?.methods ?? []).join(', '), headers: (p.cors?.headers ?? []).join(', '), expose: (p.cors?.expose ?? []).join(', '), credentials: p.cors?.credentials ?? false, age: p.cors?.max_age_seconds ? spanOf(p.cors.max_age_seconds) : '' }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ cors: v.on ? { origins: listOf(v.origins), methods: listOf(v.methods).map((one) => one.toUpperCase()), headers: listOf(v.headers), expose: listOf(v.expose), credentials: v.credentials, max_age_seconds: span(v.age, 'cors_age', 0) } : null }),
  },
  compression: {
    of: (/** @type {Policy} */ p) => ({ on: Boolean(p.compression) }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ compression: v.on || null }),
  },
  cache: {
    of: (/** @type {Policy} */ p) => {
      const c = p.cache;
      return { on: Boolean(c), max: sizeOf(c?.max_bytes ?? 64 << 20), object: sizeOf(c?.max_object_bytes ?? 4 << 20), fresh: c?.default_seconds ? spanOf(c.default_seconds) : '', stale: c?.stale_while_revalidate_seconds ? spanOf(c.stale_while_revalidate_seconds) : '', failed: c?.stale_if_error_seconds ? spanOf(c.stale_if_error_seconds) : '' };
    },
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ cache: v.on ? { max_bytes: size(v.max, 'cache_max'), max_object_bytes: size(v.object, 'cache_object'), default_seconds: span(v.fresh, 'cache_fresh', 0), stale_while_revalidate_seconds: span(v.stale, 'cache_stale', 0), stale_if_error_seconds: span(v.failed, 'cache_failed', 0) } : null }),
  },
  limits: {
    of: (/** @type {Policy} */ p) => ({ body: sizeOf(p.limits?.body_bytes), response: spanOf(p.limits?.response_seconds), idle: spanOf(p.limits?.idle_seconds), bandwidth: sizeOf(p.bandwidth) }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ limits: filled({ body_bytes: size(v.body, 'limits_body', null), response_seconds: span(v.response, 'limits_response', null), idle_seconds: span(v.idle, 'limits_idle', null) }), bandwidth: size(v.bandwidth, 'bandwidth', null) }),
  },
  pages: {
    of: (/** @type {Policy} */ p) => ({ pages: (p.error_pages ?? []).map((one) => ({ statuses: one.statuses.join(', '), body: one.body, replace: Boolean(one.replace_app) })) }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({
      error_pages: v.pages.length ? v.pages.map((/** @type {any} */ one, /** @type {number} */ at) => {
        const statuses = listOf(one.statuses.replaceAll(' ', ','));
        if (!statuses.length || statuses.some((text) => !/^[45]\d\d$/.test(text))) throw wrong(`error_pages[${at}].statuses`, 'Use statuses from 400 to 599, with commas between them');
        return { statuses: statuses.map(Number), body: one.body, replace_app: one.replace };
      }) : null,
    }),
  },
  balancing: {
    of: (/** @type {Policy} */ p) => ({ kind: p.balancing?.kind ?? 'round_robin', key: p.balancing?.key?.kind ?? 'address', name: p.balancing?.name ?? p.balancing?.key?.name ?? '', slow: p.slow_start_seconds ? spanOf(p.slow_start_seconds) : '', attempts: p.retries?.attempts ? String(p.retries.attempts) : '', unavailable: p.retries?.on_unavailable ?? false }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({
      balancing: v.kind === 'round_robin' ? null : { kind: v.kind, ...(v.kind === 'sticky_cookie' ? { name: v.name.trim() || 'sk-upstream' } : {}), ...(v.kind === 'consistent_hash' ? { key: { kind: v.key, ...(v.key === 'header' || v.key === 'cookie' ? { name: v.name.trim() } : {}) } } : {}) },
      slow_start_seconds: span(v.slow, 'slow_start_seconds', 0) || null, retries: filled({ attempts: whole(v.attempts, 'retries_attempts', 0) || null, on_unavailable: v.unavailable || null }),
    }),
  },
  health: {
    of: (/** @type {Policy} */ p) => {
      const a = p.active_health;
      const e = p.ejection;
      return { on: Boolean(a), kind: a?.probe.kind ?? 'http', path: a?.probe.path ?? '/', status: a?.probe.status ? String(a.probe.status) : '', service: a?.probe.service ?? '', interval: spanOf(a?.interval_seconds ?? 10), timeout: spanOf(a?.timeout_seconds ?? 5), healthy: String(a?.healthy_after ?? 2), unhealthy: String(a?.unhealthy_after ?? 3), eject: Boolean(e), failures: String(e?.failures ?? 5), seconds: spanOf(e?.seconds ?? 30), share: String(e?.max_percent ?? 50) };
    },
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({
      active_health: v.on ? { probe: { kind: v.kind, ...(v.kind === 'http' ? { path: v.path.trim() || '/', ...(v.status.trim() ? { status: whole(v.status, 'active_health_status') } : {}) } : {}), ...(v.kind === 'grpc' ? { service: v.service.trim() } : {}) }, interval_seconds: span(v.interval, 'active_health_interval'), timeout_seconds: span(v.timeout, 'active_health_timeout'), healthy_after: whole(v.healthy, 'active_health_healthy'), unhealthy_after: whole(v.unhealthy, 'active_health_unhealthy') } : null,
      ejection: v.eject ? { failures: whole(v.failures, 'ejection_failures'), seconds: span(v.seconds, 'ejection_seconds'), max_percent: whole(v.share, 'ejection_share') } : null,
    }),
  },
  upstream: {
    of: (/** @type {Policy} */ p) => ({ kind: p.upstream?.kind ?? 'http', name: p.upstream?.name ?? '', ca: p.upstream?.ca_pem ?? '', host: p.upstream_host ?? '', proxy: p.proxy_protocol ?? '' }),
    /** @returns {Change} */
    to: (/** @type {any} */ v) => ({ upstream: v.kind === 'http' ? null : { kind: v.kind, ...(v.kind === 'https' ? { name: v.name.trim(), ...(v.ca.trim() ? { ca_pem: v.ca.trim() + '\n' } : {}) } : {}) }, upstream_host: v.host.trim() || null, proxy_protocol: v.proxy || null }),
  },
};

/** A policy with a change in it; what is off is left out. @param {Policy} policy @param {Change} change @returns {Policy} */
export const changed = (policy, change) => Object.fromEntries(Object.entries({ ...policy, ...change }).filter(([, value]) => value != null));

/** What a policy does, in a few words each. @param {Policy | null | undefined} policy @returns {string[]} */
export function policyWords(policy) {
  if (!policy) return [];
  const p = policy;
  return [
    p.maintenance && 'maintenance', p.access && 'addresses', p.basic_auth && 'password', p.forward_auth && 'asks a server',
    p.rate_limits?.length && `${p.rate_limits.length} rate ${p.rate_limits.length === 1 ? 'limit' : 'limits'}`, p.response_headers && 'headers', p.cors && 'CORS', p.compression && 'compression',
    p.cache && `cache ${bytes(p.cache.max_bytes ?? 64 << 20)}`, (p.limits || p.bandwidth) && 'limits', p.error_pages?.length && 'error pages', (p.balancing || p.retries) && 'balancing', (p.active_health || p.ejection) && 'health checks', (p.upstream || p.upstream_host || p.proxy_protocol) && 'upstream',
  ].filter((one) => typeof one === 'string');
}
