// A SAML identity provider that signs whatever the test asks for: `POST /answer {how, url, certificate}` takes the address
// that the panel sends the browser to, and gives the form that the browser would bring back; `how` says what is wrong with it.
// What it writes is in exclusive canonical form as it stands, so it needs no XML library.
//
//   node saml-forger.mjs     prints its address when it is ready
import { execFileSync } from 'node:child_process';
import { constants, createCipheriv, createHash, createHmac, publicEncrypt, randomBytes, sign, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

/** A key and its certificate. @param {string[]} kind */
function identity(kind) {
  const folder = mkdtempSync(join(tmpdir(), 'sk-saml-'));
  try {
    const [key, certificate] = [join(folder, 'key'), join(folder, 'certificate')];
    execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '30', '-subj', '/CN=forger', ...kind, '-keyout', key, '-out', certificate], { stdio: 'ignore' });
    const pem = readFileSync(certificate, 'utf8');
    return { key: readFileSync(key, 'utf8'), pem, der: pem.replace(/-----[^-]+-----|\s/g, '') };
  } finally { rmSync(folder, { recursive: true }); }
}
const [own, curve, other] = [identity(['-newkey', 'rsa:2048']), identity(['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256']), identity(['-newkey', 'rsa:2048'])];

const server = createServer();
await new Promise((done) => server.listen(0, '127.0.0.1', done));
const base = `http://127.0.0.1:${server.address().port}`;
const issuer = `${base}/metadata`;

const SAML = 'urn:oasis:names:tc:SAML:2.0:assertion';
const SAMLP = 'urn:oasis:names:tc:SAML:2.0:protocol';
const DS = 'http://www.w3.org/2000/09/xmldsig#';
const MORE = 'http://www.w3.org/2001/04/xmldsig-more#';
const XENC = 'http://www.w3.org/2001/04/xmlenc#';
const C14N = 'http://www.w3.org/2001/10/xml-exc-c14n#';
const ENVELOPED = `${DS}enveloped-signature`;
const keyInfo = (der) => `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>${der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`;
const metadata = () => `<?xml version="1.0"?><!-- ours --><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="${DS}" entityID="${issuer}"><md:IDPSSODescriptor protocolSupportEnumeration="${SAMLP}"><md:KeyDescriptor use="signing">${keyInfo(own.der)}</md:KeyDescriptor><md:KeyDescriptor>${keyInfo(curve.der)}</md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${base}/sso?tenant=1&amp;x=2"></md:SingleSignOnService></md:IDPSSODescriptor></md:EntityDescriptor>`;

/** Puts a signature behind the issuer of what is canonical already. @param {string} text @param {string} id @param {any} how */
function signed(text, id, { method = 'rsa-sha256', digest = 'sha256', key = own, uri = `#${id}`, transforms = [ENVELOPED, C14N], object = '', value, told } = {}) {
  const digests = { sha256: `${XENC}sha256`, sha1: `${DS}sha1` };
  const hash = told ?? createHash(digest).update(text).digest('base64');
  const named = method === 'rsa-sha1' || method === 'none' ? `${DS}${method}` : `${MORE}${method}`;
  const info = `<ds:SignedInfo xmlns:ds="${DS}"><ds:CanonicalizationMethod Algorithm="${C14N}"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="${named}"></ds:SignatureMethod><ds:Reference URI="${uri}"><ds:Transforms>${transforms.map((one) => `<ds:Transform Algorithm="${one}"></ds:Transform>`).join('')}</ds:Transforms><ds:DigestMethod Algorithm="${digests[digest]}"></ds:DigestMethod><ds:DigestValue>${hash}</ds:DigestValue></ds:Reference></ds:SignedInfo>`;
  const made = value ?? (method === 'none' ? '' : method.startsWith('hmac') ? createHmac('sha256', key.pem).update(info).digest('base64')
    : sign(method.endsWith('sha1') ? 'sha1' : 'sha256', Buffer.from(info), method.startsWith('ecdsa') ? { key: key.key, dsaEncoding: 'ieee-p1363' } : key.key).toString('base64'));
  const signature = `<ds:Signature xmlns:ds="${DS}">${info.replace(` xmlns:ds="${DS}"`, '')}<ds:SignatureValue>${made.replace(/(.{64})/g, '$1\n')}</ds:SignatureValue>${keyInfo(key.der)}${object}</ds:Signature>`;
  return { text: text.replace('</saml:Issuer>', () => `</saml:Issuer>${signature}`), signature };
}

