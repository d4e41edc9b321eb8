// ANSI colours (ECMA-48 SGR) into runs of text with classes; every other escape is dropped. Pure; tested.

/** @typedef {{ text: string, classes: string }} Run */

// eslint-disable-next-line no-control-regex
const ESCAPE = /\u001b(?:\[([0-9;:]*)([A-Za-z])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;
// eslint-disable-next-line no-control-regex
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f]/g;

/** The text without escapes; a carriage return keeps what came last, as a terminal would. @param {string} line */
export function plain(line) {
  if (!/[\u0000-\u001f\u007f]/.test(line)) return line;
  let text = line.replace(ESCAPE, '').replace(/\r+$/, '');
  const back = text.lastIndexOf('\r');
  if (back >= 0) text = text.slice(back + 1);
  return text.replace(/\t/g, '    ').replace(CONTROL, '');
}

/** @param {string} line @returns {Run[]} */
export function runs(line) {
  if (!line.includes('\u001b')) return [{ text: plain(line), classes: '' }];
  let source = line.replace(/\r+$/, '');
  const back = source.lastIndexOf('\r');
  if (back >= 0) source = source.slice(back + 1);
  /** @type {Run[]} */
  const out = [];
  let fg = '';
  const style = new Set();
  let at = 0;
  const push = (/** @type {string} */ text) => {
    const clean = text.replace(/\t/g, '    ').replace(CONTROL, '');
    if (clean) out.push({ text: clean, classes: [fg, ...style].filter(Boolean).join(' ') });
  };
  for (const found of source.matchAll(ESCAPE)) {
    push(source.slice(at, found.index));
    at = found.index + found[0].length;
    if (found[2] !== 'm') continue;
    const codes = (found[1] || '0').split(/[;:]/).map(Number);
    for (let i = 0; i < codes.length; i += 1) {
      const code = codes[i];
      if (code === 0) { fg = ''; style.clear(); }
      else if (code === 1) style.add('a-bold');
      else if (code === 2) style.add('a-dim');
      else if (code === 3) style.add('a-italic');
      else if (code === 4) style.add('a-under');
      else if (code === 22) { style.delete('a-bold'); style.delete('a-dim'); }
      else if (code === 23) style.delete('a-italic');
      else if (code === 24) style.delete('a-under');
      else if (code >= 30 && code <= 37) fg = `a-${code - 30}`;
      else if (code >= 90 && code <= 97) fg = `a-${code - 82}`;
      else if (code === 39) fg = '';
      else if (code === 38 || code === 48) {
        if (codes[i + 1] === 5) { if (code === 38) fg = from256(codes[i + 2]); i += 2; }
        else if (codes[i + 1] === 2) { if (code === 38) fg = nearest(codes[i + 2], codes[i + 3], codes[i + 4]); i += 4; }
      }
    }
  }
  push(source.slice(at));
  return out.length ? out : [{ text: '', classes: '' }];
}

/** @param {number} n of the 256 colours */
function from256(n) {
  if (!(n >= 0)) return '';
  if (n < 16) return `a-${n}`;
  if (n >= 232) return n < 244 ? 'a-8' : 'a-7';
  const cube = n - 16;
  return nearest(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51);
}

/** The nearest of the sixteen, so that every colour keeps its contrast in both themes. @param {number} r @param {number} g @param {number} b */
function nearest(r, g, b) {
  const high = Math.max(r, g, b);
  if (high - Math.min(r, g, b) < 40) return high < 110 ? 'a-8' : 'a-7';
  const bit = (/** @type {number} */ part) => (part > high * 0.6 ? 1 : 0);
  return `a-${bit(r) + bit(g) * 2 + bit(b) * 4 + (high > 200 ? 8 : 0)}`;
}
