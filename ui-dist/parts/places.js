// The pages that the rail and the palette lead to.
import { has } from '../lib/rights.js';

/** @typedef {{ href: string, label: string, icon: string, right?: import('../lib/rights.js').Right, group?: string }} Place `group`: it begins one */
/** @type {Place[]} */
export const PLACES = [
  { href: '/', label: 'Overview', icon: 'layout-dashboard' },
  { href: '/apps', label: 'Apps', icon: 'box' },
  { href: '/marketplace', label: 'Marketplace', icon: 'compass' },
  { href: '/projects', label: 'Projects', icon: 'folder' },
  { href: '/deployments', label: 'Deployments', icon: 'rocket' },
  { href: '/servers', label: 'Servers', icon: 'server', right: 'view_servers' },
  { href: '/activity', label: 'Activity', icon: 'activity' },
  { href: '/domains', label: 'Domains', icon: 'globe', group: 'Network' },
  { href: '/certificates', label: 'Certificates', icon: 'shield-check' },
  { href: '/dns', label: 'DNS', icon: 'waypoints' },
  { href: '/ports', label: 'Ports', icon: 'ethernet-port' },
  { href: '/edge', label: 'Edge', icon: 'gauge' },
];
/** @type {Place[]} */
export const BELOW = [
  { href: '/team', label: 'Team', icon: 'users', right: 'view_team' },
  { href: '/forges', label: 'Forges', icon: 'git-branch' },
  { href: '/freezes', label: 'Freeze windows', icon: 'circle-pause' },
  { href: '/quotas', label: 'Quotas', icon: 'gauge' },
  { href: '/registries', label: 'Registries', icon: 'package' },
  { href: '/security', label: 'Security', icon: 'lock', right: 'operate' },
  { href: '/audit', label: 'Audit log', icon: 'scroll-text', right: 'audit' },
  { href: '/trash', label: 'Trash', icon: 'trash-2' },
  { href: '/settings', label: 'Settings', icon: 'settings', right: 'operate' },
];
/** @param {Place} place */
export const isOpen = (place) => !place.right || has(place.right);
