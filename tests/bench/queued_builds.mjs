//! Twenty builds that are asked for at once and run two at a time, beside the same twenty by plain `docker build`, two at a
//! time; how the panel answers meanwhile, and the memory that it takes. Then how it answers beside a build that forks without end and
//! one that wants all memory, until each is ended by its limit.
//!
//!     node tests/bench/queued_builds.mjs [BUILDS]

import { execFile, execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { builder, command, env } from './docker.mjs';
import { Panel, ask, line, performance, quantile, sleep } from './panel.mjs';

const builds = Number(process.argv[2] ?? 20);
const SLOTS = 2;
const folder = mkdtempSync(join(tmpdir(), 'sk-queue-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
const run = promisify(execFile);
const sample = new URL('../samples/hello', import.meta.url).pathname;

const health = { kind: 'tcp', interval_seconds: 1, timeout_seconds: 2, start_seconds: 30 };
/** The same two as in `docker_alone_builds_that_take_everything_hold_nobody_up`: what each does, its program, and what ends it. */
const GREEDY = [
  ['forks', 'forks without end', 'import os, time\nwhile True:\n  try:\n    os.fork()\n  except OSError:\n    time.sleep(0.01)\n', 'more than its 300 processes'],
  ['grows', 'wants all memory', "kept = [b'x' * (64 << 20) for _ in range(128)]\n", 'more than its 300 MiB of memory'],
];
const LONGEST = 180_000;

/** A repository with what `fill` puts into its tree. @param {string} name @param {(tree: string) => void} fill */
function repository(name, fill) {
  const tree = join(folder, name);
  mkdirSync(tree);
  fill(tree);
  for (const words of [['init', '-q', '-b', 'main'], ['add', '-A'], ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.test', 'commit', '-q', '-m', name]]) execFileSync('git', ['-C', tree, ...words]);
  return tree;
}

/** One whose build has a step that no other has, and that takes the processor for about a second. @param {string} name */
const tame = (name) => repository(name, (tree) => {
  cpSync(sample, tree, { recursive: true });
  writeFileSync(join(tree, 'who'), `${name} ${process.pid}`);
  appendFileSync(join(tree, 'Dockerfile'), 'COPY who .\nRUN head -c 200000000 /dev/zero | sha256sum >>who\n');
});

/** @param {string} name @param {string} program */
const greedy = (name, program) => repository(name, (tree) => {
  // Each run's own, so that no step of it comes from a cache.
  writeFileSync(join(tree, 'take.py'), `# ${name} ${process.pid}\n${program}`);
  writeFileSync(join(tree, 'Dockerfile'), 'FROM python:3.11-slim\nCOPY take.py /\nRUN python3 /take.py\n');
});

/** How long the list of apps takes while `work` is under way, and the most memory that the panel has. @param {Panel} panel @param {() => Promise<unknown>} work */
async function meanwhile(panel, work) {
  /** @type {number[]} */
  const waits = [];
  let [busy, most] = [true, 0];
  const watch = async () => {
    while (busy) {
      const sent = performance.now();
      await panel.get('/api/v1/apps');
      waits.push(performance.now() - sent);
      most = Math.max(most, panel.memory());
      await sleep(20);
    }
  };
  await Promise.all([work().finally(() => { busy = false; }), watch()]);
  return { waits, most };
}

/** Waits until a build fails with these words; one that goes on for too long is cancelled. @param {Panel} panel @param {string} id @param {string} words */
async function ended(panel, id, words) {
  for (const begun = performance.now(); ; await sleep(50)) {
    const now = await panel.get(`/api/v1/deployments/${id}`);
    if (now.phase === 'failed' && now.error.includes(words)) return;
    if (['failed', 'live', 'cancelled', 'superseded'].includes(now.phase)) throw new Error(`deployment ${now.phase}: ${now.error}`);
    if (performance.now() - begun < LONGEST) continue;
    await panel.post(`/api/v1/deployments/${id}/cancel`);
    throw new Error(`the build goes on after ${LONGEST / 1000} s`);
  }
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
  for (const name of names) apps.push(await panel.post('/api/v1/apps', { name, deploy: false, source: { kind: 'git', url: tame(name) }, health }));

  const begun = performance.now();
  const asked = await Promise.all(apps.map((app) => panel.post(`/api/v1/apps/${app.id}/deployments`)));
  let ours = 0;
  const { waits, most } = await meanwhile(panel, async () => {
    await Promise.all(asked.map((one) => panel.live(one.id)));
    ours = performance.now() - begun;
  });

  const plain = names.map((name) => `plain-${name}`);
  plain.forEach(tame);
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
}

const limited = await Panel.start({ config: '[builds]\nmemory_mib = 300\nprocesses = 300\n' });
try {
  limited.claim();
  const calm = await limited.post('/api/v1/apps', { name: 'calm', source: { kind: 'git', url: tame('calm') }, domains: ['calm.test'], health });
  const { items } = await limited.get(`/api/v1/apps/${calm.id}/deployments?limit=1`);
  await limited.live(items[0].id);
  for (const [name, does, program, words] of GREEDY) {
    const app = await limited.post('/api/v1/apps', { name, deploy: false, source: { kind: 'git', url: greedy(name, program) } });
    const asked = await limited.post(`/api/v1/apps/${app.id}/deployments`);
    const { waits } = await meanwhile(limited, () => ended(limited, asked.id, words));
    const answer = await ask(limited.https, 'calm.test', '/');
    if (answer.status !== 200) throw new Error(`the app beside it answered ${answer.status}`);
    line(`list of apps beside a build that ${does}, p99`, quantile(waits, 0.99), 'ms', 200);
  }
} finally {
  await limited.end();
}
