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
