// Rights in a real browser against a real panel: a service account and its token, a role of one's own, a team, a grant in one
// project, and what somebody with only that sees; another organization. The pages by axe, in both themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { forTests, look, openSignedIn } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const opened = await forTests(skip, () => openSignedIn([/40[1349]|422/]));
const { panel, page } = opened;
const watched = [opened.wrong];

const fresh = async () => {
  const made = await opened.fresh();
  watched.push(made.wrong);
  return made.page;
};
/** Through the panel's own API, as the page that is signed in. @param {import('playwright-core').Page} at @param {string} method @param {string} path @param {unknown} [body] @returns {Promise<any>} */
const call = (at, method, path, body) => at.evaluate(async ([method_, path_, body_]) => {
  const { csrf } = await (await fetch('/api/v1/session')).json();
  const answer = await fetch(`/api/v1${path_}`, { method: /** @type {string} */ (method_), headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: body_ ? JSON.stringify(body_) : undefined });
  return answer.status === 204 ? null : answer.json();
}, /** @type {const} */ ([method, path, body]));

before(async () => {
  if (skip) return;
  await call(page, 'POST', '/projects', { name: 'shop' });
  for (const [name, project] of [['storefront', 'shop'], ['wiki', 'default']]) await call(page, 'POST', '/apps', { name, project, source: { kind: 'image', reference: 'nginx' }, deploy: false });
  await call(page, 'POST', '/users', { email: 'bob@example.com', name: 'Bob', role: 'member', password: 'nine brown foxes at dusk' });
}, { timeout: 90_000 });

test('a service account gets a token that is bound', { skip, timeout: 90_000 }, async () => {
  await page.goto(`${panel.url}/team`);
  await page.getByRole('button', { name: 'Add service account' }).click();
  await page.getByLabel('Name', { exact: true }).fill('ci');
  await look(page, 'service-dialog');
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await page.getByText('For ci').waitFor();
  await page.getByLabel('Name', { exact: true }).fill('deploys');
  await page.getByLabel('Where').selectOption({ label: 'App storefront' });
  await page.getByLabel('Only from').fill('10.0.0.0/33');
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText(/no address or network/).waitFor();
  await page.getByLabel('Only from').fill('10.0.0.0/8');
  await look(page, 'token-dialog');
  await page.getByRole('button', { name: 'Create token' }).click();
  assert.match(await page.getByText(/^sk_/).innerText(), /^sk_/);
  await page.keyboard.press('Escape');
  await page.getByText('service account', { exact: true }).waitFor();
  await look(page, 'team-service');
});

test('a token is made for some kinds of things', { skip, timeout: 90_000 }, async () => {
  await page.goto(`${panel.url}/account`);
  await page.getByRole('button', { name: 'New token' }).first().click();
  await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('watches jobs');
  await page.getByRole('switch', { name: /^Only for some kinds/ }).check();
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText('Choose what it may do to at least one kind.').waitFor();
  await page.getByRole('checkbox', { name: 'Jobs: read' }).check();
  // By keyboard alone; who may do anything sees it too.
  await page.getByRole('checkbox', { name: 'Deployments: deploy' }).focus();
  await page.keyboard.press('Space');
  assert.equal(await page.getByRole('checkbox', { name: 'Deployments: read' }).isChecked(), true);
  await look(page, 'token-kinds');
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText(/^sk_/).waitFor();
  await page.keyboard.press('Escape');
  await page.getByText('deployments: read, deploy; jobs: read').waitFor();
});

