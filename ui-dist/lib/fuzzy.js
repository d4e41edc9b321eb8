// Fuzzy match for the command palette. Pure; tested.

/** How well `query` fits `text`: null when a letter is missing, else higher is better. Words may come in any order: "deploy blog" finds "blog: deploy".
 * @param {string} query @param {string} text @returns {number | null} */
export function score(query, text) {
  const lower = text.toLowerCase();
  let total = 0;
  for (const word of query.toLowerCase().split(/\s+/).filter(Boolean)) {
    const one = scoreWord(word, lower);
    if (one == null) return null;
    total += one;
  }
  return total - text.length * 0.02;
}

/** The items that fit a search, the best first. Letters that are left out, doubled or swapped are forgiven, as is a name written as one word.
 * Where nothing has all the words, what has most of them.
 * @template T @param {string} query @param {T[]} items @param {(item: T) => string} text what is looked through, the most important words first @returns {T[]} */
export const find = (query, items, text) => searcher(items, text)(query);

/** The same for items that are searched again and again: their words are taken apart once, and each different word is compared once in a search.
 * @template T @param {T[]} items @param {(item: T) => string} text @returns {(query: string, wanted?: (item: T) => boolean) => T[]} */
export function searcher(items, text) {
  /** @type {Map<string, number>} */
  const places = new Map();
  /** @type {Known[]} */
  const known = [];
  const prepared = items.map((item) => ({ item, parts: wordsOf(text(item)).map((word) => {
    let place = places.get(word);
    if (place === undefined) { place = known.length; places.set(word, place); known.push({ word, letters: lettersOf(word) }); }
    return place;
  }) }));
  return (query, wanted = () => true) => {
    const words = query.toLowerCase().split(/\s+/).map((word) => wordsOf(word).join('')).filter(Boolean);
    const alike = words.map((word) => { const letters = lettersOf(word); return Float64Array.from(known, (one) => likeness(word, letters, one)); });
    const found = [];
    let most = 0;
    for (const { item, parts } of prepared) {
      if (!wanted(item)) continue;
      let total = 0;
      let fitting = 0;
      words.forEach((word, of) => {
        const best = bestOf(word, alike[of], parts, known);
        if (best > 0) fitting += 1;
        total += best;
      });
      if (!fitting) continue;
      most = Math.max(most, fitting);
      found.push({ item, total, fitting });
    }
    return found.filter((one) => one.fitting === most).sort((a, b) => b.total - a.total).map((one) => one.item);
  };
}

/** @typedef {{ word: string, letters: number }} Known `letters`: a bit for each letter that is in it */

/** @param {string} text */
const wordsOf = (text) => text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);

/** Letters as bits; those that are 32 apart share one, which only makes words look more alike. @param {string} word */
function lettersOf(word) {
  let bits = 0;
  for (let at = 0; at < word.length; at += 1) bits |= 1 << (word.charCodeAt(at) & 31);
  return bits;
}

/** @param {number} bits */
function ones(bits) {
  let count = 0;
  for (let left = bits; left; left &= left - 1) count += 1;
  return count;
}

/** How well the best of an item's words fits, the first ones a little better. @param {string} word @param {Float64Array} alike by the place among the known words @param {number[]} parts @param {Known[]} known */
function bestOf(word, alike, parts, known) {
  let best = 0;
  for (let at = 0; at < parts.length; at += 1) {
    best = Math.max(best, alike[parts[at]] - at * 0.004);
    // "uptimekuma" is Uptime Kuma.
    let joined = known[parts[at]].word;
    for (let next = at + 1; next < parts.length && joined.length < word.length && word.startsWith(joined); next += 1) {
      joined += known[parts[next]].word;
      best = Math.max(best, likeness(word, lettersOf(word), { word: joined, letters: lettersOf(joined) }) - at * 0.004);
    }
  }
  return best;
}

/** How well a typed word fits another one, 0 to 1: whole, from its beginning, within it, or with few mistakes. @param {string} word @param {number} letters its own @param {Known} known */
function likeness(word, letters, { word: part, letters: theirs }) {
  if (word === part) return 1;
  if (part.startsWith(word)) return 0.9;
  if (word.length > 2 && part.includes(word)) return 0.7;
  const allowed = word.length < 4 ? 0 : word.length < 8 ? 1 : 2;
  // Each letter that the other one has not is a mistake of its own: most words are told apart by that.
  if (!allowed || ones(letters & ~theirs) > allowed) return 0;
  // What is still being typed is compared with as much of the word.
  for (const other of part.length > word.length + 1 ? [part, part.slice(0, word.length), part.slice(0, word.length + 1)] : [part]) {
    const wrong = mistakes(word, other, allowed);
    if (wrong <= allowed) return 0.6 - wrong * 0.1;
  }
  return 0;
}

/** Letters to add, drop, change or swap from one word to the other; more than `most` is not counted on. @param {string} a @param {string} b @param {number} most */
export function mistakes(a, b, most) {
  if (Math.abs(a.length - b.length) > most) return Infinity;
  let before = /** @type {number[]} */ ([]);
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + same);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, before[j - 2] + 1);
      next.push(least);
    }
    before = row;
    row = next;
  }
  return row[b.length];
}

/** @param {string} word @param {string} text */
function scoreWord(word, text) {
  const at = text.indexOf(word);
  if (at >= 0) return 40 + word.length * 2 + (at === 0 ? 20 : /[^a-z0-9]/.test(text[at - 1]) ? 14 : 0) - at * 0.05;
  let from = 0;
  let total = 0;
  let before = -2;
  for (const letter of word) {
    const found = text.indexOf(letter, from);
    if (found < 0) return null;
    total += found === before + 1 ? 4 : found === 0 || /[^a-z0-9]/.test(text[found - 1]) ? 3 : 0.5;
    before = found;
    from = found + 1;
  }
  // Letters strewn over a long text are no match that anybody meant.
  return total / word.length < 1.4 ? null : total;
}
