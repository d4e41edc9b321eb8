// The state of the environment editor: what the panel has, what was typed, and the change between. No markup; tested in Node.
import { signal, computed } from './html.js';
import { parseEnv, printEnv } from './dotenv.js';

/** @typedef {import('./api.js').S<'Variable'>} Variable */
/** @typedef {'run' | 'build' | 'both'} Scope */
/** @typedef {{ id: number, was: Variable | null, key: string, value: string | null, scope: Scope, secret: boolean, gone: boolean }} Row `value` null: a secret that was not looked at, kept as it is */

const KEY = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** @param {{ variableList: (owner: string, reveal?: boolean) => Promise<Variable[]>, variableUpdate: (owner: string, body: { set: import('./api.js').S<'VariableInput'>[], unset: string[] }, deploy?: boolean) => Promise<unknown> }} calls @param {string} app */
export function environmentModel(calls, app) {
  const rows = signal(/** @type {Row[] | undefined} */ (undefined));
  const error = signal(/** @type {Error | null} */ (null));
  const revealed = signal(false);
  let ids = 0;
  /** @param {Variable} was @returns {Row} */
  const rowOf = (was) => ({ id: (ids += 1), was, key: was.key, value: was.value, scope: was.scope, secret: was.secret, gone: false });

  /** @param {Row} row */
  const changed = (row) => !row.was || row.gone || row.key !== row.was.key || row.value !== row.was.value || row.scope !== row.was.scope || row.secret !== row.was.secret;
  const changes = computed(() => {
    const list = (rows.value ?? []).filter((row) => (row.was ? changed(row) : !row.gone && (row.key || row.value)));
    return { added: list.filter((row) => !row.was).length, changed: list.filter((row) => row.was && !row.gone).length, removed: list.filter((row) => row.was && row.gone).length, all: list.length };
  });
  /** What is wrong, by row. */
  const problems = computed(() => {
    /** @type {Map<number, string>} */
    const found = new Map();
    /** @type {Map<string, number>} */
    const seen = new Map();
    for (const row of rows.value ?? []) {
      if (row.gone || (!row.key && !row.value)) continue;
      if (!KEY.test(row.key)) found.set(row.id, row.key ? 'Letters, digits and _ only; no digit first' : 'A name is missing');
      else if (seen.has(row.key)) found.set(row.id, 'This name is there twice');
      seen.set(row.key, row.id);
    }
    return found;
  });

  /** @param {Row[]} next */
  const sorted = (next) => next.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  return {
    rows, error, revealed, changes, problems, changed,
    async load() {
      try {
        rows.value = sorted((await calls.variableList(app, revealed.value)).map(rowOf));
        error.value = null;
      } catch (failure) { error.value = /** @type {Error} */ (failure); }
    },
    /** Brings the values of secrets; what was typed stays. */
    async reveal() {
      const all = await calls.variableList(app, true);
      const byKey = new Map(all.map((one) => [one.key, one]));
      revealed.value = true;
      rows.value = (rows.value ?? []).map((row) => {
        const full = row.was && byKey.get(row.was.key);
        return full ? { ...row, was: full, value: row.value === null ? full.value : row.value } : row;
      });
    },
    hide() {
      revealed.value = false;
      rows.value = (rows.value ?? []).map((row) => (row.was?.secret && row.value === row.was.value ? { ...row, value: null, was: { ...row.was, value: null } } : row));
    },
    add() { rows.value = [...(rows.value ?? []), { id: (ids += 1), was: null, key: '', value: '', scope: 'run', secret: false, gone: false }]; return ids; },
    /** @param {number} id @param {Partial<Row>} change */
    edit(id, change) { rows.value = (rows.value ?? []).map((row) => (row.id === id ? { ...row, ...change } : row)); },
    /** @param {number} id */
    remove(id) {
      rows.value = (rows.value ?? []).flatMap((row) => (row.id !== id ? [row] : row.was ? [{ ...row, gone: !row.gone }] : []));
    },
    /** Lines pasted as .env: known names change, others are added. @param {string} text */
    paste(text) {
      const { pairs } = parseEnv(text);
      if (!pairs.length) return 0;
      const next = [...(rows.value ?? [])];
      for (const { key, value } of pairs) {
        const at = next.findIndex((row) => row.key === key);
        if (at >= 0) next[at] = { ...next[at], value, gone: false };
        else next.push({ id: (ids += 1), was: null, key, value, scope: 'run', secret: looksSecret(key), gone: false });
      }
      rows.value = next.filter((row) => row.was || row.key || row.value);
      return pairs.length;
    },
    /** As .env text; a hidden secret is a comment, so that saving keeps it. */
    raw() {
      const shown = (rows.value ?? []).filter((row) => !row.gone && row.key);
      return shown.map((row) => (row.value === null ? `# ${row.key}= (hidden, stays as it is)\n` : printEnv([{ key: row.key, value: row.value }]))).join('');
    },
    /** Takes the text as the whole: names that are missing go, but for hidden secrets. @param {string} text */
    fromRaw(text) {
      const { pairs, errors } = parseEnv(text);
      if (errors.length) return errors;
      const given = new Map(pairs.map((pair) => [pair.key, pair.value]));
      /** @type {Row[]} */
      const next = [];
      for (const row of rows.value ?? []) {
        const value = given.get(row.key);
        if (value !== undefined) { next.push({ ...row, value, gone: false }); given.delete(row.key); }
        else if (row.value === null) next.push(row);
        else if (row.was) next.push({ ...row, gone: true });
      }
      for (const [key, value] of given) next.push({ id: (ids += 1), was: null, key, value, scope: 'run', secret: looksSecret(key), gone: false });
      rows.value = next;
      return [];
    },
    /** What is sent: only what changed, so that two people can edit different names. */
    update() {
      const list = (rows.value ?? []).filter((row) => row.key || row.value);
      /** @type {import('./api.js').S<'VariableInput'>[]} */
      const set = [];
      /** @type {string[]} */
      const unset = [];
      for (const row of list) {
        if (row.was && (row.gone || row.was.key !== row.key)) unset.push(row.was.key);
        if (row.gone || !changed(row)) continue;
        // Null keeps the value; under a new name there is none to keep.
        const value = row.value === null && row.was?.key !== row.key ? '' : row.value;
        set.push({ key: row.key, value, encoding: row.was && row.value === row.was.value ? row.was.encoding : 'utf8', scope: row.scope, secret: row.secret });
      }
      const kept = new Set(set.map((one) => one.key));
      return { set, unset: unset.filter((key) => !kept.has(key)) };
    },
    async save(deploy = false) {
      await calls.variableUpdate(app, this.update(), deploy);
      await this.load();
    },
    discard() { rows.value = sorted((rows.value ?? []).filter((row) => row.was).map((row) => rowOf(/** @type {Variable} */ (row.was)))); },
  };
}

/** A name that promises a secret, so that a pasted one is masked from the start. @param {string} key */
export const looksSecret = (key) => /(SECRET|TOKEN|PASSWORD|PASSWD|PRIVATE|CREDENTIAL|API_?KEY|ACCESS_?KEY|_KEY$|_DSN$|DATABASE_URL)/i.test(key);
