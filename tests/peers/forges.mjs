// Forges as their documentation describes them: GitHub (below /github, as an Enterprise Server), GitLab (/gitlab), Bitbucket
// (/bitbucket), Bitbucket Data Center (/bitbucket_data_center) and Gitea (/gitea). Every request is held against what the API
// takes: at GitHub by its own published description (github-api.json), elsewhere by the fields of the documentation (of Data
// Center by those of its published description, as npm @coderabbitai/bitbucket 1.1.4 has it); what does not fit is answered
// 422 and kept.
//
//   node forges.mjs [GIT]     prints its address when it is ready; GIT is a server of repositories, which it passes /…/*.git to
//
//   GET  /test/seen           what was asked, and what was wrong with it
//   POST /test/next           {status, body, headers, times, path}: how the next requests (to a path with this in it) are answered
//   POST /test/open           {forge, repository, numbers}: which pull requests are open
//   POST /test/uncomment      {id}: somebody deletes a comment
//   GET  /test/key            the private key of the GitHub App 77
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, request as ask } from 'node:http';
import { jwtVerify } from 'jose';

const git = process.argv[2];
const keys = generateKeyPairSync('rsa', { modulusLength: 2048, privateKeyEncoding: { type: 'pkcs1', format: 'pem' }, publicKeyEncoding: { type: 'spki', format: 'pem' } });
const { createPublicKey } = await import('node:crypto');
const appKey = createPublicKey(keys.publicKey);
const TOKEN = 'forge-token-0123456789';
const contract = JSON.parse(readFileSync(new URL('github-api.json', import.meta.url))).operations;
const seen = [];
let next = null;
let installationTokens = 0;
let accessTokens = 0;
const codes = new Map();
const good = new Set([TOKEN]);
const refreshing = new Set();
/** What there is, by forge and repository. */
const hooks = new Map();
const statuses = [];
/** Numbers of open pull requests, by forge and repository. */
const open = new Map();
const comments = [];
const deployments = [];

const NAMES = Array.from({ length: 120 }, (_, at) => (at ? `site-${String(at).padStart(3, '0')}` : 'blog'));
const BRANCHES = ['main', 'dev', 'feature/one'];
const SHA = 'a'.repeat(40);

