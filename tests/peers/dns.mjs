// DNS services as their documentation describes them: Cloudflare (below /cloudflare), DigitalOcean (/digitalocean), Hetzner
// (/hetzner), Route 53 (/2013-04-01) and a webhook (/webhook). Each has one zone, SERVICE.example.com, and what is TXT in it is
// said by a `pebble-challtestsrv`, so that a certificate authority finds it.
//
//   node dns.mjs MANAGEMENT   prints its address when it is ready; MANAGEMENT is the address of the challtestsrv's interface
//
//   GET /test/seen            what each was asked: "cloudflare GET /zones"
import { createServer } from 'node:http';

const management = process.argv[2];
const TOKEN = 'dns-token-0123456789';
/** @type {string[]} */
const seen = [];
let last = 0;
/** Records of all services: the whole name, the value as people write it. @type {{ service: string, id: string, name: string, type: string, ttl: number, value: string }[]} */
let records = [];
const zoneOf = (service) => `${service}.example.com`;
const own = (service) => records.filter((one) => one.service === service);
const whole = (service, name) => (name === '@' ? zoneOf(service) : `${name}.${zoneOf(service)}`);
const short = (service, name) => (name === zoneOf(service) ? '@' : name.slice(0, -zoneOf(service).length - 1));
const unquoted = (value) => value.replace(/^"|"$/g, '');
const shown = (one) => (one.type === 'TXT' ? `"${one.value}"` : one.value);

/** What the world sees of a name is what is kept under it. */
async function tell(name) {
  const post = (verb, body) => fetch(`${management}/${verb}`, { method: 'POST', body: JSON.stringify({ host: `${name}.`, ...body }) });
  await post('clear-txt', {});
  for (const one of records.filter((each) => each.name === name && each.type === 'TXT')) await post('set-txt', { value: one.value });
}
async function add(service, name, type, ttl, value) {
  const one = { service, id: String((last += 1)), name, type, ttl, value };
  records.push(one);
  await tell(name);
  return one;
}
async function remove(fits) {
  const gone = records.filter(fits);
  records = records.filter((one) => !gone.includes(one));
  for (const one of gone) await tell(one.name);
  return gone.length > 0;
}
/** @template T @param {T[]} list @param {(one: T) => string} of @returns {Map<string, T[]>} */
function grouped(list, of) {
  const groups = new Map();
  for (const one of list) groups.set(of(one), [...(groups.get(of(one)) ?? []), one]);
  return groups;
}
const json = (status, body) => ({ status, body: body === undefined ? '' : JSON.stringify(body) });

// developers.cloudflare.com/api, version 4
async function cloudflare(method, path, query, body) {
  const fine = (result) => json(200, { success: true, errors: [], result, result_info: { page: 1, per_page: 50, total_pages: 1, count: 1, total_count: 1 } });
  const [, id] = /^\/zones\/z1\/dns_records\/?(\d+)?$/.exec(path) ?? [];
  const record = (one) => ({ id: one.id, name: one.name, type: one.type, ttl: one.ttl, content: shown(one) });
  if (method === 'GET' && path === '/zones') return fine(!query.get('name') || query.get('name') === zoneOf('cloudflare') ? [{ id: 'z1', name: zoneOf('cloudflare') }] : []);
  if (method === 'GET' && path === '/zones/z1/dns_records') return fine(own('cloudflare').map(record));
  if (method === 'POST' && path === '/zones/z1/dns_records') return fine(record(await add('cloudflare', body.name, body.type, body.ttl, unquoted(body.content))));
  if (method === 'PATCH' && id) { const one = own('cloudflare').find((each) => each.id === id); if (one) { Object.assign(one, { name: body.name, type: body.type, ttl: body.ttl, value: unquoted(body.content) }); await tell(one.name); return fine(record(one)); } }
  if (method === 'DELETE' && id && await remove((one) => one.service === 'cloudflare' && one.id === id)) return fine({ id });
  return json(404, { success: false, errors: [{ code: 7003, message: 'Could not route to it' }], result: null });
}

// docs.digitalocean.com/reference/api, version 2
async function digitalocean(method, path, _query, body) {
  const place = `/domains/${zoneOf('digitalocean')}/records`;
  const id = path.startsWith(`${place}/`) ? path.slice(place.length + 1) : '';
  const record = (one) => ({ id: Number(one.id), type: one.type, name: short('digitalocean', one.name), data: one.value, ttl: one.ttl, priority: null });
  if (method === 'GET' && path === '/domains') return json(200, { domains: [{ name: zoneOf('digitalocean'), ttl: 1800 }], links: {}, meta: { total: 1 } });
  if (method === 'GET' && path === place) return json(200, { domain_records: own('digitalocean').map(record), links: {}, meta: {} });
  if (method === 'POST' && path === place) return json(201, { domain_record: record(await add('digitalocean', whole('digitalocean', body.name), body.type, body.ttl, body.data)) });
  if (method === 'PUT' && id) { const one = own('digitalocean').find((each) => each.id === id); if (one) { Object.assign(one, { type: body.type, ttl: body.ttl, value: body.data }); await tell(one.name); return json(200, { domain_record: record(one) }); } }
  if (method === 'DELETE' && id && await remove((one) => one.service === 'digitalocean' && one.id === id)) return json(204);
  return json(404, { id: 'not_found', message: 'The resource you were accessing could not be found.' });
}

