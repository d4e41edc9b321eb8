// What the edge's counters say: rates between two reports, times, and rules in words. Pure; tested in tests/ui/unit.
import { duration } from './format.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */
/** @typedef {{ at: number, report: S<'EdgeReport'> }} Sample `at` in ms */

/** The domains of a report by host: with a thousand of them, looking through the list for each would take longer than drawing. @type {WeakMap<object, Map<string, S<'EdgeDomain'>>>} */
const indexes = new WeakMap();
/** @param {S<'EdgeReport'> | undefined} report @param {string} host @returns {S<'EdgeDomain'> | undefined} */
export function domainOf(report, host) {
  if (!report) return undefined;
  let index = indexes.get(report);
  if (!index) indexes.set(report, (index = new Map(report.domains.map((one) => [one.host, one]))));
  return index.get(host);
}

/** How far a counter came. One that is smaller than before has begun anew, with the edge. @param {number | undefined} before @param {number} now */
export const grown = (before, now) => (before == null ? 0 : now >= before ? now - before : now);

/** The bound below which `percent` of 100 answers stayed; null without answers. @param {{ millis?: number | null, answers: number }[]} counts @param {number} percent */
export function percentile(counts, percent) {
  const all = counts.reduce((sum, one) => sum + one.answers, 0);
  if (!all) return null;
  let sum = 0;
  /** @type {number | null} */
  let last = null;
  for (const { millis, answers } of counts) {
    last = millis ?? last;
    sum += answers;
    if (sum >= Math.ceil((all * percent) / 100)) break;
  }
  return last;
}

/** @typedef {{ at: number, requests: number, bytesIn: number, bytesOut: number, statuses: number[], hits: number, misses: number }} Point all a second */
/** Rates between neighbours, one fewer than samples. A domain that is not in a report had no requests. @param {Sample[]} samples @param {string} host @returns {Point[]} */
export function points(samples, host) {
  const found = samples.map(({ at, report }) => ({ at, domain: domainOf(report, host) }));
  return found.slice(1).map(({ at, domain }, index) => {
    const before = found[index];
    const seconds = Math.max(0.001, (at - before.at) / 1000);
    // What a domain had at its first request counts from nothing.
    const rate = (/** @type {(one: S<'EdgeDomain'>) => number} */ of) => (domain ? grown(before.domain ? of(before.domain) : 0, of(domain)) / seconds : 0);
    return {
      at, requests: rate((one) => one.requests), bytesIn: rate((one) => one.bytes_in), bytesOut: rate((one) => one.bytes_out),
      statuses: [0, 1, 2, 3, 4].map((kind) => rate((one) => one.statuses[kind] ?? 0)),
      hits: rate((one) => one.cache_hits), misses: rate((one) => one.cache_misses),
    };
  });
}

/** What a host gets just now. @param {Sample[]} samples @param {string} host @returns {Point | undefined} */
export const pointNow = (samples, host) => points(samples.slice(-2), host).at(-1);

/** @type {WeakMap<object, { requests: number, sent: number, failed: number }>} */
const sums = new WeakMap();
/** @param {S<'EdgeReport'>} report */
function sumOf(report) {
  let sum = sums.get(report);
  if (!sum) {
    sum = { requests: 0, sent: 0, failed: 0 };
    for (const one of report.domains) { sum.requests += one.requests; sum.sent += one.bytes_out; sum.failed += one.statuses[4] ?? 0; }
    sums.set(report, sum);
  }
  return sum;
}
/** Rates over all domains between neighbours. @param {Sample[]} samples @returns {{ requests: number, sent: number, failed: number }[]} */
export const totals = (samples) => samples.slice(1).map(({ at, report }, index) => {
  const [before, now] = [sumOf(samples[index].report), sumOf(report)];
  const seconds = Math.max(0.001, (at - samples[index].at) / 1000);
  return { requests: grown(before.requests, now.requests) / seconds, sent: grown(before.sent, now.sent) / seconds, failed: grown(before.failed, now.failed) / seconds };
});

/** The time of the answers between the first and the last sample; of all answers when there were none between. @param {Sample[]} samples @param {string} host @param {number} percent @returns {number | null} */
export function latency(samples, host, percent) {
  const of = (/** @type {Sample | undefined} */ sample) => domainOf(sample?.report, host)?.latency;
  const [first, last] = [of(samples[0]), of(samples.at(-1))];
  if (!last) return null;
  const between = last.map((one, index) => ({ millis: one.millis, answers: first ? grown(first[index]?.answers ?? 0, one.answers) : one.answers }));
  return percentile(between, percent) ?? percentile(last, percent);
}

