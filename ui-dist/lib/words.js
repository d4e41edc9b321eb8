// Command lines as people write them, to and from argument lists. No shell takes part. Pure; tested.

/** "node 'my server.js' --x" → ['node', 'my server.js', '--x']; null when a quote is never closed. @param {string} text @returns {string[] | null} */
export function splitWords(text) {
  const out = [];
  let word = '';
  let open = '';
  let has = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i];
    if (open) {
      if (c === open) open = '';
      else if (c === '\\' && open === '"' && i + 1 < text.length && '"\\$`'.includes(text[i + 1])) { i += 1; word += text[i]; }
      else word += c;
    } else if (c === '"' || c === "'") { open = c; has = true; }
    else if (c === '\\' && i + 1 < text.length) { i += 1; word += text[i]; has = true; }
    else if (/\s/.test(c)) { if (has) { out.push(word); word = ''; has = false; } }
    else { word += c; has = true; }
  }
  if (open) return null;
  if (has) out.push(word);
  return out;
}

/** @param {string[]} words */
export const joinWords = (words) => words.map((word) => (word !== '' && /^[A-Za-z0-9_./:@%+,=~-]+$/.test(word) ? word : `'${word.replace(/'/g, `'\\''`)}'`)).join(' ');

/** A name for an app from what it is made of: the last part of a repository's or image's address. @param {string} text */
export function nameFrom(text) {
  const path = text.trim().replace(/[?#].*$/, '').replace(/\/+$/, '').replace(/\.git$/, '').replace(/@sha256:.*$/, '');
  const last = path.split(/[/:]/).filter(Boolean).pop() ?? '';
  const before = /[/:]/.test(path) && /:[^/]*$/.test(path) && !/^[a-z+]+:\/\//.test(path) && !path.includes('@') ? path.replace(/:[^/:]*$/, '').split('/').pop() ?? last : last;
  return before.toLowerCase().replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 63).replace(/-+$/, '');
}
