// A new password, with how strong it is: the panel's own estimate, in its words.
import { html, h, useEffect, useState } from '../lib/html.js';
import { api } from '../lib/api.js';
import { sentence } from '../lib/format.js';
import { TextField } from './field.js';

/** 0 to 4: a first guess by length alone, until the panel has answered. @param {string} text */
export const strength = (text) => (!text ? 0 : text.length < 10 ? 1 : text.length < 16 ? 2 : 3);

/** What to show for an estimate: how many bars, and the words. @param {import('../lib/api.js').S<'PasswordEstimate'>} found @returns {{ level: number, words: string }} */
export function verdict(found) {
  if (!found.accepted) return { level: Math.min(2, Math.max(1, found.score)), words: sentence(found.why ?? 'Too easy to guess') };
  return found.score >= 4 ? { level: 4, words: 'Strong' } : { level: 3, words: found.suggestions[0] ? `Good. ${sentence(found.suggestions[0])}` : 'Good' };
}

/** @param {{ label: string, value: string, set: (value: string) => void, error?: string, hint?: string, known?: string[] }} props `known`: what others know of the person too */
export function PasswordField({ label, value, set, error, known = [], hint = 'At least 10 characters; a few random words are best.' }) {
  const [found, setFound] = useState(/** @type {{ level: number, words: string } | null} */ (null));
  useEffect(() => {
    setFound(null);
    if (!value) return undefined;
    let current = true;
    const soon = setTimeout(async () => { try { const answer = await api.passwordEstimate({ password: value, known: known.filter(Boolean) }); if (current) setFound(verdict(answer)); } catch { /* the panel decides when it is sent */ } }, 250);
    return () => { current = false; clearTimeout(soon); };
  }, [value, known.join(' ')]);
  const level = found?.level ?? strength(value);
  return html`<div class="stack tight">${h(TextField, { label, type: 'password', name: 'new-password', autocomplete: 'new-password', value, set, required: true, error, hint })}<div class=${`strength s${level}`} aria-hidden="true"><i></i><i></i><i></i><i></i></div>${value ? html`<p class="hint" role="status">${found && found.words !== sentence(error) ? found.words : ''}</p>` : null}</div>`;
}
