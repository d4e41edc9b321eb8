// Domains and the edge in a real browser, with real requests: a rule and why it answers, a policy, a canary, a certificate of one's own, an open port,
// a DNS provider, a login at a registry, and the options of the edge.
//
// It starts the binary that SERVERKIT_BIN names.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { forTests, look, openPanel, send } from './browser.mjs';
import { ask, binary, freePorts, hasEngine } from './panel.mjs';
import { eventually as until, stepsOf } from './steps.mjs';

const IMAGE = process.env.SERVERKIT_TEST_IMAGE ?? 'tests/http:latest';
const OWNER = { name: 'Ada Lovelace', email: 'ada@example.test', password: 'seven quiet otters swim north' };
const why = !binary() ? 'SERVERKIT_BIN names no binary' : !hasEngine(IMAGE) ? `the engine has no image ${IMAGE}` : false;
const HOST = 'shop.localhost';

/** A certificate signed by itself, and its key. */
const folder = mkdtempSync(join(tmpdir(), 'sk-certificate-'));
function certificate(/** @type {string} */ name) {
  const [key, chain] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', chain, '-days', '90', '-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`, '-addext', 'basicConstraints=critical,CA:FALSE'], { stdio: 'ignore' });
  return { key: readFileSync(key, 'utf8'), chain: readFileSync(chain, 'utf8') };
}
/** What the edge answers, with its headers and the certificate that it shows. @param {string} host @param {string} [path] @param {Record<string, string>} [headers] @returns {Promise<{ status: number, text: string, headers: import('node:http').IncomingHttpHeaders, subject: string }>} */
const request = (host, path = '/', headers = {}) => new Promise((done, fail) => {
  https.get({ host: '127.0.0.1', port: panel.https, path, servername: host, headers: { host, ...headers }, rejectUnauthorized: false, agent: false }, (answer) => {
    const { subject } = /** @type {import('node:tls').TLSSocket} */ (answer.socket).getPeerCertificate();
    let text = '';
    answer.on('data', (part) => { text += part; });
    answer.on('end', () => done({ status: answer.statusCode ?? 0, text, headers: answer.headers, subject: String(subject?.CN ?? '') }));
  }).on('error', fail);
});

// A field that is wrong, and a registry that is not there: the browser reports these answers as errors.
const { panel, page, wrong } = await forTests(why, () => openPanel([/status of 4\d\d/, /^4\d\d: .*\/api\//, /(^503: |status of 503).*\/registries/]));
after(() => { rmSync(folder, { recursive: true, force: true }); });

const step = stepsOf('traffic', page, wrong, { skip: why, timeout: 180_000 });
const button = (/** @type {string | RegExp} */ name) => page.getByRole('button', { name, exact: typeof name === 'string' });
const dialog = () => page.getByRole('dialog');
const tab = async (/** @type {string} */ name) => { await page.locator('.tabs a', { hasText: name }).first().click(); await page.locator('.tabs a[aria-current=page]', { hasText: name }).waitFor(); };
/** @param {() => Promise<boolean>} is @param {number} [limit] */
const eventually = (is, limit) => until(page, is, limit);
/** Makes an app from the image, with a sentence of its own, and waits until it answers. */
async function app(/** @type {string} */ name) {
  const made = await send(page, 'POST', '/apps', { name, source: { kind: 'image', reference: IMAGE }, domains: [`${name}.localhost`], variables: [{ key: 'MESSAGE', value: `I am ${name}` }] });
  assert.equal(made.status, 201, made.text);
  await eventually(async () => (await ask(panel.https, `${name}.localhost`)).text.trim() === `I am ${name}`, 120_000);
}

step('two apps run behind the edge', async () => {
  await page.goto(panel.link);
  await page.getByLabel('Name', { exact: true }).fill(OWNER.name);
  await page.getByLabel('Email').fill(OWNER.email);
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password);
  await button('Continue').click();
  await button('Skip').click();
  await page.getByRole('heading', { name: 'Put something online' }).waitFor();
  await app('shop');
  await app('api');
});
step('the list leads to a domain, and its traffic comes live', async () => {
  await page.goto(`${panel.url}/domains`);
  await page.locator('tr', { hasText: HOST }).getByRole('link', { name: HOST, exact: true }).click();
  await page.waitForURL(/\/domains\/shop\.localhost\/traffic$/);
  for (let i = 0; i < 12; i += 1) await request(HOST, `/page/${i % 3}`);
  await page.locator('.frequent li', { hasText: '/page/1' }).waitFor();
  await page.locator('.frequent li', { hasText: '127.0.0.1' }).waitFor();
  await page.reload();
  await page.locator('.frequent li', { hasText: '/page/1' }).waitFor();
});
step('a rule is added, answers, and is explained', async () => {
  await tab('Rules');
  await button('Add rule').click();
  await dialog().getByLabel('Name', { exact: true }).fill('api');
  await dialog().getByLabel('Path and all below it').fill('api');
  await dialog().getByLabel('App', { exact: true }).selectOption({ label: 'api (default, production)' });
  await dialog().getByRole('button', { name: 'Add rule' }).click();
  await dialog().locator('.field-error').waitFor();
  await dialog().getByLabel('Path and all below it').fill('/api');
  await dialog().getByText('Change the path on the way').click();
  await dialog().getByLabel('Take off the front').fill('/api');
  await dialog().getByRole('button', { name: 'Add rule' }).click();
  await page.locator('.rule', { hasText: '/api/…' }).waitFor();
  await eventually(async () => (await request(HOST, '/api/')).text.trim() === 'I am api');
  assert.equal((await request(HOST, '/apix')).status, 404);
  assert.equal((await request(HOST)).text.trim(), 'I am shop');
  await page.getByLabel('Address', { exact: true }).fill(`https://${HOST}/api/x`);
  await button('Explain').click();
  await page.locator('.explain-answer', { hasText: 'api answers' }).waitFor();
  await page.locator('.rule.answers', { hasText: 'api' }).waitFor();
  await page.getByLabel('Address', { exact: true }).fill(`https://${HOST}/elsewhere`);
  await button('Explain').click();
  await page.locator('.rule.rest.answers').waitFor();
  await page.locator('.explain-steps', { hasText: 'is not below /api' }).waitFor();
});
step('a redirect with a capture, and the order of rules', async () => {
  await button('Add rule').click();
  await dialog().getByLabel('Name', { exact: true }).fill('moved');
  await dialog().getByRole('radio', { name: 'Redirect' }).click();
  await button('One path to another').click();
  await dialog().getByLabel('Path', { exact: true }).selectOption('any');
  await dialog().getByLabel('Pattern over the path').fill('^/api/old/(.*)$');
  await dialog().getByRole('button', { name: 'Add rule' }).click();
  await page.locator('.rule', { hasText: '301 to /new/$1' }).waitFor();
  assert.equal((await request(HOST, '/api/old/a')).headers.location, undefined);
  await button('Move moved up').click();
  await page.locator('.rule').first().filter({ hasText: 'moved' }).waitFor();
  await eventually(async () => (await request(HOST, '/api/old/a')).headers.location === '/new/a');
});
step('requests are split by weight', async () => {
  await button('Add rule').click();
  await dialog().getByLabel('Name', { exact: true }).fill('both');
  await dialog().getByLabel('Path and all below it').fill('/both');
  await dialog().getByRole('radio', { name: 'To several' }).click();
  await dialog().getByLabel('App', { exact: true }).nth(1).selectOption({ label: 'api (default, production)' });
  await dialog().getByLabel('Weight', { exact: true }).nth(0).fill('3');
  await dialog().getByLabel('Weight', { exact: true }).nth(1).fill('one');
  await dialog().getByText('Change the path on the way').click();
  await dialog().getByLabel('Take off the front').fill('/both');
  await dialog().getByRole('button', { name: 'Add rule' }).click();
  await dialog().locator('.field-error', { hasText: 'whole number' }).waitFor();
  await dialog().getByLabel('Weight', { exact: true }).nth(1).fill('1');
  await dialog().getByText('75% of the requests').waitFor();
  await dialog().getByText('25% of the requests').waitFor();
  await look(page, 'traffic-split');
  await dialog().getByRole('button', { name: 'Add rule' }).click();
  await page.locator('.rule', { hasText: '75% shop' }).filter({ hasText: '25% api' }).waitFor();
  await eventually(async () => (await request(HOST, '/both/')).status === 200);
  const said = [];
  for (let i = 0; i < 8; i += 1) said.push((await request(HOST, '/both/')).text.trim());
  assert.deepEqual([said.filter((text) => text === 'I am shop').length, said.filter((text) => text === 'I am api').length], [6, 2]);
  // Shown again as it was written, then all of it to one.
  await page.locator('.rule', { hasText: '75% shop' }).locator('.rule-open').click();
  assert.equal(await dialog().getByLabel('Weight', { exact: true }).nth(0).inputValue(), '3');
  await dialog().getByLabel('Weight', { exact: true }).nth(0).fill('0');
  await dialog().getByText('No request').waitFor();
  await dialog().getByRole('button', { name: 'Save' }).click();
  await page.locator('.rule', { hasText: '100% api' }).waitFor();
  await eventually(async () => (await request(HOST, '/both/')).text.trim() === 'I am api');
});
step('what was written is not lost by turning away', async () => {
  await button('Add rule').click();
  await dialog().getByLabel('Name', { exact: true }).fill('unsaved');
  page.once('dialog', (question) => question.dismiss());
  await page.keyboard.press('Escape');
  assert.equal(await dialog().getByLabel('Name', { exact: true }).inputValue(), 'unsaved');
  page.once('dialog', (question) => question.accept());
  await page.keyboard.press('Escape');
  await dialog().waitFor({ state: 'detached' });
  await tab('Policy');
  await page.getByRole('form', { name: 'Sizes and times' }).getByLabel('Largest body').fill('1 KiB');
  page.once('dialog', (question) => question.dismiss());
  await page.locator('.tabs a', { hasText: 'Traffic' }).click();
  assert.match(page.url(), /\/policy$/);
  await page.getByRole('form', { name: 'Sizes and times' }).getByRole('button', { name: 'Discard' }).click();
});
step('a policy is saved, and in effect', async () => {
  const form = (/** @type {string} */ name) => page.getByRole('form', { name, exact: true });
  const save = async (/** @type {string} */ name) => { await form(name).getByRole('button', { name: 'Save' }).click(); await form(name).locator('.panel-foot').waitFor({ state: 'detached' }); };
  await form('Headers of answers').getByLabel(/HSTS/).selectOption('year');
  await form('Headers of answers').getByLabel(/^Set/).fill('X-Frame-Options DENY');
  await form('Headers of answers').getByRole('button', { name: 'Save' }).click();
  await form('Headers of answers').locator('.field-error').waitFor();
  await form('Headers of answers').getByLabel(/^Set/).fill('X-Frame-Options: DENY');
  await save('Headers of answers');
  const { headers } = await request(HOST);
  assert.equal(headers['strict-transport-security'], 'max-age=31536000');
  assert.equal(headers['x-frame-options'], 'DENY');
  await form('Password').getByRole('switch', { name: 'Password' }).check();
  await form('Password').getByLabel('Name', { exact: true }).fill('ada');
  await form('Password').getByLabel('Password', { exact: true }).last().fill('open sesame');
  await save('Password');
  assert.equal((await request(HOST)).status, 401);
  const basic = { authorization: `Basic ${Buffer.from('ada:open sesame').toString('base64')}` };
  assert.equal((await request(HOST, '/', basic)).status, 200);
  // A part that is saved leaves the others, the password too, as they were.
  await form('Maintenance').getByRole('switch', { name: 'Maintenance' }).check();
  await form('Maintenance').getByLabel('Message').fill('We are back at noon.');
  await save('Maintenance');
  const closed = await request(HOST, '/', basic);
  assert.equal(closed.status, 503);
  assert.match(closed.text, /back at noon/);
  await form('Maintenance').getByRole('switch', { name: 'Maintenance' }).uncheck();
  await save('Maintenance');
  assert.equal((await request(HOST, '/', basic)).status, 200);
  assert.equal((await request(HOST, '/')).status, 401);
  await form('Password').getByRole('switch', { name: 'Password' }).uncheck();
  await save('Password');
  assert.equal((await request(HOST)).headers['x-frame-options'], 'DENY');
});
step('a rate limit on trial shows whom it would refuse, then refuses', async () => {
  const form = page.getByRole('form', { name: 'Rate limits' });
  await form.getByRole('button', { name: 'Add a limit' }).click();
  await form.getByLabel('Requests').fill('3');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.panel-foot').waitFor({ state: 'detached' });
  for (let i = 0; i < 6; i += 1) assert.equal((await request(HOST)).status, 200);
  await page.goto(`${panel.url}/edge/limits`);
  await page.locator('.limited li', { hasText: '127.0.0.1' }).filter({ hasText: 'would be' }).waitFor();
  await page.locator('tr', { hasText: 'visitors' }).getByRole('link').first().click();
  await page.waitForURL(/\/policy#rates$/);
  await form.getByRole('switch', { name: /On trial/ }).uncheck();
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.panel-foot').waitFor({ state: 'detached' });
  await eventually(async () => (await request(HOST)).status === 429);
  await form.getByRole('button', { name: 'Remove limit 1' }).click();
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.panel-foot').waitFor({ state: 'detached' });
  assert.equal((await request(HOST)).status, 200);
});
step('the panel’s own API has limits, and shows who meets them', async () => {
  await page.goto(`${panel.url}/edge/limits`);
  const form = page.getByRole('form', { name: 'The panel’s own API' });
  await form.getByRole('button', { name: 'Remove limit 1' }).waitFor();
  const rows = await form.getByRole('button', { name: /^Remove limit/ }).count();
  const exempt = await form.getByLabel('Never limited').inputValue();
  await form.getByRole('button', { name: 'Add a limit' }).click();
  const last = (/** @type {string} */ label) => form.getByLabel(label, { exact: true }).last();
  await last('Name').fill('looks');
  await last('Of').selectOption('read');
  await last('For each').selectOption('address');
  await last('Requests').fill('1');
  await last('In').fill('soon');
  await form.getByLabel('Never limited').fill('');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.field-error', { hasText: '15m' }).waitFor();
  await last('In').fill('10m');
  await look(page, 'traffic-api-limits');
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.panel-foot').waitFor({ state: 'detached' });
  // It is on trial: this page itself asks more often than it allows, and goes on.
  const who = page.locator('section, .panel', { hasText: 'Asking the panel too often' }).last();
  await who.locator('.limited li', { hasText: 'looks' }).filter({ hasText: 'would be' }).waitFor();
  await who.locator('.limited li', { hasText: '127.0.0.1' }).first().waitFor();
  await look(page, 'traffic-api-limited');
  await form.getByRole('button', { name: `Remove limit ${rows + 1}` }).click();
  await form.getByLabel('Never limited').fill(exempt);
  await form.getByRole('button', { name: 'Save' }).click();
  await form.locator('.panel-foot').waitFor({ state: 'detached' });
  await page.goto(`${panel.url}/domains/${HOST}/traffic`);
  await page.locator('.frequent li').first().waitFor();
});
step('a canary gets its share, and ends', async () => {
  await tab('Canary');
  await page.getByLabel('App', { exact: true }).selectOption({ label: 'api (default, production)' });
  await page.getByLabel('Share of the requests').fill('0');
  await page.getByLabel('Always with this header').fill('X-Canary');
  await button('Start').click();
  await button('End canary…').waitFor();
  await eventually(async () => (await request(HOST, '/', { 'x-canary': '1' })).text.trim() === 'I am api');
  assert.equal((await request(HOST)).text.trim(), 'I am shop');
  await button('End canary…').click();
  await dialog().getByRole('button', { name: 'End' }).click();
  await button('Start').waitFor({ state: 'detached' }).catch(() => {});
  await eventually(async () => (await request(HOST, '/', { 'x-canary': '1' })).text.trim() === 'I am shop');
});
step('a certificate is checked before it is uploaded, then serves', async () => {
  const own = certificate(HOST);
  const other = certificate('other.localhost');
  await page.goto(`${panel.url}/certificates`);
  await button('Upload').click();
  await dialog().getByLabel('Certificate and those that issued it').fill(own.chain);
  await dialog().getByLabel('Private key').fill(other.key);
  await dialog().getByText('The key belongs to another certificate').waitFor();
  assert.ok(await dialog().getByRole('button', { name: 'Upload' }).isDisabled());
  await dialog().getByLabel('Private key').fill(own.key);
  await dialog().getByText('The key belongs to it').waitFor();
  await dialog().getByRole('button', { name: 'Upload' }).click();
  await dialog().getByText('The certificate is taken').waitFor();
  await button('Good').click();
  await page.locator('tr', { hasText: 'Uploaded' }).filter({ hasText: HOST }).waitFor();
  await eventually(async () => (await request(HOST)).subject === HOST);
});
step('a port leads to an app', async () => {
  const [port] = await freePorts(1);
  await page.goto(`${panel.url}/ports`);
  await button('Open a port').click();
  await dialog().getByLabel('Port', { exact: true }).fill('0');
  await dialog().getByRole('button', { name: 'Open port' }).click();
  await dialog().locator('.field-error').waitFor();
  await dialog().getByLabel('Port', { exact: true }).fill(String(port));
  await dialog().getByLabel('In the container').fill('8080');
  await dialog().getByLabel('App', { exact: true }).selectOption({ label: 'shop (default, production)' });
  await dialog().getByRole('button', { name: 'Open port' }).click();
  const row = page.locator('tr', { hasText: `tcp/${port}` });
  await row.locator('.state.ok').waitFor();
  await eventually(() => new Promise((done) => {
    const line = net.connect(port, '127.0.0.1', () => line.write('GET / HTTP/1.0\r\nHost: x\r\n\r\n'));
    let text = '';
    line.on('data', (part) => { text += part; });
    line.on('close', () => done(text.includes('I am shop')));
    line.on('error', () => done(false));
  }));
  await row.getByText(/now, [1-9]\d* in all/).waitFor();
  await row.getByRole('button', { name: `Close tcp/${port}` }).click();
  await dialog().getByRole('button', { name: 'Close', exact: true }).last().click();
  await page.getByText('No port is open').waitFor();
});
step('a DNS provider is added and tested', async () => {
  const program = join(folder, 'hook');
  writeFileSync(program, '#!/bin/sh\n[ "$1" = test ] && [ "$TOKEN" = good ]\n', { mode: 0o755 });
  await page.goto(`${panel.url}/dns`);
  await button('Add provider').click();
  await dialog().getByLabel('Where the zones are kept').selectOption('exec');
  await dialog().getByLabel('Name', { exact: true }).fill('hook');
  await dialog().getByLabel('Program and arguments').fill(program);
  await dialog().getByLabel('Zones', { exact: true }).fill('example.test');
  await button('Add a variable').click();
  await dialog().getByLabel('Name', { exact: true }).last().fill('TOKEN');
  await dialog().getByLabel('Value', { exact: true }).fill('good');
  await button('Add and try').click();
  await page.locator('tr', { hasText: 'hook' }).locator('.state.ok').first().waitFor();
  await page.locator('tr', { hasText: 'example.test' }).last().waitFor();
  await button('Test').click();
  await page.locator('.toast', { hasText: 'hook works' }).waitFor();
});
step('a login at a registry is kept', async () => {
  await page.goto(`${panel.url}/registries`);
  await button('Add login').click();
  await dialog().getByLabel('Registry', { exact: true }).fill('127.0.0.1:1');
  await dialog().getByLabel('User').fill('ada');
  await dialog().getByLabel('Password or token', { exact: true }).fill('secret');
  await dialog().getByRole('button', { name: 'Add login' }).click();
  await dialog().locator('.problem, .field-error').first().waitFor();
  await dialog().getByRole('switch', { name: /Keep it without asking/ }).check();
  await dialog().getByRole('button', { name: 'Add login' }).click();
  await page.locator('tr', { hasText: '127.0.0.1:1' }).waitFor();
});
step('the options of the edge hold, and say what is wrong', async () => {
  await page.goto(`${panel.url}/edge/options`);
  const limits = page.getByRole('form', { name: 'Limits' });
  await limits.getByLabel('Memory for kept answers').fill('much');
  await limits.getByRole('button', { name: 'Save' }).click();
  await limits.locator('.field-error').waitFor();
  await limits.getByLabel('Memory for kept answers').fill('96 MiB');
  await limits.getByRole('button', { name: 'Save' }).click();
  await limits.locator('.panel-foot').waitFor({ state: 'detached' });
  const front = page.getByRole('form', { name: 'Proxies in front' });
  await front.getByRole('switch', { name: /PROXY protocol/ }).check();
  await front.getByRole('button', { name: 'Save' }).click();
  await front.locator('.field-error, .problem').first().waitFor();
  await front.getByRole('button', { name: 'Discard' }).click();
  await page.reload();
  await eventually(async () => (await limits.getByLabel('Memory for kept answers').inputValue()) === '96 MiB');
  await page.locator('.tabs a', { hasText: 'Now' }).click();
  await page.locator('tr', { hasText: HOST }).waitFor();
});
