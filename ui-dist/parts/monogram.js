// The drawn icon of an app of the catalog: one or two letters on its colour, with letters that can be read on it.
import { html } from '../lib/html.js';

/** Black or white, whichever stands out more (WCAG relative luminance). @param {string} color `#rrggbb` */
export function inkOn(color) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(color.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff';
}

/** A plain box: an SVG image with text in it is more to lay out, and a catalog has a hundred of them. The style is set by script, as the policy wants it.
 * @param {{ text: string, color: string, large?: boolean }} props */
export const Monogram = ({ text, color, large }) => html`<span class=${`monogram ${text.length > 1 ? 'two' : ''} ${large ? 'large' : ''}`} style=${{ background: color, color: inkOn(color) }} aria-hidden="true">${text}</span>`;
