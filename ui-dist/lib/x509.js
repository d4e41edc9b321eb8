// Reads certificates and keys in PEM far enough to say, before anything is sent, for whom and until when a certificate is and whether the key belongs to it.
// The API checks all of it again, and more. DER is read by X.690; certificates by RFC 5280, keys by RFC 5958, 8017 and 5915. Pure; tested in tests/ui/unit.
import { day } from './format.js';

/** @typedef {{ tag: number, start: number, end: number, from: number }} Node `from`: where its tag stands, `start` to `end`: its content */

/** @param {Uint8Array} bytes @param {number} at @returns {Node} */
function node(bytes, at) {
  let length = bytes[at + 1];
  let start = at + 2;
  if (length & 0x80) {
    const many = length & 0x7f;
    if (!many || many > 4) throw new Error('a length that is not DER');
    length = 0;
    for (let i = 0; i < many; i += 1) length = length * 256 + bytes[start + i];
    start += many;
  }
  if (!(start + length <= bytes.length)) throw new Error('it is cut short');
  return { tag: bytes[at], from: at, start, end: start + length };
}
/** @param {Uint8Array} bytes @param {Node} parent @returns {Node[]} */
function children(bytes, parent) {
  const out = [];
  for (let at = parent.start; at < parent.end;) { const one = node(bytes, at); out.push(one); at = one.end; }
  return out;
}
const hex = (/** @type {Uint8Array} */ bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
/** @param {Uint8Array} bytes @param {Node} one */
const content = (bytes, one) => hex(bytes.subarray(one.start, one.end));
/** @param {Uint8Array} bytes @param {Node} one */
const text = (bytes, one) => new TextDecoder('utf-8').decode(bytes.subarray(one.start, one.end));

/** The blocks of a PEM text: their label and their bytes; `null` for one that is not base64. @param {string} pem @returns {{ label: string, bytes: Uint8Array | null }[]} */
export function blocks(pem) {
  return [...pem.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g)].map(([, label, body]) => {
    try { return { label, bytes: Uint8Array.from(atob(body.replace(/^[\w-]+:.*$/gm, '').replace(/\s+/g, '')), (letter) => letter.charCodeAt(0)) }; } catch { return { label, bytes: null }; }
  });
}

/** UTCTime or GeneralizedTime (RFC 5280, 4.1.2.5). @param {Uint8Array} bytes @param {Node} one */
function time(bytes, one) {
  const raw = text(bytes, one);
  const full = one.tag === 0x17 ? `${Number(raw.slice(0, 2)) < 50 ? '20' : '19'}${raw}` : raw;
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?/.exec(full) ?? [];
  return Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s ?? 0));
}
const CN = '550403';
const ORGANIZATION = '55040a';
const SAN = '551d11';
const BASIC = '551d13';
/** The common name, else the organization. @param {Uint8Array} bytes @param {Node} one */
function person(bytes, one) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const set of children(bytes, one)) for (const pair of children(bytes, set)) { const [kind, value] = children(bytes, pair); found[content(bytes, kind)] = text(bytes, value); }
  return found[CN] ?? found[ORGANIZATION] ?? '';
}
/** @param {Uint8Array} raw */
function address(raw) {
  if (raw.length === 4) return raw.join('.');
  const parts = Array.from({ length: 8 }, (_, i) => ((raw[i * 2] << 8) | raw[i * 2 + 1]).toString(16));
  return parts.join(':').replace(/(^|:)0(:0)+(:|$)/, '::');
}

/** @typedef {{ subject: string, issuer: string, names: string[], from: number, to: number, key: string, ca: boolean, own: boolean }} Read `key`: what a private key must have in it, hex; `ca`: of an authority; `own`: signed by itself */
/** One certificate. Throws when it is none. @param {Uint8Array} bytes @returns {Read} */
export function readCertificate(bytes) {
  const tbs = children(bytes, node(bytes, 0))[0];
  let parts = children(bytes, tbs);
  if (parts[0].tag === 0xa0) parts = parts.slice(1);
  const [, , issuer, validity, subject, spki] = parts;
  const [from, to] = children(bytes, validity).map((one) => time(bytes, one));
  const names = [];
  let ca = false;
  const extensions = parts.find((one) => one.tag === 0xa3);
  for (const extension of extensions ? children(bytes, children(bytes, extensions)[0]) : []) {
    const fields = children(bytes, extension);
    if (content(bytes, fields[0]) === BASIC) ca = children(bytes, node(bytes, fields[fields.length - 1].start)).some((one) => one.tag === 0x01 && bytes[one.start] !== 0);
    if (content(bytes, fields[0]) !== SAN) continue;
    const list = node(bytes, fields[fields.length - 1].start);
    for (const name of children(bytes, list)) {
      if (name.tag === 0x82) names.push(text(bytes, name));
      if (name.tag === 0x87) names.push(address(bytes.subarray(name.start, name.end)));
    }
  }
  const [algorithm, bits] = children(bytes, spki);
  const isRsa = content(bytes, children(bytes, algorithm)[0]) === '2a864886f70d010101';
  // Of RSA the modulus; of others the point itself. A bit string begins with the number of bits that are not used.
  const key = isRsa ? content(bytes, children(bytes, node(bytes, bits.start + 1))[0]) : content(bytes, bits).slice(2);
  const [a, b] = [content(bytes, issuer), content(bytes, subject)];
  return { subject: person(bytes, subject), issuer: person(bytes, issuer), names, from, to, key, ca, own: a === b };
}

