// Single sign-on in a real browser: a real OpenID Connect provider set up by the form, tested by its button, signed in by,
// and turned off; a SAML provider, whose answer comes by a form from another site; a directory's form; and what the pages say when something is wrong. The browser reaches only the panel,
// so the way through the provider's own pages is gone by `tests/peers/provider.mjs`.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { forTests, look as lookAt, openPanel } from './browser.mjs';
import { binary } from './panel.mjs';
import { startPeer } from './peer.mjs';

const PASSWORD = 'seven quiet otters swim north';
const EMAIL = 'ada@example.com';
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, page, wrong } = await forTests(skip, () => openPanel([/40[1349]|422|503/]));
/** @type {Awaited<ReturnType<typeof startPeer>>} */
let provider;
let issuer = '';
/** @type {Awaited<ReturnType<typeof startPeer>>} */
let forger;
let saml = '';

before(async () => {
  if (skip) return;
  provider = await startPeer('provider.mjs', `${panel.url}/sso`);
  issuer = provider.url;
  forger = await startPeer('saml-forger.mjs');
  saml = forger.url;
  await provider.tell('/people', { account: 'bob', claims: { email: 'bob@example.com', email_verified: true, name: 'Bob Builder', groups: ['dev'] } });
  // What the browser would do at the provider.
  await page.route(`${issuer}/**`, async (route) => { const { location } = await provider.tell('/walk', { url: route.request().url(), account: 'bob' }); await route.fulfill({ status: 303, headers: { location } }); });
  await page.route(`${saml}/sso**`, async (route) => {
    const told = await forger.tell('/answer', { how: 'good', url: route.request().url() });
    const field = (/** @type {string} */ name) => `<input type="hidden" name="${name}" value="${told[name]}">`;
    await route.fulfill({ contentType: 'text/html', body: `<form method="post" action="${told.acs}">${field('RelayState')}${field('SAMLResponse')}</form><script>document.forms[0].submit()</script>` });
  });
}, { timeout: 30_000 });
after(() => { provider?.stop(); forger?.stop(); });

const look = (/** @type {string} */ name) => lookAt(page, name);

/** @param {string} path */
const go = async (path) => { await page.goto(`${panel.url}${path}`); await page.waitForSelector('h1'); };
const signOut = async () => { await page.getByRole('button', { name: 'Account' }).click(); await page.getByText('Sign out').click(); await page.waitForURL(/sign-in/); };

test('setting one up, and testing it', { skip, timeout: 90_000 }, async () => {
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: EMAIL, name: 'Ada Lovelace', password: PASSWORD } });
  assert.equal(made.status(), 201);
  await go('/security');
  await page.getByRole('link', { name: 'Single sign-on' }).click();
  await page.getByText('No identity providers').waitFor();
  await look('sso-none');
  await page.getByRole('button', { name: 'Add provider' }).click();
  await page.getByLabel('Name', { exact: true }).fill('Example');
  await page.getByLabel('Issuer').fill('http://id.example.com');
  await page.getByLabel('Client id').fill('panel');
  await page.getByLabel('Client secret').fill('guessed');
  await page.getByRole('button', { name: 'Add group' }).click();
  await page.getByLabel('Group 1', { exact: true }).fill('dev');
  await page.getByLabel('Role of group 1').selectOption('developer');
  await page.getByLabel('Only mail addresses at').fill('example.com');
  await look('sso-form');
  await page.getByRole('button', { name: 'Add provider' }).last().click();
  await page.getByText('Must begin with https://').waitFor();
  await page.getByLabel('Issuer').fill(issuer);
  await page.getByRole('button', { name: 'Add provider' }).last().click();
  await page.getByText('dev: developer').waitFor();
  await page.getByRole('button', { name: 'Test' }).click();
  await page.getByRole('button', { name: 'Test', exact: true }).last().click();
  await page.getByText('client: wrong').waitFor();
  await look('sso-test-wrong');
  await page.getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('button', { name: 'Change Example' }).click();
  await page.getByLabel('Client secret').fill('a secret: with % and +');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Test' }).click();
  await page.getByRole('button', { name: 'Test', exact: true }).last().click();
  await page.getByText('Its id and secret are taken').waitFor();
  assert.equal(await page.getByText(': wrong').count(), 0);
  await page.getByRole('button', { name: 'Close' }).last().click();
  await look('sso-list');
});

test('a provider puts people in itself', { skip, timeout: 90_000 }, async () => {
  await page.getByRole('button', { name: 'Provisioning by Example' }).click();
  await page.getByText('It is off.').waitFor();
  await page.getByLabel('Its token is good for').selectOption('90');
  await look('sso-provisioning-off');
  await page.getByRole('button', { name: 'Turn on' }).click();
  await page.getByText('Token, shown this once').waitFor();
  const token = (await page.locator('.key-box code').last().textContent()) ?? '';
  assert.match(token, /^scim_/);
  await look('sso-provisioning-token');
  const scim = (/** @type {string} */ path, /** @type {any} */ more = {}) => page.request.fetch(`${panel.url}/scim/v2${path}`, { headers: { authorization: `Bearer ${token}`, 'content-type': 'application/scim+json' }, ...more });
  const made = await scim('/Users', { method: 'POST', data: JSON.stringify({ userName: 'zoe@example.com', displayName: 'Zoe' }) });
  assert.equal(made.status(), 201);
  await page.getByRole('button', { name: 'Close' }).last().click();
  await page.getByRole('button', { name: 'Provisioning by Example' }).click();
  await page.getByText('One person and 0 groups are from it').waitFor();
  await look('sso-provisioning-on');
  await page.getByRole('button', { name: 'Turn off' }).click();
  await page.getByText('It is off.').waitFor();
  assert.equal((await scim('/Users')).status(), 401);
  await page.getByRole('button', { name: 'Close' }).last().click();
  await go('/team');
  await page.getByText('zoe@example.com').waitFor();
  await go('/security');
  await page.getByLabel('Database on the server').fill('/nowhere/countries.mmdb');
  await page.getByRole('button', { name: 'Save' }).first().click();
  await page.getByText('cannot be read').waitFor();
  await look('security-countries');
  await go('/identity-providers');
});

