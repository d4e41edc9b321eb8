// The lines of a log, from the first one and as they come, into a `sk-log`.
import { useEffect, useRef } from './html.js';
import { socket } from './api.js';

/** @typedef {import('../elements/sk-log.js').SkLog} SkLog */

/** What to give the element as its `ref`. @param {string} path of the stream @param {(log: SkLog | null, why: string) => void} [failed] when the stream cannot be opened */
export function useLogStream(path, failed = () => {}) {
  const element = useRef(/** @type {SkLog | null} */ (null));
  useEffect(() => {
    let gone = false;
    /** @type {WebSocket | null} */
    let line = null;
    (async () => {
      try {
        line = await socket(path, { after: 0 });
        if (gone) { line.close(); return; }
        line.onmessage = ({ data }) => element.current?.push([JSON.parse(data)]);
      } catch (error) { failed(element.current, /** @type {Error} */ (error).message); }
    })();
    return () => { gone = true; line?.close(); };
  }, [path]);
  return element;
}
