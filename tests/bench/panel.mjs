//! A panel of one measurement: the release binary in a folder of its own, spoken to over its socket as root.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createServer, isIP } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

export { performance, sleep };
export const OWNER = { email: 'owner@example.test', password: 'seven quiet otters swim north' };

/** The binary to measure: `SERVERKIT_BIN`, else the newest release build. */
export function binary() {
  const target = process.env.CARGO_TARGET_DIR ?? join(process.env.SERVERKIT_CACHE ?? join(homedir(), '.cache/serverkit'), 'target');
  const candidates = [process.env.SERVERKIT_BIN, join(target, 'x86_64-unknown-linux-gnu/release/serverkit'), join(target, 'release/serverkit')];
  const found = candidates.find((path) => path && existsSync(path));
  if (!found) throw new Error('no release build: set SERVERKIT_BIN, or build with `cargo build --release -p serverkit`');
  return found;
}

async function freePorts(count) {
  const servers = await Promise.all(Array.from({ length: count }, () => new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => done(server));
  })));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

/** Asks once over TLS, for any name on this machine; resolves to `{status, text, ms}` or rejects. */
export function ask(port, host, path, { agent, headers = {} } = {}) {
  const begun = performance.now();
  return new Promise((done, fail) => {
    const request = https.get({ host: '127.0.0.1', port, path, servername: isIP(host) ? '' : host, headers: { host, ...headers }, rejectUnauthorized: false, agent }, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => done({ status: answer.statusCode, text, ms: performance.now() - begun }));
    });
    request.on('error', fail);
  });
}

export class Panel {
  /** Starts it; with a fresh folder unless `folder` is given. `config`: more lines of its configuration. */
  static async start({ folder, config = '' } = {}) {
    const panel = new Panel();
    panel.folder = folder ?? mkdtempSync(join(tmpdir(), 'sk-bench-'));
    panel.data = join(panel.folder, 'data');
    [panel.http, panel.https, panel.panel] = await freePorts(3);
    // Another panel on this machine has the usual range.
    writeFileSync(join(panel.folder, 'config.toml'), `[network]\nrange = "10.${202 + (panel.http % 48)}.240.0/20"\n${config}`);
    await panel.spawn();
    return panel;
  }

  /** Starts the process; resolves to the milliseconds until `ready()` is true. */
  async spawn(ready = () => this.get('/ready').then(() => true, () => false)) {
    const begun = performance.now();
    const flags = ['serve', '--data', this.data, '--config', join(this.folder, 'config.toml')];
    for (const name of ['http', 'https', 'panel']) flags.push(`--${name}`, `127.0.0.1:${this[name]}`);
    this.process = spawn(binary(), flags, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.printed = '';
    for (const stream of [this.process.stdout, this.process.stderr]) stream.on('data', (text) => { this.printed += text; });
    for (;;) {
      if (await ready()) return performance.now() - begun;
      if (this.process.exitCode !== null) throw new Error(`the panel ended: ${this.printed}`);
      if (performance.now() - begun > 60_000) throw new Error(`the panel is not ready: ${this.printed}`);
      await sleep(1);
    }
  }

  async stop() {
    const ended = new Promise((done) => this.process.once('exit', done));
    this.process.kill('SIGTERM');
    await ended;
  }

  /** Removes what it made on the engine, and its folder. */
  async end() {
    const apps = await this.get('/api/v1/apps?limit=500').catch(() => ({ items: [] }));
    await this.stop();
    const docker = (...words) => spawnSync('docker', words, { encoding: 'utf8' }).stdout.trim().split('\n').filter(Boolean);
    const containers = apps.items.flatMap((app) => docker('ps', '-aq', '--filter', `label=serverkit.app=${app.id}`));
    if (containers.length) docker('rm', '-fv', ...containers);
    for (const id of new Set(apps.items.map((app) => app.environment.id))) {
      const networks = docker('network', 'ls', '-q', '--filter', `label=serverkit.environment=${id}`);
      if (networks.length) docker('network', 'rm', ...networks);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Resident memory in MB (10^6 bytes); `peak` for the highest so far. */
  memory(peak = false) {
    const status = readFileSync(`/proc/${this.process.pid}/status`, 'utf8');
    return Number(status.match(peak ? /VmHWM:\s+(\d+)/ : /VmRSS:\s+(\d+)/)[1]) * 1024 / 1e6;
  }

  /** A request over the panel's socket, as root of this machine. */
  send(method, path, body) {
    return new Promise((done, fail) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const headers = text === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
      const request = http.request({ socketPath: join(this.data, 'panel.sock'), method, path, headers }, (answer) => {
        let all = '';
        answer.on('data', (part) => { all += part; });
        answer.on('end', () => {
          if (answer.statusCode >= 400) fail(new Error(`${method} ${path}: ${answer.statusCode} ${all}`));
          else done(all && /json/.test(answer.headers['content-type'] ?? '') ? JSON.parse(all) : all);
        });
      });
      request.on('error', fail);
      request.end(text);
    });
  }
  get(path) { return this.send('GET', path); }
  post(path, body = {}) { return this.send('POST', path, body); }

  /** Takes the fresh panel by the command line. */
  claim() {
    const file = join(this.folder, 'password');
    writeFileSync(file, OWNER.password, { mode: 0o600 });
    const done = spawnSync(binary(), ['--data', this.data, 'setup', '--email', OWNER.email, '--password-file', file], { encoding: 'utf8' });
    if (done.status !== 0) throw new Error(`setup: ${done.stderr}`);
  }

  /** Waits until a deployment is over; fails unless it is live. */
  async live(id) {
    for (;;) {
      const now = await this.get(`/api/v1/deployments/${id}`);
      if (now.phase === 'live') return now;
      if (['failed', 'cancelled', 'superseded'].includes(now.phase)) throw new Error(`deployment ${now.phase}: ${now.error}`);
      await sleep(10);
    }
  }
}

/** The value below which this share of the numbers lies. */
export function quantile(numbers, share) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** One line of a report: what, the figure, the budget. */
export function line(what, figure, unit, budget) {
  const held = budget === undefined ? '' : figure <= budget ? `  (budget ${budget} ${unit}: held)` : `  (budget ${budget} ${unit}: MISSED)`;
  const digits = Math.abs(figure) < 10 ? 2 : figure < 100 ? 1 : 0;
  console.log(`${what.padEnd(58)} ${figure.toFixed(digits).padStart(9)} ${unit}${held}`);
}
