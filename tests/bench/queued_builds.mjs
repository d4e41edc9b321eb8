//! Twenty builds that are asked for at once and run two at a time, beside the same twenty by plain `docker build`, two at a
//! time; how the panel answers meanwhile, and the memory that it takes.
//!
//!     node tests/bench/queued_builds.mjs [BUILDS]

import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builder, command, env } from './docker.mjs';
import { Panel, line, performance, quantile, sleep } from './panel.mjs';

const builds = Number(process.argv[2] ?? 20);
const SLOTS = 2;
const folder = mkdtempSync(join(tmpdir(), 'sk-queue-'));
const run = promisify(execFile);
const sample = new URL('../samples/hello', import.meta.url).pathname;

/** A repository whose build has a step that no other has, and that takes the processor for about a second. @param {string} name */
function repository(name) {
  const tree = join(folder, name);
  cpSync(sample, tree, { recursive: true });
  writeFileSync(join(tree, 'who'), `${name} ${process.pid}`);
  appendFileSync(join(tree, 'Dockerfile'), 'COPY who .\nRUN head -c 200000000 /dev/zero | sha256sum >>who\n');
  for (const words of [['init', '-q', '-b', 'main'], ['add', '-A'], ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.test', 'commit', '-q', '-m', name]]) execFileSync('git', ['-C', tree, ...words]);
  return tree;
}

/** Runs `work` for each of them, `SLOTS` at a time. @param {string[]} all @param {(one: string) => Promise<unknown>} work */
async function slots(all, work) {
  const left = [...all];
  await Promise.all(Array.from({ length: SLOTS }, async () => { for (let one = left.shift(); one; one = left.shift()) await work(one); }));
}

const panel = await Panel.start();
try {
  panel.claim();
  await panel.send('PATCH', '/api/v1/settings', { deployments_at_once: SLOTS });
  const names = Array.from({ length: builds }, (_, at) => `queued-${at}`);
  const apps = [];
  for (const name of names) apps.push(await panel.post('/api/v1/apps', { name, deploy: false, source: { kind: 'git', url: repository(name) }, health: { kind: 'tcp', interval_seconds: 1, timeout_seconds: 2, start_seconds: 30 } }));

  const begun = performance.now();
  const asked = await Promise.all(apps.map((app) => panel.post(`/api/v1/apps/${app.id}/deployments`)));
  let busy = true;
  /** @type {number[]} */
  const waits = [];
  let most = 0;
  const watching = (async () => {
    while (busy) {
      const sent = performance.now();
      await panel.get('/api/v1/apps');
      waits.push(performance.now() - sent);
      most = Math.max(most, panel.memory());
      await sleep(20);
    }
  })();
  await Promise.all(asked.map((one) => panel.live(one.id)));
  const ours = performance.now() - begun;
  busy = false;
  await watching;

  const plain = names.map((name) => `plain-${name}`);
  plain.forEach(repository);
  const theirs = performance.now();
  await slots(plain, (name) => run(command, ['build', '-q', '-t', `bench-${name}`, join(folder, name)], { env }));
  const took = performance.now() - theirs;
  execFileSync(command, ['rmi', '-f', ...plain.map((name) => `bench-${name}`)], { stdio: 'ignore' });

  line(`${builds} builds, ${SLOTS} at a time, until all are live`, ours / 1000, 's');
  line(`the same by docker build alone (${builder})`, took / 1000, 's');
  line('ratio', ours / took, 'x');
  line('list of apps meanwhile, p50', quantile(waits, 0.5), 'ms');
  line('list of apps meanwhile, p99', quantile(waits, 0.99), 'ms', 200);
  line('memory of the panel meanwhile, at the most', most, 'MB');
} finally {
  await panel.end();
  rmSync(folder, { recursive: true, force: true });
}
