// Looks at every page of a running panel in both themes, at a desk's and a phone's width: a picture of each into shots/ (ignored by git), and fails on
// console errors, violations of the policy, failed requests, pages wider than the window, and what axe finds.
//
//   SERVERKIT_URL=https://127.0.0.1:8444 SERVERKIT_EMAIL=… SERVERKIT_PASSWORD=… node shots.mjs [--only apps,…] [--no-axe]
//
// Without an email the panel is taken as signed in already (a panel of canned answers).
import { mkdir } from 'node:fs/promises';
import { launch, violations, watch } from './browser.mjs';

const base = process.env.SERVERKIT_URL ?? 'http://127.0.0.1:7001';
const { SERVERKIT_EMAIL: email, SERVERKIT_PASSWORD: password } = process.env;
const out = new URL('./shots/', import.meta.url).pathname;
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1].split(',') : null;
const axe = !process.argv.includes('--no-axe');
const BUDGET = 250 * 1024;

await mkdir(out, { recursive: true });
const browser = await launch(base);
const problems = [];

/** @param {import('playwright-core').BrowserContext} context */
async function signIn(context) {
  if (!email || !password) return;
  const page = await context.newPage();
  await page.goto(`${base}/sign-in`);
  await page.fill('input[name=email]', email);
  await page.fill('input[name=password]', password);
  await page.click('button[type=submit]');
  await page.waitForSelector('.rail', { state: 'attached' });
  await page.close();
}

/** The first step of the first start, filled. @param {import('playwright-core').Page} page */
async function account(page) {
  await page.getByLabel('Name', { exact: true }).fill('Ada Lovelace');
  await page.getByLabel('Email').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill('seven quiet otters swim north');
}

/** As if nobody was signed in, and for the first start as if nobody had the panel. @param {import('playwright-core').Page} page @param {boolean} fresh */
async function unsigned(page, fresh) {
  await page.route('**/api/v1/session*', (route) => route.fulfill({ status: 401, contentType: 'application/problem+json', body: '{"status":401,"code":"unauthenticated","detail":"sign in first"}' }));
  await page.route('**/api/v1/session/refresh', (route) => route.fulfill({ status: 401, body: '{}' }));
  const ends = new Date(Date.now() + 600_000).toISOString();
  if (fresh) await page.route('**/api/v1/setup', (route) => route.fulfill(route.request().method() === 'GET' ? { json: { claimed: false, version: '0.1.0' } } : { status: 201, json: { user: { id: 'usr_1', name: 'Ada Lovelace', email: 'ada@example.com', role: 'owner', disabled: false }, csrf: '', expires_at: ends } }));
}

/** What is there to look at. @param {import('playwright-core').BrowserContext} context @returns {Promise<[name: string, path: string, act?: (page: import('playwright-core').Page) => Promise<void>][]>} */
async function places(context) {
  const page = await context.newPage();
  await page.goto(base);
  await page.waitForSelector('h1', { state: 'attached' });
  const { apps, deployments, projects, domains, zones } = await page.evaluate(async () => {
    const items = async (/** @type {string} */ path) => (await (await fetch(`/api/v1${path}`)).json()).items;
    return { apps: await items('/apps'), deployments: await items('/deployments'), projects: await items('/projects'), domains: await items('/domains'), zones: await items('/dns/zones') };
  });
  await page.close();
  const of = (/** @type {(one: any) => boolean} */ want) => apps.find(want) ?? apps[0];
  const running = of((app) => app.state === 'running' && app.url);
  const busy = apps.find((/** @type {any} */ app) => app.state === 'deploying');
  const failed = apps.find((/** @type {any} */ app) => app.state === 'failed');
  const live = deployments.find((/** @type {any} */ one) => one.phase === 'live' && one.previous) ?? deployments[0];
  const broken = deployments.find((/** @type {any} */ one) => one.phase === 'failed');
  const long = (/** @type {string} */ key) => (/** @type {import('playwright-core').Page} */ page_) => page_.keyboard.press(key);
  const domain = domains.find((/** @type {any} */ one) => one.app.id === running?.id) ?? domains[0];
  const zone = zones.find((/** @type {any} */ one) => one.lists_records);
  const tabs = ['deployments', 'releases', 'logs', 'metrics', 'jobs', 'environment', 'domains', 'webhook', 'previews', 'storage', 'terminal', 'settings'];
  const stack = of((app) => app.source.template && app.state === 'running');
  return [
    ['overview', '/'], ['apps', '/apps'], ['app-new', '/apps/new'], ['projects', '/projects'], ['deployments', '/deployments'], ['domains', '/domains'], ['certificates', '/certificates'], ['certificates-upload', '/certificates?upload=1', (page_) => page_.getByLabel('Private key').waitFor()], ['dns', '/dns'], ['ports', '/ports'], ['edge', '/edge'], ['edge-limits', '/edge/limits'], ['edge-options', '/edge/options'], ['quotas', '/quotas'], ['registries', '/registries'], ['forges', '/forges'], ['freezes', '/freezes'], ['roles', '/team/roles'], ['identity-providers', '/identity-providers'], ['servers', '/servers'], ['activity', '/activity'], ['team', '/team'], ['team-invite', '/team', async (page_) => { await page_.getByRole('button', { name: 'Invite' }).click(); await page_.getByLabel('Email').waitFor(); }], ['audit', '/audit'], ['security', '/security'], ['variables', '/variables'], ['marketplace', '/marketplace'], ['template', '/marketplace/wordpress'], ['catalogs', '/catalogs'], ['account', '/account'], ['trash', '/trash'], ['settings', '/settings'], ['licences', '/licences', (page_) => page_.click('summary')], ['missing', '/nowhere'], ['docs', '/api/docs'], ['docs-operation', '/api/docs#app_create'], ['docs-errors', '/api/docs/errors'],
    ...(projects.length ? [/** @type {any} */ (['project', `/projects/${projects[0].id}`])] : []),
    ...(domain ? [...['traffic', 'rules', 'policy', 'canary', 'certificate'].map((tab) => /** @type {any} */ ([`domain-${tab}`, `/domains/${domain.host}/${tab}`])), /** @type {any} */ (['domain-rule', `/domains/${domain.host}/rules`, async (/** @type {any} */ page_) => { await page_.getByRole('button', { name: 'Add rule' }).first().click(); await page_.waitForSelector('dialog[open]'); }])] : []),
    ...(zone ? [/** @type {any} */ (['zone', `/dns/${zone.name}/records`])] : []),
    ...(running ? [['app', `/apps/${running.id}`], ...tabs.map((tab) => [`app-${tab}`, `/apps/${running.id}/${tab}`])] : []),
    ...(stack ? ['services', 'update', 'settings'].map((tab) => [`stack-${tab}`, `/apps/${stack.id}/${tab}`]) : []),
    ...(busy ? [['app-busy', `/apps/${busy.id}`], ['app-busy-environment', `/apps/${busy.id}/environment`]] : []),
    ...(failed ? [['app-failed', `/apps/${failed.id}`]] : []),
    ...(live ? [['deployment', `/deployments/${live.id}`]] : []),
    ...(broken ? [['deployment-failed', `/deployments/${broken.id}`]] : []),
    ['palette', '/', async (page_) => { await long('Control+k')(page_); await page_.keyboard.type('dep'); await page_.waitForSelector('.palette-item'); }],
    ['sign-in', '/sign-in?stay'],
    ['setup-closed', '/setup'], ['setup-account', '/setup#word', account],
    ['setup-domain', '/setup#word', async (page_) => { await account(page_); await page_.getByRole('button', { name: 'Continue' }).click(); await page_.getByLabel('Panel domain').waitFor(); }],
    ['setup-app', '/setup#word', async (page_) => { await account(page_); await page_.getByRole('button', { name: 'Continue' }).click(); await page_.getByRole('button', { name: 'Skip' }).click(); await page_.locator('.pick-card').first().waitFor(); }],
    ...(running ? [/** @type {any} */ (['dialog-delete', `/apps/${running.id}/settings`, async (/** @type {any} */ page_) => { await page_.click('.danger-row .btn.danger'); await page_.waitForSelector('dialog .targets, dialog .problem'); }])] : []),
  ].filter(([name]) => !only || only.includes(name));
}

