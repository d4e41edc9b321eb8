// .env text to variables and back, for the raw editor. The panel's own import (variable_import) is the authority; this mirrors its rules:
// KEY=value, `export ` allowed, # comments, 'literal' and "with \n escapes", both over several lines. Pure; tested.

/** @typedef {{ key: string, value: string }} Pair */
/** @typedef {{ pairs: Pair[], errors: { line: number, message: string }[] }} Parsed */

/** @param {string} text @returns {Parsed} */
export function parseEnv(text) {
  /** @type {Pair[]} */
  const pairs = [];
  /** @type {Parsed['errors']} */
  const errors = [];
  const lines = text.replace(/^\uFEFF/, '').split(/\r?\n/);
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i];
    if (/^\s*(#|$)/.test(line)) continue;
    const found = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s?(.*)$/s.exec(line);
    if (!found) { errors.push({ line: i + 1, message: line.includes('=') ? 'the name may hold letters, digits and _ and starts with no digit' : 'expected KEY=value' }); continue; }
    const [, key, raw] = found;
    const rest = raw.trimStart();
    const quote = rest[0];
    if (quote === '"' || quote === "'") {
      const first = i;
      let body = rest.slice(1);
      let end = closing(body, quote);
      while (end < 0 && i + 1 < lines.length) { i += 1; body += `\n${lines[i]}`; end = closing(body, quote); }
      if (end < 0) { errors.push({ line: first + 1, message: `the ${quote} is never closed` }); i = first; continue; }
      const value = body.slice(0, end);
      if (!/^\s*(#.*)?$/.test(body.slice(end + 1))) { errors.push({ line: i + 1, message: 'there is something behind the closing quote' }); continue; }
      pairs.push({ key, value: quote === '"' ? unescape(value) : value });
    } else {
      pairs.push({ key, value: rest.replace(/(^|\s)#.*$/, '').trimEnd() });
    }
  }
  return { pairs, errors };
}

/** @param {string} body @param {string} quote */
function closing(body, quote) {
  for (let i = 0; i < body.length; i += 1) {
    if (quote === '"' && body[i] === '\\') { i += 1; continue; }
    if (body[i] === quote) return i;
  }
  return -1;
}

/** @param {string} text */
const unescape = (text) => text.replace(/\\([nrt"\\$])/g, (_, /** @type {string} */ c) => ({ n: '\n', r: '\r', t: '\t' }[c] ?? c));

/** One line of .env that `parseEnv` reads back to the same value. @param {Pair} pair */
export function printPair({ key, value }) {
  if (value === '') return `${key}=`;
  if (/^[A-Za-z0-9_./:@%+,=~?&*!^-]+$/.test(value)) return `${key}=${value}`;
  if (!/['\r\t\n\\]/.test(value)) return `${key}='${value}'`;
  return `${key}="${value.replace(/[\\"$]/g, (c) => `\\${c}`).replace(/\n/g, '\\n').replace(/\r/g, '\\r').replace(/\t/g, '\\t')}"`;
}

/** @param {Pair[]} pairs */
export const printEnv = (pairs) => pairs.map(printPair).join('\n') + (pairs.length ? '\n' : '');