/** What is wrong with a value by a schema; `''`: nothing. */
function wrong(schema, value, at = 'body') {
  if (!schema) return '';
  if (value === null) return schema.nullable ? '' : `${at} is null`;
  if (schema.oneOf || schema.anyOf) return (schema.oneOf ?? schema.anyOf).some((one) => !wrong(one, value, at)) ? '' : `${at} fits no form`;
  const kind = Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  if (schema.type && schema.type !== kind && !(schema.type === 'number' && kind === 'integer')) return `${at} is ${kind}, not ${schema.type}`;
  if (schema.enum && !schema.enum.includes(value)) return `${at} is ${value}`;
  if (schema.maxLength && value.length > schema.maxLength) return `${at} is too long`;
  if (kind === 'array') return value.map((one, index) => wrong(schema.items, one, `${at}[${index}]`)).find(Boolean) ?? '';
  if (kind !== 'object') return '';
  const lacks = (schema.required ?? []).find((name) => !(name in value));
  if (lacks) return `${at}.${lacks} is missing`;
  const strange = schema.properties && Object.keys(value).find((name) => !(name in schema.properties));
  if (strange) return `${at}.${strange} is unknown`;
  return Object.entries(schema.properties ?? {}).map(([name, one]) => (name in value ? wrong(one, value[name], `${at}.${name}`) : '')).find(Boolean) ?? '';
}
const text = { type: 'string' };
const flag = { type: 'boolean' };
const object = (properties, required) => ({ type: 'object', properties, required });
/** A webhook of Bitbucket Data Center. */
const CALLED = object({ name: text, url: text, active: flag, sslVerificationRequired: flag, scopeType: text, credentials: { type: 'object' }, statistics: { type: 'object' }, configuration: object({ secret: text }), events: { type: 'array', items: { enum: ['repo:refs_changed', 'repo:modified', 'repo:forked', 'repo:comment:added', 'pr:opened', 'pr:from_ref_updated', 'pr:modified', 'pr:merged', 'pr:declined', 'pr:deleted', 'pr:comment:added'] } } }, ['name', 'url', 'events']);
const key255 = { type: 'string', maxLength: 255 };
const DEPLOYED = { enum: ['running', 'success', 'failed', 'canceled'] };
/** The others, by the fields that their documentation names. */
const OTHERS = {
  gitlab: [
    ['GET', /^\/user$/], ['GET', /^\/projects$/, ['membership', 'simple', 'search', 'search_namespaces', 'order_by', 'per_page', 'page']], ['GET', /^\/groups\/[^/]+\/projects$/, ['simple', 'search', 'order_by', 'include_subgroups', 'per_page', 'page']],
    ['GET', /^\/projects\/[^/]+$/], ['GET', /^\/projects\/[^/]+\/repository\/branches$/, ['search', 'per_page', 'page']], ['GET', /^\/projects\/[^/]+\/hooks$/, ['per_page', 'page']],
    ['POST', /^\/projects\/[^/]+\/hooks$/, [], object({ url: text, token: text, push_events: flag, tag_push_events: flag, merge_requests_events: flag, enable_ssl_verification: flag }, ['url'])],
    ['PUT', /^\/projects\/[^/]+\/hooks\/\d+$/, [], object({ url: text, token: text, push_events: flag, tag_push_events: flag, merge_requests_events: flag, enable_ssl_verification: flag }, ['url'])],
    ['DELETE', /^\/projects\/[^/]+\/hooks\/\d+$/],
    ['GET', /^\/projects\/[^/]+\/merge_requests$/, ['state', 'per_page', 'page']],
    ['POST', /^\/projects\/[^/]+\/merge_requests\/\d+\/notes$/, [], object({ body: text }, ['body'])],
    ['PUT', /^\/projects\/[^/]+\/merge_requests\/\d+\/notes\/\d+$/, [], object({ body: text }, ['body'])],
    ['POST', /^\/projects\/[^/]+\/statuses\/[0-9a-f]{40}$/, [], object({ state: { enum: ['pending', 'running', 'success', 'failed', 'canceled', 'skipped'] }, name: text, target_url: text, description: { type: 'string', maxLength: 255 } }, ['state'])],
    ['POST', /^\/projects\/[^/]+\/deployments$/, [], object({ environment: { type: 'string', maxLength: 255 }, sha: text, ref: text, tag: flag, status: DEPLOYED }, ['environment', 'sha', 'ref', 'tag', 'status'])],
    ['GET', /^\/projects\/[^/]+\/deployments\/\d+$/], ['PUT', /^\/projects\/[^/]+\/deployments\/\d+$/, [], object({ status: DEPLOYED }, ['status'])],
  ],
  bitbucket: [
    ['GET', /^\/repositories\/[^/]+$/, ['q', 'sort', 'pagelen', 'page', 'role']], ['GET', /^\/repositories\/[^/]+\/[^/]+$/], ['GET', /^\/repositories\/[^/]+\/[^/]+\/refs\/branches$/, ['q', 'pagelen', 'page']], ['GET', /^\/repositories\/[^/]+\/[^/]+\/hooks$/, ['pagelen', 'page']],
    ['POST', /^\/repositories\/[^/]+\/[^/]+\/hooks$/, [], object({ description: text, url: text, secret: text, active: flag, events: { type: 'array', items: text } }, ['url', 'events'])],
    ['PUT', /^\/repositories\/[^/]+\/[^/]+\/hooks\/[^/]+$/, [], object({ description: text, url: text, secret: text, active: flag, events: { type: 'array', items: text } }, ['url', 'events'])],
    ['DELETE', /^\/repositories\/[^/]+\/[^/]+\/hooks\/[^/]+$/],
    ['GET', /^\/repositories\/[^/]+\/[^/]+\/pullrequests$/, ['state', 'pagelen', 'page']],
    ['POST', /^\/repositories\/[^/]+\/[^/]+\/pullrequests\/\d+\/comments$/, [], object({ content: object({ raw: text }, ['raw']) }, ['content'])],
    ['PUT', /^\/repositories\/[^/]+\/[^/]+\/pullrequests\/\d+\/comments\/\d+$/, [], object({ content: object({ raw: text }, ['raw']) }, ['content'])],
    ['POST', /^\/repositories\/[^/]+\/[^/]+\/commit\/[0-9a-f]{40}\/statuses\/build$/, [], object({ key: { type: 'string', maxLength: 40 }, state: { enum: ['INPROGRESS', 'SUCCESSFUL', 'FAILED', 'STOPPED'] }, name: text, url: text, description: text }, ['key', 'state', 'url'])],
  ],
  bitbucket_data_center: [
    ['GET', /^\/repos$/, ['archived', 'limit', 'name', 'permission', 'projectkey', 'projectname', 'start', 'state', 'visibility']], ['GET', /^\/projects\/[^/]+\/repos\/[^/]+$/], ['GET', /^\/projects\/[^/]+\/repos\/[^/]+\/default-branch$/],
    ['GET', /^\/projects\/[^/]+\/repos\/[^/]+\/branches$/, ['base', 'boostMatches', 'context', 'details', 'filterText', 'limit', 'orderBy', 'start']],
    ['GET', /^\/projects\/[^/]+\/repos\/[^/]+\/webhooks$/, ['event', 'statistics']], ['POST', /^\/projects\/[^/]+\/repos\/[^/]+\/webhooks$/, [], CALLED], ['PUT', /^\/projects\/[^/]+\/repos\/[^/]+\/webhooks\/\d+$/, [], CALLED], ['DELETE', /^\/projects\/[^/]+\/repos\/[^/]+\/webhooks\/\d+$/],
    ['GET', /^\/projects\/[^/]+\/repos\/[^/]+\/pull-requests$/, ['at', 'direction', 'draft', 'filterText', 'limit', 'order', 'start', 'state', 'withAttributes', 'withProperties']],
    ['POST', /^\/projects\/[^/]+\/repos\/[^/]+\/pull-requests\/\d+\/comments$/, [], object({ text }, ['text'])], ['GET', /^\/projects\/[^/]+\/repos\/[^/]+\/pull-requests\/\d+\/comments\/\d+$/],
    ['PUT', /^\/projects\/[^/]+\/repos\/[^/]+\/pull-requests\/\d+\/comments\/\d+$/, [], object({ text, version: { type: 'integer' } }, ['text', 'version'])],
    ['POST', /^\/projects\/[^/]+\/repos\/[^/]+\/commits\/[0-9a-f]{40}\/builds$/, [], object({ buildNumber: text, description: text, duration: { type: 'integer' }, key: key255, lastUpdated: { type: 'integer' }, name: text, parent: text, ref: text, state: { enum: ['CANCELLED', 'FAILED', 'INPROGRESS', 'SUCCESSFUL', 'UNKNOWN'] }, testResults: { type: 'object' }, url: { type: 'string', maxLength: 450 } }, ['key', 'state', 'url'])],
    ['POST', /^\/projects\/[^/]+\/repos\/[^/]+\/commits\/[0-9a-f]{40}\/deployments$/, [], object({ deploymentSequenceNumber: { type: 'integer' }, description: key255, displayName: key255, environment: object({ displayName: key255, key: key255, type: { enum: ['DEVELOPMENT', 'TESTING', 'STAGING', 'PRODUCTION'] }, url: text }, ['key', 'displayName']), key: key255, lastUpdated: { type: 'integer' }, state: { enum: ['CANCELLED', 'FAILED', 'IN_PROGRESS', 'PENDING', 'ROLLED_BACK', 'SUCCESSFUL', 'UNKNOWN'] }, url: text }, ['deploymentSequenceNumber', 'description', 'displayName', 'environment', 'key', 'state', 'url'])],
  ],
  gitea: [
    ['GET', /^\/user$/], ['GET', /^\/user\/repos$/, ['limit', 'page']], ['GET', /^\/orgs\/[^/]+\/repos$/, ['limit', 'page']], ['GET', /^\/repos\/search$/, ['q', 'limit', 'page', 'sort', 'order']],
    ['GET', /^\/repos\/[^/]+\/[^/]+$/], ['GET', /^\/repos\/[^/]+\/[^/]+\/branches$/, ['limit', 'page']], ['GET', /^\/repos\/[^/]+\/[^/]+\/hooks$/, ['limit', 'page']],
    ['POST', /^\/repos\/[^/]+\/[^/]+\/hooks$/, [], object({ type: { enum: ['gitea', 'gogs', 'slack', 'discord'] }, config: { type: 'object' }, events: { type: 'array', items: text }, active: flag }, ['type', 'config'])],
    ['PATCH', /^\/repos\/[^/]+\/[^/]+\/hooks\/\d+$/, [], object({ config: { type: 'object' }, events: { type: 'array', items: text }, active: flag }, [])],
    ['DELETE', /^\/repos\/[^/]+\/[^/]+\/hooks\/\d+$/],
    ['GET', /^\/repos\/[^/]+\/[^/]+\/pulls$/, ['state', 'limit', 'page']],
    ['POST', /^\/repos\/[^/]+\/[^/]+\/issues\/\d+\/comments$/, [], object({ body: text }, ['body'])],
    ['PATCH', /^\/repos\/[^/]+\/[^/]+\/issues\/comments\/\d+$/, [], object({ body: text }, ['body'])],
    ['POST', /^\/repos\/[^/]+\/[^/]+\/statuses\/[0-9a-f]{40}$/, [], object({ state: { enum: ['pending', 'success', 'error', 'failure', 'warning'] }, target_url: text, description: text, context: text }, ['state'])],
  ],
};
/** Whether a request is one that the forge's API has. */
function judged(forge, method, path, query, body) {
  if (forge !== 'github') {
    const found = OTHERS[forge].find(([verb, pattern]) => verb === method && pattern.test(path));
    if (!found) return `there is no ${method} ${path}`;
    const odd = [...query.keys()].find((name) => !(found[2] ?? []).includes(name));
    return odd ? `${path} knows no ${odd}` : wrong(found[3], body);
  }
  const fits = (pattern) => new RegExp(`^${pattern.replace(/\{[^}]+\}/g, '[^/]+')}$`).test(path);
  const found = Object.entries(contract).find(([operation]) => operation.startsWith(`${method} `) && fits(operation.slice(method.length + 1)));
  if (!found) return `there is no ${method} ${path}`;
  const odd = [...query].find(([name, value]) => { const known = found[1].query.find(([one]) => one === name); return !known || wrong(known[1], known[1].type === 'integer' ? Number(value) : value, name); });
  return odd ? `${path} does not take ${odd.join('=')}` : wrong(found[1].body, body);
}

