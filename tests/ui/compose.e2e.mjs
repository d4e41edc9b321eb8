// Compose apps in a real browser against a real panel: a file that is judged while it is written, services of a repository chosen in the
// wizard, what reaches the host let in by an administrator, and a service picked in logs, domains and variables. The pages by axe,
// in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';
// Nothing here needs one: a file is read before the first image is built.
process.env.DOCKER_HOST = 'unix:///nonexistent/docker.sock';
const folder = mkdtempSync(join(tmpdir(), 'sk-compose-'));
const FILE = `services:
  web:
    build: ./web
    restart: always
    ports: ["8080:80"]
    volumes: ["/etc:/host:ro"]
  cache: { image: "redis:7", restart: always }
`;

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/40[1349]|422/]));

before(async () => {
  if (skip) return;
  const git = (/** @type {string[]} */ ...words) => execFileSync('git', ['-C', folder, '-c', 'user.name=Ada', '-c', 'user.email=ada@example.test', '-c', 'init.defaultBranch=main', ...words], { stdio: 'ignore' });
  for (const [path, text] of [['deploy/docker-compose.yml', FILE], ['deploy/web/Dockerfile', 'FROM nginx:1.22\n'], ['README.md', 'hello\n']]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  git('init');
  git('add', '.');
  git('commit', '-m', 'first');
}, { timeout: 90_000 });
after(() => { rmSync(folder, { recursive: true, force: true }); });

test('a file is judged while it is written', { skip, timeout: 90_000 }, async () => {
  await page.goto(`${panel.url}/apps/new?from=compose`);
  const file = page.getByLabel('Compose file', { exact: true });
  await file.fill('services:\n  web:\n    imagee: nginx:1.22\n');
  await page.getByText(/imagee/).first().waitFor();
  await page.getByRole('button', { name: 'Line 3' }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('pasted');
  assert.ok(await page.getByRole('button', { name: 'Create and deploy' }).isDisabled(), 'what is wrong is not sent');
  await look(page, 'compose-problem');
  await file.fill('services:\n  web: {image: "nginx:1.22", restart: always, ports: ["8080:80"]}\n  worker: {image: "redis:7", restart: always}\n');
  await page.getByText('2 services: web, worker. Domains lead to web.').waitFor();
  await look(page, 'compose-right');
  // Services of a profile run only where it is named, and another service may be the main one.
  await file.fill('services:\n  web: {image: "nginx:1.22", restart: always, ports: ["8080:80"]}\n  worker: {image: "redis:7", restart: always, profiles: [jobs]}\n');
  await page.getByText('One service: web. Domains lead to web.').waitFor();
  await page.getByText(/Port 8080 of the server is not opened/).waitFor();
  await page.getByLabel(/^Profiles/).fill('jobs');
  await page.getByText('2 services: web, worker. Domains lead to web.').waitFor();
  await page.getByLabel(/^Main service/).fill('worker');
  await page.getByText('2 services: web, worker. Domains lead to worker.').waitFor();
  // A file that is chosen takes its place.
  await page.locator('.pick-file input').setInputFiles({ name: 'compose.yaml', mimeType: 'text/yaml', buffer: Buffer.from('services:\n  solo: {image: "nginx:1.22", restart: always}\n') });
  await page.getByText(/One service: solo/).waitFor();
  assert.match(await file.inputValue(), /solo/);
  assert.deepEqual(wrong, []);
});

test('services of a repository', { skip, timeout: 120_000 }, async () => {
  await page.goto(`${panel.url}/apps/new`);
  await page.getByLabel('Repository').fill(folder);
  await page.getByRole('button', { name: 'Look inside' }).click();
  await page.getByRole('button', { name: 'Use deploy/docker-compose.yml' }).click();
  assert.equal(await page.getByLabel('Made of').inputValue(), 'several');
  assert.equal(await page.getByLabel(/^Compose file/).inputValue(), 'deploy/docker-compose.yml');
  await page.getByRole('button', { name: 'Look inside' }).click();
  await page.getByText('2 services').waitFor();
  await page.getByText('built from the source').waitFor();
  await page.getByText(/web mounts \/etc of the host: an administrator has to allow it/).waitFor();
  await look(page, 'compose-repository');
  await page.getByLabel('Name', { exact: true }).fill('shop');
  await page.getByRole('button', { name: 'Create and deploy' }).click();
  await page.waitForURL(/\/apps\/[^/]+$/);
  // Read at the deployment, before anything of the engine is needed: it is refused, and can be let in.
  await page.goto(`${panel.url}/apps/shop/services`);
  await page.getByText('The Compose file asks for what reaches the host').waitFor({ timeout: 30_000 });
  await look(page, 'compose-host');
  await page.getByRole('button', { name: 'Allow…' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Allow and deploy' }).click();
  await page.getByText('The Compose file asks for what reaches the host').waitFor({ state: 'detached' });
  await page.locator('dd', { hasText: 'web: mounts /etc of the host' }).waitFor();
  await page.goto(`${panel.url}/apps/shop/settings`);
  assert.equal(await page.getByLabel(/^Compose file/).inputValue(), 'deploy/docker-compose.yml');
  await look(page, 'compose-settings');
  assert.deepEqual(wrong, []);
});

test('a service is picked where there are several', { skip, timeout: 90_000 }, async () => {
  const compose = 'services:\n  web: {image: "nginx:1.22", restart: always, ports: ["8080:80"]}\n  worker: {image: "redis:7", restart: always}\n';
  assert.equal((await send(page, 'POST', '/apps', { name: 'duo', source: { kind: 'compose', compose }, deploy: false })).status, 201);
  for (const tab of ['logs', 'environment']) {
    await page.goto(`${panel.url}/apps/duo/${tab}`);
    await page.locator('.service-pick option', { hasText: 'worker' }).first().waitFor({ state: 'attached' });
  }
  await page.goto(`${panel.url}/apps/duo/domains`);
  await page.getByRole('button', { name: 'Add domain' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Domain', { exact: true }).fill('worker.localhost');
  await dialog.getByLabel('Leads to').selectOption('worker');
  await dialog.getByLabel('Port of the service').fill('6379');
  await look(page, 'compose-domain');
  await dialog.getByRole('button', { name: 'Add domain' }).click();
  await page.getByText('worker:6379').waitFor();
  // A rule of a domain leads to one of them too.
  await page.goto(`${panel.url}/domains/worker.localhost/rules`);
  await page.getByRole('button', { name: 'Add rule' }).first().click();
  await dialog.getByLabel('Name', { exact: true }).fill('site');
  await dialog.getByLabel('Path and all below it').fill('/site');
  await dialog.getByLabel('Service', { exact: true }).selectOption('web');
  await dialog.getByLabel('Port of the service').fill('80');
  await look(page, 'compose-rule');
  await dialog.getByRole('button', { name: 'Add rule' }).click();
  await page.locator('.rule', { hasText: '/site/…' }).getByText('duo web').waitFor();
  await page.getByRole('button', { name: 'site', exact: true }).click();
  assert.equal(await dialog.getByLabel('Service', { exact: true }).inputValue(), 'web');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await page.goto(`${panel.url}/apps/duo/services`);
  await page.getByText('not deployed').first().waitFor();
  await look(page, 'compose-services');
  assert.deepEqual(wrong, []);
});
