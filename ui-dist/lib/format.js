// Numbers, times and sizes in words. Pure; tested in tests/ui/unit.

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Splits bytes into number and unit by powers of 1024: 1536 → ['1.5', 'KiB'].
 * @param {number | null | undefined} bytes @returns {[string, string]} */
export function bytesParts(bytes) {
  if (bytes == null || !Number.isFinite(bytes)) return ['–', ''];
  let value = Math.abs(bytes);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  // 1023.97 KiB would print as "1024 KiB".
  if (unit > 0 && Math.round(value) >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return [(bytes < 0 ? '-' : '') + trim(value.toFixed(digits)), UNITS[unit]];
}

/** @param {number | null | undefined} value */
export const bytes = (value) => bytesParts(value).join('\u00a0').trim();

/** @param {number | null | undefined} value bytes a second */
export const rate = (value) => (value == null ? '–' : `${bytes(value)}/s`);

/** @param {number | null | undefined} share 0.0 to 1.0 */
export function percent(share) {
  if (share == null || !Number.isFinite(share)) return '–';
  const value = share * 100;
  return `${value >= 10 || value === 0 ? Math.round(value) : trim(value.toFixed(1))}%`;
}

/** @param {number | null | undefined} value */
export const cores = (value) => (value == null ? '–' : value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2));

/** @param {number | null | undefined} value */
export function count(value) {
  if (value == null || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size >= 1e6) return `${trim((value / 1e6).toFixed(size >= 1e7 ? 0 : 1))}M`;
  if (size >= 1e4) return `${trim((value / 1e3).toFixed(size >= 1e5 ? 0 : 1))}k`;
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return trim(value.toFixed(size >= 10 ? 1 : 2));
}

/** A whole number with its noun: plural(1, 'app') → "1 app". @param {number} n @param {string} noun @param {string} [many] */
export const plural = (n, noun, many = `${noun}s`) => `${String(n).replace(/\B(?=(\d{3})+$)/g, ',')}\u00a0${n === 1 ? noun : many}`;

const trim = (/** @type {string} */ text) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);

/** 83_000 → "1m 23s". @param {number | null | undefined} ms */
export function duration(ms) {
  if (ms == null || !Number.isFinite(ms)) return '–';
  const value = Math.max(0, ms);
  if (value < 1000) return `${Math.round(value)}ms`;
  if (value < 9950) return `${(value / 1000).toFixed(1)}s`;
  const seconds = Math.round(value / 1000);
  if (seconds < 60) return `${seconds}s`;
  const pair = (/** @type {number} */ big, /** @type {string} */ b, /** @type {number} */ small, /** @type {string} */ s) => (small ? `${big}${b} ${small}${s}` : `${big}${b}`);
  if (seconds < 3600) return pair(Math.floor(seconds / 60), 'm', seconds % 60, 's');
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return pair(Math.floor(minutes / 60), 'h', minutes % 60, 'm');
  const hours = Math.floor(minutes / 60);
  return pair(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

/** "just now", "3 min ago", "in 2 days". @param {string | number | null | undefined} at @param {number} now ms */
export function relative(at, now) {
  const time = millis(at);
  if (time == null) return 'never';
  const ahead = time - now;
  const size = Math.abs(ahead);
  if (size < 10_000) return 'just now';
  const [value, unit] =
    size < 60_000 ? [size / 1000, 's'] :
    size < 3_600_000 ? [size / 60_000, 'min'] :
    size < 86_400_000 ? [size / 3_600_000, 'h'] :
    size < 60 * 86_400_000 ? [size / 86_400_000, 'd'] :
    size < 730 * 86_400_000 ? [size / (30.44 * 86_400_000), 'mo'] : [size / (365.25 * 86_400_000), 'y'];
  const text = `${Math.max(1, Math.floor(value))} ${unit}`;
  return ahead > 0 ? `in ${text}` : `${text} ago`;
}

/** @param {string | number | null | undefined} at RFC 3339 or ms */
export function millis(at) {
  if (at == null || at === '') return null;
  const time = typeof at === 'number' ? at : Date.parse(at);
  return Number.isFinite(time) ? time : null;
}

/** Made when it is first asked for. @template T @param {() => T} make @returns {() => T} */
export function later(make) {
  /** @type {T | undefined} */
  let made;
  return () => (made ??= make());
}

// Each takes some milliseconds to make: not before the first painting, where nothing may need it.
const EXACT = later(() => new Intl.DateTimeFormat('en-GB', { year: 'numeric', month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short' }));
const DAY = later(() => new Intl.DateTimeFormat('en-GB', { year: 'numeric', month: 'short', day: 'numeric' }));
const CLOCK = later(() => new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' }));

/** @param {string | number | null | undefined} at */
export const exact = (at) => { const time = millis(at); return time == null ? 'never' : EXACT().format(time); };
/** @param {string | number | null | undefined} at */
export const day = (at) => { const time = millis(at); return time == null ? '–' : DAY().format(time); };
/** @param {string | number | null | undefined} at */
export const clock = (at) => { const time = millis(at); return time == null ? '' : CLOCK().format(time); };

/** The first 7 digits of a commit. @param {string | null | undefined} id */
export const shortCommit = (id) => (id ? id.slice(0, 7) : '');

/** "512m", "1.5 GiB", "2g" → bytes; null when it is not a size. A bare number counts MiB. @param {string} text */
export function parseBytes(text) {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(b|k|kb|kib|m|mb|mib|g|gb|gib|t|tb|tib)?\s*$/i.exec(text);
  if (!match) return null;
  const power = { b: 0, k: 1, m: 2, g: 3, t: 4 }[(match[2] ?? 'm')[0].toLowerCase()] ?? 2;
  return Math.round(Number(match[1]) * 1024 ** power);
}

/** A Git address without its scheme and password, for reading. @param {string} url */
export function gitName(url) {
  return url.replace(/^[a-z+]+:\/\//i, '').replace(/^[^@/]*@/, '').replace(/\.git$/, '');
}

/** What an agent string names: "Firefox on Linux". @param {string | null | undefined} agent */
export function agentName(agent) {
  if (!agent) return 'Unknown client';
  const browser = /Edg\//.test(agent) ? 'Edge' : /OPR\//.test(agent) ? 'Opera' : /Firefox\//.test(agent) ? 'Firefox' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : (/^[\w.-]+/.exec(agent) ?? ['Client'])[0];
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Windows/.test(agent) ? 'Windows' : /Mac OS X/.test(agent) ? 'macOS' : /Linux/.test(agent) ? 'Linux' : '';
  return system ? `${browser} on ${system}` : browser;
}

/** The API's sentences begin small, to follow a name; alone they begin large, but for a host, which keeps its letters. @param {string | null | undefined} text */
export const sentence = (text) => (text ? (/^\S+\.\S/.test(text) ? text : text.charAt(0).toUpperCase() + text.slice(1)) : '');

const COUNTRIES = later(() => new Intl.DisplayNames('en', { type: 'region' }));
/** "DE" → "Germany". @param {string} code */
export const countryName = (code) => { try { return COUNTRIES().of(code) ?? code; } catch { return code; } };