const base = () => `http://127.0.0.1:${server.address().port}`;
const repository = (forge, owner, name) => ({
  github: { full_name: `${owner}/${name}`, clone_url: `${base()}/github/${owner}/${name}.git`, default_branch: 'main', private: name === 'blog', description: `About ${name}` },
  gitlab: { path_with_namespace: `${owner}/${name}`, http_url_to_repo: `${base()}/gitlab/${owner}/${name}.git`, default_branch: 'main', visibility: 'private', description: `About ${name}` },
  gitea: { full_name: `${owner}/${name}`, clone_url: `${base()}/gitea/${owner}/${name}.git`, default_branch: 'main', private: true, description: `About ${name}` },
  bitbucket: { full_name: `${owner}/${name}`, links: { clone: [{ name: 'https', href: `http://${owner}@127.0.0.1:${server.address().port}/bitbucket/${owner}/${name}.git` }, { name: 'ssh', href: 'git@bitbucket.org:x/y.git' }] }, mainbranch: { name: 'main' }, is_private: true, description: `About ${name}` },
  bitbucket_data_center: { slug: name, id: 1, name, hierarchyId: 'e3c9', scmId: 'git', state: 'AVAILABLE', statusMessage: 'Available', forkable: true, project: { key: owner, id: 1, name: owner, type: owner.startsWith('~') ? 'PERSONAL' : 'NORMAL' }, public: false, archived: false, description: `About ${name}`, links: { clone: [{ name: 'ssh', href: `ssh://git@127.0.0.1:7999/${owner}/${name}.git` }, { name: 'http', href: `${base()}/bitbucket_data_center/scm/${owner}/${name}.git` }] } },
}[forge]);
const branch = (forge, name) => ({ github: { name, commit: { sha: SHA } }, gitlab: { name, commit: { id: SHA } }, gitea: { name, commit: { id: SHA } }, bitbucket: { name, target: { hash: SHA } }, bitbucket_data_center: { id: `refs/heads/${name}`, displayId: name, type: 'BRANCH', latestCommit: SHA, latestChangeset: SHA, default: name === 'main' } }[forge]);

