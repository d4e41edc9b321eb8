// Getting in and letting others in, in a real browser against a real panel: the estimate of a password while it is typed, an
// invitation from the link to the new account, ending the other sessions, and the rules of sessions. The pages by axe, in both
// themes, at a desk's and a phone's width.
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { forTests, look, openPanel } from './browser.mjs';
import { binary } from './panel.mjs';

const PASSWORD = 'seven quiet otters swim north';
const EMAIL = 'ada@example.com';
const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

const opened = await forTests(skip, () => openPanel([/40[13]|422/]));
const { panel, page } = opened;
/** @type {import('playwright-core').Page} */
let other;
/** @type {string[]} */
const wrong = [];
const watched = [opened.wrong];

/** A browser that was never here. */
const another = async () => {
  const made = await opened.fresh();
  watched.push(made.wrong);
  return made.page;
};
before(async () => {
  if (skip) return;
  other = await another();
});

test('a password is judged while it is typed', { skip, timeout: 60_000 }, async () => {
  await page.goto(panel.link);
  await page.getByLabel('Name', { exact: true }).fill('Ada');
  await page.getByLabel('Email').fill(EMAIL);
  const field = page.getByLabel('Password', { exact: true });
  await field.fill('P@ssword2024');
  await page.getByText(/too easy to guess/).waitFor();
  await look(page, 'password-weak');
  await field.fill(PASSWORD);
  await page.getByText('Strong', { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByLabel('Panel domain').waitFor();
});

test('somebody is invited, and comes in', { skip, timeout: 90_000 }, async () => {
  await page.goto(`${panel.url}/team`);
  await page.getByRole('button', { name: 'Invite' }).click();
  await page.getByLabel('Email').fill('bob@example.com');
  await page.getByLabel('Role').selectOption('viewer');
  await look(page, 'invite-dialog');
  await page.getByRole('button', { name: 'Make the link' }).click();
  const link = await page.getByText(/\/invitation#/).innerText();
  assert.ok(link.startsWith(`${panel.url}/invitation#`), link);
  await page.keyboard.press('Escape');
  await page.getByText('bob@example.com').waitFor();
  await look(page, 'team-invited');

  await other.goto(link);
  await other.getByText('You are invited').waitFor();
  // The word leaves the address bar.
  await other.waitForURL((url) => !url.href.includes('#'));
  await other.getByLabel('Name', { exact: true }).fill('Bob');
  await other.getByLabel('Password', { exact: true }).fill('nine brown foxes at dusk');
  await look(other, 'invitation');
  await other.getByRole('button', { name: 'Join' }).click();
  await other.waitForSelector('.rail');
  await page.getByRole('cell', { name: 'Bob bob@example.com' }).waitFor();
  // Once.
  const late = await another();
  await late.goto(link);
  await late.getByText('This link does not work').waitFor();
  await look(late, 'invitation-used');
});

test('the other sessions end together, and by rules', { skip, timeout: 60_000 }, async () => {
  const signIn = async () => {
    const made = await another();
    await made.goto(`${panel.url}/sign-in`);
    await made.getByLabel('Email').fill(EMAIL);
    await made.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await made.getByRole('button', { name: 'Sign in' }).click();
    await made.waitForSelector('.rail');
    return made;
  };
  await signIn();
  const second = await signIn();
  await page.getByText(/never here before signed in as you/).first().waitFor();
  await page.goto(`${panel.url}/account`);
  await page.getByRole('button', { name: 'End all others' }).click();
  await look(page, 'end-others');
  await page.getByRole('button', { name: 'End them' }).click();
  await page.getByRole('button', { name: 'End all others' }).waitFor({ state: 'detached' });
  await second.goto(`${panel.url}/apps`);
  await second.waitForURL(/sign-in/);
  await page.goto(`${panel.url}/security`);
  await page.getByLabel('End without use after').fill('3');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Saved').waitFor();
  await look(page, 'security-sessions');
  for (const found of watched) wrong.push(...found);
  assert.deepEqual(wrong, []);
});
