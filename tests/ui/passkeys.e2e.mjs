// Passkeys in a real browser with Chromium's virtual authenticator: made, used alone, beside the password and to confirm,
// named, removed; refused where the panel has no name, without user verification, and when the question is an old one.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { forTests, look as looked, openPanel } from './browser.mjs';
import { binary } from './panel.mjs';

const PASSWORD = 'seven quiet otters swim north';
const EMAIL = 'ada@example.com';
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

// Chromium makes no passkeys behind a certificate that it does not know, unless it is told to know all.
const { panel, context, page, wrong } = await forTests(skip, () => openPanel([/40[139]|422/], { flags: ['--ignore-certificate-errors'] }));
/** The panel by a name, as passkeys need it. */
const url = skip ? '' : panel.url.replace('127.0.0.1', 'localhost');
/** @type {import('playwright-core').CDPSession} */
let device;
let authenticator = '';
/** @type {string[]} */
let codes = [];

/** @param {Partial<{ isUserVerified: boolean, hasUserVerification: boolean }>} [how] */
async function plugIn(how = {}) {
  const { authenticatorId } = await device.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true, ...how } });
  authenticator = authenticatorId;
}
const credentials = async () => (await device.send('WebAuthn.getCredentials', { authenticatorId: authenticator })).credentials;

before(async () => {
  if (skip) return;
  device = await context.newCDPSession(page);
  await device.send('WebAuthn.enable');
  await plugIn();
});

/** As `look`, and the authenticator is as it was. @param {string} name */
async function look(name) {
  const kept = await credentials();
  await looked(page, name);
  // What axe is put in with takes the authenticator along when it goes.
  await device.send('WebAuthn.enable');
  await plugIn();
  for (const credential of kept) await device.send('WebAuthn.addCredential', { authenticatorId: authenticator, credential });
}

/** @param {string} path @param {string} [from] */
const go = async (path, from = url) => { await page.goto(`${from}${path}`); await page.waitForSelector('h1'); };
const signOut = async () => { await page.getByRole('button', { name: 'Account' }).click(); await page.getByText('Sign out').click(); await page.waitForURL(/sign-in/); };
/** @param {string} path @param {unknown} body what the API answers to the page */
const ask = (path, body) => page.evaluate(async ([to, text]) => {
  const csrf = (await (await fetch('/api/v1/session')).json()).csrf ?? '';
  const answer = await fetch(`/api/v1${to}`, { method: 'POST', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: text });
  return { status: answer.status, body: await answer.json() };
}, /** @type {[string, string]} */ ([path, JSON.stringify(body)]));

async function typeIn(password = PASSWORD) {
  await go('/sign-in');
  await page.getByLabel('Email').fill(EMAIL);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

test('at an address there are none, and the page says why', { skip, timeout: 60_000 }, async () => {
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: EMAIL, name: 'Ada Lovelace', password: PASSWORD } });
  assert.equal(made.status(), 201);
  await go('/account', panel.url);
  await page.getByText('Passkeys belong to a name').waitFor();
  assert.equal(await page.getByRole('button', { name: 'Add passkey' }).count(), 0);
  await look('passkeys-address');
  const { status, body } = await ask('/session/passkey/question', {});
  assert.equal(status, 409);
  assert.match(body.detail, /domain/);
  await signOut();
  assert.equal(await page.getByRole('button', { name: /passkey/ }).count(), 0);
});

test('making the first one', { skip, timeout: 60_000 }, async () => {
  await typeIn();
  await page.waitForSelector('.rail');
  await go('/account');
  await page.getByText('No passkeys').waitFor();
  await page.getByRole('button', { name: 'Add passkey' }).click();
  await page.getByLabel('Name', { exact: true }).last().fill('My laptop');
  await page.getByLabel('Your password').fill('wrong wrong wrong');
  await look('passkey-add');
  await page.getByRole('button', { name: 'Add passkey' }).last().click();
  await page.getByText('Is not the present password').waitFor();
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Add passkey' }).last().click();
  await page.getByText('Your recovery codes').waitFor();
  codes = await page.locator('.codes code').allInnerTexts();
  assert.equal(codes.length, 10);
  await page.getByRole('button', { name: 'I have stored them' }).click();
  await page.getByText('My laptop').waitFor();
  await page.getByText('On by a passkey').waitFor();
  const [own] = await credentials();
  assert.equal(own.isResidentCredential, true);
  assert.equal(own.rpId, 'localhost');
  await look('account-passkey');
});

test('signing in with it alone', { skip, timeout: 60_000 }, async () => {
  await signOut();
  await look('sign-in-passkey');
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.waitForSelector('.rail');
  const shown = await page.evaluate(async () => (await fetch('/api/v1/session')).json());
  assert.equal(shown.user.email, EMAIL);
  assert.ok(shown.confirmed_until, 'it counts as the second factor');
  await go('/account');
  await page.getByText(/used (just now|\d+ ?s|now)/).first().waitFor();
});