test('a role and a team are made and granted in one project', { skip, timeout: 120_000 }, async () => {
  await page.goto(`${panel.url}/team`);
  await page.getByRole('link', { name: 'Roles and teams' }).click();
  await page.getByText('Nothing is granted').waitFor();
  await look(page, 'roles-empty');
  await page.getByRole('button', { name: 'New role' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Release captain');
  // By keyboard alone.
  await page.getByRole('switch', { name: /^Deploy/ }).focus();
  await page.keyboard.press('Space');
  await look(page, 'role-dialog');
  await page.getByRole('button', { name: 'Make role' }).click();
  await page.getByText('Release captain').waitFor();
  await page.getByRole('button', { name: 'New team' }).click();
  await page.getByLabel('Name', { exact: true }).fill('web');
  await page.getByRole('switch', { name: /^Bob/ }).check();
  await page.getByRole('button', { name: 'Make team' }).click();
  await page.getByText('web', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Give rights' }).click();
  await page.getByLabel('To', { exact: true }).selectOption({ label: 'Team web' });
  await page.getByLabel('Role').selectOption({ label: 'Release captain' });
  await page.getByLabel('In', { exact: true }).selectOption({ label: 'Project shop' });
  await look(page, 'grant-dialog');
  await page.getByRole('button', { name: 'Give', exact: true }).click();
  await page.getByText('in project shop').waitFor();
  await look(page, 'roles');
});

test('who has rights in one project sees that and no more', { skip, timeout: 90_000 }, async () => {
  const bob = await fresh();
  await bob.goto(`${panel.url}/sign-in`);
  await bob.getByLabel('Email').fill('bob@example.com');
  await bob.getByLabel('Password', { exact: true }).fill('nine brown foxes at dusk');
  await bob.getByRole('button', { name: 'Sign in' }).click();
  await bob.waitForSelector('.rail');
  await bob.getByText('storefront').first().waitFor();
  await look(bob, 'overview-of-one-project');
  await bob.goto(`${panel.url}/apps`);
  await bob.getByText('storefront').first().waitFor();
  assert.equal(await bob.getByText('wiki').count(), 0);
  for (const hidden of ['Team', 'Settings', 'Servers', 'Audit log']) assert.equal(await bob.getByRole('link', { name: hidden, exact: true }).count(), 0, hidden);
  await bob.goto(`${panel.url}/projects`);
  await bob.getByText('shop').first().waitFor();
  assert.equal(await bob.getByText('default', { exact: true }).count(), 0);
});

test('what is shown differs from place to place', { skip, timeout: 120_000 }, async () => {
  await call(page, 'POST', '/users', { email: 'eve@example.com', name: 'Eve', role: 'member', password: 'nine brown foxes at dusk' });
  const eve = await fresh();
  let asked = 0;
  eve.on('request', (request) => { if (/\/api\/v1\/events$/.test(request.url())) asked += 1; });
  await eve.goto(`${panel.url}/sign-in`);
  await eve.getByLabel('Email').fill('eve@example.com');
  await eve.getByLabel('Password', { exact: true }).fill('nine brown foxes at dusk');
  await eve.getByRole('button', { name: 'Sign in' }).click();
  // Nothing was given to her: that is told, and the panel is not called lost.
  await eve.getByText('Nothing was given to you yet').waitFor();
  const before = asked;
  await eve.waitForTimeout(3000);
  assert.equal(asked, before, 'who may see no events does not ask again and again');
  assert.equal(await eve.getByText('The panel does not answer').count(), 0);
  for (const hidden of ['Apps', 'Marketplace', 'DNS', 'Forges', 'Registries', 'Team']) assert.equal(await eve.getByRole('link', { name: hidden, exact: true }).count(), 0, hidden);
  await look(eve, 'overview-of-nothing');

  for (const [role, app] of [['developer', 'storefront'], ['viewer', 'wiki']]) await call(page, 'POST', '/grants', { role, to: 'user:eve@example.com', place: `app:${app}` });
  await eve.getByRole('button', { name: 'Look again' }).click();
  await eve.getByText('storefront').first().waitFor();
  await eve.getByRole('link', { name: 'Apps', exact: true }).first().waitFor();
  for (const hidden of ['Marketplace', 'DNS', 'Forges', 'Registries', 'Team', 'New app']) assert.equal(await eve.getByRole('link', { name: hidden, exact: true }).count(), 0, hidden);

  await eve.goto(`${panel.url}/apps/storefront`);
  await eve.getByRole('button', { name: 'Deploy', exact: true }).waitFor();
  const tabs = eve.getByRole('navigation', { name: 'App', exact: true });
  for (const shown of ['Terminal', 'Settings']) assert.equal(await tabs.getByRole('link', { name: shown, exact: true }).count(), 1, shown);
  await eve.goto(`${panel.url}/apps/wiki`);
  await eve.getByText('Not deployed yet').waitFor();
  for (const hidden of ['Deploy', 'Deploy now', 'Restart', 'More actions']) assert.equal(await eve.getByRole('button', { name: hidden, exact: true }).count(), 0, hidden);
  for (const hidden of ['Terminal', 'Settings', 'Edit']) assert.equal(await eve.getByRole('link', { name: hidden, exact: true }).count(), 0, hidden);
  await look(eve, 'app-of-a-viewer');
  for (const [path, told] of [
    ['/apps/wiki/terminal', 'A terminal here is not yours to open'],
    ['/apps/wiki/settings', 'These settings are not yours to change'],
    ['/apps/new', 'There is no place for an app of yours'],
    ['/dns', 'This is not yours to see'],
  ]) {
    await eve.goto(`${panel.url}${path}`);
    await eve.getByText(told).waitFor();
  }
});

test('another organization is another world', { skip, timeout: 90_000 }, async () => {
  await call(page, 'POST', '/organizations', { name: 'acme' });
  await page.goto(`${panel.url}/apps`);
  await page.getByText('storefront').first().waitFor();
  await page.getByRole('button', { name: /Account of Ada/ }).click();
  await page.getByRole('menuitemradio', { name: 'acme' }).or(page.getByRole('menuitem', { name: 'acme' })).or(page.getByRole('menuitemcheckbox', { name: 'acme' })).first().click();
  await page.waitForURL(`${panel.url}/`);
  await page.getByText(/first app|No apps|nothing/i).first().waitFor();
  assert.equal(await page.getByText('storefront').count(), 0);
  await look(page, 'overview-of-another');
  for (const found of watched) assert.deepEqual(found, []);
});
