// The ways to a first app: a sample, a repository, an image, the marketplace, an upload.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { navigate } from '../lib/router.js';
import { appPath, loadApps, putDeployment } from '../lib/live.js';
import { Act } from './act.js';

const SAMPLE = { name: 'hello', source: /** @type {const} */ ({ kind: 'image', reference: 'nginx:stable' }), port: 80 };

async function create() {
  const app = await api.appCreate({ name: SAMPLE.name, source: SAMPLE.source, port: SAMPLE.port });
  if (app.deployment) putDeployment(app.deployment);
  await loadApps();
  navigate(appPath(app));
}

export const FirstApp = () => html`<div class="pick">
  <div class="pick-card sample">${icon('sparkles')}<span><b>A sample</b><span><code>${SAMPLE.source.reference}</code>, live in a moment. Delete it when you have seen enough.</span>${h(Act, { label: 'Deploy the sample', icon: 'rocket', tone: 'primary', run: create })}</span></div>
  <a class="pick-card" href="/apps/new">${icon('git-branch')}<span><b>From Git</b><span>Your repository, with or without a Dockerfile.</span></span></a>
  <a class="pick-card" href="/apps/new?from=image">${icon('box')}<span><b>From an image</b><span>Anything that is built already.</span></span></a>
  <a class="pick-card" href="/marketplace">${icon('compass')}<span><b>From the marketplace</b><span>Ready apps with all that they need.</span></span></a>
  <a class="pick-card" href="/apps/new?from=upload">${icon('upload')}<span><b>From your computer</b><span>A folder or an archive.</span></span></a></div>`;
