// The second factor in a real browser against a real panel: set-up by the QR page, signing in with a code, remembering the
// browser, confirming what is dangerous, and the one way that a policy leaves.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forTests, look, openPanel, send } from './browser.mjs';
import { binary } from './panel.mjs';
import { code } from './totp.mjs';

const PASSWORD = 'seven quiet otters swim north';
const EMAIL = 'ada@example.com';
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, context, page, wrong } = await forTests(skip, () => openPanel([/40[139]|422/]));
let key = '';
/** @type {string[]} */
let codes = [];

/** @param {string} path */
const go = async (path) => { await page.goto(`${panel.url}${path}`); await page.waitForSelector('h1'); };

/** @param {string} password */
async function signIn(password = PASSWORD) {
  await go('/sign-in');
  await page.getByLabel('Email').fill(EMAIL);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}
const signOut = async () => { await page.getByRole('button', { name: 'Account' }).click(); await page.getByText('Sign out').click(); await page.waitForURL(/sign-in/); };

test('setting it up', { skip, timeout: 60_000 }, async () => {
  // The owner is made on the machine's way: by the link.
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: EMAIL, name: 'Ada Lovelace', password: PASSWORD } });
  assert.equal(made.status(), 201);
  await context.clearCookies();
  await signIn();
  await page.waitForSelector('.rail');
  await go('/account');
  await page.getByRole('button', { name: 'Set up' }).waitFor();
  await look(page, 'account-without');
  await page.getByRole('button', { name: 'Set up' }).click();
  await page.getByLabel('Your password').fill('wrong wrong wrong');
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByText('Is not the present password').waitFor();
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByAltText(/QR code/).waitFor();
  assert.ok(await page.getByAltText(/QR code/).evaluate((/** @type {HTMLImageElement} */ image) => image.complete && image.naturalWidth > 0), 'the picture is drawn');
  await look(page, 'enrol-dialog');
  key = (await page.locator('.key-box code').innerText()).replace(/\s/g, '');
  assert.equal(key.length, 32);
  await page.getByLabel('Code').fill('000000');
  await page.getByRole('button', { name: 'Turn on' }).click();
  await page.getByText(/phone.s clock/).waitFor();
  await page.getByLabel('Code').fill(code(key, -1));
  await page.getByRole('button', { name: 'Turn on' }).click();
  await page.getByText('Your second factor is on').waitFor();
  codes = await page.locator('.codes code').allInnerTexts();
  assert.equal(codes.length, 10);
  await look(page, 'recovery-codes');
  await page.getByRole('button', { name: 'I have stored them' }).click();
  await page.getByText('10 of 10 recovery codes are left').waitFor();
  await look(page, 'account-with');
});

test('signing in with a code, and being remembered', { skip, timeout: 60_000 }, async () => {
  await signOut();
  await signIn();
  await page.getByText('Six digits from your authenticator app').waitFor();
  await look(page, 'sign-in-code');
  await page.getByLabel('Code', { exact: true }).fill('000000');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('The code is wrong, or was used already').waitFor();
  await page.getByLabel('Code', { exact: true }).fill(codes[0].toUpperCase());
  await page.getByLabel(/Ask for no code/).check();
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForSelector('.rail');
  await signOut();
  await signIn();
  await page.waitForSelector('.rail');
  await go('/account');
  await page.getByText('9 of 10 recovery codes are left').waitFor();
  await page.getByText(/no code until/).waitFor();
});

test('what is dangerous asks for a code, and goes on with it', { skip, timeout: 60_000 }, async () => {
  await go('/account');
  await page.getByRole('button', { name: 'New token' }).first().click();
  await page.getByLabel('Name', { exact: true }).last().fill('ci');
  await page.getByRole('button', { name: 'Create token' }).click();
  await page.getByText('Confirm that it is you').waitFor();
  await look(page, 'confirm');
  await page.getByLabel('Code', { exact: true }).fill(codes[1]);
  await page.getByRole('button', { name: 'Confirm' }).click();
  await page.getByText('Your new token').waitFor();
  await page.getByRole('button', { name: 'I have stored it' }).click();
  // For a while nothing is asked any more.
  await go('/security');
  await page.getByLabel('Who must have one').selectOption('everyone');
  await page.getByLabel('Grace period', { exact: true }).fill('0');
  await look(page, 'security');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved', { exact: true }).first().waitFor();
  await go('/team');
  await page.getByText('Second factor').first().waitFor();
  await look(page, 'team');
});

test('a policy leaves one way', { skip, timeout: 60_000 }, async () => {
  const made = await send(page, 'POST', '/users', { email: 'bob@example.com', name: 'Bob', role: 'developer', password: PASSWORD });
  assert.equal(made.status, 201);
  await context.clearCookies();
  await go('/sign-in');
  await page.getByLabel('Email').fill('bob@example.com');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByText('This panel asks for one before you go on').waitFor();
  await look(page, 'enrol');
  await go('/apps');
  await page.waitForURL(/enrol/);
  await page.getByLabel('Your password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Go on' }).click();
  await page.getByAltText(/QR code/).waitFor();
  const own = (await page.locator('.key-box code').innerText()).replace(/\s/g, '');
  await page.getByLabel('Code').fill(code(own));
  await page.getByRole('button', { name: 'Turn on' }).click();
  await page.getByRole('button', { name: 'I have stored them' }).click();
  await page.waitForSelector('.rail');
  assert.deepEqual(wrong, []);
});
