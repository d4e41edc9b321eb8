// The public example payloads of GitHub (npm @octokit/webhooks-examples) to a real panel: all of them, with right and wrong signatures; and,
// to apps with rules, what is decided of each kind of delivery.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import test from 'node:test';
import { owned, silent } from './hooks.mjs';
import { binary } from './panel.mjs';

/** @type {{ name: string, examples: any[] }[]} */
const events = createRequire(import.meta.url)('@octokit/webhooks-examples');

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

test('GitHub’s own examples', { skip }, async (t) => {
  const url = await silent(t);
  const { api, hook } = await owned(t);
  await api('POST', '/apps', { name: 'blog', source: { kind: 'git', url }, deploy: false });
  const send = await hook('blog');
  let sent = 0;
  let pushed = false;
  /** @type {Map<string, number>} */ const decisions = new Map();
  for (const { name, examples } of events) {
    for (const [index, payload] of examples.entries()) {
      const id = `${name}-${index}`;
      const right = await send(name, id, JSON.stringify(payload));
      // Two of the examples push one commit to the default branch.
      const expected = name === 'ping' ? 'ping' : name !== 'push' ? 'other_event' : payload.deleted ? 'deleted' : payload.ref.startsWith('refs/tags/') ? 'tag_filter' : pushed ? 'unchanged' : 'deployed';
      assert.equal(right.decision, expected, `${id}: ${right.why}`);
      pushed ||= expected === 'deployed';
      decisions.set(right.decision, (decisions.get(right.decision) ?? 0) + 1);
      sent += 1;
    }
  }
  assert.ok(sent > 100, `${sent} examples`);
  assert.deepEqual([...decisions.keys()].sort(), ['deleted', 'deployed', 'other_event', 'ping', 'tag_filter', 'unchanged']);
});

/** The first example of an event that fits. @param {string} name @param {(payload: any) => boolean} [fits] */
const example = (name, fits = () => true) => {
  const found = events.find((one) => one.name === name)?.examples.find(fits);
  assert.ok(found, `there is no such example of ${name}`);
  return { name, body: JSON.stringify(found) };
};
const push = () => example('push', (payload) => payload.ref === 'refs/heads/master' && !payload.deleted);
const tag = () => example('push', (payload) => payload.ref.startsWith('refs/tags/') && !payload.deleted);
/** @param {string} action @param {boolean} [bug] whether it has the label */
const request = (action, bug) => example('pull_request', (payload) => payload.action === action && (bug === undefined || payload.pull_request.labels.some((/** @type {any} */ label) => label.name === 'bug') === bug));
/** What no example has. @param {{ name: string, body: string }} one @param {(payload: any) => void} change */
const edited = ({ name, body }, change) => { const payload = JSON.parse(body); change(payload); return { name, body: JSON.stringify(payload) }; };
/** @param {(request: any) => void} change */
const editedRequest = (change) => edited(request('synchronize'), (payload) => change(payload.pull_request));

/**
 * Kinds of delivery, each app with what came to it in turn: what it is, the example, and the decision. `same` comes under the id of the one before.
 * @type {{ app: string, more?: any, rules?: any, previews?: any, then?: [string, string, any?][], sent: [string, () => { name: string, body: string }, string, string?][] }[]}
 */