test('beside the password, and a code in its place', { skip, timeout: 60_000 }, async () => {
  await signOut();
  await typeIn();
  await page.getByText('Six digits from your authenticator app').waitFor();
  await look('sign-in-second');
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.waitForSelector('.rail');
  await signOut();
  await typeIn();
  await page.getByLabel('Code', { exact: true }).fill(codes[0]);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.waitForSelector('.rail');
});

test('confirming what is dangerous', { skip, timeout: 60_000 }, async () => {
  // A remembered browser has shown no second factor in its session.
  await signOut();
  await typeIn();
  await page.getByLabel('Code', { exact: true }).fill(codes[1]);
  await page.getByLabel(/Ask for no code/).check();
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.waitForSelector('.rail');
  await signOut();
  await typeIn();
  await page.waitForSelector('.rail');
  await go('/account');
  await page.getByRole('button', { name: 'New token' }).first().click();
  await page.getByLabel('Name', { exact: true }).last().fill('ci');
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText('Confirm that it is you').waitFor();
  await look('confirm-passkey');
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('Your new token').waitFor();
  await page.getByRole('button', { name: 'I have stored it' }).click();
});

test('an old question, a forged answer, and another page', { skip, timeout: 60_000 }, async () => {
  const show = () => page.evaluate(async () => {
    const { passkeys } = await import(/** @type {any} */ ('/lib/passkeys.js'));
    return passkeys.show();
  });
  const shown = await show();
  const first = await ask('/session/passkey', shown);
  assert.equal(first.status, 201);
  assert.equal((await ask('/session/passkey', shown)).status, 401, 'an answer counts once');
  const other = await show();
  // The answer to another question.
  const crossed = await ask('/session/passkey', { id: (await ask('/session/passkey/question', {})).body.id, credential: other.credential });
  assert.equal(crossed.status, 401);
  const forged = await show();
  forged.credential.response.signature = forged.credential.response.signature.replace(/..$/, 'AA');
  assert.equal((await ask('/session/passkey', forged)).status, 401);
  const claimed = await show();
  const data = JSON.parse(Buffer.from(claimed.credential.response.clientDataJSON, 'base64url').toString());
  claimed.credential.response.clientDataJSON = Buffer.from(JSON.stringify({ ...data, origin: 'https://evil.example' })).toString('base64url');
  assert.equal((await ask('/session/passkey', claimed)).status, 401);
});

test('an authenticator that does not look who is there', { skip, timeout: 60_000 }, async () => {
  await go('/account');
  await device.send('WebAuthn.setUserVerified', { authenticatorId: authenticator, isUserVerified: false });
  await signOut();
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByText('No passkey was used').waitFor();
  await device.send('WebAuthn.setUserVerified', { authenticatorId: authenticator, isUserVerified: true });
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.waitForSelector('.rail');
});

test('naming and removing', { skip, timeout: 60_000 }, async () => {
  await go('/account');
  await page.getByRole('button', { name: 'Name My laptop' }).click();
  await page.getByLabel('Name', { exact: true }).last().fill('Old laptop');
  await page.getByRole('button', { name: 'Save' }).last().click();
  await page.getByText('Old laptop').waitFor();
  // The same device cannot have a second one of the account.
  await page.getByRole('button', { name: 'Add passkey' }).click();
  await page.getByRole('button', { name: 'Add passkey' }).last().click();
  await page.getByText('This device has a passkey of your account already').waitFor();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Remove Old laptop' }).click();
  await page.getByRole('button', { name: 'Remove', exact: true }).click();
  await page.getByText('No passkeys').waitFor();
  await signOut();
  await page.getByRole('button', { name: 'Sign in with a passkey' }).click();
  await page.getByText('This passkey is not known here').waitFor();
  await typeIn();
  await page.waitForSelector('.rail');
  assert.deepEqual(wrong, []);
});

test('who must have a second factor may begin with a passkey', { skip, timeout: 60_000 }, async () => {
  const changed = await page.evaluate(async () => {
    const csrf = (await (await fetch('/api/v1/session')).json()).csrf;
    return (await fetch('/api/v1/security', { method: 'PATCH', headers: { 'content-type': 'application/json', 'x-csrf-token': csrf }, body: JSON.stringify({ second_factor: 'everyone', grace_days: 0 }) })).status;
  });
  assert.equal(changed, 200);
  await page.goto(`${url}/`);
  await page.waitForURL(/enrol/);
  await page.getByRole('button', { name: 'Use a passkey instead' }).click();
  await look('enrol-passkey');
  await device.send('WebAuthn.clearCredentials', { authenticatorId: authenticator });
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Make the passkey' }).click();
  await page.getByText('Your passkey is your second factor now.').waitFor();
  await look('enrol-passkey-codes');
  await page.getByRole('button', { name: 'I have stored them' }).click();
  await page.waitForSelector('.rail');
  assert.deepEqual(wrong, []);
});