/** @param {string} pem @returns {Read[]} those that can be read */
export function readChain(pem) {
  return blocks(pem).filter((one) => one.label === 'CERTIFICATE' && one.bytes).flatMap((one) => { try { return [readCertificate(/** @type {Uint8Array} */ (one.bytes))]; } catch { return []; } });
}

/** The public half that is written in a private key, hex; null where it is not written (some EC and Ed25519 keys). Throws when it is no key. @param {string} label @param {Uint8Array} bytes @returns {string | null} */
export function publicOf(label, bytes) {
  const fields = children(bytes, node(bytes, 0));
  if (label === 'PRIVATE KEY') {
    const isRsa = content(bytes, children(bytes, fields[1])[0]) === '2a864886f70d010101';
    const isEc = content(bytes, children(bytes, fields[1])[0]) === '2a8648ce3d0201';
    const inner = bytes.subarray(fields[2].start, fields[2].end);
    if (isRsa) return publicOf('RSA PRIVATE KEY', inner);
    if (isEc) return publicOf('EC PRIVATE KEY', inner);
    const written = fields.find((one) => one.tag === 0x81);
    return written ? content(bytes, written).slice(2) : null;
  }
  if (label === 'RSA PRIVATE KEY') return content(bytes, fields[1]);
  const point = fields.find((one) => one.tag === 0xa1);
  return point ? content(bytes, children(bytes, point)[0]).slice(2) : null;
}

/** @typedef {{ level: 'ok' | 'unsure' | 'problem', words: string }} Finding */
/** What can be said of a chain and a key before they are sent. @param {string} chainPem @param {string} keyPem @param {number} now @returns {Finding[]} */
export function uploadFindings(chainPem, keyPem, now) {
  /** @type {Finding[]} */
  const out = [];
  const add = (/** @type {Finding['level']} */ level, /** @type {string} */ words) => out.push({ level, words });
  const given = blocks(chainPem).filter((one) => one.label === 'CERTIFICATE');
  const chain = readChain(chainPem);
  if (!given.length) return [{ level: 'problem', words: 'There is no certificate in PEM here: it begins with -----BEGIN CERTIFICATE-----' }];
  if (chain.length < given.length) return [{ level: 'problem', words: 'A certificate here cannot be read; it may be cut short' }];
  if (blocks(chainPem).some((one) => one.label.endsWith('PRIVATE KEY'))) add('unsure', 'A private key stands among the certificates; put it below');
  // The leaf is the one that no other was issued by.
  const leaf = chain.find((one) => !chain.some((other) => other !== one && other.issuer === one.subject)) ?? chain[0];
  if (leaf.to < now) add('problem', `It ended on ${day(leaf.to)}`);
  else if (leaf.from > now) add('problem', `It is not valid before ${day(leaf.from)}`);
  else add(leaf.to - now < 21 * 86_400_000 ? 'unsure' : 'ok', `In date, ${Math.floor((leaf.to - now) / 86_400_000)} days left`);
  if (leaf.names.length) add('ok', leaf.names.length === 1 ? `For ${leaf.names[0]}` : `For ${leaf.names.length} names`); else add('problem', 'It names no host that browsers look at (no subject alternative name)');
  if (leaf.ca) add('problem', 'It is the certificate of an authority, not of a server');
  if (leaf.own) add('unsure', 'It is signed by itself, so browsers warn');
  else if (!chain.some((one) => one !== leaf && one.subject === leaf.issuer)) add('unsure', `The certificate of ${leaf.issuer || 'its issuer'} is not here; some clients need it`);
  else add('ok', `With ${chain.length - 1 === 1 ? 'the one' : `${chain.length - 1}`} that issued it`);
  if (!keyPem.trim()) return out;
  const key = blocks(keyPem).find((one) => one.label.endsWith('PRIVATE KEY'));
  if (!key) add('problem', 'There is no private key in PEM: it begins with -----BEGIN PRIVATE KEY-----');
  else if (key.label.startsWith('ENCRYPTED') || /Proc-Type:.*ENCRYPTED/.test(keyPem)) add('problem', 'The key has a passphrase; take it off first, for example by openssl pkey');
  else {
    try {
      const half = key.bytes && publicOf(key.label, key.bytes);
      if (half == null) add('unsure', 'Whether the key belongs to it is seen when it is uploaded');
      else if (half === leaf.key) add('ok', 'The key belongs to it');
      else add('problem', 'The key belongs to another certificate');
    } catch { add('problem', 'The key cannot be read; it may be cut short'); }
  }
  return out;
}