test('a directory is set up by the same form', { skip, timeout: 90_000 }, async () => {
  await page.getByRole('button', { name: 'Add provider' }).click();
  await page.getByRole('radio', { name: /LDAP/ }).click();
  await page.getByLabel('Name', { exact: true }).fill('Directory');
  await page.getByLabel('Address', { exact: true }).fill('ldap://ldap.example.com');
  await page.getByLabel('People are below').fill('ou=people,dc=example,dc=com');
  await look('sso-form-ldap');
  await page.getByRole('button', { name: 'Add provider' }).last().click();
  await page.getByText('passwords do not travel without TLS').waitFor();
  await page.getByLabel('Address', { exact: true }).fill('ldap://127.0.0.1:1');
  await page.getByRole('button', { name: 'Add provider' }).last().click();
  await page.getByText('ldap://127.0.0.1:1').waitFor();
});

test('SAML is set up, registered and signed in by', { skip, timeout: 90_000 }, async () => {
  await page.getByRole('button', { name: 'Add provider' }).click();
  await page.getByRole('radio', { name: /SAML/ }).click();
  await page.getByLabel('Name', { exact: true }).fill('Forge');
  await page.getByLabel('Address of its metadata').fill('http://id.example.com/metadata');
  await page.getByRole('button', { name: 'Add group' }).click();
  await page.getByLabel('Group 1', { exact: true }).fill('dev');
  await look('sso-form-saml');
  await page.getByRole('button', { name: 'Add provider' }).last().click();
  await page.getByText('Must be an address that begins with https://').waitFor();
  await page.getByLabel('Address of its metadata').fill(`${saml}/metadata`);
  await page.getByRole('button', { name: 'Add provider' }).last().click();
  await page.getByText('Register the panel at Forge').first().waitFor();
  assert.match(await page.getByRole('dialog').innerText(), /https:\/\/127\.0\.0\.1:\d+\/saml\/idp_\w+\/acs/);
  await look('sso-saml-register');
  await page.getByRole('button', { name: 'Done' }).click();
  await page.getByRole('row', { name: /Forge/ }).getByRole('button', { name: 'Test' }).click();
  await page.getByRole('button', { name: 'Test', exact: true }).last().click();
  await page.getByText(`The provider calls itself ${saml}/metadata`).waitFor();
  await look('sso-saml-test');
  await page.getByRole('button', { name: 'Close' }).last().click();
  await signOut();
  await page.getByRole('button', { name: 'Sign in with Forge' }).click();
  await page.waitForSelector('.rail');
  const shown = await page.evaluate(async () => (await fetch('/api/v1/session')).json());
  assert.equal(shown.user.email, 'mallory@example.com');
  assert.equal(shown.user.role, 'developer');
});

test('signing in by it', { skip, timeout: 90_000 }, async () => {
  await signOut();
  await page.getByRole('button', { name: 'Sign in with Example' }).waitFor();
  await look('sign-in-sso');
  await page.getByRole('button', { name: 'Sign in with Directory' }).click();
  await page.getByText('With your name and password of Directory').waitFor();
  await page.getByLabel('Name', { exact: true }).fill('bob');
  await page.getByLabel('Password', { exact: true }).fill('x');
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText(/cannot be used/).waitFor();
  await look('sign-in-directory');
  await page.getByRole('button', { name: 'Back' }).click();
  await go('/sign-in?next=%2Faccount');
  await page.getByRole('button', { name: 'Sign in with Example' }).click();
  await page.waitForSelector('.rail');
  await page.waitForURL(/\/account$/);
  const shown = await page.evaluate(async () => (await fetch('/api/v1/session')).json());
  assert.equal(shown.user.email, 'bob@example.com');
  assert.equal(shown.user.role, 'developer');
});

test('what the way back says when nothing comes of it', { skip, timeout: 90_000 }, async () => {
  await signOut();
  for (const [query, words] of [['', 'There is nothing to sign in with here'], ['?error=access_denied&error_description=Not+today', 'Not today'], ['?code=x&state=made-up', 'This sign-in took too long'], ['?saml=made-up', 'This sign-in took too long']]) {
    await go(`/sso${query}`);
    await page.getByText(words).waitFor();
    assert.equal(new URL(page.url()).search, '');
  }
  await look('sso-refused');
  await page.getByRole('link', { name: 'Back to signing in' }).click();
  await page.getByRole('button', { name: 'Sign in with Example' }).waitFor();
});

test('turned off, nobody is offered it, and the owner is in as ever', { skip, timeout: 90_000 }, async () => {
  await go('/sign-in');
  await page.getByLabel('Email').fill(EMAIL);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.waitForSelector('.rail');
  await go('/identity-providers');
  await page.getByRole('button', { name: 'Change Example' }).click();
  await page.getByText('On', { exact: true }).click();
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('off', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Remove Directory' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByRole('table', { name: 'Identity providers' }).getByText('Directory', { exact: true }).waitFor({ state: 'detached' });
  await signOut();
  await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  await sleep(300);
  assert.equal(await page.getByRole('button', { name: /Sign in with (Example|Directory)/ }).count(), 0);
  assert.deepEqual(wrong, []);
});