/** "≤ 50ms": a bound, not a measure. @param {number | null | undefined} millis */
export const within = (millis) => (millis == null ? '–' : `≤\u00a0${duration(millis)}`);

/** Whether certificate authorities and public name servers can know the name. @param {string} host */
export function isPublic(host) {
  const name = host.replace(/^\*\./, '').replace(/\.$/, '').toLowerCase();
  if (/^[\d.]+$/.test(name) || name.includes(':') || !name.includes('.')) return false;
  return !/(^|\.)(test|localhost|internal|local|example|invalid|lan|onion|home\.arpa)$/.test(name);
}

/** Lines or words between commas as a list, without what is empty. @param {string} text */
export const listOf = (text) => text.split(/[\n,]/).map((one) => one.trim()).filter(Boolean);
/** @param {string[] | null | undefined} list */
export const linesOf = (list) => (list ?? []).join('\n');

/** What a rule looks at, in parts for chips. @param {S<'RequestMatch'> | null | undefined} matches @param {string | null} [pattern] of a redirect: a path that does not fit it is left to the next rule @returns {{ kind: 'path' | 'method' | 'header' | 'all', text: string }[]} */
export function matchWords(matches, pattern) {
  /** @type {ReturnType<typeof matchWords>} */
  const out = [];
  if (matches?.methods?.length) out.push({ kind: 'method', text: matches.methods.join(', ') });
  const path = matches?.path;
  if (path && path.kind !== 'any') out.push({ kind: 'path', text: path.kind === 'exact' ? `= ${path.path}` : `${String(path.path).replace(/\/$/, '')}/…` });
  if (pattern) out.push({ kind: 'path', text: `~ ${pattern}` });
  for (const { name, test } of matches?.headers ?? []) {
    out.push({ kind: 'header', text: { present: `${name} is there`, absent: `no ${name}`, equals: `${name}: ${test.value ?? ''}`, contains: `${name} has “${test.value ?? ''}”` }[test.kind] });
  }
  return out.length ? out : [{ kind: 'all', text: 'every request' }];
}

/** Where a rule leads, in words. @param {S<'RuleAction'>} action @param {(id: string) => string} appName the name of an app by its id @param {string} own the domain's own app */
export function actionWords(action, appName, own) {
  const change = [action.path?.strip_prefix ? `without ${action.path.strip_prefix}` : '', action.path?.rewrite ? `path becomes ${action.path.rewrite.to}` : ''].filter(Boolean).join(', ');
  const after = change ? `, ${change}` : '';
  switch (action.kind) {
    case 'redirect': return `${action.status ?? 302} to ${action.to ?? ''}`;
    case 'respond': return `answers ${action.status ?? 200}`;
    case 'split': {
      const all = (action.parts ?? []).reduce((sum, one) => sum + one.weight, 0) || 1;
      return (action.parts ?? []).map((one) => `${Math.round((one.weight / all) * 1000) / 10}% ${one.origin ? one.origin.path ?? `${one.origin.host}:${one.origin.port}` : `${one.app ? appName(one.app) : own}${one.service ? ` ${one.service.service}` : ''}`}`).join(', ') + after;
    }
    case 'origin': return `${action.origin?.kind === 'socket' ? action.origin.path ?? '' : `${action.origin?.host ?? ''}:${action.origin?.port ?? ''}`}${after}`;
    default: return `${action.app ? appName(action.app) : own}${action.service ? ` ${action.service.service}` : ''}${after}`;
  }
}

/** One of several apps; what leads to a server that the panel does not run is kept as it is. @typedef {{ app: string, service: string, port: string, weight: string, origin: S<'Origin'> | null }} PartRow */
/** @typedef {{ name: string, enabled: boolean, priority: number, path_kind: 'any' | 'prefix' | 'exact', path: string, methods: string[], headers: { name: string, kind: 'present' | 'absent' | 'equals' | 'contains', value: string }[],
 *   kind: 'app' | 'split' | 'origin' | 'redirect' | 'respond', app: string, service: string, port: string, parts: PartRow[], origin_kind: 'host' | 'socket', origin_host: string, origin_port: string, socket: string, strip: string, rewrite_pattern: string, rewrite_to: string,
 *   pattern: string, to: string, status: string, content_type: string, body: string }} RuleValues */

