// Build servers in a real browser against a real panel and a real sshd: added, the host key compared and confirmed, refused in words
// until the key is known there, and used by settings. And the pages by axe, in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary, freePorts, listens } from './panel.mjs';

const socket = (process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock').replace('unix://', '');
const skip = !binary() ? 'SERVERKIT_BIN names no binary' : !existsSync('/usr/sbin/sshd') ? 'no sshd (Debian package openssh-server)' : !existsSync(socket) ? 'no engine answers' : false;

const { panel, page } = await forTests(skip, () => openSignedIn([/404|409|422|503/]));
/** @type {ReturnType<typeof spawn> | undefined} */
let sshd;
let port = 0;
const folder = mkdtempSync(join(tmpdir(), 'sk-ui-sshd-'));
const at = (/** @type {string} */ name) => join(folder, name);

before(async () => {
  if (skip) return;
  [port] = await freePorts(1);
  spawnSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at('host_key')]);
  writeFileSync(at('authorized_keys'), '');
  writeFileSync(at('config'), `ListenAddress 127.0.0.1:${port}\nHostKey ${at('host_key')}\nAuthorizedKeysFile ${at('authorized_keys')}\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM no\nPidFile none\n`);
  mkdirSync('/run/sshd', { recursive: true });
  sshd = spawn('/usr/sbin/sshd', ['-D', '-e', '-f', at('config')], { stdio: 'ignore' });
  await listens(port, 'sshd');
}, { timeout: 30_000 });
after(() => { sshd?.kill(); rmSync(folder, { recursive: true, force: true }); });

test('a build server is added, its host key is confirmed, and what is wrong is said', { skip, timeout: 180_000 }, async () => {
  await page.goto(`${panel.url}/servers`);
  await page.getByText('Apps are built where they run').waitFor();
  await page.getByRole('button', { name: 'Add build server' }).click();
  await page.getByLabel('Name', { exact: true }).fill('any');
  await page.getByLabel('Host', { exact: true }).fill('127.0.0.1');
  await page.getByLabel('SSH port').fill(String(port));
  await page.getByLabel('Socket of Docker').fill(socket);
  await page.getByRole('dialog').getByRole('button', { name: 'Add build server' }).click();
  await page.getByText(/has another meaning here/).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('far');
  await look(page, 'build-server-form');
  await page.getByRole('dialog').getByRole('button', { name: 'Add build server' }).click();
  // Its key, and that nobody has confirmed the host's.
  await page.getByText(/has a host key that nobody has confirmed yet/).first().waitFor();
  const shown = await page.getByText(/^ssh-ed25519 AAAA/).innerText();
  await look(page, 'build-server-new');
  const printed = spawnSync('ssh-keygen', ['-lf', at('host_key.pub')]).stdout.toString().split(' ')[1];
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await page.getByText(printed).waitFor();
  await look(page, 'build-server-host-key');
  await page.getByRole('button', { name: 'It is the same' }).click();
  await page.getByText(/add its public half to ~root\/\.ssh\/authorized_keys there/).first().waitFor();
  await look(page, 'build-server-refused');
  // Known there now; but the engine behind it is the panel's own.
  writeFileSync(at('authorized_keys'), `restrict,port-forwarding ${shown.trim()}\n`);
  await page.getByRole('button', { name: 'Test', exact: true }).click();
  await page.getByText(/is this server itself/).first().waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Close', exact: true }).last().click();
  await page.getByRole('button', { name: 'far', exact: true }).waitFor();
  await look(page, 'build-servers');
});

test('settings and apps choose where they are built', { skip, timeout: 120_000 }, async () => {
  await page.goto(`${panel.url}/settings`);
  await page.getByLabel('Build on').selectOption('any');
  await page.getByRole('button', { name: 'Save' }).first().click();
  await page.waitForFunction(async () => (await (await fetch('/api/v1/settings')).json()).build_on === 'any');
  const app = { name: 'blog', source: { kind: 'git', url: 'https://git.example.com/blog.git' }, deploy: false };
  assert.equal((await send(page, 'POST', '/apps', app)).status, 201);
  await page.goto(`${panel.url}/apps/blog/settings`);
  await page.getByLabel('Build on').selectOption('far');
  await page.getByRole('button', { name: 'Save' }).first().click();
  await page.waitForFunction(async () => (await (await fetch('/api/v1/apps/blog')).json()).build_on === 'far');
  await look(page, 'app-settings-build-on');
  // Nobody removes what an app names.
  await page.goto(`${panel.url}/servers`);
  await page.getByRole('button', { name: 'Remove far' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByText(/blog are built on far/i).waitFor();
  await page.keyboard.press('Escape');
  // It is not ready, so what is to be built there fails, and says so.
  assert.equal((await send(page, 'POST', '/apps/blog/deployments', {})).status, 202);
  await page.goto(`${panel.url}/apps/blog`);
  await page.getByText(/the build server far was not tested successfully yet/i).first().waitFor();
  assert.match(readFileSync(at('authorized_keys'), 'utf8'), /^restrict/);
});
