// A new password, with how strong it is.
import { html, h } from '../lib/html.js';
import { TextField } from './field.js';

/** 0 to 4: a rough word for people; the panel itself decides what it takes. @param {string} text */
export function strength(text) {
  if (!text) return 0;
  if (text.length < 10) return 1;
  const kinds = [/[a-z]/, /[A-Z]/, /\d/, /[^A-Za-z0-9]/].filter((one) => one.test(text)).length;
  const different = new Set(text).size;
  if (different < 5) return 1;
  if (text.length >= 20 || (text.length >= 16 && kinds >= 2)) return 4;
  if (text.length >= 14 || kinds >= 3) return 3;
  return 2;
}

/** @param {{ label: string, value: string, set: (value: string) => void, error?: string, hint?: string }} props */
export function PasswordField({ label, value, set, error, hint = 'At least 10 characters; a few random words are best.' }) {
  const level = strength(value);
  return html`<div class="stack tight">${h(TextField, { label, type: 'password', name: 'new-password', autocomplete: 'new-password', value, set, required: true, error, hint })}<div class=${`strength s${level}`} role="img" aria-label=${['', 'Too short', 'Fair', 'Good', 'Strong'][level] || 'Empty'}><i></i><i></i><i></i><i></i></div></div>`;
}
