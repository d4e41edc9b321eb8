// A terminal in the app's container.
import { html, h, icon, useEffect, useRef, useState } from '../lib/html.js';
import { Empty } from '../parts/empty.js';
import { ServicePick } from '../parts/service-pick.js';
import '../elements/sk-terminal.js';

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppTerminal({ app }) {
  const element = useRef(/** @type {import('../elements/sk-terminal.js').SkTerminal | null} */ (null));
  const [state, setState] = useState(/** @type {'connecting' | 'open' | { ended: number | null, why: string }} */ ('connecting'));
  const [command, setCommand] = useState('');
  const [service, setService] = useState('');
  useEffect(() => { if (element.current && element.current.getAttribute('service') !== service) { element.current.setAttribute('service', service); element.current.connect(); } }, [service]);
  const up = ['running', 'unhealthy', 'starting', 'deploying'].includes(app.state) && app.release;
  useEffect(() => {
    const box = element.current;
    const hear = (/** @type {any} */ event) => setState(event.detail);
    box?.addEventListener('sk-state', hear);
    return () => box?.removeEventListener('sk-state', hear);
  }, [up]);
  if (!up) return html`<section class="panel">${h(Empty, { icon: 'terminal', title: 'Nothing runs to connect to', text: 'A terminal opens inside the running container. Start, wake or deploy the app first.' })}</section>`;
  const again = () => { if (element.current) { if (command.trim()) element.current.setAttribute('command', command.trim()); else element.current.removeAttribute('command'); element.current.connect(); } };
  return html`<section class="panel log-panel terminal-panel" aria-label="Terminal"><div class="panel-body">
    <form class="terminal-bar" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); again(); }}>
      <span class=${`state plain ${state === 'open' ? 'ok' : state === 'connecting' ? 'busy' : 'off'}`} role="status"><i class="dot" aria-hidden="true"></i>${state === 'open' ? 'Connected' : state === 'connecting' ? 'Connecting' : state.why}</span><span class="grow"></span>
      ${h(ServicePick, { app, value: service, set: setService })}<label class="unseen" for="terminal-command">Command</label><input id="terminal-command" class="input mono hide-phone" placeholder="the image’s shell" value=${command} onInput=${(/** @type {any} */ event) => setCommand(event.target.value)} autocomplete="off" spellcheck="false" />
      <button type="submit" class="btn small">${icon('rotate-cw')}${state === 'open' ? 'Restart' : 'Connect'}</button></form>
    <sk-terminal ref=${element} app=${app.id} service=""></sk-terminal></div></section>`;
}
