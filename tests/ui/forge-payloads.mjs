// What GitLab, Gitea, Forgejo and Bitbucket (Cloud and Data Center) send, with the fields that their documentation names and values of our own:
//   GitLab        docs.gitlab.com/user/project/integrations/webhook_events
//   Gitea         docs.gitea.com/usage/webhooks and the payloads of its API (`PushPayload`, `PullRequestPayload`, …); Forgejo's are the same
//   Bitbucket     support.atlassian.com/bitbucket-cloud/docs/event-payloads
//   Data Center   confluence.atlassian.com/bitbucketserver/event-payload-938025882.html
// Their fields were compared with the examples of these pages as public parsers of webhooks keep them (go-playground/webhooks, drone/go-scm).

export const OLD = '1'.repeat(40);
const ZERO = '0'.repeat(40);
const AT = '2026-02-03T10:11:12+00:00';

/**
 * What moved: `files` are those that changed, at forges that tell them.
 * @typedef {{ branch: string, after: string, message?: string, files?: string[] }} Moved
 * @typedef {'opened' | 'updated' | 'merged' | 'closed'} Turn
 * @typedef {{ number: number, head: string, fork?: boolean, label?: string }} Asked
 * @typedef {[event: string, body: any]} Sent
 * @typedef {{ tells: { files: boolean, labels: boolean }, ping?: Sent, push: (moved: Moved) => Sent, tag: (name: string, after: string) => Sent, gone: (branch: string) => Sent, request: (turn: Turn, asked: Asked) => Sent, others: Sent[] }} Forge
 */

const url = 'https://forge.example.com/ada/blog';
const titled = (/** @type {Asked} */ { number }) => `Paint it blue ${number}`;

// ---- GitLab ---------------------------------------------------------------------------------------------------------

const project = { id: 14, name: 'blog', description: '', web_url: url, avatar_url: null, git_ssh_url: 'git@forge.example.com:ada/blog.git', git_http_url: `${url}.git`, namespace: 'ada', visibility_level: 0, path_with_namespace: 'ada/blog', default_branch: 'main', homepage: url, url: 'git@forge.example.com:ada/blog.git', ssh_url: 'git@forge.example.com:ada/blog.git', http_url: `${url}.git` };
const repository = { name: 'blog', url: 'git@forge.example.com:ada/blog.git', description: '', homepage: url, git_http_url: `${url}.git`, git_ssh_url: 'git@forge.example.com:ada/blog.git', visibility_level: 0 };
const person = { id: 4, name: 'Ada', username: 'ada', avatar_url: null, email: '[REDACTED]' };
const pushed = { user_id: 4, user_name: 'Ada', user_username: 'ada', user_email: '', user_avatar: null, project_id: 14, project, repository, push_options: {} };

