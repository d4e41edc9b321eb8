// What an app prints, live.
import { html, h, icon, useEffect, useRef, useState } from '../lib/html.js';
import { socket } from '../lib/api.js';
import { Choice } from '../parts/field.js';
import '../elements/sk-log.js';

/** @param {{ app: import('../lib/api.js').S<'App'> }} props */
export default function AppLogs({ app }) {
  const element = useRef(/** @type {import('../elements/sk-log.js').SkLog | null} */ (null));
  const [tail, setTail] = useState('1000');
  const [state, setState] = useState(/** @type {'connecting' | 'open' | 'lost'} */ ('connecting'));
  const [turn, again] = useState(0);
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
    const flush = () => { log?.append(waiting); waiting = []; };
    const open = async () => {
      try { line = await socket(`/apps/${app.id}/logs/stream`, last ? { since: last } : { tail: tail === 'all' ? 100_000 : Number(tail) }); } catch { setState('lost'); return; }
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
  }, [app.id, tail, turn]);
  useEffect(() => { element.current?.setStatus({ connecting: '', open: 'live', lost: '' }[state]); }, [state]);
  return html`<section class="panel log-panel" aria-label="Logs"><div class="panel-body log-body">
    <div class="log-extra">${h(Choice, { label: 'How far back', small: true, value: tail, set: setTail, options: [{ value: '1000', label: '1,000 lines' }, { value: '10000', label: '10,000' }, { value: 'all', label: 'All' }] })}
    ${state === 'lost' ? html`<span class="warn-text small row">${icon('wifi-off')}Not connected.<button type="button" class="link" onClick=${() => again(turn + 1)}>Connect now</button></span>` : null}</div>
    <sk-log ref=${element} label=${`Logs of ${app.name}`} name=${`${app.name}.log`}></sk-log></div></section>`;
}
