// What an app prints, live.
import { html, h, icon, useEffect, useRef, useState } from '../lib/html.js';
import { socket } from '../lib/api.js';
import { ServicePick } from '../parts/service-pick.js';
import '../elements/sk-log.js';

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppLogs({ app }) {
  const element = useRef(/** @type {import('../elements/sk-log.js').SkLog | null} */ (null));
  const [tail, setTail] = useState('1000');
  const [state, setState] = useState(/** @type {'connecting' | 'open' | 'lost'} */ ('connecting'));
  const [turn, again] = useState(0);
  const [service, setService] = useState('');
  useEffect(() => {
    let gone = false;
    /** @type {WebSocket | null} */
    let line = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    let retry;
    const log = element.current;
    /** @type {any[]} */
    let waiting = [];
    let last = '';
    let failures = 0;
    const flush = () => { log?.push(waiting); waiting = []; };
    const open = async () => {
      try { line = await socket(`/apps/${app.id}/logs/stream`, { ...(last ? { since: last } : { tail: tail === 'all' ? 100_000 : Number(tail) }), service }); } catch { setState('lost'); return; }
      if (gone) { line.close(); return; }
      const from = last;
      line.onopen = () => { failures = 0; setState('open'); };
      line.onmessage = ({ data }) => {
        const one = JSON.parse(data);
        // After a reconnect the lines of the last moment come again.
        if (from && one.at <= from) return;
        last = one.at;
        if (!waiting.length) requestAnimationFrame(flush);
        waiting.push(one);
      };
      line.onclose = () => { if (gone) return; setState('lost'); failures += 1; retry = setTimeout(open, Math.min(15_000, 700 * 2 ** failures)); };
    };
    log?.clear();
    setState('connecting');
    open();
    return () => { gone = true; clearTimeout(retry); line?.close(); };
  }, [app.id, tail, turn, service]);
  useEffect(() => { element.current?.setStatus({ connecting: '', open: 'live', lost: '' }[state]); }, [state]);
  useEffect(() => {
    const log = element.current;
    const chosen = (/** @type {any} */ event) => setTail(event.detail);
    log?.addEventListener('sk-tail', chosen);
    return () => log?.removeEventListener('sk-tail', chosen);
  }, []);
  return html`<section class="panel log-panel" aria-label="Logs"><div class="panel-body log-body">${h(ServicePick, { app, value: service, set: setService, every: true })}
    ${state === 'lost' ? html`<p class="log-lost" role="status">${icon('wifi-off')}Not connected; trying again.<button type="button" class="link" onClick=${() => again(turn + 1)}>Connect now</button></p>` : null}
    <sk-log ref=${element} tails="1000,10000,all" label=${`Logs of ${app.name}`} name=${`${app.name}.log`}></sk-log></div></section>`;
}
