//! From a push to a live site, beside plain `git clone` + `docker build` + `docker run` until the port answers, in turns.
//!
//!     node tests/bench/push_to_live.mjs [ROUNDS]

import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builder, command, env } from './docker.mjs';
import { Panel, ask, line, performance, quantile, sleep } from './panel.mjs';

const rounds = Number(process.argv[2] ?? 7);
const folder = mkdtempSync(join(tmpdir(), 'sk-push-'));
const tree = join(folder, 'tree');
const bare = join(folder, 'app.git');
const git = (...words) => execFileSync('git', ['-C', tree, '-c', 'user.name=Ada', '-c', 'user.email=ada@example.test', ...words], { stdio: ['ignore', 'pipe', 'inherit'] });

/** A commit that changes the app, so that the last layers are built anew. */
function push(text) {
  writeFileSync(join(tree, 'version'), text);
  git('add', '-A');
  git('commit', '-q', '-m', text);
  git('push', '-q', 'origin', 'HEAD:main');
}

/** What a person with a shell would do; the milliseconds until the port answers. */
async function plain(number) {
  const begun = performance.now();
  const clone = join(folder, `clone-${number}`);
  const quiet = { stdio: ['ignore', 'ignore', 'ignore'], env };
  execFileSync('git', ['clone', '-q', '--depth', '1', `file://${bare}`, clone], quiet);
  execFileSync(command, ['build', '-q', '-t', 'bench-plain', clone], quiet);
  const id = execFileSync(command, ['run', '-d', '--rm', '-P', 'bench-plain'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  const address = execFileSync(command, ['inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', id], { encoding: 'utf8' }).trim();
  for (;;) {
    const answered = await new Promise((done) => {
      http.get({ host: address, port: 8000, path: '/' }, (answer) => { answer.resume(); done(answer.statusCode === 200); }).on('error', () => done(false));
    });
    if (answered) break;
    await sleep(5);
  }
  const took = performance.now() - begun;
  execFileSync(command, ['rm', '-f', id], quiet);
  return took;
}

const panel = await Panel.start();
try {
  panel.claim();
  cpSync(new URL('../samples/hello', import.meta.url).pathname, tree, { recursive: true });
  appendFileSync(join(tree, 'Dockerfile'), 'COPY version .\n');
  execFileSync('git', ['init', '-q', '--bare', '-b', 'main', bare]);
  git('init', '-q', '-b', 'main');
  git('remote', 'add', 'origin', bare);
  push('0');
  const app = await panel.post('/api/v1/apps', { name: 'hello', source: { kind: 'git', url: bare }, domains: ['hello.test'], health: { kind: 'tcp', interval_seconds: 1, timeout_seconds: 2, start_seconds: 30 } });
  const { items } = await panel.get(`/api/v1/apps/${app.id}/deployments?limit=1`);
  await panel.live(items[0].id);

  const deploy = async () => {
    const begun = performance.now();
    await panel.live((await panel.post(`/api/v1/apps/${app.id}/deployments`)).id);
    const answer = await ask(panel.https, 'hello.test', '/');
    if (answer.status !== 200) throw new Error(`the site answered ${answer.status}`);
    return performance.now() - begun;
  };
  await plain('first');
  const [ours, theirs, again] = [[], [], []];
  for (let round = 0; round < rounds; round += 1) {
    push(`ours ${round}`);
    ours.push(await deploy());
    again.push(await deploy());
    push(`theirs ${round}`);
    theirs.push(await plain(round));
    // The old container of the deployment drains meanwhile.
    await sleep(2000);
  }
  line('push to live, serverkit (median)', quantile(ours, 0.5) / 1000, 's');
  line(`git clone + docker build (${builder}) + docker run (median)`, quantile(theirs, 0.5) / 1000, 's');
  line('ratio', quantile(ours, 0.5) / quantile(theirs, 0.5), 'x', 1.1);
  line('redeploy without a change (median)', quantile(again, 0.5) / 1000, 's', 3);
} finally {
  await panel.end();
  rmSync(folder, { recursive: true, force: true });
}