/** @type {Forge} */
const gitlab = {
  tells: { files: true, labels: true },
  push: ({ branch, after, message = 'fix', files = ['a.txt'] }) => ['Push Hook', { object_kind: 'push', event_name: 'push', before: OLD, after, ref: `refs/heads/${branch}`, ref_protected: true, checkout_sha: after, message: null, ...pushed,
    commits: [{ id: after, message, title: message, timestamp: AT, url: `${url}/-/commit/${after}`, author: { name: 'Ada', email: 'ada@example.com' }, added: files, modified: [], removed: [] }], total_commits_count: 1 }],
  tag: (name, after) => ['Tag Push Hook', { object_kind: 'tag_push', event_name: 'tag_push', before: ZERO, after: '7'.repeat(40), ref: `refs/tags/${name}`, ref_protected: true, checkout_sha: after, message: 'a release', ...pushed, commits: [], total_commits_count: 0 }],
  gone: (branch) => ['Push Hook', { object_kind: 'push', event_name: 'push', before: OLD, after: ZERO, ref: `refs/heads/${branch}`, ref_protected: false, checkout_sha: null, message: null, ...pushed, commits: [], total_commits_count: 0 }],
  request: (turn, asked) => ['Merge Request Hook', { object_kind: 'merge_request', event_type: 'merge_request', user: person, project, repository,
    object_attributes: { id: 90 + asked.number, iid: asked.number, target_branch: 'main', source_branch: 'blue', source_project_id: asked.fork ? 15 : 14, target_project_id: 14, author_id: 4, assignee_ids: [], title: titled(asked), created_at: AT, updated_at: AT, state: { opened: 'opened', updated: 'opened', merged: 'merged', closed: 'closed' }[turn],
      merge_status: 'unchecked', url: `${url}/-/merge_requests/${asked.number}`, source: { ...project, path_with_namespace: asked.fork ? 'eve/blog' : 'ada/blog' }, target: project, draft: false,
      last_commit: { id: asked.head, message: 'blue', title: 'blue', timestamp: AT, url, author: { name: 'Ada', email: 'ada@example.com' } }, action: { opened: 'open', updated: 'update', merged: 'merge', closed: 'close' }[turn] },
    labels: asked.label ? [{ id: 206, title: asked.label, color: '#ffffff', project_id: 14, type: 'ProjectLabel' }] : [], changes: {}, assignees: [], reviewers: [] }],
  others: [
    ['Note Hook', { object_kind: 'note', event_type: 'note', user: person, project_id: 14, project, repository, object_attributes: { id: 1244, note: 'Nice', noteable_type: 'MergeRequest', author_id: 4, system: false, noteable_id: 91, url }, merge_request: { id: 91, iid: 1, target_branch: 'main', source_branch: 'blue' } }],
    ['Pipeline Hook', { object_kind: 'pipeline', object_attributes: { id: 31, iid: 3, ref: 'main', tag: false, sha: OLD, before_sha: ZERO, source: 'push', status: 'success', stages: ['build'], duration: 63 }, merge_request: null, user: person, project, commit: { id: OLD, message: 'x' }, builds: [] }],
    ['Job Hook', { object_kind: 'build', ref: 'main', tag: false, sha: OLD, build_id: 1977, build_name: 'test', build_stage: 'test', build_status: 'created', project_id: 14, user: person, repository }],
    ['Issue Hook', { object_kind: 'issue', event_type: 'issue', user: person, project, repository, object_attributes: { id: 301, iid: 23, title: 'A wish', state: 'opened', action: 'open' }, labels: [] }],
    ['Release Hook', { object_kind: 'release', id: 1, tag: 'v1', name: 'v1', action: 'create', project, url, commit: { id: OLD } }],
    ['Deployment Hook', { object_kind: 'deployment', status: 'success', deployment_id: 15, environment: 'staging', project, short_sha: '11111111', user: person, ref: 'main' }],
  ],
};

// ---- Gitea and Forgejo ----------------------------------------------------------------------------------------------

const account = { id: 1, login: 'ada', login_name: '', full_name: '', email: 'ada@noreply.example.com', avatar_url: '', username: 'ada' };
const place = (owner = 'ada') => ({ id: owner === 'ada' ? 1 : 2, owner: { ...account, login: owner, username: owner }, name: 'blog', full_name: `${owner}/blog`, description: '', private: false, fork: owner !== 'ada', html_url: url, ssh_url: 'git@forge.example.com:ada/blog.git', clone_url: `${url}.git`, default_branch: 'main', archived: false });

/** @type {Forge} */
const gitea = {
  tells: { files: true, labels: true },
  push: ({ branch, after, message = 'fix', files = ['a.txt'] }) => {
    const commit = { id: after, message: `${message}\n`, url: `${url}/commit/${after}`, author: { name: 'Ada', email: 'ada@example.com', username: 'ada' }, committer: { name: 'Ada', email: 'ada@example.com', username: 'ada' }, verification: null, timestamp: AT, added: files, removed: [], modified: [] };
    return ['push', { ref: `refs/heads/${branch}`, before: OLD, after, compare_url: url, commits: [commit], total_commits: 1, head_commit: commit, repository: place(), pusher: account, sender: account }];
  },
  tag: (name, after) => ['push', { ref: `refs/tags/${name}`, before: ZERO, after, compare_url: url, commits: [], total_commits: 0, head_commit: null, repository: place(), pusher: account, sender: account }],
  gone: (branch) => ['push', { ref: `refs/heads/${branch}`, before: OLD, after: ZERO, compare_url: url, commits: null, total_commits: 0, head_commit: null, repository: place(), pusher: account, sender: account }],
  request: (turn, asked) => ['pull_request', { action: { opened: 'opened', updated: 'synchronized', merged: 'closed', closed: 'closed' }[turn], number: asked.number,
    pull_request: { id: 40 + asked.number, url, number: asked.number, user: account, title: titled(asked), body: '', labels: asked.label ? [{ id: 1, name: asked.label, color: 'ffffff', description: '', url }] : [], milestone: null, assignee: null, assignees: null, state: turn === 'merged' || turn === 'closed' ? 'closed' : 'open', is_locked: false, comments: 0, html_url: `${url}/pulls/${asked.number}`, mergeable: true, merged: turn === 'merged',
      base: { label: 'main', ref: 'main', sha: OLD, repo_id: 1, repo: place() }, head: { label: 'blue', ref: 'blue', sha: asked.head, repo_id: asked.fork ? 2 : 1, repo: place(asked.fork ? 'eve' : 'ada') }, merge_base: OLD },
    requested_reviewer: null, repository: place(), sender: account, commit_id: '', review: null }],
  others: [
    ['create', { sha: OLD, ref: 'feature', ref_type: 'branch', repository: place(), sender: account }],
    // Beside the push that tells of the same.
    ['delete', { ref: 'feature', ref_type: 'branch', pusher_type: 'user', repository: place(), sender: account }],
    ['issue_comment', { action: 'created', issue: { id: 1, number: 1, title: 'A wish' }, comment: { id: 2, body: 'Nice' }, repository: place(), sender: account, is_pull: true }],
    ['pull_request_comment', { action: 'created', issue: { id: 1, number: 1, title: 'A wish' }, comment: { id: 3, body: 'Nice' }, repository: place(), sender: account, is_pull: true }],
    ['release', { action: 'published', release: { id: 1, tag_name: 'v1', target_commitish: 'main', name: 'v1' }, repository: place(), sender: account }],
    ['repository', { action: 'created', repository: place(), organization: account, sender: account }],
  ],
};

