// A program of `tests/peers` that plays somebody else: a forge, a provider of accounts.
import { spawn } from 'node:child_process';

/** Starts it; `url` is what it prints when it is ready. @param {string} file @param {string[]} words */
export async function startPeer(file, ...words) {
  const made = spawn(process.execPath, [file, ...words], { cwd: new URL('../peers', import.meta.url), stdio: ['ignore', 'pipe', 'ignore'] });
  const url = await new Promise((/** @type {(url: string) => void} */ done, fail) => {
    let text = '';
    made.stdout.on('data', (piece) => { text += piece; const found = text.match(/http:\/\/\S+(?=\s)/); if (found) done(found[0]); });
    made.once('exit', () => fail(new Error(`${file} ended before it was ready`)));
  });
  return {
    url,
    /** @param {string} path @param {unknown} body @returns {Promise<any>} */
    tell: async (path, body) => (await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) })).json(),
    stop: () => { made.kill(); },
  };
}