/** A page of a list, as each forge cuts it. */
function paged(forge, api, url, all, wrap = (items) => items) {
  if (forge === 'bitbucket_data_center') {
    const start = Number(url.searchParams.get('start') ?? 0);
    // Less than was asked for, as an administrator may set it.
    const limit = Math.min(Number(url.searchParams.get('limit') ?? 25), 50);
    const values = all.slice(start, start + limit);
    const isLastPage = start + limit >= all.length;
    return [200, { size: values.length, limit, isLastPage, start, values, nextPageStart: isLastPage ? null : start + limit }];
  }
  const size = Number(url.searchParams.get({ github: 'per_page', gitlab: 'per_page', gitea: 'limit', bitbucket: 'pagelen' }[forge]) ?? 30);
  const at = Number(url.searchParams.get('page') ?? 1);
  const items = all.slice((at - 1) * size, at * size);
  const more = at * size < all.length;
  const to = new URL(url);
  to.searchParams.set('page', String(at + 1));
  if (forge === 'bitbucket') return [200, { values: items, pagelen: size, ...(more ? { next: to.href } : {}) }];
  return [200, wrap(items), more ? { link: `<${url.href}>; rel="first", <${to.href}>; rel="next"` } : {}];
}

async function who(forge, header, path) {
  const [kind, value] = (header ?? '').split(' ');
  if (forge === 'github' && (path === '/app' || path.startsWith('/app/') || path.endsWith('/installation'))) {
    const { payload, protectedHeader } = await jwtVerify(value ?? '', appKey, { issuer: '77', algorithms: ['RS256'], clockTolerance: 5 });
    if (protectedHeader.alg !== 'RS256' || payload.exp - payload.iat > 660 || payload.exp * 1000 > Date.now() + 600_000) throw new Error('the token of the App lasts too long');
    return 'app';
  }
  if (kind === 'Bearer' && good.has(value)) return value.startsWith('ghs_') ? 'installation' : 'account';
  if (kind === 'Basic' && forge === 'bitbucket' && Buffer.from(value, 'base64').toString() === `ada@example.com:${TOKEN}`) return 'account';
  throw new Error('Bad credentials');
}

