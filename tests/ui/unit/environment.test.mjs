import assert from 'node:assert/strict';
import test from 'node:test';
import { lib } from './helpers.mjs';

const { environmentModel, looksSecret } = await lib('environment');

/** A panel's variables in memory. */
function calls() {
  const had = [
    { key: 'DATABASE_URL', value: 'postgres://', encoding: 'utf8', scope: 'run', secret: true, updated_at: '', updated_by: '' },
    { key: 'LOG_LEVEL', value: 'info', encoding: 'utf8', scope: 'run', secret: false, updated_at: '', updated_by: '' },
    { key: 'RAW', value: 'AP8=', encoding: 'base64', scope: 'run', secret: false, updated_at: '', updated_by: '' },
  ];
  /** @type {any[]} */
  const sent = [];
  return { sent, variableList: async (/** @type {string} */ _, reveal = false) => had.map((one) => (one.secret && !reveal ? { ...one, value: null } : { ...one })), variableUpdate: async (/** @type {string} */ _, /** @type {any} */ body) => { sent.push(body); } };
}
async function model() {
  const api = calls();
  const made = environmentModel(api, 'app');
  await made.load();
  const row = (/** @type {string} */ key) => made.rows.value.find((/** @type {any} */ one) => one.key === key);
  return { api, made, row };
}

test('only what changed is sent', async () => {
  const { api, made, row } = await model();
  assert.equal(made.changes.value.all, 0);
  made.edit(row('LOG_LEVEL').id, { value: 'debug' });
  made.edit(made.add(), { key: 'NEW', value: 'a=b' });
  assert.deepEqual({ ...made.changes.value }, { added: 1, changed: 1, removed: 0, all: 2 });
  await made.save();
  assert.deepEqual(api.sent, [{ set: [{ key: 'LOG_LEVEL', value: 'debug', encoding: 'utf8', scope: 'run', secret: false }, { key: 'NEW', value: 'a=b', encoding: 'utf8', scope: 'run', secret: false }], unset: [] }]);
});
test('a hidden secret keeps its value when only its scope changes', async () => {
  const { made, row } = await model();
  made.edit(row('DATABASE_URL').id, { scope: 'both' });
  assert.deepEqual(made.update().set, [{ key: 'DATABASE_URL', value: null, encoding: 'utf8', scope: 'both', secret: true }]);
});
test('binary values keep their encoding', async () => {
  const { made, row } = await model();
  made.edit(row('RAW').id, { secret: true });
  assert.equal(made.update().set[0].encoding, 'base64');
});
test('renaming sets the new name and unsets the old', async () => {
  const { made, row } = await model();
  made.edit(row('LOG_LEVEL').id, { key: 'LEVEL' });
  assert.deepEqual(made.update().unset, ['LOG_LEVEL']);
  assert.equal(made.update().set[0].key, 'LEVEL');
});
test('removing can be taken back', async () => {
  const { made, row } = await model();
  made.remove(row('RAW').id);
  assert.deepEqual(made.update(), { set: [], unset: ['RAW'] });
  made.remove(row('RAW').id);
  assert.equal(made.changes.value.all, 0);
});
test('names twice, without letters, missing are told', async () => {
  const { made } = await model();
  const [twice, bad, none] = [made.add(), made.add(), made.add()];
  made.edit(twice, { key: 'RAW' }); made.edit(bad, { key: '1x' }); made.edit(none, { value: 'x' });
  assert.deepEqual([twice, bad, none].map((id) => made.problems.value.has(id)), [true, true, true]);
});
test('raw text: hidden secrets stay, missing names go, new ones come', async () => {
  const { made } = await model();
  assert.deepEqual(made.fromRaw(`${made.raw().split('\n').filter((/** @type {string} */ line) => !line.startsWith('RAW')).join('\n')}\nAPI_TOKEN=x\n`), []);
  const { set, unset } = made.update();
  assert.deepEqual([set.map((/** @type {any} */ one) => [one.key, one.secret]), unset], [[['API_TOKEN', true]], ['RAW']]);
});
test('what was typed survives revealing', async () => {
  const { made, row } = await model();
  made.edit(row('DATABASE_URL').id, { value: 'new' });
  await made.reveal();
  assert.equal(row('DATABASE_URL').value, 'new');
  assert.equal(made.changes.value.all, 1);
});
test('pasted lines', async () => {
  const { made, row } = await model();
  assert.equal(made.paste('LOG_LEVEL=warn\nSTRIPE_SECRET_KEY=sk'), 2);
  assert.equal(row('LOG_LEVEL').value, 'warn');
  assert.equal(row('STRIPE_SECRET_KEY').secret, true);
});
test('names that promise a secret', () => {
  for (const [key, is] of /** @type {[string, boolean][]} */ ([['DATABASE_URL', true], ['API_KEY', true], ['GITHUB_TOKEN', true], ['PORT', false], ['PUBLIC_URL', false], ['KEYBOARD', false]])) assert.equal(looksSecret(key), is, key);
});
