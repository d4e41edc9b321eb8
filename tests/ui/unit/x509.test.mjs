// Certificates and keys as they are read before an upload. Those below are for these tests only; they end in 2125.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import test from 'node:test';
import { lib } from './helpers.mjs';

const ROOT = `-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUOzqmuL7z5KqKtcV0gGOZ8ZRR2ncwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJVGVzdCBSb290MCAXDTI2MTEyMTEwMDcyM1oYDzIxMjYxMDI4
MTAwNzIzWjAUMRIwEAYDVQQDDAlUZXN0IFJvb3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQ1PA0VW+xGGD0AQ5T8ED9OBANvngpAOIZlxaQSTsuzb6o/p5nK+PkH
McwcBKSx1aCDXP4Cft+771UZbBe+fSCko1MwUTAdBgNVHQ4EFgQUMATaDwC4JhaQ
3gIT1M5LoRXevRAwHwYDVR0jBBgwFoAUMATaDwC4JhaQ3gIT1M5LoRXevRAwDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAqMd1ytZFSOD6hCw1VqpOX
WbGdkVVsfETRVwbEUEkykAIhAI1970Eeuaf8MbmmDP2WxVN4Sg10wwMhiBhpEe6E
wnGY
-----END CERTIFICATE-----`;
const LEAF = `-----BEGIN CERTIFICATE-----
MIIBpDCCAUqgAwIBAgIUO93dFt0WegzaK7gkhoUI4vnZ4vcwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJVGVzdCBSb290MCAXDTI2MTEyMTEwMDcyM1oYDzIxMjUwNjE1
MTAwNzIzWjAPMQ0wCwYDVQQKDARTaG9wMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEPwg4o1bzfDeSSa5YN5pJyyfVA1wHIPp3ZcGsijy30tdjrBzeae+KlaFpWi9n
zX93D2eYeO7I/tHDPDv+/jAPNqN9MHswOQYDVR0RBDIwMIIJc2hvcC50ZXN0ggsq
LnNob3AudGVzdIcEwAACB4cQIAENuAAAAAAAAAAAAAAABzAdBgNVHQ4EFgQUyyGO
+8DJMJT9AURAzZfYtGCejJswHwYDVR0jBBgwFoAUMATaDwC4JhaQ3gIT1M5LoRXe
vRAwCgYIKoZIzj0EAwIDSAAwRQIgYH6Y5Qpu0egEt7baelGU7H50I5J9e+UIc6JJ
5PQdO5YCIQDe4tnsahL26kAoXJD9VWN437Wn9xhvtloPL2cKhyn3iA==
-----END CERTIFICATE-----`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7sWfFPWkztQ1c6Sh
c8IEI9FhCo40aHFrnYiaI3Ike9ChRANCAAQ/CDijVvN8N5JJrlg3mknLJ9UDXAcg
+ndlwayKPLfS12OsHN5p74qVoWlaL2fNf3cPZ5h47sj+0cM8O/7+MA82
-----END PRIVATE KEY-----`;
const SEC1 = `-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIO7FnxT1pM7UNXOkoXPCBCPRYQqONGhxa52ImiNyJHvQoAoGCCqGSM49
AwEHoUQDQgAEPwg4o1bzfDeSSa5YN5pJyyfVA1wHIPp3ZcGsijy30tdjrBzeae+K
laFpWi9nzX93D2eYeO7I/tHDPDv+/jAPNg==
-----END EC PRIVATE KEY-----`;
const NOW = Date.parse('2027-01-01T00:00:00Z');

test('a certificate says for whom, by whom and until when it is', async () => {
  const { readChain } = await lib('x509');
  const [leaf, root] = readChain(`${LEAF}\n${ROOT}`);
  assert.deepEqual(leaf.names, ['shop.test', '*.shop.test', '192.0.2.7', '2001:db8::7']);
  assert.equal(leaf.subject, 'Shop');
  assert.equal(leaf.issuer, 'Test Root');
  assert.ok(leaf.from < NOW && leaf.to > Date.parse('2120-01-01') && leaf.to < Date.parse('2126-01-01'));
  assert.ok(root.own && root.ca && !leaf.own && !leaf.ca);
  assert.deepEqual(readChain('nothing'), []);
});
test('what is told before an upload', async () => {
  const { uploadFindings } = await lib('x509');
  const words = (/** @type {string} */ chain, /** @type {string} */ key, now = NOW) => uploadFindings(chain, key, now).map((/** @type {any} */ one) => `${one.level}: ${one.words}`);
  for (const key of [KEY, SEC1]) {
    const good = words(`${ROOT}\n${LEAF}`, key);
    assert.match(good[0], /^ok: In date, \d+ days left$/);
    assert.deepEqual(good.slice(1), ['ok: For 4 names', 'ok: With the one that issued it', 'ok: The key belongs to it']);
  }
  assert.ok(words(LEAF, '').includes('unsure: The certificate of Test Root is not here; some clients need it'));
  assert.ok(words(ROOT, '').includes('problem: It is the certificate of an authority, not of a server'));
  assert.ok(words(ROOT, '').includes('unsure: It is signed by itself, so browsers warn'));
  assert.ok(words(ROOT, '').includes('problem: It names no host that browsers look at (no subject alternative name)'));
  assert.ok(words(ROOT, KEY).includes('problem: The key belongs to another certificate'));
  assert.match(words(LEAF, '', Date.parse('2200-01-01'))[0], /^problem: It ended on /);
  assert.match(words(LEAF, '', Date.parse('2000-01-01'))[0], /^problem: It is not valid before /);
  assert.match(words('hello', KEY)[0], /^problem: There is no certificate in PEM/);
  assert.match(words(LEAF.replace(/\n[^\n]+\n-----END/, '\n-----END'), KEY)[0], /^problem: A certificate here cannot be read/);
  assert.ok(words(LEAF, 'hello').at(-1)?.startsWith('problem: There is no private key in PEM'));
  assert.ok(words(LEAF, KEY.replace(/\n[^\n]+\n-----END/, '\n-----END')).at(-1)?.startsWith('problem: The key cannot be read'));
  assert.match(words(LEAF, '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----').at(-1) ?? '', /passphrase/);
  assert.ok(words(`${KEY}\n${LEAF}`, '').some((/** @type {string} */ one) => /stands among the certificates/.test(one)));
});
test('the public half of keys of each kind', async () => {
  const { blocks, publicOf } = await lib('x509');
  const hex = (/** @type {string | undefined} */ text) => Buffer.from(text ?? '', 'base64url').toString('hex');
  const half = (/** @type {string} */ pem) => { const [one] = blocks(pem); return publicOf(one.label, one.bytes); };
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 });
  for (const type of /** @type {const} */ (['pkcs1', 'pkcs8'])) assert.equal(half(String(rsa.privateKey.export({ type, format: 'pem' }))).replace(/^00/, ''), hex(rsa.publicKey.export({ format: 'jwk' }).n));
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const { x, y } = ec.publicKey.export({ format: 'jwk' });
  for (const type of /** @type {const} */ (['sec1', 'pkcs8'])) assert.equal(half(String(ec.privateKey.export({ type, format: 'pem' }))), `04${hex(x)}${hex(y)}`);
  const ed = generateKeyPairSync('ed25519');
  assert.equal(half(String(ed.privateKey.export({ type: 'pkcs8', format: 'pem' }))), null);
});
