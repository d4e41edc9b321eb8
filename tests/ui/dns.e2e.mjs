// DNS in a real browser, with a real name server that takes updates (RFC 2136): the records of a zone are shown, added,
// changed and deleted; a domain says what to set, watches for it, and sets it through the provider.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { KEY, startBind } from './bind.mjs';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary } from './panel.mjs';

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';
const limit = { skip, timeout: 120_000 };

const opened = await forTests(skip, () => openSignedIn([/401|422/]));
const { page } = opened;
/** @type {Awaited<ReturnType<typeof startBind>>} */
let bind;
const dialog = () => page.getByRole('dialog');
const button = (/** @type {string | RegExp} */ name) => page.getByRole('button', { name, exact: typeof name === 'string' });
const row = (/** @type {string} */ text) => page.locator('tr', { hasText: text });

before(async () => {
  if (skip) return;
  bind = await startBind('example.com', ['old IN A 192.0.2.7', '@ IN MX 10 mail.example.com.']);
  // Nobody is asked for certificates here.
  const settings = { acme_directory: 'https://127.0.0.1:9/dir', dns_servers: [bind.address], public_addresses: ['127.0.0.1'] };
  assert.equal((await send(page, 'PATCH', '/settings', settings)).status, 200);
}, { timeout: 90_000 });
after(() => bind?.stop());

test('a name server is added as a provider', limit, async () => {
  await page.goto(`${opened.panel.url}/dns`);
  await button('Add provider').click();
  await dialog().getByLabel('Where the zones are kept').selectOption('rfc2136');
  await dialog().getByLabel('Name', { exact: true }).fill('bind');
  await dialog().getByLabel('Primary server').fill(bind.address);
  await dialog().getByLabel('Name of the key').fill(KEY.name);
  await dialog().getByLabel('Zones', { exact: true }).fill('example.com');
  await dialog().getByLabel('Key', { exact: true }).fill(KEY.secret);
  await button('Add and try').click();
  await row('bind').locator('.state.ok').first().waitFor();
  await row('shown and changed here').getByRole('link').first().click();
  await page.waitForURL(/\/dns\/example\.com\/records$/);
});

test('records are shown, added, changed and deleted', limit, async () => {
  await row('192.0.2.7').waitFor();
  await row('10 mail.example.com').waitFor();
  await look(page, 'zone');
  await button('Add record').click();
  await dialog().getByLabel('Type').selectOption('TXT');
  await dialog().getByLabel('Name', { exact: true }).fill('note');
  await dialog().getByLabel('Value', { exact: true }).fill('spelled "so", ünder ours');
  await dialog().getByLabel('Others may remember it for').fill('soon');
  await dialog().getByRole('button', { name: 'Add record' }).click();
  await dialog().getByText('Use a time such as 5m or 1h').waitFor();
  await dialog().getByLabel('Others may remember it for').fill('2m');
  await dialog().getByRole('button', { name: 'Add record' }).click();
  await dialog().waitFor({ state: 'detached' });
  await row('note').getByText('spelled "so", ünder ours').waitFor();

  await button('Change A old.example.com').click();
  await dialog().getByLabel('Value', { exact: true }).fill('nowhere');
  await dialog().getByRole('button', { name: 'Save' }).click();
  await dialog().locator('[aria-invalid=true]').waitFor();
  await dialog().getByLabel('Value', { exact: true }).fill('192.0.2.8');
  await dialog().locator('.plan .minus', { hasText: '192.0.2.7' }).waitFor();
  await dialog().locator('.plan .plus', { hasText: '192.0.2.8' }).waitFor();
  await dialog().getByRole('button', { name: 'Save' }).click();
  await row('192.0.2.8').waitFor();
  await row('192.0.2.7').waitFor({ state: 'detached' });

  await button('Delete A old.example.com').click();
  await dialog().getByText('It is gone from example.com at once').waitFor();
  await dialog().getByRole('button', { name: 'Delete' }).click();
  await row('192.0.2.8').waitFor({ state: 'detached' });
});

test('a domain says what to set, and sees when it is there', limit, async () => {
  const app = { name: 'shop', source: { kind: 'image', reference: 'nginx' }, domains: ['shop.example.com', 'blog.example.com'], deploy: false };
  const made = await send(page, 'POST', '/apps', app);
  assert.equal(made.status, 201, made.text);
  await page.goto(`${opened.panel.url}/domains/shop.example.com/certificate`);
  await page.getByText('Watching for it').waitFor();
  await row('127.0.0.1').getByText('not there').waitFor();
  // Somebody sets it, where the zone is kept.
  const set = await send(page, 'POST', '/dns/zones/example.com/records', { name: 'shop', kind: 'A', value: '127.0.0.1', ttl_seconds: 60 });
  assert.equal(set.status, 201, set.text);
  await page.locator('.ok-text[role=status]').waitFor();
  await page.getByText('Watching for it').waitFor({ state: 'detached' });
  // Or the panel does, through the provider.
  await page.goto(`${opened.panel.url}/domains/blog.example.com/certificate`);
  await page.getByText('Watching for it').waitFor();
  await look(page, 'dns-setup');
  await button('Set through bind').click();
  await page.locator('.ok-text[role=status]').waitFor();
  await page.goto(`${opened.panel.url}/dns/example.com/records`);
  await row('blog').getByText('127.0.0.1').waitFor();
  assert.deepEqual(opened.wrong, []);
});
