// For which kinds of things a token is: a table of what can be done by kind, with a box where there is something to do.
import { html } from '../lib/html.js';

const VERBS = /** @type {const} */ ([['read', 'Read'], ['deploy', 'Deploy'], ['write', 'Write'], ['secrets', 'Secrets'], ['terminal', 'Terminal']]);

/** Each kind, its name, and what can be done to its things. What only an administrator's own token may is of no kind. @type {[string, string, string][]} */
export const KINDS = [
  ['apps', 'Apps', 'read deploy write secrets'],
  ['deployments', 'Deployments', 'read deploy'],
  ['jobs', 'Jobs', 'read deploy write terminal'],
  ['logs', 'Logs, shells', 'read terminal'],
  ['variables', 'Variables', 'read write secrets'],
  ['domains', 'Domains', 'read write'],
  ['certificates', 'Certificates', 'read write'],
  ['dns', 'DNS', 'read'],
  ['edge', 'Edge', 'read write'],
  ['volumes', 'Volumes', 'read write'],
  ['projects', 'Projects', 'read write'],
  ['previews', 'Previews', 'read deploy write'],
  ['webhooks', 'Webhooks', 'read deploy write secrets'],
  ['catalog', 'Catalog', 'read write secrets'],
  ['registries', 'Registries', 'read deploy write'],
  ['forges', 'Forges', 'read deploy write'],
  ['servers', 'Servers', 'read write'],
  ['events', 'Events', 'read'],
  ['audit', 'Audit log', 'read'],
  ['users', 'People', 'read'],
  ['sessions', 'Sessions', 'read'],
  ['tokens', 'Tokens', 'read write'],
];

/** The scopes after a box was changed: who may do anything to a kind sees it. @param {string[]} scopes @param {string} kind @param {string} verb @param {boolean} on */
export function changed(scopes, kind, verb, on) {
  const others = scopes.filter((scope) => scope !== `${kind}:${verb}` && scope !== `${kind}:read`);
  if (on) return [...others, `${kind}:read`, ...(verb === 'read' ? [] : [`${kind}:${verb}`])];
  if (verb === 'read') return scopes.filter((scope) => !scope.startsWith(`${kind}:`));
  return scopes.filter((scope) => scope !== `${kind}:${verb}`);
}

/** @param {{ scopes: string[], set: (scopes: string[]) => void }} props */
export const KindTable = ({ scopes, set }) => html`<table class="kinds"><thead><tr><th scope="col">Kind</th>${VERBS.map(([verb, name]) => html`<th key=${verb} scope="col">${name}</th>`)}</tr></thead>
  <tbody>${KINDS.map(([kind, label, able]) => html`<tr key=${kind}><th scope="row">${label}</th>${VERBS.map(([verb, name]) => html`<td key=${verb}>${able.split(' ').includes(verb)
    ? html`<label><input class="check" type="checkbox" aria-label=${`${label}: ${name.toLowerCase()}`} checked=${scopes.includes(`${kind}:${verb}`)} onChange=${(/** @type {any} */ event) => set(changed(scopes, kind, verb, event.target.checked))} /></label>` : null}</td>`)}</tr>`)}</tbody></table>`;
