// A real OpenID Connect provider (oidc-provider) on a loopback port, with people that the test sets (claims null: they are gone), and somebody who
// clicks through its pages: `POST /walk {url, account}` goes the way of a browser and answers where it was sent back to;
// `POST /leave {url}` signs the last browser out here, hands what the panel is told of it on to `url`, and answers both;
// `POST /break {status}` has userinfo answer so from now on (0: as it should), and answers how often it has.
//
//   node provider.mjs REDIRECT_URI     prints its issuer when it is ready
import { createServer } from 'node:http';
import { request as ask } from 'node:https';
import { Provider } from 'oidc-provider';

const [redirect] = process.argv.slice(2);
/** @type {Record<string, object>} claims by account */
const people = {};
/** Who is at the browser. */
let account = '';
/** The cookies of the last browser. @type {Record<string, string>} */
let jar = {};
/** Where logout tokens are handed on to: the panel knows its address for them only once it knows this provider. */
let panel = '';
/** @type {{ token: string | null, status: number }[]} */
let handed = [];

/** What userinfo answers in place of the person, and how often it did. */
const broken = { status: 0, answers: 0 };

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  clients: [
    { client_id: 'panel', client_secret: 'a secret: with % and +', redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code', 'refresh_token'], backchannel_logout_uri: `${issuer}/relay`, backchannel_logout_session_required: true },
    { client_id: 'posting', client_secret: 'posted', token_endpoint_auth_method: 'client_secret_post', redirect_uris: [redirect], response_types: ['code'], grant_types: ['authorization_code'] },
  ],
  pkce: { required: () => true },
  scopes: ['openid', 'email', 'profile', 'groups', 'offline_access'],
  // As most do, it gives a refresh token without asking its person once more; each is good for one question.
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  expiresWithSession: () => false,
  rotateRefreshToken: true,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
  cookies: { keys: ['of these tests'] },
  features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => (people[id] ? { accountId: id, claims: () => ({ sub: id, ...people[id] }) } : undefined),
});

/** Signs the one at the browser in and agrees to everything. */
async function interact(request, answer) {
  const { params, prompt, grantId, session } = await provider.interactionDetails(request, answer);
  if (prompt.name === 'login' || session?.accountId !== account) return provider.interactionFinished(request, answer, { login: { accountId: account } }, { mergeWithLastSubmission: false });
  const grant = grantId ? await provider.Grant.find(grantId) : new provider.Grant({ accountId: account, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return provider.interactionFinished(request, answer, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const cookies = () => Object.entries(jar).map(([name, value]) => `${name}=${value}`).join('; ');
/** @param {Response} found */
const keep = (found) => { for (const line of found.headers.getSetCookie()) { const [pair] = line.split(';'); const at = pair.indexOf('='); jar[pair.slice(0, at)] = pair.slice(at + 1); } };

/** Signs the last browser out, as its person would. */
async function leave() {
  handed = [];
  const page = await fetch(`${issuer}/session/end`, { headers: { cookie: cookies() } });
  keep(page);
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(await page.text())?.[1] ?? '';
  await fetch(`${issuer}/session/end/confirm`, { method: 'POST', redirect: 'manual', headers: { cookie: cookies(), 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ xsrf, logout: 'yes' }) });
  return handed;
}

/** Hands a form on to the panel, whose certificate is its own. @param {string} form @returns {Promise<number>} */
const hand = (form) => new Promise((done, fail) => {
  const sent = ask(panel, { method: 'POST', rejectUnauthorized: false, headers: { 'content-type': 'application/x-www-form-urlencoded' } }, (answer) => { answer.resume(); answer.on('end', () => done(answer.statusCode ?? 0)); });
  sent.on('error', fail);
  sent.end(form);
});

/** @param {string} url @returns {Promise<string>} */
async function walk(url) {
  jar = {};
  for (let step = 0; step < 20; step += 1) {
    const found = await fetch(url, { redirect: 'manual', headers: { cookie: cookies() } });
    keep(found);
    const next = found.headers.get('location');
    if (!next) throw new Error(`${found.status} at ${url}: ${(await found.text()).slice(0, 500)}`);
    url = new URL(next, url).href;
    if (url.startsWith(redirect)) return url;
  }
  throw new Error('too many steps');
}

const body = async (request) => { let text = ''; for await (const part of request) text += part; return JSON.parse(text); };
const callback = provider.callback();
server.on('request', async (request, answer) => {
  const say = (status, value) => { answer.writeHead(status, { 'content-type': 'application/json' }); answer.end(JSON.stringify(value)); };
  try {
    if (request.url === '/people') { const { account: id, claims } = await body(request); people[id] = claims; return say(200, {}); }
    if (request.url === '/walk') { const wish = await body(request); account = wish.account; return say(200, { location: await walk(wish.url) }); }
    if (request.url === '/leave') { panel = (await body(request)).url; return say(200, { handed: await leave() }); }
    if (request.url === '/break') { broken.status = (await body(request)).status; return say(200, { answers: broken.answers }); }
    if (request.url === '/me' && broken.status) { broken.answers += 1; return say(broken.status, { error: 'server_error' }); }
    if (request.url === '/relay') {
      let form = ''; for await (const part of request) form += part;
      const status = await hand(form);
      handed.push({ token: new URLSearchParams(form).get('logout_token'), status });
      return say(status, {});
    }
    if (request.url.startsWith('/interaction/')) return await interact(request, answer);
    return callback(request, answer);
  } catch (error) { return say(500, { error: String(error) }); }
});
console.log(issuer);