const conversion = { id: 77, slug: 'panel-of-ada', name: 'panel of ada', client_id: 'Iv1.x', client_secret: 'x', webhook_secret: 'x', pem: keys.privateKey };

const said = (message) => ({ errors: [{ context: null, message, exceptionName: null }] });

/** What Bitbucket Data Center answers below `/projects/KEY/repos/NAME`. */
function dataCenter(method, [, owner, , name, ...rest], url, body, q) {
  const forge = 'bitbucket_data_center';
  const [id, place] = [`${owner}/${name}`, `${forge} ${owner}/${name}`];
  if (!NAMES.includes(name)) return [404, said(`Repository ${id} does not exist.`)];
  if (!rest.length) return [200, repository(forge, owner, name)];
  if (rest[0] === 'default-branch') return [200, { id: 'refs/heads/main', displayId: 'main', type: 'BRANCH' }];
  if (rest[0] === 'branches') return paged(forge, '', url, BRANCHES.filter((one) => one.includes(q)).map((one) => branch(forge, one)));
  if (rest[0] === 'webhooks') {
    const mine = hooks.get(place) ?? [];
    hooks.set(place, mine);
    const shown = (one) => ({ id: one.id, ...one.body, configuration: {} });
    if (method === 'GET') return paged(forge, '', url, mine.map(shown));
    if (method === 'POST') { mine.push({ id: mine.length + 1, body }); return [201, shown(mine.at(-1))]; }
    const one = mine.find((other) => String(other.id) === rest[1]);
    if (!one) return [404, said('There is no such webhook.')];
    if (method === 'DELETE') { mine.splice(mine.indexOf(one), 1); return [204, null]; }
    one.body = body;
    return [200, shown(one)];
  }
  if (rest[0] === 'commits' && rest[2] === 'builds') { statuses.push({ forge, repository: id, commit: rest[1], body }); return [204, null]; }
  if (rest[0] === 'commits') {
    const known = deployments.find((one) => one.forge === forge && one.key === body.key && one.environment.key === body.environment.key && one.deploymentSequenceNumber === body.deploymentSequenceNumber);
    const one = known ?? { id: deployments.length + 900, forge, sha: rest[1], ...body, states: [] };
    if (!known) deployments.push(one);
    one.states.push({ state: body.state });
    return [200, body];
  }
  if (rest.length === 1) return paged(forge, '', url, (open.get(place) ?? []).map((one) => ({ id: one, state: 'OPEN' })));
  if (method === 'POST') { comments.push({ id: comments.length + 500, place, number: Number(rest[1]), texts: [body.text] }); return [201, { id: comments.at(-1).id, version: 0, text: body.text }]; }
  const one = comments.find((other) => String(other.id) === rest[3] && other.place === place && !other.gone);
  if (!one) return [404, said('There is no such comment.')];
  const version = one.texts.length - 1;
  if (method === 'PUT' && body.version !== version) return [409, said('You are attempting to modify a comment based on out-of-date information.')];
  if (method === 'PUT') one.texts.push(body.text);
  return [200, { id: one.id, version: one.texts.length - 1, text: one.texts.at(-1) }];
}

