// The licences of the libraries that the panel's pages are made with.
import { html, h, icon } from '../lib/html.js';
import { api } from '../lib/api.js';
import { useResource } from '../lib/resource.js';
import { useTrail } from '../lib/trail.js';
import { PageHead, Panel } from '../parts/page.js';
import { Failed, Loading } from '../parts/empty.js';

/** "## preact 11.2.0 (MIT)" and the text behind it. Pure; tested. @param {string} text @returns {{ name: string, version: string, kind: string, words: string }[]} */
export const sections = (text) => text.split(/^## /m).slice(1).map((part) => {
  const [head, ...rest] = part.split('\n');
  const [, name, version, kind] = head.match(/^(\S+) (\S+) \((.*)\)$/) ?? [null, head, '', ''];
  return { name: name ?? head, version, kind, words: rest.join('\n').replace(/^```$/gm, '').trim() };
});

export default function LicencesPage() {
  useTrail([{ label: 'Open source licences' }]);
  const found = useResource('licences', api.licences);
  const text = found.value.value;
  return html`<div class="page">${h(PageHead, { title: 'Open source licences', note: 'serverkit is open source under the MIT licence; its pages are made with these' })}
    ${found.error.value ? h(Failed, { error: found.error.value, retry: found.load }) : text === undefined ? h(Loading, { rows: 6 }) : h(Panel, { flush: true }, html`<ul class="licences">${sections(text).map((one) => html`<li key=${one.name}><details class="more"><summary>${icon('chevron-right', 'icon-small')}<span class="strong">${one.name}</span><span class="faint num">${one.version}</span><span class="tag end">${one.kind}</span></summary><pre tabindex="0">${one.words || 'The package has no text of its own.'}</pre></details></li>`)}</ul>`)}</div>`;
}
