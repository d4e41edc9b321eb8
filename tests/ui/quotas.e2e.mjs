// Quotas in a real browser against a real panel: set, shown as bars, refused in words where an app is made, and an organization
// that is deleted by its owner. And the pages by axe, in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openSignedIn([/401|409|422/]));

test('a quota is set, shown and refuses in words', { skip, timeout: 120_000 }, async () => {
  await page.goto(`${panel.url}/quotas`);
  await page.getByText('No limits are set.').first().waitFor();
  await look(page, 'quotas-none');
  await page.getByRole('button', { name: 'Change the quota of default' }).first().click();
  await page.getByLabel('Memory').fill('1 GiB');
  await page.getByLabel('Cores').fill('2.5');
  await page.getByLabel('Traffic in a month').fill('1 TiB');
  await look(page, 'quotas-form');
  await page.getByLabel('Builds at once').fill('x');
  await page.getByRole('button', { name: 'Set quota' }).click();
  await page.getByText('Use a number, or leave it empty for no limit').waitFor();
  await page.getByLabel('Builds at once').fill('1');
  await page.getByRole('button', { name: 'Set quota' }).click();
  await page.getByRole('img', { name: 'Memory: 0% used' }).waitFor();
  const app = (/** @type {string} */ name) => ({ name, source: { kind: 'image', reference: 'nginx' }, deploy: false, limits: { memory_bytes: 900 * 2 ** 20, cpu_millis: 500, pids: 100 } });
  assert.equal((await send(page, 'POST', '/apps', app('one'))).status, 201);
  assert.equal((await send(page, 'PUT', '/projects/default/quota', { apps: 1, disk_bytes: 5 * 2 ** 30 })).status, 200);
  await page.getByRole('img', { name: 'Memory: 88% used' }).waitFor();
  await page.getByRole('img', { name: 'Apps: 100% used' }).waitFor();
  await look(page, 'quotas');
  await page.goto(`${panel.url}/projects`);
  await page.getByRole('link', { name: 'default' }).first().click();
  await page.getByRole('heading', { name: 'Quota', exact: true }).waitFor();
  await page.getByRole('img', { name: 'Apps: 100% used' }).waitFor();
  await look(page, 'project-quota');
  await page.goto(`${panel.url}/apps/one/settings`);
  await page.getByText(/Left of the quota: 124.MiB of memory, 2 cores/).waitFor();
  const refused = await send(page, 'PATCH', '/apps/one', { replicas: 2 });
  assert.equal(refused.status, 409);
  assert.match(refused.text, /may have 1 GiB of memory and has 900 MiB of memory, and this asks for 900 MiB of memory more/);
});

test('an owner deletes an organization, and is signed out of it', { skip, timeout: 120_000 }, async () => {
  // A page of the panel would notice that it is in another organization, and begin anew at a time of its own.
  await page.goto('about:blank');
  const tab = await page.context().newPage();
  await tab.goto(`${panel.url}/projects`);
  await tab.getByRole('heading', { name: 'Projects', exact: true }).waitFor();
  assert.equal((await send(page, 'POST', '/organizations', { name: 'acme' })).status, 201);
  assert.equal((await send(page, 'POST', '/session/switch', { organization: 'acme' })).status, 200);
  // A tab that shows the one from before does nothing in the other: it begins anew.
  await tab.getByRole('button', { name: 'New project' }).first().click();
  await tab.getByLabel('Name', { exact: true }).fill('stray');
  await tab.getByRole('button', { name: 'Create project' }).click();
  await tab.waitForURL(`${panel.url}/`);
  await tab.close();
  assert.doesNotMatch(await (await page.request.get(`${panel.url}/api/v1/projects`)).text(), /stray/);
  await page.goto(`${panel.url}/team`);
  // People come into it by invitation; accepting signs in, so elsewhere.
  const invited = await send(page, 'POST', '/invitations', { email: 'bob@acme.test', role: 'developer' });
  assert.equal(invited.status, 201);
  const elsewhere = await /** @type {import("playwright-core").Browser} */ (page.context().browser()).newContext({ ignoreHTTPSErrors: true });
  const data = { token: JSON.parse(invited.text).link.split('#')[1], name: 'Bob', password: 'eleven green kettles boil' };
  assert.equal((await elsewhere.request.post(`${panel.url}/api/v1/invitation/accept`, { data })).status(), 201);
  await elsewhere.close();
  await page.getByRole('heading', { name: 'The organization' }).waitFor();
  await look(page, 'team-organization');
  await page.getByRole('button', { name: 'Delete the organization…' }).click();
  await page.getByText('bob@acme.test').last().waitFor();
  await look(page, 'organization-delete');
  const does = page.getByRole('button', { name: 'Delete the organization', exact: true });
  assert.ok(await does.isDisabled(), 'not before the name is typed');
  await page.getByLabel('Type acme to confirm').fill('acme');
  await does.click();
  await page.waitForURL(/sign-in/);
  await page.getByLabel('Email').waitFor();
  assert.deepEqual(wrong, []);
});