// docs.hetzner.cloud, zones of version 1
async function hetzner(method, path, _query, body) {
  const meta = { pagination: { page: 1, per_page: 50, next_page: null } };
  const zone = zoneOf('hetzner');
  if (method === 'GET' && path === '/zones') return json(200, { zones: [{ id: 42, name: zone, mode: 'primary' }], meta });
  if (method === 'GET' && path === `/zones/${zone}/rrsets`) {
    const sets = grouped(own('hetzner'), (one) => `${short('hetzner', one.name)}/${one.type}`);
    return json(200, { rrsets: [...sets].map(([id, all]) => ({ id, name: id.split('/')[0], type: all[0].type, ttl: all[0].ttl, records: all.map((one) => ({ value: shown(one), comment: '' })) })), meta });
  }
  const [, name, type, verb] = new RegExp(`^/zones/${zone}/rrsets/([^/]+)/([A-Z]+)/actions/(add_records|remove_records)$`).exec(path) ?? [];
  if (method === 'POST' && verb) {
    for (const { value } of body.records) {
      if (verb === 'add_records') await add('hetzner', whole('hetzner', name), type, body.ttl, unquoted(value));
      else if (!await remove((one) => one.service === 'hetzner' && one.name === whole('hetzner', name) && one.type === type && shown(one) === value)) return json(404, { error: { code: 'not_found', message: 'record not found' } });
    }
    return json(201, { action: { id: 1, status: 'running', error: null } });
  }
  return json(404, { error: { code: 'not_found', message: 'not found' } });
}

// docs.aws.amazon.com/Route53/latest/APIReference, version 2013-04-01
async function route53(method, path, text) {
  const escaped = (value) => value.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const plain = (value) => value.replaceAll('&quot;', '"').replaceAll('&lt;', '<').replaceAll('&amp;', '&');
  const all = (tag) => [...text.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, 'g'))].map((found) => plain(found[1]));
  if (method === 'GET' && path === '/hostedzone') return { status: 200, body: `<ListHostedZonesResponse><HostedZones><HostedZone><Id>/hostedzone/Z1</Id><Name>${zoneOf('route53')}.</Name><Config><PrivateZone>false</PrivateZone></Config></HostedZone></HostedZones><IsTruncated>false</IsTruncated></ListHostedZonesResponse>` };
  if (method === 'GET' && path === '/hostedzone/Z1/rrset') {
    const sets = [...grouped(own('route53'), (one) => `${one.name} ${one.type}`).values()];
    const set = (one) => `<ResourceRecordSet><Name>${one[0].name}.</Name><Type>${one[0].type}</Type><TTL>${one[0].ttl}</TTL><ResourceRecords>${one.map((each) => `<ResourceRecord><Value>${escaped(shown(each))}</Value></ResourceRecord>`).join('')}</ResourceRecords></ResourceRecordSet>`;
    return { status: 200, body: `<ListResourceRecordSetsResponse><ResourceRecordSets>${sets.map(set).join('')}</ResourceRecordSets><IsTruncated>false</IsTruncated></ListResourceRecordSetsResponse>` };
  }
  if (method === 'POST' && path === '/hostedzone/Z1/rrset/') {
    const [action, name, type] = [all('Action')[0], all('Name')[0].replace(/\.$/, ''), all('Type')[0]];
    // A change names the whole set.
    await remove((one) => one.service === 'route53' && one.name === name && one.type === type);
    if (action === 'UPSERT') for (const value of all('Value')) await add('route53', name, type, Number(all('TTL')[0]), unquoted(value));
    return { status: 200, body: '<ChangeResourceRecordSetsResponse><ChangeInfo><Status>PENDING</Status></ChangeInfo></ChangeResourceRecordSetsResponse>' };
  }
  return { status: 404, body: '<ErrorResponse><Error><Message>not found</Message></Error></ErrorResponse>' };
}

async function webhook(body) {
  if (body.action === 'create') await add('webhook', body.name, body.type, body.ttl_seconds, body.value);
  if (body.action === 'delete' && !await remove((one) => one.service === 'webhook' && one.name === body.name && one.value === body.value)) return { status: 422, body: 'never heard of it' };
  return { status: 204, body: '' };
}

const SERVICES = { cloudflare, digitalocean, hetzner };

async function answer(request, text) {
  const url = new URL(request.url, 'http://here');
  const authorization = request.headers.authorization ?? '';
  if (url.pathname === '/test/seen') return json(200, { seen });
  const [, service, path] = /^\/([^/]+)(\/.*)?$/.exec(url.pathname) ?? [];
  seen.push(`${service} ${request.method} ${path ?? ''}`);
  if (service === '2013-04-01') return /^AWS4-HMAC-SHA256 Credential=AKID\/.*\/us-east-1\/route53\/aws4_request.*Signature=/.test(authorization) ? route53(request.method, path, text) : { status: 403, body: '<ErrorResponse><Error><Message>The security token is invalid.</Message></Error></ErrorResponse>' };
  if (authorization !== `Bearer ${TOKEN}`) return json(401, { message: 'unable to authenticate' });
  const body = text ? JSON.parse(text) : {};
  if (service === 'webhook') return webhook(body);
  return SERVICES[service]?.(request.method, decodeURIComponent(path), url.searchParams, body) ?? json(404, {});
}

const server = createServer((request, response) => {
  let text = '';
  request.on('data', (part) => { text += part; });
  request.on('end', async () => {
    const { status, body } = await answer(request, text).catch((error) => json(500, { message: String(error) }));
    response.writeHead(status, { 'content-type': body.startsWith('<') ? 'text/xml' : 'application/json' });
    response.end(body);
  });
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
