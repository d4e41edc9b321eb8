import assert from 'node:assert/strict';
import test from 'node:test';
import { lib } from './helpers.mjs';

const { stepsOf } = await lib('clones');
const at = '2026-01-05T08:00:00Z';
const clone = (/** @type {string} */ phase, /** @type {string[]} */ phases, data = true) => ({ phase, volumes: [{ data }], steps: phases.map((one) => ({ phase: one, started_at: at, finished_at: null })) });
const words = (/** @type {any} */ one) => stepsOf(one).map((/** @type {any} */ step) => `${step.phase} ${step.status}`);

test('the steps of a clone, and how each fares', () => {
  assert.deepEqual(words(clone('copying', ['stopping', 'copying'])), ['stopping done', 'copying now', 'starting next', 'deploying next', 'done next']);
  assert.deepEqual(words(clone('done', ['deploying', 'done'], false)), ['deploying done', 'done done'], 'without data there is nothing to stop');
  assert.deepEqual(words(clone('undoing', ['stopping', 'copying', 'undoing'])), ['stopping done', 'copying bad', 'undoing now']);
  assert.deepEqual(words(clone('failed', ['stopping', 'undoing', 'failed'])), ['stopping bad', 'undoing done']);
});
