// A panel by the keyboard alone: no pointer is used in the whole way. Everything that the Tab key leads to can be seen and shows that it has the
// focus, nothing holds it for ever, and a dialog gives it back to what opened it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forTests, openPanel } from './browser.mjs';
import { binary } from './panel.mjs';
import { code } from './totp.mjs';

const PASSWORD = 'seven quiet otters swim north';
const EMAIL = 'ada@example.com';
const STOPS = 150;
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const { panel, context, page, wrong } = await forTests(skip, () => openPanel([/40[139]|422/]));

/** What has the focus: its name as it is read out, and what is wrong with it for somebody who looks at the page. */
const focused = () => page.evaluate(() => {
  const at = /** @type {HTMLElement} */ (document.activeElement);
  const named = /** @type {HTMLInputElement} */ (at).labels?.[0]?.textContent;
  const name = (at.getAttribute('aria-label') ?? named ?? at.textContent ?? '').replace(/\s+/g, ' ').trim();
  if (at === document.body) return { name: '', wrong: '' };
  // Fields show it by the box around them.
  const shows = (/** @type {Element | null} */ one) => { if (!one) return false; const style = getComputedStyle(one); return (style.outlineStyle !== 'none' && Number.parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none'; };
  const box = at.getBoundingClientRect();
  const seen = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  const problem = !seen ? 'is not to be seen' : !(shows(at) || shows(at.parentElement) || shows(at.closest('label'))) ? 'does not show that it has the focus' : '';
  return { name, wrong: problem && `${at.outerHTML.slice(0, 160)} ${problem}` };
});

/** Goes on to what is called so. @param {RegExp} wanted */
async function to(wanted) {
  const passed = [];
  for (let stops = 0; stops < STOPS; stops += 1) {
    await page.keyboard.press('Tab');
    const now = await focused();
    assert.equal(now.wrong, '');
    if (wanted.test(now.name)) return;
    passed.push(now.name);
  }
  assert.fail(`no way to ${wanted}; passed ${[...new Set(passed)].join(' | ')}`);
}

/** @param {RegExp} wanted */
const press = async (wanted) => { await to(wanted); await page.keyboard.press('Enter'); };
/** @param {RegExp} field @param {string} text */
const write = async (field, text) => { await to(field); await page.keyboard.type(text); };
/** @param {string} path */
const go = async (path) => { await page.goto(`${panel.url}${path}`); await page.waitForSelector('h1'); };

/** Once around the page: every stop can be seen, and the way ends. @param {string} path */
async function around(path) {
  await go(path);
  // What comes after the first answers; the stream of events never ends, so there is no idle network to wait for.
  await page.waitForTimeout(500);
  for (let stops = 0; stops < STOPS; stops += 1) {
    await page.keyboard.press('Tab');
    const now = await focused();
    assert.equal(now.wrong, '', path);
    if (stops > 0 && (now.name === '' || /^Skip to/.test(now.name))) return;
  }
  assert.fail(`${path}: the way around has no end`);
}

test('in, and past the rail', { skip, timeout: 60_000 }, async () => {
  const made = await page.request.post(`${panel.url}/api/v1/setup`, { data: { token: panel.link.split('#')[1], email: EMAIL, name: 'Ada Lovelace', password: PASSWORD } });
  assert.equal(made.status(), 201);
  await context.clearCookies();
  await go('/sign-in');
  await write(/^Email/, EMAIL);
  await write(/^Password/, PASSWORD);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.rail');
  await go('/');
  await press(/^Skip to the content/);
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
});

test('a second factor', { skip, timeout: 60_000 }, async () => {
  await go('/account');
  await page.getByRole('button', { name: 'Set up' }).waitFor();
  await press(/^Set up$/);
  await page.getByLabel('Your password').waitFor();
  await page.keyboard.type(PASSWORD);
  await page.keyboard.press('Enter');
  await page.getByAltText(/QR code/).waitFor();
  const key = (await page.locator('.key-box code').innerText()).replace(/\s/g, '');
  await write(/^Code/, code(key));
  await page.keyboard.press('Enter');
  await page.getByText('Your second factor is on').waitFor();
  assert.equal((await page.locator('.codes code').allInnerTexts()).length, 10);
  await press(/stored|kept|Done/);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
});

test('a token, and back to where it was asked for', { skip, timeout: 60_000 }, async () => {
  await go('/account');
  await page.getByRole('button', { name: 'New token' }).first().waitFor();
  await press(/^New token$/);
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.match((await focused()).name, /^New token$/, 'the focus is where the dialog came from');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').getByLabel('Name').waitFor();
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await page.locator('.secret code').waitFor();
  await press(/I have stored it/);
  await page.getByText('keys', { exact: true }).first().waitFor();
});

test('an entry of the audit log', { skip, timeout: 60_000 }, async () => {
  await go('/audit');
  await page.getByRole('button', { name: /Claimed this panel/ }).waitFor();
  await press(/Claimed this panel/);
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.match((await focused()).name, /Claimed this panel/);
});

test('an identity provider is set up and tested', { skip, timeout: 60_000 }, async () => {
  await go('/identity-providers');
  await page.getByRole('button', { name: 'Add provider' }).first().waitFor();
  await press(/^Add provider$/);
  await page.getByRole('dialog').waitFor();
  await write(/^Name/, 'Nowhere');
  await write(/^Issuer/, 'http://127.0.0.1:1');
  await write(/^Client id/, 'panel');
  await press(/^Add provider$/);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await press(/^Test$/);
  await page.getByRole('dialog').waitFor();
  await press(/^Test$/);
  // What is wrong there is said in words.
  await page.getByRole('dialog').getByText(/refused|reached/).first().waitFor();
});

for (const path of ['/account', '/security', '/team', '/team/roles', '/audit', '/identity-providers', '/quotas']) {
  test(`once around ${path}`, { skip, timeout: 60_000 }, () => around(path));
}

test('the page reported nothing', { skip }, () => assert.deepEqual(wrong, []));