// ---- Bitbucket Cloud ------------------------------------------------------------------------------------------------

const actor = { type: 'user', display_name: 'Ada', uuid: '{a54f16da}', nickname: 'ada', account_id: '5b10', links: {} };
const cloud = (owner = 'ada') => ({ type: 'repository', full_name: `${owner}/blog`, name: 'blog', uuid: '{673a6070}', scm: 'git', is_private: true, website: '', owner: actor, project: { type: 'project', key: 'WEB', name: 'Web' }, links: { html: { href: url } } });
const hashed = (/** @type {string} */ hash, message = 'x') => ({ type: 'commit', hash, message, date: AT, author: { type: 'author', raw: 'Ada <ada@example.com>' }, parents: [], links: {} });
/** @param {any} before @param {any} after @returns {Sent} */
const change = (before, after) => ['repo:push', { actor, repository: cloud(), push: { changes: [{ old: before, new: after, created: !before, closed: !after, forced: false, truncated: false, commits: after ? [after.target] : [], links: {} }] } }];

/** @type {Forge} */
const bitbucket = {
  tells: { files: false, labels: false },
  push: ({ branch, after, message = 'fix' }) => change({ type: 'branch', name: branch, target: hashed(OLD) }, { type: 'branch', name: branch, target: hashed(after, `${message}\n`) }),
  tag: (name, after) => change(null, { type: 'tag', name, target: hashed(after) }),
  gone: (branch) => change({ type: 'branch', name: branch, target: hashed(OLD) }, null),
  request: (turn, asked) => [`pullrequest:${{ opened: 'created', updated: 'updated', merged: 'fulfilled', closed: 'rejected' }[turn]}`, { actor, repository: cloud(),
    pullrequest: { type: 'pullrequest', id: asked.number, title: titled(asked), description: '', state: { opened: 'OPEN', updated: 'OPEN', merged: 'MERGED', closed: 'DECLINED' }[turn], author: actor, source: { branch: { name: 'blue' }, commit: { type: 'commit', hash: asked.head.slice(0, 12) }, repository: cloud(asked.fork ? 'eve' : 'ada') }, destination: { branch: { name: 'main' }, commit: { type: 'commit', hash: OLD.slice(0, 12) }, repository: cloud() },
      merge_commit: turn === 'merged' ? { hash: '7'.repeat(12) } : null, participants: [], reviewers: [], close_source_branch: false, closed_by: null, reason: '', created_on: AT, updated_on: AT, links: { html: { href: `${url}/pull-requests/${asked.number}` } } } }],
  others: [
    ['repo:commit_status_updated', { actor, repository: cloud(), commit_status: { name: 'tests', key: 'tests', state: 'SUCCESSFUL', type: 'build', url, description: '' } }],
    ['repo:commit_comment_created', { actor, repository: cloud(), comment: { id: 17, content: { raw: 'Nice' } }, commit: { hash: OLD } }],
    ['repo:fork', { actor, repository: cloud(), fork: cloud('eve') }],
    ['pullrequest:comment_created', { actor, repository: cloud(), pullrequest: { id: 1 }, comment: { id: 18, content: { raw: 'Nice' } } }],
    ['pullrequest:approved', { actor, repository: cloud(), pullrequest: { id: 1 }, approval: { date: AT, user: actor } }],
    ['issue:created', { actor, repository: cloud(), issue: { id: 1, title: 'A wish', state: 'new' } }],
  ],
};