const kinds = [
  { app: 'plain', sent: [
    ['a ping', () => example('ping'), 'ping'],
    ['an issue', () => example('issues'), 'other_event'],
    ['a push to the branch', push, 'deployed'],
    ['the same delivery again', push, 'repeated', 'same'],
    ['the same commit in another delivery', push, 'unchanged'],
    ['a tag where no tags deploy', tag, 'tag_filter'],
    ['a tag that is gone', () => example('push', (payload) => payload.deleted), 'deleted'],
    // The first half of it.
    ['a push that is cut off', () => { const { name, body } = push(); return { name, body: body.slice(0, body.length / 2) }; }, 'unreadable'],
    ['a pull request while previews are off', () => request('opened'), 'other_event'],
  ] },
  { app: 'tags', rules: { tags: ['simple-*'] }, sent: [['a tag that deploys', tag, 'deployed']] },
  { app: 'branches', rules: { branches: ['main', 'release/*'] }, sent: [['a push to another branch', push, 'branch_filter']] },
  { app: 'paths', rules: { paths: ['src'] }, sent: [['a push of other files', push, 'path_filter']] },
  { app: 'skipping', sent: [
    // With the mark in its commit's message.
    ['a commit that wants to be skipped', () => edited(push(), (payload) => { payload.head_commit.message += ' [skip deploy]'; }), 'skipped_by_commit'],
  ] },
  { app: 'off', rules: { enabled: false }, sent: [['a push while the webhook is off', push, 'disabled'], ['a pull request while it is off', () => request('opened'), 'disabled']] },
  { app: 'locked', then: [['PUT', '/lock', { why: 'release week', minutes: 60 }]], sent: [['a push to a locked app', push, 'locked']] },
  { app: 'trashed', then: [['DELETE', '']], sent: [['a push to an app in the trash', push, 'trashed']] },
  { app: 'frozen', more: { environment: 'staging' }, sent: [['a push during a freeze', push, 'held']] },
  { app: 'requests', previews: { most: 1 }, sent: [
    ['a pull request', () => request('opened'), 'preview_made'],
    ['the same commit of it', () => request('synchronize'), 'unchanged'],
    // With another newest commit.
    ['a new commit of it', () => editedRequest((one) => { one.head.sha = '1'.repeat(40); }), 'preview_renewed'],
    // With another number.
    ['one more than may be', () => editedRequest((one) => { one.number = 3; }), 'preview_full'],
    // With another number, from another repository.
    ['one from a fork', () => editedRequest((one) => { one.number = 4; one.head.repo.full_name = 'eve/Hello-World'; }), 'preview_waits'],
    ['the end of it', () => request('closed'), 'preview_removed'],
  ] },
  { app: 'labels', previews: { never_label: 'bug' }, sent: [['a pull request with a label', () => request('labeled', true), 'preview_left_out']] },
];

test('each kind of delivery has a decision of its own', { skip }, async (t) => {
  const url = await silent(t);
  const { api, hook } = await owned(t);
  await api('PATCH', '/settings', { apps_domain: 'apps.test' });
  const [project] = (await api('GET', '/projects')).items;
  await api('POST', `/projects/${project.id}/environments`, { name: 'staging' });
  await api('POST', '/freezes', { name: 'weekend', environment: 'staging', cron: '* * * * *', minutes: 60 });
  /** @type {Map<string, string>} */ const told = new Map();
  for (const { app, more, rules, previews, then, sent } of kinds) {
    await api('POST', '/apps', { name: app, source: { kind: 'git', url }, deploy: false, ...more });
    const send = await hook(app);
    if (rules) await api('PATCH', `/apps/${app}/webhook`, rules);
    if (previews) await api('PATCH', `/apps/${app}/preview-rules`, { enabled: true, ...previews });
    for (const [method, path, body] of then ?? []) await api(method, `/apps/${app}${path}`, body);
    let id = '';
    for (const [index, [what, made, decision, same]] of sent.entries()) {
      if (!same) id = `${app}-${index}`;
      const { name, body } = made();
      const right = await send(name, id, body);
      assert.equal(right.decision, decision, `${what}: ${right.why}`);
      told.set(what, right.decision);
    }
  }
  // With the wrong signatures of all.
  const distinct = new Set([...told.values(), 'bad_signature']);
  assert.ok(told.size >= 12 && distinct.size >= 12, `${told.size} kinds, ${distinct.size} decisions`);
  assert.deepEqual([...distinct].sort(), ['bad_signature', 'branch_filter', 'deleted', 'deployed', 'disabled', 'held', 'locked', 'other_event', 'path_filter', 'ping', 'preview_full', 'preview_left_out', 'preview_made', 'preview_removed', 'preview_renewed', 'preview_waits', 'repeated', 'skipped_by_commit', 'tag_filter', 'trashed', 'unchanged', 'unreadable']);
});
