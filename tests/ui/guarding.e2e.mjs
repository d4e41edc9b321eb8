// What guards the panel, in a real browser against a real one: from where it is reached, the mail server, a forgotten password,
// and joining another organization by an invitation. The pages by axe, in both themes and at phone width.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forTests, look, openSignedIn, send } from './browser.mjs';
import { binary } from './panel.mjs';

const PASSWORD = 'seven quiet otters swim north';
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const opened = await forTests(skip, () => openSignedIn([/40[1349]|422|503/]));
const { panel, page, wrong } = opened;

/** Where somebody switches to another organization: a page of the panel would notice, and begin anew at a time of its own. */
const NOWHERE = 'about:blank';

/** @param {string} path */
const go = async (path) => { await page.goto(`${panel.url}${path}`); await page.waitForSelector('h1'); };

test('a change of the addresses waits to be confirmed', { skip, timeout: 90_000 }, async () => {
  await go('/security');
  const list = page.getByLabel('The panel');
  await list.waitFor();
  await page.getByText('Yours is 127.0.0.1').waitFor();
  await list.fill('198.51.100.0/24');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText(/Your own address, 127\.0\.0\.1, is not in it/).waitFor();
  await look(page, 'allow-lists-refused');
  await list.fill('127.0.0.0/8\n192.0.2.0/24');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Waits to be confirmed').waitFor();
  await page.getByText(/^[45]:\d\d$/).waitFor();
  await look(page, 'allow-lists-trial');
  await page.getByRole('button', { name: 'Keep it' }).click();
  await page.getByText('Waits to be confirmed').waitFor({ state: 'detached' });
  await list.fill('127.0.0.1');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Take it back now' }).click();
  await page.getByText('Waits to be confirmed').waitFor({ state: 'detached' });
  assert.equal(await list.inputValue(), '127.0.0.0/8\n192.0.2.0/24');
});

test('mail is set up, and says what is wrong', { skip, timeout: 90_000 }, async () => {
  await go('/settings');
  const part = page.getByRole('form', { name: 'Mail' });
  await part.getByLabel('Server').fill('127.0.0.1');
  await part.getByLabel('Protection').selectOption('plain');
  await part.getByLabel('Port').fill('1');
  await part.getByLabel('From').fill('nobody');
  await part.getByRole('button', { name: 'Save' }).click();
  await part.getByText(/Must be like panel@example\.com/).waitFor();
  await part.getByLabel('From').fill('panel@example.com');
  await part.getByRole('button', { name: 'Save' }).click();
  await part.getByRole('button', { name: 'Send a test' }).click();
  await part.getByText(/127\.0\.0\.1:1 cannot be used for mail/).waitFor();
  await look(page, 'settings-mail');
});

test('a forgotten password', { skip, timeout: 90_000 }, async () => {
  const { page: other } = await opened.fresh();
  await other.goto(`${panel.url}/sign-in`);
  await other.getByRole('link', { name: 'Forgotten your password?' }).waitFor();
  await look(other, 'sign-in-forgotten');
  await other.getByRole('link', { name: 'Forgotten your password?' }).click();
  await other.getByRole('heading', { name: 'New password' }).waitFor();
  await other.getByLabel('Email').fill('nobody@example.com');
  await look(other, 'forgotten');
  await other.getByRole('button', { name: 'Send the link' }).click();
  await other.getByText(/a link is on its way/).waitFor();
  await look(other, 'forgotten-asked');
  // The link of a mail opens a page of its own.
  await other.goto('about:blank');
  await other.goto(`${panel.url}/new-password#made-up`);
  await other.waitForURL((url) => !url.href.includes('#'));
  await other.getByLabel('Password', { exact: true }).fill('nine brown foxes at dusk');
  await other.getByRole('button', { name: 'Use it' }).click();
  await other.getByText(/a link that is still good/).waitFor();
  await look(other, 'new-password');
  await other.context().close();
});

test('somebody with an account joins another organization', { skip, timeout: 90_000 }, async () => {
  await page.goto(NOWHERE);
  for (const [method, path, body] of /** @type {const} */ ([
    ['POST', '/users', { email: 'bob@example.com', name: 'Bob', role: 'viewer', password: PASSWORD }],
    ['POST', '/organizations', { name: 'acme' }],
    ['POST', '/session/switch', { organization: 'acme' }],
  ])) assert.ok((await send(page, method, path, body)).status < 300, path);
  await go('/team');
  await page.getByRole('button', { name: 'Invite' }).click();
  await page.getByLabel('Email').fill('bob@example.com');
  await page.getByLabel('Send the link by mail').uncheck();
  await page.getByRole('button', { name: 'Make the link' }).click();
  const link = await page.getByText(/\/invitation#/).innerText();
  const { page: other } = await opened.fresh();
  await other.goto(link);
  await other.getByText('in acme').waitFor();
  await look(other, 'invitation-join');
  await other.getByRole('button', { name: 'Sign in to join' }).click();
  await other.getByLabel('Email').fill('bob@example.com');
  await other.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await other.getByRole('button', { name: 'Sign in', exact: true }).click();
  await other.getByRole('button', { name: 'Join acme' }).click();
  await other.waitForSelector('.rail');
  const there = await other.evaluate(async () => (await (await fetch('/api/v1/session')).json()).organization.name);
  assert.equal(there, 'acme');
  await other.context().close();
});

test('a link that was copied has one sent by mail', { skip, timeout: 90_000 }, async () => {
  await page.goto(NOWHERE);
  for (const [method, path, body] of /** @type {const} */ ([
    ['POST', '/session/switch', { organization: 'default' }],
    ['POST', '/users', { email: 'head@example.com', name: 'Head', role: 'member', password: PASSWORD }],
    ['POST', '/organizations', { name: 'lab', owner: 'head@example.com' }],
  ])) assert.ok((await send(page, method, path, body)).status < 300, path);
  const { page: other } = await opened.fresh();
  await other.goto(`${panel.url}/sign-in`);
  await other.getByLabel('Email').fill('head@example.com');
  await other.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await other.getByRole('button', { name: 'Sign in', exact: true }).click();
  await other.waitForSelector('.rail', { state: 'attached' });
  await other.goto(NOWHERE);
  assert.equal((await send(other, 'POST', '/session/switch', { organization: 'lab' })).status, 200);
  const made = JSON.parse((await send(other, 'POST', '/invitations', { email: 'bob@example.com', role: 'viewer' })).text);
  const { page: invited } = await opened.fresh();
  await invited.goto(`${panel.url}/invitation#${made.link.split('#')[1]}`);
  await invited.getByText('in lab').waitFor();
  await invited.getByRole('button', { name: 'Sign in to join' }).waitFor();
  await look(invited, 'invitation-copied');
  await invited.getByRole('button', { name: 'No account yet? Send a link by mail' }).click();
  await invited.getByText('A link is on its way to bob@example.com').waitFor();
  await look(invited, 'invitation-sent');
  await other.context().close();
  await invited.context().close();
});

test('nothing went wrong in the console', { skip }, () => { assert.deepEqual(wrong, []); });
