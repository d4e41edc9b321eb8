// Draws the app's icons from ui-dist/icon.svg into ui-dist/icons, for those who install the panel as an app. Run it when the icon changes.
import { mkdir, readFile } from 'node:fs/promises';
import { chromium } from 'playwright-core';

const ui = new URL('../../ui-dist/', import.meta.url);
const svg = await readFile(new URL('icon.svg', ui), 'utf8');
/** `room`: the share that a system may cut off at each side; it is filled with the icon's own colour. @type {[name: string, size: number, room: number][]} */
const ICONS = [['192', 192, 0], ['512', 512, 0], ['maskable-512', 512, 0.14], ['apple-180', 180, 0.06]];

await mkdir(new URL('icons/', ui), { recursive: true });
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
for (const [name, size, room] of ICONS) {
  const page = await browser.newPage({ viewport: { width: size, height: size } });
  const inner = Math.round(size * (1 - 2 * room));
  const drawn = svg.replace('<svg ', `<svg width="${inner}" height="${inner}" `).replace('rx="8"', room ? 'rx="0"' : 'rx="8"');
  await page.setContent(`<style>*{margin:0}body{width:${size}px;height:${size}px;display:grid;place-items:center;background:${room ? 'linear-gradient(135deg,#7c7cff,#5b3fe0)' : 'transparent'}}</style>${room ? drawn.replace(/<rect[^>]*>/, '') : drawn}`);
  await page.screenshot({ path: new URL(`icons/${name}.png`, ui).pathname, omitBackground: true });
  await page.close();
}
await browser.close();