function answered(forge, method, path, url, body, as) {
  const parts = path.split('/').slice(1);
  const q = (url.searchParams.get('search') ?? url.searchParams.get('filterText') ?? url.searchParams.get('name') ?? (url.searchParams.get('q') ?? '').match(/"(.*)"/)?.[1] ?? url.searchParams.get('q') ?? '').toLowerCase();
  const all = (owner) => NAMES.filter((name) => name.includes(q)).map((name) => repository(forge, owner, name));
  if (path === '/user') return [200, { login: 'ada', username: 'ada' }];
  if (path === '/app') return [200, { id: 77, slug: 'panel-of-ada' }];
  if (path === '/app/installations') return paged(forge, '', url, [{ id: 5, account: { login: 'ada' }, suspended_at: null }, { id: 6, account: { login: 'gone' }, suspended_at: '2026-01-01T00:00:00Z' }]);
  if (path.endsWith('/access_tokens')) { installationTokens += 1; const token = `ghs_installation${installationTokens}`; good.add(token); return [201, { token, expires_at: new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+/, '') }]; }
  if (path.endsWith('/installation')) return [200, { id: 5, account: { login: 'ada' } }];
  if (path === '/installation/repositories') return as === 'installation' ? paged(forge, '', url, all('ada'), (repositories) => ({ total_count: NAMES.length, repositories })) : [403, { message: 'You must authenticate with an installation access token' }];
  if (['/user/repos', '/projects', '/repos/search'].includes(path)) return paged(forge, '', url, all('ada'), path === '/repos/search' ? (data) => ({ ok: true, data }) : undefined);
  if (path === '/repos') return paged(forge, '', url, all(url.searchParams.get('projectkey') ?? 'ada'));
  if (forge === 'bitbucket_data_center') return dataCenter(method, parts, url, body, q);
  if (/^\/groups\/|^\/orgs\//.test(path) || (forge === 'bitbucket' && parts.length === 2)) return paged(forge, '', url, all(decodeURIComponent(parts[1])));
  const id = forge === 'gitlab' ? decodeURIComponent(parts[1]) : `${parts[1]}/${parts[2]}`;
  const rest = forge === 'gitlab' ? parts.slice(2) : parts.slice(3);
  if (!NAMES.includes(id.split('/').at(-1))) return [404, forge === 'gitlab' ? { message: '404 Project Not Found' } : forge === 'bitbucket' ? { type: 'error', error: { message: `Repository ${id} not found` } } : { message: 'Not Found' }];
  if (!rest.length) return [200, repository(forge, ...[id.split('/').slice(0, -1).join('/'), id.split('/').at(-1)])];
  if (rest.at(-1) === 'branches') return paged(forge, '', url, BRANCHES.filter((name) => name.includes(q)).map((name) => branch(forge, name)));
  const place = `${forge} ${id}`;
  if (rest[0] === 'hooks') {
    const mine = hooks.get(place) ?? [];
    hooks.set(place, mine);
    const shown = (one) => (forge === 'bitbucket' ? { uuid: one.id, url: one.body.url } : forge === 'gitlab' ? { id: one.id, url: one.body.url } : { id: one.id, config: { url: one.body.config.url, content_type: 'json' } });
    if (method === 'GET') return paged(forge, '', url, mine.map(shown));
    if (method === 'POST') { const one = { id: forge === 'bitbucket' ? `{hook-${mine.length + 1}}` : mine.length + 1, body }; mine.push(one); return [201, shown(one)]; }
    const one = mine.find((other) => String(other.id) === decodeURIComponent(rest[1]));
    if (!one) return [404, { message: 'Not Found' }];
    if (method === 'DELETE') { mine.splice(mine.indexOf(one), 1); return [204, null]; }
    Object.assign(one.body, body);
    return [200, shown(one)];
  }
  if (['pulls', 'merge_requests', 'pullrequests', 'issues'].includes(rest[0])) {
    const shown = (one) => ({ github: { number: one }, gitea: { number: one }, gitlab: { iid: one }, bitbucket: { id: one } }[forge]);
    if (method === 'GET') return paged(forge, '', url, (open.get(place) ?? []).map(shown));
    const said = forge === 'bitbucket' ? body.content.raw : body.body;
    if (method === 'POST') { comments.push({ id: comments.length + 500, place, number: Number(rest[1]), texts: [said] }); return [201, { id: comments.at(-1).id }]; }
    const one = comments.find((other) => String(other.id) === rest.at(-1) && other.place === place && !other.gone);
    if (!one) return [404, { message: 'Not Found' }];
    one.texts.push(said);
    return [200, { id: one.id }];
  }
  if (rest[0] === 'deployments') {
    if (rest.length === 1) { deployments.push({ id: deployments.length + 900, forge, ...body, states: forge === 'gitlab' ? [{ state: body.status }] : [] }); return [201, { id: deployments.at(-1).id, status: body.status }]; }
    const one = deployments.find((other) => String(other.id) === rest[1] && other.forge === forge);
    if (!one) return [404, { message: 'Not Found' }];
    if (forge === 'gitlab') {
      // As its state machine does: what is may not be again, and only what is made may begin to run.
      if (method === 'PUT' && (one.status === body.status || body.status === 'running')) return [400, { message: { status: [`cannot transition from ${one.status} to ${body.status}`] } }];
      if (method === 'PUT') { one.status = body.status; one.states.push({ state: body.status }); }
      return [200, { id: one.id, status: one.status }];
    }
    one.states.push(body);
    return [201, { id: 1 }];
  }
  if (rest.includes('statuses')) { statuses.push({ forge, repository: id, commit: rest[0] === 'commit' ? rest[1] : rest.at(-1), body }); return [201, { id: statuses.length }]; }
  return [404, { message: 'Not Found' }];
}

