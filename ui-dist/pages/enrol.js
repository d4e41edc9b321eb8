// For somebody who must have a second factor and has none: nothing else is allowed until it is set up.
import { html, h, useEffect } from '../lib/html.js';
import { api, session } from '../lib/api.js';
import { Logo } from '../parts/frame.js';
import { Enrol } from '../parts/second-factor.js';

export default function EnrolPage() {
  useEffect(() => { document.title = 'Set up a second factor · serverkit'; if (session.peek() === null) location.assign('/sign-in'); }, []);
  const leave = async () => { try { await api.sessionEnd(); } finally { location.assign('/sign-in'); } };
  return html`<div class="gate"><div class="gate-top"></div><div class="gate-box">
    <div class="stack gate-hello">${h(Logo, {})}<div><h1 tabindex="-1">Set up a second factor</h1><p class="dim">This panel asks for one before you go on.</p></div></div>
    <div class="panel gate-card">${h(Enrol, { done: () => location.assign('/') })}</div>
    <button type="button" class="btn ghost" onClick=${leave}>Sign out</button></div><p class="gate-foot">${session.value?.user.email}</p></div>`;
}
