// An OpenID Connect provider that signs whatever the test asks for: `POST /next {how, nonce, client}` says how the next ID
// token is wrong; `POST /logout {how, client}` answers a logout token.
//
//   node forger.mjs     prints its issuer when it is ready
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { exportJWK, exportSPKI, generateKeyPair, SignJWT } from 'jose';

const [own, other] = [await generateKeyPair('RS256', { extractable: true }), await generateKeyPair('RS256')];
const jwk = { ...(await exportJWK(own.publicKey)), kid: 'one', use: 'sig' };
const pem = await exportSPKI(own.publicKey);
let next = { how: 'good', nonce: '', client: 'panel' };

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const issuer = `http://127.0.0.1:${server.address().port}`;
const part = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

async function idToken({ how, nonce, client }) {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: issuer, aud: client, sub: 'mallory', nonce, iat: now, exp: now + 300, email: 'mallory@example.com', email_verified: true, name: 'Mallory', groups: ['dev'] };
  const header = { alg: 'RS256', kid: 'one' };
  const sign = (changes = {}, key = own.privateKey, head = header) => new SignJWT({ ...claims, ...changes }).setProtectedHeader(head).sign(key);
  const mac = (secret) => { const text = `${part({ alg: 'HS256', kid: 'one' })}.${part(claims)}`; return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`; };
  switch (how) {
    case 'good': return sign();
    case 'nonce': return sign({ nonce: 'of another sign-in' });
    case 'no nonce': return sign({ nonce: undefined });
    case 'issuer': return sign({ iss: 'https://other.example.com' });
    case 'audience': return sign({ aud: 'another' });
    case 'two audiences': return sign({ aud: [client, 'another'] });
    case 'for another': return sign({ azp: 'another' });
    case 'expired': return sign({ iat: now - 7200, exp: now - 3600 });
    case 'of tomorrow': return sign({ iat: now + 86_400, exp: now + 90_000 });
    case 'other key': return sign({}, other.privateKey);
    case 'unknown key': return sign({}, own.privateKey, { alg: 'RS256', kid: 'two' });
    case 'none': return `${part({ alg: 'none' })}.${part(claims)}.`;
    case 'hmac of the key': return mac(pem);
    case 'hmac of the modulus': return mac(Buffer.from(jwk.n, 'base64url'));
    case 'hmac of the secret': return mac('secret');
    case 'changed': { const [head, , signature] = (await sign()).split('.'); return `${head}.${part({ ...claims, sub: 'ada' })}.${signature}`; }
    case 'nobody': return sign({ sub: undefined });
    default: throw new Error(how);
  }
}

/** As OpenID Connect Back-Channel Logout 1.0 has it, but for `how`. */
async function logoutToken({ how, client }) {
  const now = Math.floor(Date.now() / 1000);
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
  const claims = { iss: issuer, aud: client, sub: 'mallory', iat: now, exp: now + 120, jti: `${Math.random()}`, events };
  const header = { alg: 'RS256', kid: 'one', typ: 'logout+jwt' };
  const sign = (changes = {}, key = own.privateKey) => new SignJWT({ ...claims, ...changes }).setProtectedHeader(header).sign(key);
  const mac = (secret) => { const text = `${part({ alg: 'HS256', kid: 'one' })}.${part(claims)}`; return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`; };
  switch (how) {
    case 'good': return sign();
    case 'nonce': return sign({ nonce: 'x' });
    case 'issuer': return sign({ iss: 'https://other.example.com' });
    case 'audience': return sign({ aud: 'another' });
    case 'expired': return sign({ iat: now - 7200, exp: now - 3600 });
    case 'old without end': return sign({ iat: now - 7200, exp: undefined });
    case 'of tomorrow': return sign({ iat: now + 86_400, exp: now + 90_000 });
    case 'no event': return sign({ events: undefined });
    case 'another event': return sign({ events: { 'https://example.com/other': {} } });
    case 'event is no object': return sign({ events: { 'http://schemas.openid.net/event/backchannel-logout': true } });
    case 'no name': return sign({ jti: undefined });
    case 'nobody': return sign({ sub: undefined });
    case 'other key': return sign({}, other.privateKey);
    case 'none': return `${part({ alg: 'none' })}.${part(claims)}.`;
    case 'hmac of the key': return mac(pem);
    case 'hmac of the secret': return mac('secret');
    default: throw new Error(how);
  }
}

server.on('request', async (request, answer) => {
  const say = (value) => { answer.writeHead(200, { 'content-type': 'application/json' }); answer.end(JSON.stringify(value)); };
  let text = '';
  for await (const piece of request) text += piece;
  if (request.url === '/next') { next = JSON.parse(text); return say({}); }
  if (request.url === '/logout') return say({ token: await logoutToken(JSON.parse(text)) });
  if (request.url === '/jwks') return say({ keys: [jwk] });
  if (request.url === '/token') return say({ access_token: 'x', token_type: 'Bearer', id_token: await idToken(next) });
  if (request.url === '/.well-known/openid-configuration') return say({ issuer, authorization_endpoint: `${issuer}/auth`, token_endpoint: `${issuer}/token`, jwks_uri: `${issuer}/jwks`, authorization_response_iss_parameter_supported: true });
  answer.writeHead(404); return answer.end();
});
console.log(issuer);