/** A rule as a form holds it. @param {S<'Rule'> | null} rule @returns {RuleValues} */
export function ruleValues(rule) {
  const action = rule?.action;
  return {
    name: rule?.name ?? '', enabled: rule?.enabled ?? true, priority: rule?.priority ?? 0,
    path_kind: rule ? rule.matches.path?.kind ?? 'any' : 'prefix', path: rule?.matches.path?.path ?? '',
    methods: rule?.matches.methods ?? [], headers: (rule?.matches.headers ?? []).map(({ name, test }) => ({ name, kind: test.kind, value: test.value ?? '' })),
    kind: action?.kind ?? 'app', app: action?.app ?? '', service: action?.service?.service ?? '', port: action?.service ? String(action.service.port) : '',
    parts: (action?.parts ?? [{ weight: 90 }, { weight: 10 }]).map((one) => ({ app: one.app ?? '', service: one.service?.service ?? '', port: one.service ? String(one.service.port) : '', weight: String(one.weight), origin: one.origin ?? null })),
    origin_kind: action?.origin?.kind ?? 'host', origin_host: action?.origin?.host ?? '', origin_port: action?.origin?.port ? String(action.origin.port) : '', socket: action?.origin?.path ?? '',
    strip: action?.path?.strip_prefix ?? '', rewrite_pattern: action?.path?.rewrite?.pattern ?? '', rewrite_to: action?.path?.rewrite?.to ?? '',
    pattern: action?.pattern ?? '', to: action?.to ?? '', status: action?.status ? String(action.status) : '',
    content_type: action?.content_type ?? '', body: action?.body ?? '',
  };
}

/** The rule that a form wishes for. What is not shown is not sent. @param {RuleValues} v @param {S<'TrafficPolicy'> | null} [policy] that of the rule, kept @returns {S<'RuleWish'>} */
export function ruleWish(v, policy = null) {
  /** @type {S<'RuleAction'>} */
  const action = { kind: v.kind };
  if (v.kind === 'app' || v.kind === 'split' || v.kind === 'origin') {
    const place = (/** @type {{ app: string, service: string, port: string }} */ one) => ({ ...(one.app ? { app: one.app } : {}), ...(one.service ? { service: { service: one.service, port: Number(one.port) } } : {}) });
    if (v.kind === 'app') Object.assign(action, place(v)); else if (v.kind === 'split') {
      action.parts = v.parts.map((one) => ({ weight: Number(one.weight), ...(one.origin ? { origin: one.origin } : place(one)) }));
    } else {
      action.origin = v.origin_kind === 'socket' ? { kind: 'socket', path: v.socket.trim() } : { kind: 'host', host: v.origin_host.trim(), port: Number(v.origin_port) };
    }
    const change = { ...(v.strip.trim() ? { strip_prefix: v.strip.trim() } : {}), ...(v.rewrite_pattern.trim() ? { rewrite: { pattern: v.rewrite_pattern.trim(), to: v.rewrite_to.trim() } } : {}) };
    if (Object.keys(change).length) action.path = change;
  } else if (v.kind === 'redirect') {
    Object.assign(action, { ...(v.pattern.trim() ? { pattern: v.pattern.trim() } : {}), to: v.to.trim(), status: Number(v.status || 302) });
  } else Object.assign(action, { status: Number(v.status || 200), content_type: v.content_type.trim() || 'text/plain; charset=utf-8', body: v.body });
  const headers = v.headers.filter((one) => one.name.trim()).map(({ name, kind, value }) => ({ name: name.trim(), test: { kind, ...(kind === 'equals' || kind === 'contains' ? { value } : {}) } }));
  return {
    name: v.name.trim(), priority: v.priority, enabled: v.enabled, action,
    matches: { ...(v.path_kind === 'any' ? {} : { path: { kind: v.path_kind, path: v.path.trim() } }), ...(v.methods.length ? { methods: v.methods } : {}), ...(headers.length ? { headers } : {}) },
    ...(policy ? { policy } : {}),
  };
}

/** Ids with one of them moved. @param {string[]} ids @param {string} id @param {number} by */
export function moved(ids, id, by) {
  const from = ids.indexOf(id);
  const to = Math.max(0, Math.min(ids.length - 1, from + by));
  if (from < 0 || from === to) return ids;
  const next = ids.filter((one) => one !== id);
  next.splice(to, 0, id);
  return next;
}

/** "Name: value" lines as headers for a question. @param {string} text @returns {{ name: string, value: string }[]} */
export const headersOf = (text) => text.split('\n').map((line) => line.trim()).filter((line) => /^[^:\s]+\s*:/.test(line)).map((line) => ({ name: line.slice(0, line.indexOf(':')).trim(), value: line.slice(line.indexOf(':') + 1).trim() }));
