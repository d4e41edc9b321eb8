import assert from 'node:assert/strict';
import test from 'node:test';
import { lib } from './helpers.mjs';

const f = await lib('format');
const plain = (/** @type {string} */ text) => text.replaceAll('\u00a0', ' ');

test('bytes are in powers of 1024', () => {
  for (const [value, text] of [[0, '0 B'], [1023, '1023 B'], [1024, '1 KiB'], [1536, '1.5 KiB'], [1024 ** 2 - 1, '1 MiB'], [512 << 20, '512 MiB'], [4.58 * 2 ** 30, '4.58 GiB'], [15.04 * 2 ** 30, '15 GiB'], [null, '–'], [NaN, '–'], [-2048, '-2 KiB']]) assert.equal(plain(f.bytes(value)), text, String(value));
});
test('sizes are read as people write them', () => {
  for (const [text, value] of [['512', 512 << 20], ['512m', 512 << 20], ['512 MiB', 512 << 20], ['2G', 2 ** 31], ['1.5 GiB', 1.5 * 2 ** 30], ['100 kb', 102400], ['7b', 7], ['lots', null], ['', null], ['-1', null], ['1 2', null]]) assert.equal(f.parseBytes(text), value, String(text));
});
test('what is printed is read back', () => { for (const value of [64 << 20, 512 << 20, 2 ** 30, 1.5 * 2 ** 30]) assert.equal(f.parseBytes(plain(f.bytes(value))), value); });
test('durations', () => {
  for (const [ms, text] of [[0, '0ms'], [400, '400ms'], [2600, '2.6s'], [9949, '9.9s'], [9950, '10s'], [59_600, '1m'], [83_000, '1m 23s'], [3_600_000, '1h'], [90 * 60_000, '1h 30m'], [41 * 86_400_000 + 7 * 3_600_000, '41d 7h'], [null, '–'], [-5, '0ms']]) assert.equal(f.duration(ms), text, String(ms));
});
test('relative times', () => {
  const now = Date.parse('2026-11-21T04:00:00Z');
  for (const [at, text] of [['2026-11-21T03:59:55Z', 'just now'], ['2026-11-21T03:59:15Z', '45 s ago'], ['2026-11-21T03:57:00Z', '3 min ago'], ['2026-11-20T04:00:00Z', '1 d ago'], ['2026-11-23T04:00:01Z', 'in 2 d'], ['2024-01-01T00:00:00Z', '2 y ago'], [null, 'never'], ['not a time', 'never']]) assert.equal(f.relative(at, now), text, String(at));
});
test('addresses lose scheme, password and .git', () => {
  for (const [url, name] of [['https://github.com/acme/shop.git', 'github.com/acme/shop'], ['https://x:secret@git.test/a.git', 'git.test/a'], ['ssh://git@git.acme.dev:2222/p/x.git', 'git.acme.dev:2222/p/x'], ['git@github.com:acme/shop.git', 'github.com:acme/shop']]) assert.equal(f.gitName(url), name);
});
test('percent, counts, cores', () => {
  assert.deepEqual([0, 0.034, 0.5, 1, null].map(f.percent), ['0%', '3.4%', '50%', '100%', '–']);
  assert.deepEqual([0, 3, 0.256, 12.34, 1234, 12_345, 2_500_000].map(f.count), ['0', '3', '0.26', '12.3', '1234', '12.3k', '2.5M']);
});
test('sentences begin large, hosts do not', () => {
  assert.deepEqual(['it failed', 'blog.example.com leads elsewhere', '', null, 'no. It is not'].map(f.sentence), ['It failed', 'blog.example.com leads elsewhere', '', '', 'No. It is not']);
});