// ---- Bitbucket Data Center ------------------------------------------------------------------------------------------

const user = { name: 'ada', emailAddress: 'ada@example.com', active: true, displayName: 'Ada', id: 2, slug: 'ada', type: 'NORMAL' };
const kept = (key = 'WEB') => ({ slug: 'blog', id: 84, name: 'blog', hierarchyId: 'af05', scmId: 'git', state: 'AVAILABLE', statusMessage: 'Available', forkable: true, project: { key, id: 84, name: 'web', public: false, type: key.startsWith('~') ? 'PERSONAL' : 'NORMAL' }, public: false, archived: false });
const made = (/** @type {string} */ id, message = 'x') => ({ id, displayId: id.slice(0, 11), author: user, authorTimestamp: 1770113472000, committer: user, committerTimestamp: 1770113472000, message, parents: [] });
/** @param {string} id @param {'ADD' | 'UPDATE' | 'DELETE'} type @param {string} fromHash @param {string} toHash @param {string} [message] @returns {Sent} */
const moved = (id, type, fromHash, toHash, message) => ['repo:refs_changed', { eventKey: 'repo:refs_changed', date: '2026-02-03T10:11:12+0000', actor: user, repository: kept(), changes: [{ ref: { id, displayId: id.replace(/^refs\/\w+\//, ''), type: id.startsWith('refs/tags/') ? 'TAG' : 'BRANCH' }, refId: id, fromHash, toHash, type }], ...(type === 'DELETE' ? {} : { commits: [made(toHash, message)], toCommit: made(toHash, message) }) }];
const review = (/** @type {string} */ event, more = {}) => /** @type {Sent} */ ([event, { eventKey: event, date: '2026-02-03T10:11:12+0000', actor: user, pullRequest: { id: 1, version: 1, title: 'x', state: 'OPEN' }, ...more }]);

/** @type {Forge} */
const dataCenter = {
  tells: { files: false, labels: false },
  ping: ['diagnostics:ping', { test: true }],
  push: ({ branch, after, message = 'fix' }) => moved(`refs/heads/${branch}`, 'UPDATE', OLD, after, message),
  tag: (name, after) => moved(`refs/tags/${name}`, 'ADD', ZERO, after),
  gone: (branch) => moved(`refs/heads/${branch}`, 'DELETE', OLD, ZERO),
  request: (turn, asked) => {
    const event = `pr:${{ opened: 'opened', updated: 'from_ref_updated', merged: 'merged', closed: 'declined' }[turn]}`;
    const state = { opened: 'OPEN', updated: 'OPEN', merged: 'MERGED', closed: 'DECLINED' }[turn];
    return [event, { eventKey: event, date: '2026-02-03T10:11:12+0000', actor: user,
      pullRequest: { id: asked.number, version: 1, title: titled(asked), state, open: state === 'OPEN', closed: state !== 'OPEN', draft: false, createdDate: 1770113472000, updatedDate: 1770113472000,
        fromRef: { id: 'refs/heads/blue', displayId: 'blue', latestCommit: asked.head, type: 'BRANCH', repository: kept(asked.fork ? '~eve' : 'WEB') }, toRef: { id: 'refs/heads/main', displayId: 'main', latestCommit: OLD, type: 'BRANCH', repository: kept() },
        locked: false, author: { user, role: 'AUTHOR', approved: false, status: 'UNAPPROVED' }, reviewers: [], participants: [], links: { self: [{ href: `${url}/pull-requests/${asked.number}` }] } },
      ...(turn === 'updated' ? { previousFromHash: OLD } : {}) }];
  },
  others: [
    ['repo:comment:added', { eventKey: 'repo:comment:added', actor: user, comment: { id: 62, version: 0, text: 'Nice' }, repository: kept(), commit: OLD }],
    ['repo:modified', { eventKey: 'repo:modified', actor: user, old: kept(), new: kept() }],
    ['repo:forked', { eventKey: 'repo:forked', actor: user, repository: kept('~eve') }],
    review('pr:comment:added', { comment: { id: 63, version: 0, text: 'Nice' } }),
    review('pr:reviewer:approved', { participant: { user, role: 'REVIEWER', approved: true, status: 'APPROVED' }, previousStatus: 'UNAPPROVED' }),
    review('pr:reviewer:updated', { addedReviewers: [user], removedReviewers: [] }),
  ],
};

/** By the names of `HEADERS` in hooks.mjs. @type {Record<string, Forge>} */
export const FORGES = { gitlab, gitea, forgejo: gitea, bitbucket, 'bitbucket data center': dataCenter };