for (const theme of /** @type {const} */ (['dark', 'light'])) {
  for (const width of [1440, 390]) {
    const context = await browser.newContext({ viewport: { width, height: width === 390 ? 844 : 900 }, colorScheme: theme, ignoreHTTPSErrors: true, reducedMotion: 'reduce', bypassCSP: false, hasTouch: width === 390 });
    await signIn(context);
    for (const [name, path, act] of await places(context)) {
      const page = await context.newPage();
      const wrong = watch(page, { allow: /^(sign-in|setup)/.test(name) ? [/401/] : [] });
      let bytes = 0;
      if (name === 'overview' && width === 1440 && theme === 'dark') {
        const network = await context.newCDPSession(page);
        await network.send('Network.enable');
        network.on('Network.loadingFinished', (/** @type {any} */ event) => { bytes += event.encodedDataLength; });
      }
      if (/^(sign-in|setup)/.test(name)) await unsigned(page, name.startsWith('setup'));
      await page.goto(base + path).catch(() => page.goto(base + path));
      await page.waitForSelector('h1', { state: 'attached', timeout: 15_000 }).catch(() => wrong.push('it shows no heading within 15 s'));
      if (bytes || (name === 'overview' && width === 1440 && theme === 'dark')) { await page.waitForTimeout(900); if (bytes > BUDGET) problems.push(`first view: ${(bytes / 1024).toFixed(0)} KB are more than ${BUDGET / 1024}`); console.log(`first view: ${(bytes / 1024).toFixed(0)} KB`); }
      await page.waitForTimeout(name.includes('log') || name.includes('terminal') || name === 'overview' ? 2600 : 900);
      if (act) { await act(page).catch((error) => wrong.push(String(error).split('\n')[0])); await page.waitForTimeout(400); }
      const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (over > 0) wrong.push(`the page is ${over} px wider than the window`);
      const icons = await page.evaluate(async () => { const have = new Set([...(await (await fetch('/vendor/icons.svg')).text()).matchAll(/id="([^"]+)"/g)].map((found) => found[1])); return [...document.querySelectorAll('use')].map((use) => use.getAttribute('href')?.split('#')[1] ?? '').filter((id) => !have.has(id)); });
      if (icons.length) wrong.push(`icons that the sprite lacks: ${[...new Set(icons)].join(', ')}`);
      if (axe) wrong.push(...await violations(page));
      await page.screenshot({ path: `${out}${name}-${theme}-${width}.png` });
      for (const one of new Set(wrong)) problems.push(`${name} (${theme}, ${width}): ${one}`);
      await page.close();
    }
    await context.close();
  }
}
await browser.close();
console.log(problems.length ? `${problems.length} problems\n${problems.join('\n')}` : 'all pages are clean');
process.exitCode = problems.length ? 1 : 0;
