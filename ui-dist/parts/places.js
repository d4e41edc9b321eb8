// The pages that the rail and the palette lead to.
import { inSome } from '../lib/live.js';
import { everywhere, has } from '../lib/rights.js';

/** @typedef {{ href: string, label: string, icon: string, right?: import('../lib/rights.js').Right, whole?: boolean, room?: boolean, group?: string }} Place
 * `right`: who has it nowhere does not see the page; left out: `view`. `whole`: they must see everything. `room`: they must see all of some environment. `group`: it begins one */
/** @type {Place[]} */
export const PLACES = [
  { href: '/', label: 'Overview', icon: 'layout-dashboard' },
  { href: '/apps', label: 'Apps', icon: 'box' },
  { href: '/marketplace', label: 'Marketplace', icon: 'compass', room: true },
  { href: '/projects', label: 'Projects', icon: 'folder' },
  { href: '/deployments', label: 'Deployments', icon: 'rocket' },
  { href: '/servers', label: 'Servers', icon: 'server', right: 'view_servers' },
  { href: '/activity', label: 'Activity', icon: 'activity' },
  { href: '/domains', label: 'Domains', icon: 'globe', group: 'Network' },
  { href: '/certificates', label: 'Certificates', icon: 'shield-check' },
  { href: '/dns', label: 'DNS', icon: 'waypoints', whole: true },
  { href: '/ports', label: 'Ports', icon: 'ethernet-port' },
  { href: '/edge', label: 'Edge', icon: 'gauge' },
];
/** @type {Place[]} */
export const BELOW = [
  { href: '/team', label: 'Team', icon: 'users', right: 'view_team' },
  { href: '/forges', label: 'Forges', icon: 'git-branch', whole: true },
  { href: '/freezes', label: 'Freeze windows', icon: 'circle-pause' },
  { href: '/quotas', label: 'Quotas', icon: 'gauge' },
  { href: '/registries', label: 'Registries', icon: 'package', whole: true },
  { href: '/security', label: 'Security', icon: 'lock', right: 'operate' },
  { href: '/audit', label: 'Audit log', icon: 'scroll-text', right: 'audit' },
  { href: '/trash', label: 'Trash', icon: 'trash-2' },
  { href: '/settings', label: 'Settings', icon: 'settings', right: 'operate' },
];
/** Who was given nothing has an overview that says so, and nothing else. @param {Place} place */
const isTheirs = ({ href, right = 'view', whole }) => href === '/' || (whole ? everywhere(right) : has(right));
/** Whether it is shown. @param {Place} place */
export const isOpen = (place) => isTheirs(place) && (!place.room || inSome('view'));
/** Whether somebody who is signed in may see what is at an address. @param {string} path */
export function mayVisit(path) {
  const under = (/** @type {Place} */ { href }) => path === href || (href !== '/' && path.startsWith(`${href}/`));
  const place = path === '/catalogs' || path === '/variables' ? { whole: true } : [...PLACES, ...BELOW].find(under);
  return !place || isTheirs({ href: path, label: '', icon: '', ...place });
}