const ROOTS = { github: '/github/api/v3', gitlab: '/gitlab/api/v4', bitbucket: '/bitbucket/2.0', bitbucket_data_center: '/bitbucket_data_center/rest/api/latest', gitea: '/gitea/api/v1' };

/** Allowing an application, and tokens for codes and refresh tokens. */
function oauth(url, form, header) {
  if (url.pathname.endsWith('/authorize')) return [200, Object.fromEntries(url.searchParams)];
  const basic = (header ?? '').startsWith('Basic ') ? Buffer.from(header.slice(6), 'base64').toString() : null;
  const client = basic ?? `${form.get('client_id')}:${form.get('client_secret')}`;
  if (client !== 'client:client-secret') return [401, { error: 'invalid_client', error_description: 'The client is not known' }];
  const kind = form.get('grant_type');
  const held = kind === 'refresh_token' ? refreshing.delete(form.get('refresh_token')) : codes.get(form.get('code')) !== undefined;
  if (!held) return [400, { error: 'invalid_grant', error_description: 'The code or token is not good any more' }];
  const lasts = kind === 'refresh_token' ? 7200 : codes.get(form.get('code'));
  codes.delete(form.get('code'));
  accessTokens += 1;
  const [access, refresh] = [`oauth-access-${accessTokens}`, `oauth-refresh-${accessTokens}`];
  good.add(access);
  refreshing.add(refresh);
  return [200, { access_token: access, token_type: 'bearer', expires_in: lasts, refresh_token: refresh }];
}

