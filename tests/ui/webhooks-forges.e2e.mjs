// What GitLab, Gitea, Forgejo and Bitbucket send (forge-payloads.mjs, and GitLab's own examples), with right and wrong signatures and tokens, to a
// real panel: each kind of delivery, and what is decided of it.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { FORGES } from './forge-payloads.mjs';
import { owned, silent } from './hooks.mjs';
import { binary } from './panel.mjs';

/** @typedef {import('./forge-payloads.mjs').Forge} Forge */

const commit = (/** @type {number} */ number) => String(number).repeat(40);
const push = (/** @type {Forge} */ forge, more = {}) => forge.push({ branch: 'main', after: commit(2), ...more });
const one = { number: 1, head: commit(3) };

/**
 * The deliveries to each app in turn, as in webhooks.e2e.mjs: what it is, the event and its body, and the decision. `same` comes under the id of
 * the one before; `cut` comes without its second half.
 * @param {Forge} forge
 * @returns {{ app: string, rules?: any, previews?: any, lock?: any, sent: [string, [string, any], string, ('same' | 'cut')?][] }[]}
 */
const kinds = (forge) => [
  { app: 'plain', sent: [
    ...(forge.ping ? [/** @type {[string, [string, any], string]} */ (['a ping', forge.ping, 'ping'])] : []),
    ...forge.others.map((other) => /** @type {[string, [string, any], string]} */ ([other[0], other, 'other_event'])),
    ['a push to the branch', push(forge), 'deployed'],
    ['the same delivery again', push(forge), 'repeated', 'same'],
    ['the same commit in another delivery', push(forge), 'unchanged'],
    ['a tag where no tags deploy', forge.tag('v1', commit(4)), 'tag_filter'],
    ['a branch that is gone', forge.gone('feature'), 'deleted'],
    ['a push that is cut off', push(forge), 'unreadable', 'cut'],
    ['a request while previews are off', forge.request('opened', one), 'other_event'],
  ] },
  { app: 'tags', rules: { tags: ['v*'] }, sent: [['a tag that deploys', forge.tag('v1', commit(4)), 'deployed']] },
  { app: 'branches', rules: { branches: ['release/*'] }, sent: [['a push to another branch', push(forge), 'branch_filter']] },
  ...(forge.tells.files ? [{ app: 'paths', rules: { paths: ['src'] }, sent: [/** @type {[string, [string, any], string]} */ (['a push of other files', push(forge, { files: ['docs/a.md'] }), 'path_filter'])] }] : []),
  { app: 'skipping', sent: [['a commit that wants to be skipped', push(forge, { message: 'wip [skip deploy]' }), 'skipped_by_commit']] },
  { app: 'off', rules: { enabled: false }, sent: [['a push while the webhook is off', push(forge), 'disabled']] },
  { app: 'locked', lock: { why: 'release week', minutes: 60 }, sent: [['a push to a locked app', push(forge), 'locked']] },
  { app: 'requests', previews: { most: 1 }, sent: [
    ['a request', forge.request('opened', one), 'preview_made'],
    ['the same commit of it', forge.request('updated', one), 'unchanged'],
    ['a new commit of it', forge.request('updated', { ...one, head: commit(5) }), 'preview_renewed'],
    ['one more than may be', forge.request('opened', { ...one, number: 2 }), 'preview_full'],
    ['one from a fork', forge.request('opened', { ...one, number: 3, fork: true }), 'preview_waits'],
    ['the merge of it', forge.request('merged', { ...one, head: commit(5) }), 'preview_removed'],
    ['the end of one that has no preview', forge.request('closed', { ...one, number: 4 }), 'other_event'],
  ] },
  ...(forge.tells.labels ? [{ app: 'labels', previews: { never_label: 'bug' }, sent: [/** @type {[string, [string, any], string]} */ (['a request with a label', forge.request('opened', { ...one, label: 'bug' }), 'preview_left_out'])] }] : []),
];

const skip = binary() ? false : 'SERVERKIT_BIN names no binary';

