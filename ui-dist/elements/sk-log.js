// <sk-log>: a log of any length. Lines are drawn by need; ANSI colours, follow, pause on scroll, search with hits, wrap, time stamps,
// copy, download, folding of steps. Plain DOM, no Preact.
//
// @attribute label       its name for screen readers
// @attribute name        file name for the download
// @attribute foldable    notes (stream "note") begin a step that can be folded
// @attribute tails      how far back to choose from: "1000,10000,all"
// @attribute compact     no tool bar: a window on the end of a log
// @property  downloadUrl where the whole log is, else what is here is saved
// @method    push(lines)  lines: {n?, at, stream, text, container?}[]; clear(); setStatus(text)
// @fires     sk-follow   detail: whether it follows the end
// @fires     sk-tail     detail: the choice of `tails`
import { plain, runs } from '../lib/ansi.js';
import { clock, exact } from '../lib/format.js';

/** @typedef {{ n?: number, at: string, stream: string, text: string, container?: string }} Line */
/** @typedef {{ line: Line, text: string, fold: number, height: number }} Entry `fold`: index of the note it stands under, -1 for none; `height` in pixels */

const ROW = 20;
/** Notes are a little higher, so that what folds them can be hit with a finger. */
const NOTE = 24;
const KEEP = 200_000;
const ICON = (/** @type {string} */ name) => `<svg class="icon" aria-hidden="true"><use href="/vendor/icons.svg#${name}"></use></svg>`;
// Named for the sprite: icon: 'search' icon: 'arrow-up' icon: 'arrow-down' icon: 'wrap-text' icon: 'clock' icon: 'copy' icon: 'download' icon: 'arrow-down-to-line' icon: 'chevron-right' icon: 'check' icon: 'x'

export class SkLog extends HTMLElement {
  constructor() {
    super();
    /** @type {Entry[]} */ this.entries = [];
    /** Indexes of the entries that are not folded away, and where each begins. @type {number[]} */ this.visible = [];
    /** @type {number[]} */ this.tops = [];
    this.total = 0;
    /** How many entries have their place, and the longest of them. */ this.laid = 0;
    this.longest = 0;
    this.columns = Infinity;
    this.folded = new Set();
    this.lastNote = -1;
    this.lastPart = -1;
    this.follow = true;
    this.wrap = false;
    this.times = true;
    this.query = '';
    /** @type {number[]} */ this.hits = [];
    this.hit = -1;
    this.asked = 0;
    /** @type {string | null} */ this.downloadUrl = null;
    this.drawn = '';
  }

