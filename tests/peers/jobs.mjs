// A forge that signs ID tokens for jobs of its CI, and whatever else the test asks for: `POST /job {how, claims}` answers one. `GET /runner`
// is what a runner asks, with an audience. `POST /rotate` makes a new key and forgets the old one.
// `POST /slow {ms}`: it waits so long before it tells anything of its keys. `POST /asked`: how often it was asked about them.
//
//   node jobs.mjs [CERTIFICATE KEY]     prints its issuer when it is ready; with files of a certificate and its key, over TLS
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';

const other = await generateKeyPair('RS256');
let own = await generateKeyPair('RS256', { extractable: true });
const curve = await generateKeyPair('ES256', { extractable: true });
let kid = 1;
let runner = {};
let slow = 0;
let asked = 0;

const [certificate, key] = process.argv.slice(2);
const server = certificate ? createTlsServer({ cert: readFileSync(certificate), key: readFileSync(key) }) : createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `${certificate ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const keys = async () => ({ keys: [{ ...(await exportJWK(own.publicKey)), kid: `rsa-${kid}`, use: 'sig', alg: 'RS256' }, { ...(await exportJWK(curve.publicKey)), kid: 'ec', use: 'sig', alg: 'ES256' }] });
let number = 0;

async function idToken({ how = 'good', claims: wished }) {
  const now = Math.floor(Date.now() / 1000);
  number += 1;
  const claims = { iss: issuer, jti: `job-${number}`, iat: now, nbf: now - 5, exp: now + 300, sub: 'repo:ada/blog:ref:refs/heads/main', repository: 'ada/blog', repository_id: '42', ref: 'refs/heads/main', ref_type: 'branch', run_id: '7', workflow_ref: 'ada/blog/.github/workflows/deploy.yml@refs/heads/main', ...wished };
  const header = { alg: 'RS256', kid: `rsa-${kid}` };
  const sign = (changes = {}, key = own.privateKey, head = header) => new SignJWT({ ...claims, ...changes }).setProtectedHeader(head).sign(key);
  const mac = (secret) => { const text = `${part({ alg: 'HS256', kid: `rsa-${kid}` })}.${part(claims)}`; return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`; };
  switch (how) {
    case 'good': return sign();
    case 'es256': return sign({}, curve.privateKey, { alg: 'ES256', kid: 'ec' });
    case 'issuer': return sign({ iss: `${issuer}/other` });
    case 'no audience': return sign({ aud: undefined });
    case 'expired': return sign({ iat: now - 7200, nbf: now - 7200, exp: now - 3600 });
    case 'early': return sign({ nbf: now + 3600, exp: now + 7200 });
    case 'for ever': return sign({ exp: now + 40 * 86_400 });
    case 'no id': return sign({ jti: undefined });
    case 'other key': return sign({}, other.privateKey);
    case 'unknown key': return sign({}, own.privateKey, { alg: 'RS256', kid: 'rsa-0' });
    case 'none': return `${part({ alg: 'none' })}.${part(claims)}.`;
    case 'hmac of the key': return mac(await exportSPKI(own.publicKey));
    case 'hmac of the modulus': return mac(Buffer.from((await exportJWK(own.publicKey)).n, 'base64url'));
    case 'changed': { const [head, , signature] = (await sign()).split('.'); return `${head}.${part({ ...claims, repository_id: '43' })}.${signature}`; }
    default: throw new Error(how);
  }
}

server.on('request', async (request, answer) => {
  const say = (value) => { answer.writeHead(200, { 'content-type': 'application/json' }); answer.end(JSON.stringify(value)); };
  let text = '';
  for await (const piece of request) text += piece;
  const url = new URL(request.url, issuer);
  if (url.pathname === '/job') return say({ value: await idToken(JSON.parse(text)) });
  if (url.pathname === '/runner' && request.method === 'POST') { runner = JSON.parse(text); return say({}); }
  if (url.pathname === '/runner' && request.headers.authorization === 'bearer of the runner') return say({ value: await idToken({ claims: { ...runner, aud: url.searchParams.get('audience') } }) });
  if (url.pathname === '/rotate') { own = await generateKeyPair('RS256', { extractable: true }); kid += 1; return say({}); }
  if (url.pathname === '/slow') { slow = JSON.parse(text).ms; return say({}); }
  if (url.pathname === '/asked') return say({ asked });
  asked += 1;
  await new Promise((done) => { setTimeout(done, slow); });
  if (url.pathname === '/jwks') return say(await keys());
  if (url.pathname === '/.well-known/openid-configuration') return say({ issuer, jwks_uri: `${issuer}/jwks` });
  answer.writeHead(404); return answer.end();
});
console.log(issuer);
