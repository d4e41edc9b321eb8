// A real panel for one run: the binary named by SERVERKIT_BIN, in a folder and on ports of its own, with the engine that DOCKER_HOST names.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get as httpGet } from 'node:http';
import https from 'node:https';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** @param {number} count @returns {Promise<number[]>} */
export async function freePorts(count) {
  // Below those that the system gives out by itself, so that none is taken before it is used.
  const servers = /** @type {import('node:net').Server[]} */ ([]);
  while (servers.length < count) {
    const server = await new Promise((done) => { const made = createServer(); made.on('error', () => done(null)); made.listen(12_000 + Math.floor(Math.random() * 20_000), '127.0.0.1', () => done(made)); });
    if (server) servers.push(server);
  }
  const ports = servers.map((server) => /** @type {import('node:net').AddressInfo} */ (server.address()).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Waits until something takes connections there. @param {number} port @param {string} hint what to think of when nothing does */
export async function listens(port, hint) {
  for (const begun = Date.now(); ; await sleep(50)) {
    const open = await new Promise((done) => { const line = connect(port, '127.0.0.1', () => { line.destroy(); done(true); }).on('error', () => done(false)); });
    if (open) return;
    if (Date.now() - begun > 15_000) throw new Error(`nothing listens on port ${port}; ${hint}`);
  }
}

/** Whether an engine answers, with the image that the tests deploy. */
export const hasEngine = (/** @type {string} */ image) => spawnSync('docker', ['image', 'inspect', image], { stdio: 'ignore' }).status === 0;
export const binary = () => (process.env.SERVERKIT_BIN && existsSync(process.env.SERVERKIT_BIN) ? process.env.SERVERKIT_BIN : null);

/** @param {string} [config] more lines of its configuration */
export async function startPanel(config = '') {
  const folder = mkdtempSync(join(tmpdir(), 'sk-ui-'));
  const [http, tls, panel] = await freePorts(3);
  // A range of its own, beside the panels of other tests.
  writeFileSync(join(folder, 'config.toml'), `[network]\nrange = "10.251.${(panel % 16) * 16}.0/20"\n${config}`);
  const data = join(folder, 'data');
  let printed = '';
  /** Starts it and waits for what it prints when it is ready. @param {RegExp} ready */
  const begin = async (ready) => {
    const made = spawn(/** @type {string} */ (binary()), ['serve', '--data', data, '--config', join(folder, 'config.toml'), '--http', `127.0.0.1:${http}`, '--https', `127.0.0.1:${tls}`, '--panel', `127.0.0.1:${panel}`], { stdio: ['ignore', 'pipe', 'pipe'] });
    printed = '';
    for (const stream of [made.stdout, made.stderr]) stream.on('data', (text) => { printed += text; });
    for (const begun = Date.now(); !ready.test(printed); await sleep(50)) if (made.exitCode !== null || Date.now() - begun > 60_000) throw new Error(`the panel did not start: ${printed}`);
    return made;
  };
  const end = async (/** @type {import('node:child_process').ChildProcess} */ made) => { const ended = new Promise((done) => { made.once('exit', done); }); made.kill('SIGTERM'); await ended; };
  let made = await begin(/https:\/\/\S+\/setup#\w+/);
  const link = printed.match(/https:\/\/\S+\/setup#\w+/)?.[0] ?? '';
  return {
    url: `https://127.0.0.1:${panel}`, link, http, https: tls, folder, printed: () => printed,
    /** The command line on its machine; answers what that printed. @param {string[]} words */
    cli(...words) {
      const done = spawnSync(/** @type {string} */ (binary()), ['--data', data, ...words], { encoding: 'utf8' });
      if (done.status !== 0) throw new Error(`${words.join(' ')}: ${done.stderr}`);
      return done.stdout;
    },
    /** As when the machine restarts its services. */
    async restart() { await end(made); made = await begin(/is ready after/); },
    async stop() {
      const environments = await this.environments().catch(() => []);
      await end(made);
      const docker = (/** @type {string[]} */ ...words) => spawnSync('docker', words, { encoding: 'utf8' }).stdout.trim().split('\n').filter(Boolean);
      for (const environment of environments) {
        const label = `label=serverkit.environment=${environment}`;
        for (const [list, remove] of [[['ps', '-aq'], ['rm', '-fv']], [['volume', 'ls', '-q'], ['volume', 'rm']], [['network', 'ls', '-q'], ['network', 'rm']]]) { const found = docker(...list, '--filter', label); if (found.length) docker(...remove, ...found); }
      }
      rmSync(folder, { recursive: true, force: true });
    },
    /** Ids, asked over the panel's socket as root. @returns {Promise<string[]>} */
    environments: () => new Promise((done, fail) => {
      httpGet({ socketPath: join(folder, 'data/panel.sock'), path: '/api/v1/projects' }, (answer) => {
        let text = '';
        answer.on('data', (part) => { text += part; });
        answer.on('end', () => { try { done(JSON.parse(text).items.flatMap((/** @type {any} */ one) => one.environments.map((/** @type {any} */ each) => each.id))); } catch (error) { fail(error); } });
      }).on('error', fail);
    }),
  };
}

/** What the edge answers for a host. @param {number} port @param {string} host @param {string} [path] @param {Record<string, string>} [headers] @returns {Promise<{ status: number, text: string }>} */
export const ask = (port, host, path = '/', headers = {}) => new Promise((done, fail) => {
  const request = https.get({ host: '127.0.0.1', port, path, servername: host, headers: { ...headers, host }, rejectUnauthorized: false, agent: false }, (answer) => {
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => done({ status: answer.statusCode ?? 0, text }));
  });
  request.on('error', fail);
});
