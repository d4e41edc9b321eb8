import { html } from '../lib/html.js'; export default () => html`<div class="page">projects</div>`;
