// The audit log: who changed what, searched by the panel, each entry with what was before and after, and whether the chain holds.
import { html, h, icon, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { on } from '../lib/events.js';
import { useTrail } from '../lib/trail.js';
import { countryName, exact, plural } from '../lib/format.js';
import { PageHead, Panel } from '../parts/page.js';
import { Act } from '../parts/act.js';
import { Ago } from '../parts/time.js';
import { Copy } from '../parts/copy.js';
import { Empty, Failed, Loading } from '../parts/empty.js';
import { DialogHead, showDialog } from '../parts/dialog.js';
import { Facts } from '../parts/facts.js';
import { SelectField, TextField } from '../parts/field.js';

/** @typedef {import('../lib/api.js').S<'AuditEntry'>} Entry */
const KINDS = [
  ['', 'Everything'], ['signed_in', 'Sign-ins'], ['login_failed', 'Failed sign-ins'], ['signed_out', 'Sign-outs'], ['new_device', 'New browsers'], ['new_country', 'New countries'], ['secrets_revealed', 'Secrets looked at'], ['terminal_opened', 'Terminals'],
  ['app', 'Apps'], ['variable', 'Variables'], ['deployment', 'Deployments'], ['domain', 'Domains'], ['port', 'Ports'], ['certificate', 'Certificates'], ['dns_provider', 'DNS providers'], ['dns_record_changed', 'DNS records'], ['webhook', 'Webhooks'], ['forge', 'Forges'], ['registry_login', 'Registry logins'], ['volume', 'Volumes'], ['project', 'Projects'], ['quota', 'Quotas'], ['user', 'People'], ['invitation', 'Invitations'], ['identity_provider', 'Identity providers'], ['token', 'API tokens'], ['role', 'Roles'], ['team', 'Teams'], ['grant', 'Grants'], ['organization', 'Organizations'], ['setting', 'Settings and rules'], ['audit', 'The log itself'],
].map(([value, label]) => ({ value, label }));
const MARKS = /** @type {Record<string, string>} */ ({ created: 'plus', changed: 'pencil', removed: 'minus' });
const SIGNS = /** @type {Record<string, string>} */ ({ signed_in: 'log-in', signed_out: 'log-out', login_failed: 'shield-alert', secrets_revealed: 'eye', terminal_opened: 'terminal', new_device: 'monitor', new_country: 'globe' });
const BY = { user: 'user', token: 'key-round', machine: 'terminal', system: 'server' };
const upper = (/** @type {string} */ text) => text.charAt(0).toUpperCase() + text.slice(1);
/** A day of the calendar as the moment at which it begins here. @param {string} day @param {number} [plus] in days */
const moment = (day, plus = 0) => { const at = new Date(`${day}T00:00:00`); if (!day || Number.isNaN(at.getTime())) return null; at.setDate(at.getDate() + plus); return at.toISOString(); };
const NONE = { text: '', by: '', what: '', since: '', until: '' };

/** What the form asks for, as the panel takes it. @param {typeof NONE} asked */
export const queryOf = (asked) => ({ text: asked.text.trim() || null, by: asked.by.trim() || null, what: asked.what || null, since: moment(asked.since), until: moment(asked.until, 1) });

export default function AuditPage() {
  useTrail([{ label: 'Audit log' }]);
  const [asked, setAsked] = useState(NONE);
  const [entries, setEntries] = useState(/** @type {Entry[] | null} */ (null));
  const [next, setNext] = useState(/** @type {string | null} */ (null));
  const [error, setError] = useState(/** @type {Error | null} */ (null));
  const [fresh, setFresh] = useState(0);
  const isAsked = JSON.stringify(asked) !== JSON.stringify(NONE);
  const more = async () => { const page = await api.auditList({ ...queryOf(asked), cursor: next }); setEntries((before) => [...(before ?? []), ...page.items]); setNext(page.next); };
  useEffect(() => {
    // An older answer must not replace a newer one, and typing waits for its end.
    let current = true;
    const load = async () => { try { const page = await api.auditList(queryOf(asked)); if (current) { setEntries(page.items); setNext(page.next); setError(null); } } catch (failure) { if (current) setError(/** @type {Error} */ (failure)); } };
    const soon = setTimeout(load, entries ? 220 : 0);
    return () => { current = false; clearTimeout(soon); };
  }, [JSON.stringify(asked), fresh]);
  useEffect(() => {
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let soon;
    const stop = on('*', ({ data }) => { if (!data?.id || !data.text) return; clearTimeout(soon); soon = setTimeout(() => setFresh((count) => count + 1), 800); });
    return () => { clearTimeout(soon); stop(); };
  }, []);
  const set = (/** @type {keyof typeof NONE} */ name) => (/** @type {string} */ value) => setAsked({ ...asked, [name]: value });
  return html`<div class="page">${h(PageHead, { title: 'Audit log', note: 'Every change and sign-in. Each entry is chained to the one before, so that none can be altered unseen', actions: html`${h(Act, { label: 'Check', icon: 'shield-check', run: check })}${h(Act, { label: 'Export', icon: 'download', run: () => save(asked) })}` })}
    <form class="audit-search" role="search" aria-label="Search the audit log" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
      ${h(TextField, { label: 'Words', value: asked.text, set: set('text'), placeholder: 'blog memory' })}
      ${h(TextField, { label: 'Who', value: asked.by, set: set('by'), placeholder: 'ada, or an address' })}
      ${h(SelectField, { label: 'What', value: asked.what, set: set('what'), options: KINDS })}
      ${h(TextField, { label: 'From', type: 'date', value: asked.since, set: set('since') })}
      ${h(TextField, { label: 'To', type: 'date', value: asked.until, set: set('until') })}
    </form>
    ${error && !entries ? h(Failed, { error, retry: () => setFresh(fresh + 1) }) : h(Panel, { flush: true }, !entries ? h(Loading, { rows: 10 }) : entries.length ? html`<ol class="lines audit" aria-label="Entries">${entries.map((one) => h(Line, { key: one.number, one }))}</ol>`
      : next ? html`<p class="nothing">Nothing in the newest part of the log.</p>` : h(Empty, { icon: 'scroll-text', title: isAsked ? 'Nothing like this' : 'Nothing yet', text: isAsked ? 'No entry fits all that is asked for.' : 'Changes and sign-ins are recorded here.', small: true, action: isAsked ? html`<button type="button" class="btn" onClick=${() => setAsked(NONE)}>Show everything</button>` : null }))}
    ${error && entries ? h(Failed, { error }) : null}
    ${next ? html`<div class="row">${h(Act, { label: 'Show older', run: more })}</div>` : null}</div>`;
}

/** @param {{ one: Entry }} props */
const Line = ({ one }) => html`<li><button type="button" class="audit-line" onClick=${() => showDialog(upper(one.text), (close) => h(Detail, { one, close }), { wide: true })}>
  <span class="feed-mark" aria-hidden="true">${icon(SIGNS[one.what] ?? MARKS[one.changes[0]?.verb] ?? 'info', 'icon-small')}</span>
  <span class="cell-two grow"><span class="any">${upper(one.text)}</span><span class="any">${one.by}${one.address ? html` · <code>${one.address}</code>${one.country ? ` ${countryName(one.country)}` : ''}` : null}</span></span>
  <span class="dim small">${h(Ago, { at: one.at })}</span></button></li>`;

/** @param {{ one: Entry, close: () => void }} props */
function Detail({ one, close }) {
  return html`<div class="stack">${h(DialogHead, { title: upper(one.text), note: `Entry ${one.number}`, close })}
    ${h(Facts, { items: [['Who', html`<span class="row tight">${icon(BY[one.by_kind], 'icon-small')}<span class="any">${one.by}</span></span>`], ['From', one.address ? html`<code>${one.address}</code>${one.country ? ` ${countryName(one.country)}` : ''}` : null], ['When', exact(one.at)], ['What', html`<code>${one.what}</code>`]] })}
    ${one.changes.map((change) => html`<section class="stack" key=${change.id}><h3 class="row tight">${icon(MARKS[change.verb] ?? 'info', 'icon-small')}<span class="any">${upper(change.verb)} ${change.kind} ${change.name}</span></h3>
      ${change.fields.length ? html`<div class="diff" role="table" tabindex="0" aria-label=${`What changed in ${change.name}`}><div role="row" class="diff-head"><span role="columnheader">Field</span><span role="columnheader">Before</span><span role="columnheader">After</span></div>
        ${change.fields.map((field) => html`<div role="row" key=${field.field} class=${field.secret ? 'changed' : field.before == null ? 'added' : field.after == null ? 'removed' : 'changed'}><span role="cell" class="what"><span class="any">${field.field}</span></span><span role="cell" class="from any">${value(field, field.before)}</span><span role="cell" class="to any">${value(field, field.after)}</span></div>`)}</div>` : null}</section>`)}
    <details class="more"><summary>${icon('chevron-right', 'icon-small')}Hash</summary><div class="stack">${h(Facts, { items: [['This entry', hash(one.hash)], ...(one.previous ? [/** @type {[string, any]} */ (['The one before', hash(one.previous)])] : [])] })}</div></details></div>`;
}

const hash = (/** @type {string} */ text) => html`<span class="row tight"><code class="any">${text}</code>${h(Copy, { text })}</span>`;
/** @param {import('../lib/api.js').S<'AuditField'>} field @param {string | null | undefined} text */
const value = (field, text) => (field.secret ? html`<span class="row tight">${icon('lock', 'icon-small')}changed</span>` : text == null ? html`<span class="faint">none</span>` : html`<code>${text}</code>`);

/** Has the whole chain checked, and says what was found. */
async function check() {
  const found = await api.auditVerify();
  await showDialog('The audit log', (close) => html`<div class="stack">${h(DialogHead, { title: found.holds ? 'The log holds' : `Broken at entry ${found.broken}`, close: () => close() })}
    ${found.holds ? html`<p class="row ok-text">${icon('shield-check')}<span>${plural(found.entries, 'entry', 'entries')}: none was changed, taken out or put in.</span></p>` : html`<p class="problem" role="alert">${icon('shield-alert')}<span>${upper(found.why ?? '')}. Up to entry ${found.last} the log holds.</span></p>`}
    <p class="small dim">Note the last entry elsewhere. Given later to <code>serverkit audit verify --known</code>, it shows too whether the end of the log was cut off, or all of it was written anew.</p>
    ${h(Facts, { items: [['Last entry', hash(`${found.last}:${found.hash}`)]] })}</div>`);
}

/** Everything that is asked for as JSON lines, part by part. @param {typeof NONE} asked */
async function save(asked) {
  const parts = [];
  /** @type {number | null} */
  let after = null;
  for (;;) {
    const text = await api.auditExport({ ...queryOf(asked), after });
    if (!text.trim()) break;
    parts.push(text);
    after = JSON.parse(/** @type {string} */ (text.trimEnd().split('\n').at(-1))).sequence;
  }
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(parts, { type: 'application/x-ndjson' }));
  link.download = 'audit.jsonl';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