const at = (seconds) => new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, '');

/** An assertion in canonical form. @param {any} r the request @param {any} [change] */
function assertion(r, { id = '_a1', name = 'mallory', format = 'persistent', mail = 'mallory@example.com', audience = r.issuer, recipient = r.acs, to = r.id, from = -60, until = 300, bearer = until, session = 3600, by = issuer, statement = true, data = true, condition = '', attributes = true } = {}) {
  const kind = format === 'emailAddress' ? '1.1' : '2.0';
  return `<saml:Assertion xmlns:saml="${SAML}" ID="${id}" IssueInstant="${at(0)}" Version="2.0"><saml:Issuer>${by}</saml:Issuer><saml:Subject><saml:NameID Format="urn:oasis:names:tc:SAML:${kind}:nameid-format:${format}">${name}</saml:NameID><saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">${data ? `<saml:SubjectConfirmationData${to ? ` InResponseTo="${to}"` : ''} NotOnOrAfter="${at(bearer)}" Recipient="${recipient}"></saml:SubjectConfirmationData>` : ''}</saml:SubjectConfirmation></saml:Subject><saml:Conditions NotBefore="${at(from)}" NotOnOrAfter="${at(until)}">${audience ? `<saml:AudienceRestriction><saml:Audience>${audience}</saml:Audience></saml:AudienceRestriction>` : ''}${condition}</saml:Conditions>${statement ? `<saml:AuthnStatement AuthnInstant="${at(0)}" SessionNotOnOrAfter="${at(session)}"><saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>` : ''}${attributes ? `<saml:AttributeStatement><saml:Attribute FriendlyName="mail" Name="urn:oid:0.9.2342.19200300.100.1.3"><saml:AttributeValue xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="xs:string">${mail}</saml:AttributeValue></saml:Attribute><saml:Attribute Name="groups"><saml:AttributeValue>dev</saml:AttributeValue><saml:AttributeValue>staff</saml:AttributeValue></saml:Attribute></saml:AttributeStatement>` : ''}</saml:Assertion>`;
}

/** A response around what is given, in canonical form when that is. */
const response = (r, inside, { id = '_r1', to = r.id, destination = r.acs, by = issuer, status = 'Success', before = '', more = '' } = {}) => `<samlp:Response xmlns:samlp="${SAMLP}"${destination ? ` Destination="${destination}"` : ''} ID="${id}"${to ? ` InResponseTo="${to}"` : ''} IssueInstant="${at(0)}" Version="2.0"><saml:Issuer xmlns:saml="${SAML}">${by}</saml:Issuer>${before}<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:${status}"></samlp:StatusCode>${more}</samlp:Status>${inside}</samlp:Response>`;

/** An assertion, encrypted for whoever has the certificate. */
function encrypted(text, certificate, { gcm = true, transport = `${XENC}rsa-oaep-mgf1p`, padding = constants.RSA_PKCS1_OAEP_PADDING } = {}) {
  const [key, start] = [randomBytes(32), randomBytes(gcm ? 12 : 16)];
  const cipher = createCipheriv(gcm ? 'aes-256-gcm' : 'aes-256-cbc', key, start);
  let plain = Buffer.from(text);
  if (!gcm) { cipher.setAutoPadding(false); const missing = 16 - (plain.length % 16); plain = Buffer.concat([plain, randomBytes(missing - 1), Buffer.from([missing])]); }
  const hidden = Buffer.concat([start, cipher.update(plain), cipher.final(), ...(gcm ? [cipher.getAuthTag()] : [])]).toString('base64');
  const wrapped = publicEncrypt({ key: new X509Certificate(certificate).publicKey, padding, oaepHash: 'sha1' }, key).toString('base64');
  const method = gcm ? 'http://www.w3.org/2009/xmlenc11#aes256-gcm' : `${XENC}aes256-cbc`;
  return `<saml:EncryptedAssertion xmlns:saml="${SAML}"><xenc:EncryptedData xmlns:xenc="${XENC}" Type="${XENC}Element"><xenc:EncryptionMethod Algorithm="${method}"/><ds:KeyInfo xmlns:ds="${DS}"><xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="${transport}"/><xenc:CipherData><xenc:CipherValue>${wrapped}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>${hidden}</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`;
}

const evil = { id: '_e1', name: 'admin', mail: 'admin@example.com' };

