import assert from 'node:assert/strict';
import test from 'node:test';
import { lib } from './helpers.mjs';

const { parseEnv, printEnv } = await lib('dotenv');
const values = (/** @type {string} */ text) => Object.fromEntries(parseEnv(text).pairs.map((/** @type {any} */ one) => [one.key, one.value]));

test('reads what people write', () => {
  for (const [text, expected] of /** @type {[string, object][]} */ ([
    ['A=1', { A: '1' }], ['export A=1', { A: '1' }], ['A =  1 ', { A: '1' }], ['\uFEFFA=1\r\nB=2', { A: '1', B: '2' }], ['# note\n\nA=1', { A: '1' }], ['A=a # note', { A: 'a' }], ['A=a#b', { A: 'a#b' }], ['A=# note', { A: '' }],
    ['A="x # y"', { A: 'x # y' }], ["A='it $is \\n'", { A: 'it $is \\n' }], ['A="a\\nb\\t\\"\\\\\\$"', { A: 'a\nb\t"\\$' }], ['A="one\ntwo"\nB=3', { A: 'one\ntwo', B: '3' }], ['A=', { A: '' }], ['URL=postgres://u:p%40@h/db?x=1&y=2', { URL: 'postgres://u:p%40@h/db?x=1&y=2' }],
  ])) assert.deepEqual(values(text), expected, JSON.stringify(text));
});
test('says which line is wrong', () => {
  for (const [text, line] of /** @type {[string, number][]} */ ([['A=1\nnothing', 2], ['1A=x', 1], ['A="open\nB=1', 1], ["A='x' y", 1]])) assert.equal(parseEnv(text).errors[0]?.line, line, text);
});
test('what is printed is read back to the same characters', () => {
  const pairs = ['', 'plain', 'with space', ' edges ', 'a#b', '#', "it's", '"both\'', 'line\nbreak', 'tab\t\r\n', '\\n', '$HOME `x` $(y)', 'ünï ☃', '=', '\\'].map((value, i) => ({ key: `K${i}`, value }));
  assert.deepEqual(parseEnv(printEnv(pairs)), { pairs, errors: [] });
});
