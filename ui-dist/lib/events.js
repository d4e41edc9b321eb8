// The one live connection: server-sent events, read by fetch so that an expired session can be renewed and a lost line taken up again.
import { signal } from './html.js';
import { api, session, Problem } from './api.js';

/** @typedef {{ event: string, id: string | null, data: any }} Message */

/** Whether the panel is heard. `false` for longer than a moment shows in the frame. */
export const connected = signal(true);

/** @type {Map<string, Set<(message: Message) => void>>} */
const listeners = new Map();

/** Hears one kind of event ('*': all but metrics); gives back how to stop. @param {string} kind @param {(message: Message) => void} hear */
export function on(kind, hear) {
  const set = listeners.get(kind) ?? new Set();
  listeners.set(kind, set.add(hear));
  return () => { set.delete(hear); };
}

/** @param {Message} message */
export function tell(message) {
  for (const hear of listeners.get(message.event) ?? []) hear(message);
  if (message.event !== 'metrics') for (const hear of listeners.get('*') ?? []) hear(message);
}

/** Takes text apart into messages as it comes (WHATWG HTML, 9.2.6). Give it chunks; it calls back for each message.
 * @param {(message: { event: string, id: string | null, data: string }) => void} got */
export function parser(got) {
  let rest = '';
  let event = '';
  /** @type {string[]} */
  let data = [];
  /** @type {string | null} */
  let id = null;
  return (/** @type {string} */ chunk) => {
    rest += chunk;
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === '') {
        if (data.length) got({ event: event || 'message', id, data: data.join('\n') });
        event = ''; data = [];
        continue;
      }
      if (line.startsWith(':')) continue;
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'event') event = value;
      else if (field === 'data') data.push(value);
      else if (field === 'id' && !value.includes('\0')) id = value;
    }
  };
}

/** @type {AbortController | null} */
let stop = null;
/** @type {() => void} */
let hurry = () => {};

/** Connects, and again whenever the line is lost, until nobody is signed in or what is signed in may see nothing. */
export async function startEvents() {
  stop?.abort();
  const mine = (stop = new AbortController());
  /** @type {string | null} */
  let last = null;
  let failures = 0;
  while (!mine.signal.aborted && session.value) {
    try {
      const answer = await api.eventStream(last, mine.signal);
      if (failures > 0) tell({ event: 'reconnected', id: null, data: null });
      failures = 0;
      connected.value = true;
      const read = parser(({ event, id, data }) => {
        if (id) last = id;
        try { tell({ event, id, data: JSON.parse(data) }); } catch (error) { console.warn('an event that is not JSON', error); }
      });
      const reader = /** @type {ReadableStream<Uint8Array>} */ (answer.body).getReader();
      const text = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        read(text.decode(value, { stream: true }));
      }
    } catch (error) {
      // Who is signed out or may see nothing is not without a line: asking again would change nothing.
      const isClosed = error instanceof Problem && (error.status === 401 || error.code === 'forbidden');
      if (isClosed) connected.value = true;
      if (isClosed || mine.signal.aborted) return;
    }
    failures += 1;
    if (failures > 1) connected.value = false;
    await new Promise((resolve) => {
      hurry = () => resolve(null);
      setTimeout(resolve, Math.min(30_000, 500 * 2 ** Math.min(failures, 6)) * (0.7 + Math.random() * 0.6));
    });
  }
}
export function stopEvents() { stop?.abort(); stop = null; }

if (typeof addEventListener === 'function' && typeof document !== 'undefined') {
  addEventListener('online', () => hurry());
  document.addEventListener('visibilitychange', () => { if (!document.hidden) hurry(); });
}