  connectedCallback() {
    if (this.built) return;
    this.built = true;
    try { this.wrap = localStorage.getItem('log:wrap') === '1'; this.times = localStorage.getItem('log:times') !== '0'; } catch { /* the defaults */ }
    if (this.hasAttribute('compact')) { this.times = false; this.wrap = false; }
    const label = this.getAttribute('label') ?? 'Log';
    const tails = (this.getAttribute('tails') ?? '').split(',').filter((tail) => /^(\d+|all)$/.test(tail));
    this.innerHTML = `
      <div class="log-bar" role="toolbar" aria-label="${label} tools">
        <label class="search">${ICON('search')}<span class="unseen">Search the log</span><input type="search" class="input" data-search placeholder="Search" autocomplete="off" spellcheck="false"></label>
        <span class="log-hits num" role="status"></span>
        <button type="button" class="btn ghost small square" data-do="up" aria-label="Previous hit" title="Previous hit (Shift+Enter)" hidden>${ICON('arrow-up')}</button>
        <button type="button" class="btn ghost small square" data-do="down" aria-label="Next hit" title="Next hit (Enter)" hidden>${ICON('arrow-down')}</button>
        <span class="grow"></span>
        <span class="log-status"></span>
        ${tails.length ? `<label class="select-box log-tail"><span class="unseen">How far back</span><select class="input">${tails.map((tail) => `<option value="${tail}">${tail === 'all' ? 'Everything' : `Last ${Number(tail).toLocaleString('en-US')}`}</option>`).join('')}</select>${ICON('chevron-down')}</label>` : ''}
        <button type="button" class="btn ghost small square" data-do="wrap" aria-label="Wrap long lines" title="Wrap long lines" aria-pressed="false">${ICON('wrap-text')}</button>
        <button type="button" class="btn ghost small square" data-do="times" aria-label="Time stamps" title="Time stamps" aria-pressed="false">${ICON('clock')}</button>
        <button type="button" class="btn ghost small square" data-do="copy" aria-label="Copy the log" title="Copy the log">${ICON('copy')}</button>
        <button type="button" class="btn ghost small square" data-do="download" aria-label="Download the log" title="Download the log">${ICON('download')}</button>
      </div>
      <div class="log-view" tabindex="0" role="log" aria-live="off" aria-label="${label}"><div class="log-space"><div class="log-lines"></div></div></div>
      <button type="button" class="btn small log-end" data-do="end" hidden>${ICON('arrow-down-to-line')}<span>Follow</span></button>`;
    this.view = /** @type {HTMLElement} */ (this.querySelector('.log-view'));
    this.space = /** @type {HTMLElement} */ (this.querySelector('.log-space'));
    this.lines = /** @type {HTMLElement} */ (this.querySelector('.log-lines'));
    this.input = /** @type {HTMLInputElement} */ (this.querySelector('input'));
    this.endButton = /** @type {HTMLElement} */ (this.querySelector('.log-end'));
    this.view.addEventListener('scroll', () => this.scrolled(), { passive: true });
    this.input.addEventListener('input', () => this.search(this.input?.value ?? ''));
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') { event.preventDefault(); this.step(event.shiftKey ? -1 : 1); }
      if (event.key === 'Escape' && this.input) { this.input.value = ''; this.search(''); this.view?.focus(); }
    });
    this.addEventListener('click', (event) => this.clicked(/** @type {HTMLElement} */ (event.target)));
    this.view.addEventListener('keydown', (event) => {
      if (event.key === 'End') { event.preventDefault(); this.toEnd(); }
    });
    this.querySelector('.log-tail select')?.addEventListener('change', (event) => this.dispatchEvent(new CustomEvent('sk-tail', { detail: /** @type {HTMLSelectElement} */ (event.target).value, bubbles: true })));
    this.sizes = new ResizeObserver(() => { this.measure(); this.layout(); });
    this.sizes.observe(this.view);
    this.measure();
    this.marks();
    this.layout();
    if (document.fonts) document.fonts.ready.then(() => { this.measure(); this.layout(); });
  }

  disconnectedCallback() {
    this.sizes?.disconnect();
    cancelAnimationFrame(this.asked);
    this.asked = 0;
    this.built = false;
    this.drawn = '';
  }

  /** @param {Line[]} more */
  push(more) {
    if (!more.length) return;
    const foldable = this.hasAttribute('foldable');
    const query = this.query.toLowerCase();
    for (const line of more) {
      const index = this.entries.length;
      const note = foldable && line.stream === 'note';
      const text = plain(line.text);
      // "#5 [2/3] RUN …": a step of the build stands under the note before it, and its output under the step.
      const step = note && /^#\d+ /.test(text);
      const fold = !note ? this.lastNote : step ? this.lastPart : -1;
      if (note) this.lastNote = index;
      if (note && !step) this.lastPart = index;
      this.entries.push({ line, text, fold, height: ROW });
      if (query && text.toLowerCase().includes(query)) this.hits.push(index);
    }
    if (this.entries.length > KEEP) this.dropOldest(this.entries.length - KEEP + 10_000);
    this.later();
  }

  clear() {
    this.entries = []; this.hits = []; this.hit = -1; this.lastNote = -1; this.lastPart = -1; this.folded.clear();
    this.layout();
  }

  /** @param {string} text */
  setStatus(text) { const place = this.querySelector('.log-status'); if (place) place.textContent = text; }

  /** @param {number} many */
  dropOldest(many) {
    this.entries = this.entries.slice(many).map((entry) => ({ ...entry, fold: entry.fold - many < 0 ? -1 : entry.fold - many }));
    this.folded = new Set([...this.folded].map((index) => index - many).filter((index) => index >= 0));
    this.hits = this.hits.map((index) => index - many).filter((index) => index >= 0);
    this.lastNote -= many;
    this.lastPart -= many;
    this.laid = Infinity;
  }

  later() { this.asked ||= requestAnimationFrame(() => { this.asked = 0; this.extend(); }); }

  measure() {
    if (!this.lines || !this.view) return;
    const probe = document.createElement('span');
    probe.className = 'log-probe';
    probe.textContent = '0'.repeat(100);
    this.lines.append(probe);
    this.letter = probe.getBoundingClientRect().width / 100 || 7.8;
    probe.remove();
    this.drawn = '';
  }

  /** Recomputes which lines stand where, then draws. */
  layout() {
    if (!this.view || !this.space || !this.letter) return;
    const width = this.view.clientWidth - 32 - (this.times ? 76 : 0) - (this.hasAttribute('foldable') ? 24 : 0);
    this.columns = this.wrap ? Math.max(20, Math.floor(width / this.letter)) : Infinity;
    this.visible = []; this.tops = [];
    this.laid = 0; this.total = 0; this.longest = 0;
    this.extend();
  }

  /** Gives room to the entries that have none yet, then draws. */
  extend() {
    if (!this.view || !this.space || !this.letter) return;
    // What was at the top is gone: all places change.
    if (this.laid > this.entries.length) { this.layout(); return; }
    let top = this.total;
    let longest = this.longest;
    const foldable = this.hasAttribute('foldable');
    for (let index = this.laid; index < this.entries.length; index += 1) {
      const entry = this.entries[index];
      if (this.folded.size && this.isFolded(entry)) continue;
      entry.height = (entry.text.length > this.columns ? Math.ceil(entry.text.length / this.columns) : 1) * ROW + (foldable && entry.line.stream === 'note' ? NOTE - ROW : 0);
      if (entry.text.length > longest) longest = entry.text.length;
      this.visible.push(index);
      this.tops.push(top);
      top += entry.height;
    }
    this.total = top;
    this.longest = longest;
    this.laid = this.entries.length;
    this.space.style.height = `${top}px`;
    this.space.style.minWidth = this.wrap ? '' : `${Math.ceil(longest * this.letter + 32 + (this.times ? 76 : 0) + (this.hasAttribute('foldable') ? 24 : 0))}px`;
    this.drawn = '';
    if (this.follow) this.view.scrollTop = this.total;
    this.draw();
    this.showHits();
  }

  /** Changes the layout under the line that is at the top, or the hit that is shown. @param {() => void} change */
  keepPlace(change) {
    if (!this.view || this.follow) { change(); return; }
    const first = this.at(this.view.scrollTop);
    const hit = this.hits[this.hit];
    const anchor = hit ?? this.visible[first];
    const off = this.view.scrollTop - (this.tops[hit === undefined ? first : this.visible.indexOf(hit)] ?? 0);
    change();
    const place = this.visible.indexOf(anchor);
    if (place >= 0) { this.view.scrollTop = this.tops[place] + off; this.drawn = ''; this.draw(); }
  }

  /** @param {Entry} entry */
  isFolded(entry) {
    for (let fold = entry.fold; fold >= 0; fold = this.entries[fold].fold) if (this.folded.has(fold)) return true;
    return false;
  }

  scrolled() {
    if (!this.view) return;
    const atEnd = this.view.scrollTop + this.view.clientHeight >= this.total - ROW;
    if (atEnd !== this.follow) {
      this.follow = atEnd;
      this.dispatchEvent(new CustomEvent('sk-follow', { detail: atEnd, bubbles: true }));
    }
    this.draw();
  }

  toEnd() { this.follow = true; this.layout(); }

  draw() {
    if (!this.view || !this.lines || !this.endButton) return;
    this.endButton.hidden = this.follow || this.total <= this.view.clientHeight || this.hasAttribute('compact');
    const from = Math.max(0, this.at(this.view.scrollTop) - 15);
    const to = Math.min(this.visible.length, this.at(this.view.scrollTop + this.view.clientHeight) + 16);
    const key = `${from}-${to}-${this.hit}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const rows = document.createDocumentFragment();
    for (let place = from; place < to; place += 1) rows.append(this.row(this.visible[place]));
    this.lines.style.transform = `translateY(${this.tops[from] ?? 0}px)`;
    this.lines.replaceChildren(rows);
  }

  /** The place of the line at a height. @param {number} y */
  at(y) {
    let low = 0;
    let high = this.tops.length - 1;
    while (low < high) { const middle = (low + high + 1) >> 1; if (this.tops[middle] <= y) low = middle; else high = middle - 1; }
    return Math.max(0, low);
  }

  /** @param {number} index */
  row(index) {
    const { line, text, height } = this.entries[index];
    const row = document.createElement('div');
    row.className = `log-line ${line.stream}`;
    if (height !== ROW) row.style.height = `${height}px`;
    if (line.stream === 'note' && /^#\d+ /.test(text)) row.classList.add('step');
    if (this.hasAttribute('foldable')) {
      const fold = document.createElement(this.entries[index + 1]?.fold === index ? 'button' : 'span');
      fold.className = 'log-fold';
      if (fold instanceof HTMLButtonElement) {
        fold.type = 'button';
        fold.dataset.fold = String(index);
        fold.setAttribute('aria-expanded', String(!this.folded.has(index)));
        fold.setAttribute('aria-label', `Step: ${text}`);
        fold.innerHTML = ICON('chevron-right');
      }
      row.append(fold);
    }
    if (this.times) {
      const time = document.createElement('time');
      time.textContent = clock(line.at);
      time.title = exact(line.at);
      row.append(time);
    }
    const body = document.createElement('span');
    body.className = 'log-text';
    if (this.query) this.marked(body, text, index);
    else for (const run of runs(line.text)) {
      if (!run.classes) body.append(run.text);
      else { const span = document.createElement('span'); span.className = run.classes; span.textContent = run.text; body.append(span); }
    }
    row.append(body);
    return row;
  }

  /** @param {HTMLElement} body @param {string} text @param {number} index */
  marked(body, text, index) {
    const lower = text.toLowerCase();
    const query = this.query.toLowerCase();
    let at = 0;
    for (let found = lower.indexOf(query); found >= 0; found = lower.indexOf(query, at)) {
      body.append(text.slice(at, found));
      const mark = document.createElement('mark');
      mark.textContent = text.slice(found, found + query.length);
      if (this.hits[this.hit] === index) mark.className = 'now';
      body.append(mark);
      at = found + query.length;
    }
    body.append(text.slice(at));
  }

  /** @param {string} query */
  search(query) {
    this.query = query;
    this.hits = [];
    this.hit = -1;
    if (query) {
      const lower = query.toLowerCase();
      this.entries.forEach((entry, index) => { if (entry.text.toLowerCase().includes(lower)) this.hits.push(index); });
    }
    this.drawn = '';
    this.draw();
    this.showHits();
    if (this.hits.length) {
      // The hit nearest to what is in view, from there on downwards.
      const first = this.visible[this.at(this.view?.scrollTop ?? 0)] ?? 0;
      const near = this.hits.findIndex((index) => index >= first);
      this.go(near < 0 ? this.hits.length - 1 : near);
    }
  }

  /** @param {number} by */
  step(by) { if (this.hits.length) this.go((this.hit + by + this.hits.length) % this.hits.length); }

  /** @param {number} hit */
  go(hit) {
    this.hit = hit;
    const index = this.hits[hit];
    let opened = false;
    for (let fold = this.entries[index]?.fold ?? -1; fold >= 0; fold = this.entries[fold].fold) opened = this.folded.delete(fold) || opened;
    if (opened) this.layout();
    const place = this.visible.indexOf(index);
    if (place >= 0 && this.view) {
      this.follow = false;
      const top = this.tops[place];
      if (top < this.view.scrollTop + ROW || top > this.view.scrollTop + this.view.clientHeight - 2 * ROW) this.view.scrollTop = top - this.view.clientHeight / 2;
    }
    this.drawn = '';
    this.draw();
    this.showHits();
  }

  showHits() {
    const text = this.querySelector('.log-hits');
    if (text) text.textContent = !this.query ? '' : this.hits.length ? `${this.hit + 1} of ${this.hits.length.toLocaleString('en-US')}` : 'no hit';
    for (const button of this.querySelectorAll('[data-do=up], [data-do=down]')) /** @type {HTMLElement} */ (button).hidden = !this.hits.length;
  }

  marks() {
    this.querySelector('[data-do=wrap]')?.setAttribute('aria-pressed', String(this.wrap));
    this.querySelector('[data-do=times]')?.setAttribute('aria-pressed', String(this.times));
    this.classList.toggle('wrap', this.wrap);
    this.drawn = '';
  }

  /** @param {HTMLElement} target */
  async clicked(target) {
    const fold = /** @type {HTMLElement | null} */ (target.closest('[data-fold]'))?.dataset.fold;
    if (fold !== undefined) {
      const index = Number(fold);
      if (!this.folded.delete(index)) this.folded.add(index);
      this.follow = false;
      this.layout();
      /** @type {HTMLElement | null} */ (this.querySelector(`[data-fold="${index}"]`))?.focus();
      return;
    }
    const button = /** @type {HTMLElement | null} */ (target.closest('[data-do]'));
    if (!button) return;
    const keep = (/** @type {string} */ key, /** @type {boolean} */ on) => { try { localStorage.setItem(key, on ? '1' : '0'); } catch { /* for this page only */ } };
    if (button.dataset.do === 'up') this.step(-1);
    if (button.dataset.do === 'down') this.step(1);
    if (button.dataset.do === 'end') { this.toEnd(); this.view?.focus(); }
    if (button.dataset.do === 'wrap') { this.wrap = !this.wrap; keep('log:wrap', this.wrap); this.marks(); this.keepPlace(() => this.layout()); }
    if (button.dataset.do === 'times') { this.times = !this.times; keep('log:times', this.times); this.marks(); this.layout(); }
    if (button.dataset.do === 'copy') {
      const chosen = getSelection()?.toString();
      const { copyText } = await import('../parts/copy.js');
      if (await copyText(chosen || this.text())) {
        button.innerHTML = ICON('check');
        setTimeout(() => { button.innerHTML = ICON('copy'); }, 1400);
      }
    }
    if (button.dataset.do === 'download') {
      const link = document.createElement('a');
      link.download = this.getAttribute('name') ?? 'log.txt';
      link.href = this.downloadUrl ?? URL.createObjectURL(new Blob([this.text()], { type: 'text/plain' }));
      link.click();
      if (!this.downloadUrl) setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    }
  }

  text() { return this.entries.map(({ line, text }) => `${line.at} ${text}`).join('\n') + '\n'; }
}
if (!customElements.get('sk-log')) customElements.define('sk-log', SkLog);
