//! Lighthouse's scores for the sign-in page and the overview, as a phone on a slow network and as a desktop. Needs Debian's chromium;
//! npx fetches Lighthouse when it is not there.
//!
//!     node tests/bench/lighthouse.mjs

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { OWNER, Panel, line } from './panel.mjs';

const LIGHTHOUSE = process.env.LIGHTHOUSE ? [process.env.LIGHTHOUSE] : ['npx', '--yes', 'lighthouse@12'];
const SCORES = { performance: 95, accessibility: 100, 'best-practices': 95 };
const folder = mkdtempSync(join(tmpdir(), 'sk-lighthouse-'));

/** The cookies of a browser that signed in. */
function signIn(port) {
  const body = JSON.stringify(OWNER);
  return new Promise((done, fail) => {
    const headers = { host: '127.0.0.1', 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const request = https.request({ host: '127.0.0.1', port, path: '/api/v1/session', method: 'POST', headers, servername: '', rejectUnauthorized: false }, (answer) => {
      answer.resume();
      if (answer.statusCode !== 201) fail(new Error(`sign-in: ${answer.statusCode}`));
      done((answer.headers['set-cookie'] ?? []).map((one) => one.split(';')[0]).join('; '));
    });
    request.on('error', fail);
    request.end(body);
  });
}

/** One run; the report. */
function run(url, cookie, preset) {
  const out = join(folder, 'report.json');
  const headers = join(folder, 'headers.json');
  writeFileSync(headers, JSON.stringify(cookie ? { cookie } : {}));
  const [command, ...first] = LIGHTHOUSE;
  // The browser sometimes loses the beginning of its trace; then once more.
  let done;
  for (let tries = 0; tries < 3 && done?.status !== 0; tries += 1) done = spawnSync(command, [...first, url, '--quiet', '--output=json', `--output-path=${out}`, `--extra-headers=${headers}`, `--only-categories=${Object.keys(SCORES).join(',')}`,
    '--chrome-flags=--headless=new --no-sandbox --ignore-certificate-errors', ...preset], { encoding: 'utf8', env: { ...process.env, CHROME_PATH: process.env.CHROMIUM ?? '/usr/bin/chromium' } });
  if (done.status !== 0) throw new Error(done.stderr || done.stdout);
  return JSON.parse(readFileSync(out, 'utf8'));
}

const panel = await Panel.start();
try {
  panel.claim();
  const url = `https://127.0.0.1:${panel.panel}`;
  const cookie = await signIn(panel.panel);
  for (const [device, preset] of [['phone, slow 4G', []], ['desktop', ['--preset=desktop']]]) {
    for (const [what, path, cookies] of [['sign-in page', '/sign-in', ''], ['overview', '/', cookie]]) {
      const report = run(url + path, cookies, preset);
      console.log(`\n${what}, ${device} (load ${loadavg()[0].toFixed(1)})`);
      for (const [category, budget] of Object.entries(SCORES)) {
        const score = Math.round(report.categories[category].score * 100);
        console.log(`${category.padEnd(40)} ${String(score).padStart(6)}  (budget ${budget}: ${score >= budget ? 'held' : 'MISSED'})`);
        const refs = report.categories[category].auditRefs.filter((ref) => ref.weight > 0 && (report.audits[ref.id].score ?? 1) < 0.9);
        for (const { id } of refs) console.log(`  ${id}: ${report.audits[id].displayValue ?? report.audits[id].title}`);
      }
      line('largest contentful paint', report.audits['largest-contentful-paint'].numericValue, 'ms');
      line('total blocking time', report.audits['total-blocking-time'].numericValue, 'ms');
    }
  }
} finally {
  await panel.end();
  rmSync(folder, { recursive: true, force: true });
}