for (const [name, forge] of Object.entries(FORGES)) {
  test(`each kind of delivery of ${name}`, { skip }, async (t) => {
    const url = await silent(t);
    const { api, hook } = await owned(t);
    await api('PATCH', '/settings', { apps_domain: 'apps.test' });
    /** @type {Map<string, string>} */ const told = new Map();
    for (const { app, rules, previews, lock, sent } of kinds(forge)) {
      await api('POST', '/apps', { name: app, source: { kind: 'git', url, branch: 'main' }, deploy: false });
      const send = await hook(app, name);
      if (rules) await api('PATCH', `/apps/${app}/webhook`, rules);
      if (previews) await api('PATCH', `/apps/${app}/preview-rules`, { enabled: true, ...previews });
      if (lock) await api('PUT', `/apps/${app}/lock`, lock);
      let id = '';
      for (const [index, [what, [event, body], decision, how]] of sent.entries()) {
        if (how !== 'same') id = `${app}-${index}`;
        const text = JSON.stringify(body);
        const right = await send(event, id, how === 'cut' ? text.slice(0, text.length / 2) : text);
        assert.equal(right.decision, decision, `${what}: ${right.why}`);
        told.set(what, right.decision);
      }
    }
    // With the wrong signatures of all.
    const distinct = [...new Set([...told.values(), 'bad_signature'])].sort();
    const some = [...(forge.ping ? ['ping'] : []), ...(forge.tells.files ? ['path_filter'] : []), ...(forge.tells.labels ? ['preview_left_out'] : [])];
    assert.deepEqual(distinct, ['bad_signature', 'branch_filter', 'deleted', 'deployed', 'disabled', 'locked', 'other_event', 'preview_full', 'preview_made', 'preview_removed', 'preview_renewed', 'preview_waits', 'repeated', 'skipped_by_commit', 'tag_filter', 'unchanged', 'unreadable', ...some].sort());
    assert.ok(told.size >= 20, `${told.size} kinds`);
  });
}

/** The examples of GitLab's documentation, as files of Debian's golang-github-xanzy-go-gitlab-dev; tests/run.sh gets them. */
const examples = process.env.SERVERKIT_GITLAB_EXAMPLES ?? '/usr/share/gocode/src/github.com/xanzy/go-gitlab/testdata/webhooks';

/** The event of each, by its header in the documentation, and what is decided of it. @type {Record<string, [string, string]>} */
const GITLAB = {
  'build.json': ['Job Hook', 'other_event'],
  'deployment.json': ['Deployment Hook', 'other_event'],
  // An old one, without the request's number.
  'group_merge_request.json': ['Merge Request Hook', 'unreadable'],
  'issue.json': ['Issue Hook', 'other_event'],
  'merge_request.json': ['Merge Request Hook', 'preview_made'],
  'note_commit.json': ['Note Hook', 'other_event'],
  'note_issue.json': ['Note Hook', 'other_event'],
  'note_merge_request.json': ['Note Hook', 'other_event'],
  'note_snippet.json': ['Note Hook', 'other_event'],
  'pipeline.json': ['Pipeline Hook', 'other_event'],
  'push.json': ['Push Hook', 'deployed'],
  'release.json': ['Release Hook', 'other_event'],
  'service_merge_request.json': ['Merge Request Hook', 'preview_made'],
  'subgroup.json': ['Subgroup Hook', 'other_event'],
  'tag_push.json': ['Tag Push Hook', 'tag_filter'],
  'wiki_page.json': ['Wiki Page Hook', 'other_event'],
};

test('GitLab’s own examples', { skip: skip || (existsSync(examples) ? false : 'SERVERKIT_GITLAB_EXAMPLES names no folder') }, async (t) => {
  const url = await silent(t);
  const { api, hook } = await owned(t);
  await api('PATCH', '/settings', { apps_domain: 'apps.test' });
  await api('POST', '/apps', { name: 'diaspora', source: { kind: 'git', url, branch: 'master' }, deploy: false });
  const send = await hook('diaspora', 'gitlab');
  await api('PATCH', '/apps/diaspora/preview-rules', { enabled: true });
  // Other releases of the package have more.
  const known = readdirSync(examples).filter((file) => file in GITLAB).sort();
  assert.ok(known.length >= 14, `${known}`);
  for (const file of known) {
    const [event, decision] = GITLAB[file];
    const right = await send(event, file, readFileSync(join(examples, file), 'utf8'));
    assert.equal(right.decision, decision, `${file}: ${right.why}`);
  }
});
