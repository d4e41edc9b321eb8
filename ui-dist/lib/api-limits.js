// Rate limits of the panel's own API, as a form holds them and as the API takes them. Pure.
import { Problem } from './api.js';
import { secondsOf, spanOf } from './policy.js';

/** @typedef {import('./api.js').S<'ApiLimit'>} ApiLimit */
/** @typedef {{ name: string, class: ApiLimit['class'], path: string, per: ApiLimit['per'], requests: string, period: string, burst: string, dry: boolean }} Row */

/** @param {ApiLimit} limit @returns {Row} */
export const ruleOf = (limit) => ({ name: limit.name, class: limit.class, path: limit.path ?? '', per: limit.per, requests: String(limit.requests), period: spanOf(limit.period_seconds), burst: limit.burst ? String(limit.burst) : '', dry: Boolean(limit.dry_run) });

/** @param {string} text @param {string} field */
function whole(text, field) {
  if (!/^\d{1,9}$/.test(text.trim())) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a whole number', field });
  return Number(text);
}

/** @param {Row[]} rows @returns {ApiLimit[]} */
export const rulesOf = (rows) => rows.map((row, at) => {
  const period = secondsOf(row.period);
  if (!period) throw new Problem({ status: 422, code: 'invalid', detail: 'Use a time such as 30s, 15m or 2h', field: `rules[${at}].period_seconds` });
  return { name: row.name.trim(), class: row.class, ...(row.path.trim() ? { path: row.path.trim() } : {}), per: row.per, requests: whole(row.requests, `rules[${at}].requests`), period_seconds: period, burst: row.burst.trim() ? whole(row.burst, `rules[${at}].burst`) : 0, dry_run: row.dry };
});