/** What is brought back. @param {string} how @param {any} r @param {string} certificate */
function answer(how, r, certificate) {
  const plain = assertion(r);
  const good = (change = {}, how = {}) => signed(assertion(r, change), change.id ?? '_a1', how).text;
  const whole = (inside, change = {}, how = {}) => signed(response(r, inside, change), '_r1', how).text;
  const { signature } = signed(plain, '_a1');
  const forged = (inside = '') => assertion(r, evil).replace('</saml:Assertion>', () => `${inside}</saml:Assertion>`);
  const first = (text, extra) => text.replace('</saml:Issuer>', () => `</saml:Issuer>${extra}`);
  switch (how) {
    // As it may be.
    case 'good': return response(r, good());
    case 'both signed': return whole(good());
    case 'response signed': return whole(plain);
    case 'by a curve': return response(r, good({}, { method: 'ecdsa-sha256', key: curve }));
    case 'encrypted': return response(r, encrypted(good(), certificate));
    case 'encrypted by CBC': return response(r, encrypted(good(), certificate, { gcm: false }));
    case 'named by mail': return response(r, good({ format: 'emailAddress', name: 'mallory@example.com', attributes: true }));
    case 'clocks apart': return response(r, good({ from: 30 }));
    // Wrapping, in the eight ways of Somorovsky et al. (2012).
    case 'wrapping 1': { const original = response(r, plain); const made = signed(original, '_r1'); return first(response(r, assertion(r, evil), { id: '_e2' }), made.signature.replace('</ds:Signature>', () => `${original}</ds:Signature>`)); }
    case 'wrapping 2': { const original = response(r, plain); const made = signed(original, '_r1'); return first(response(r, assertion(r, evil), { id: '_e2' }), `${original}${made.signature}`); }
    case 'wrapping 3': return response(r, `${forged()}${good()}`);
    case 'wrapping 4': return response(r, forged(good()));
    case 'wrapping 5': return response(r, `${first(forged(), signature)}${plain}`);
    case 'wrapping 6': return response(r, first(forged(), signature.replace('</ds:Signature>', () => `${plain}</ds:Signature>`)));
    case 'wrapping 7': return response(r, good(), { before: `<samlp:Extensions>${assertion(r, { ...evil, id: '_a1' })}</samlp:Extensions>` });
    case 'wrapping 8': return response(r, first(forged(), signature.replace('</ds:Signature>', () => `<ds:Object>${plain}</ds:Object></ds:Signature>`)));
    case 'wrapping, the same id': return response(r, first(forged(), signature).replace('_e1', '_a1'), { before: `<samlp:Extensions>${plain}</samlp:Extensions>` });
    case 'wrapping, two signatures': return response(r, first(good(), signature));
    case 'two assertions': return whole(`${plain}${assertion(r, { ...evil })}`);
    // Signatures.
    case 'unsigned': return response(r, plain);
    case 'signature elsewhere': return response(r, plain, { more: signature });
    case 'changed': return response(r, good().replace('mallory@', 'admin@'));
    case 'other key': return response(r, good({}, { key: other }));
    case 'none': return response(r, good({}, { method: 'none' }));
    case 'empty signature': return response(r, good({}, { value: '' }));
    case 'hmac of the certificate': return response(r, good({}, { method: 'hmac-sha256' }));
    case 'sha1': return response(r, good({}, { method: 'rsa-sha1' }));
    case 'sha1 digest': return response(r, good({}, { digest: 'sha1' }));
    case 'empty reference': return response(r, good({}, { uri: '' }));
    case 'reference elsewhere': return response(r, good({}, { uri: `${base}/assertion` }));
    case 'transform': return response(r, good({}, { transforms: [ENVELOPED, 'http://www.w3.org/TR/1999/REC-xslt-19991116', C14N] }));
    case 'xpath': return response(r, good({}, { transforms: ['http://www.w3.org/TR/1999/REC-xpath-19991116', C14N] }));
    // Texts that two readers take differently.
    case 'comment in the name': return response(r, good({ name: 'admin@example.com.evil.net' }).replace('admin@example.com', 'admin@example.com<!---->'));
    case 'comment in the mail': return response(r, good({ mail: 'admin@example.com.evil.net' }).replace('admin@example.com', 'admin@example.com<!-- -->'));
    case 'instruction in the name': return response(r, good().replace('mallory<', 'mal<?x?>lory<'));
    case 'document type': return `<!DOCTYPE x>${response(r, good())}`;
    case 'outside entity': return `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>${response(r, good({ name: '&e;' }, {}))}`;
    case 'entity bomb': return `<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">${[...'bcdefghij'].map((name, place) => `<!ENTITY ${name} "${`&${'abcdefghi'[place]};`.repeat(10)}">`).join('')}]>${response(r, good({ name: '&j;' }))}`;
    case 'deep': return response(r, good(), { more: '<x>'.repeat(10_000) + '</x>'.repeat(10_000) });
    case 'no XML': return 'not at all';
    // For whom, and when.
    case 'audience': return response(r, good({ audience: 'https://other.example.com/saml' }));
    case 'no audience': return response(r, good({ audience: '' }));
    case 'recipient': return response(r, good({ recipient: 'https://other.example.com/acs' }));
    case 'nobody may bear it': return response(r, good({ data: false }));
    case 'destination': return response(r, good(), { destination: 'https://other.example.com/acs' });
    case 'signed for nobody': return whole(plain, { destination: '' });
    case 'issuer': return response(r, good({ by: 'https://other.example.com' }));
    case 'issuer around': return response(r, good(), { by: 'https://other.example.com' });
    case 'expired': return response(r, good({ from: -7200, until: -3600, bearer: 300 }));
    case 'borne too late': return response(r, good({ bearer: -3600 }));
    case 'session is over': return response(r, good({ session: -3600 }));
    case 'not yet': return response(r, good({ from: 3600, until: 7200 }));
    case 'unknown condition': return response(r, good({ condition: '<saml:Condition></saml:Condition>' }));
    case 'nobody signed in': return response(r, good({ statement: false }));
    case 'unsolicited': return response(r, good({ to: '' }), { to: '' });
    case 'unsolicited inside': return response(r, good({ to: '' }));
    case 'of another request': return response(r, good({ to: '_other' }), { to: '_other' });
    case 'of another request inside': return response(r, good({ to: '_other' }));
    // What it says.
    case 'no': return response(r, '', { status: 'Requester', more: '<samlp:StatusMessage>Not today</samlp:StatusMessage>' });
    case 'no, with an assertion': return response(r, good(), { status: 'Responder' });
    case 'no assertion': return whole('');
    case 'transient': return response(r, good({ format: 'transient' }));
    case 'nobody': return response(r, good({ name: '' }));
    case 'another domain': return response(r, good({ mail: 'mallory@evil.net' }));
    case 'the owner': return response(r, good({ mail: 'owner@example.test', name: 'ada' }));
    // Encryption.
    case 'encrypted, not signed': return response(r, encrypted(plain, certificate));
    case 'encrypted for another': return response(r, encrypted(good(), other.pem));
    case 'encrypted by PKCS 1': return response(r, encrypted(good(), certificate, { transport: `${XENC}rsa-1_5`, padding: constants.RSA_PKCS1_PADDING }));
    case 'encrypted and beside': return response(r, `${encrypted(good(), certificate)}${assertion(r, evil)}`);
    default: throw new Error(how);
  }
}

server.on('request', async (request, reply) => {
  const say = (value) => { reply.writeHead(200, { 'content-type': 'application/json' }); reply.end(JSON.stringify(value)); };
  let text = '';
  for await (const piece of request) text += piece;
  if (request.url === '/metadata') { reply.writeHead(200, { 'content-type': 'application/samlmetadata+xml' }); return reply.end(metadata()); }
  if (request.url === '/answer') {
    const { how, url, certificate } = JSON.parse(text);
    const query = new URL(url).searchParams;
    const asked = inflateRawSync(Buffer.from(query.get('SAMLRequest') ?? '', 'base64')).toString();
    const value = (name) => asked.match(new RegExp(` ${name}="([^"]*)"`))?.[1] ?? '';
    const r = { id: value('ID'), acs: value('AssertionConsumerServiceURL'), issuer: asked.match(/<saml:Issuer>([^<]*)/)?.[1] };
    const pem = `-----BEGIN CERTIFICATE-----\n${(certificate ?? '').replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`;
    return say({ acs: r.acs, asked, tenant: query.get('tenant'), RelayState: query.get('RelayState'), SAMLResponse: Buffer.from(answer(how, r, pem)).toString('base64') });
  }
  reply.writeHead(404); return reply.end();
});
console.log(base);