function pass(request, response, path) {
  const to = new URL(git);
  const passed = ask({ host: to.hostname, port: to.port, method: request.method, path, headers: { ...request.headers, host: to.host } }, (answer) => { response.writeHead(answer.statusCode, answer.headers); answer.pipe(response); });
  passed.on('error', () => response.destroy());
  request.pipe(passed);
}

async function handle(request, response) {
  const url = new URL(request.url, base());
  const found = url.pathname.match(/^\/(github|gitlab|bitbucket|bitbucket_data_center|gitea)\/.+?\/[^/]+\.git(\/.*)$/);
  if (found && git) {
    const auth = request.headers.authorization ? Buffer.from(request.headers.authorization.split(' ')[1], 'base64').toString() : '';
    seen.push({ forge: found[1], method: 'git', path: url.pathname, auth: auth || null });
    if (!good.has(auth.slice(auth.indexOf(':') + 1))) { response.writeHead(401, { 'www-authenticate': 'Basic realm="private"' }); response.end(); return; }
    pass(request, response, `/app.git${found[2]}${url.search}`);
    return;
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const raw = Buffer.concat(chunks).toString();
  const send = (status, body, headers = {}) => { response.writeHead(status, { 'content-type': 'application/json', ...headers }); response.end(body === null ? '' : typeof body === 'string' ? body : JSON.stringify(body)); };
  if (url.pathname === '/test/seen') { send(200, { seen, statuses, deployments, comments, hooks: Object.fromEntries(hooks), installationTokens, accessTokens }); return; }
  if (url.pathname === '/test/next') { next = { times: 1, status: 500, body: {}, headers: {}, path: '', ...JSON.parse(raw) }; send(200, {}); return; }
  if (url.pathname === '/test/open') { const { forge, repository: id, numbers } = JSON.parse(raw); open.set(`${forge} ${id}`, numbers); send(200, {}); return; }
  if (url.pathname === '/test/uncomment') { const { id } = JSON.parse(raw); comments.find((one) => one.id === id).gone = true; send(200, {}); return; }
  if (url.pathname === '/test/code') { const { code, lasts } = JSON.parse(raw); codes.set(code, lasts ?? 7200); send(200, {}); return; }
  if (url.pathname === '/test/key') { send(200, { key: keys.privateKey }); return; }
  const forge = Object.keys(ROOTS).find((one) => url.pathname.startsWith(`/${one}/`));
  if (!forge) { send(404, { message: 'Not Found' }); return; }
  if (/oauth/.test(url.pathname)) { seen.push({ forge, method: request.method, path: url.pathname, form: raw.replace(/client_secret=[^&]*/, '') }); send(...oauth(url, new URLSearchParams(raw), request.headers.authorization)); return; }
  if (!url.pathname.startsWith(ROOTS[forge])) { send(404, 'not an API', { 'content-type': 'text/plain' }); return; }
  const path = url.pathname.slice(ROOTS[forge].length);
  const body = raw ? JSON.parse(raw) : undefined;
  const one = { forge, method: request.method, path, query: Object.fromEntries(url.searchParams), body };
  seen.push(one);
  if (next && next.times > 0 && path.includes(next.path)) { next.times -= 1; send(next.status, next.body, next.headers); return; }
  one.wrong = judged(forge, request.method, path, url.searchParams, body) || undefined;
  if (one.wrong) { send(422, { message: one.wrong }); return; }
  if (path.startsWith('/app-manifests/')) { const code = path.split('/')[2]; if (!codes.delete(code)) { send(404, { message: 'Not Found' }); return; } send(201, conversion); return; }
  let as;
  try { as = await who(forge, request.headers.authorization, path); } catch (error) { send(401, { message: error.message }); return; }
  send(...answered(forge, request.method, path, url, body, as));
}

const server = createServer((request, response) => handle(request, response).catch((error) => { seen.push({ wrong: String(error) }); response.destroy(); }));
await new Promise((done) => server.listen(0, '127.0.0.1', done));
console.log(base());
