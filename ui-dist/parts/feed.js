// What happened, newest first.
import { html, h, icon } from '../lib/html.js';
import { findApp, appPath } from '../lib/live.js';
import { countryName } from '../lib/format.js';
import { Ago } from './time.js';
import { Empty } from './empty.js';
import { coded } from './said.js';

/** @type {Record<string, [icon: string, tone: string]>} */
const LOOKS = {
  deployment_moved: [/* icon: */ 'rocket', ''], app_created: ['plus', ''], app_trashed: ['trash-2', 'warn'], app_removed: ['trash-2', 'warn'], app_restored: ['undo-2', ''], app_changed: ['settings', ''], app_state_changed: ['activity', ''], app_asleep: ['moon', ''], app_awake: ['activity', ''], wake_failed: ['moon', 'bad'],
  webhook_changed: ['git-branch', ''], environment_cloned: ['layers', ''], preview_moved: ['git-branch', ''], preview_rules_changed: ['git-branch', ''], ci_trust_changed: ['shield-check', ''], ci_token_given: ['key-round', ''], newer_image_found: ['package', ''], variables_changed: ['key-round', ''], secrets_revealed: ['eye', 'warn'], terminal_opened: ['terminal', ''], domain_added: ['globe', ''], domain_removed: ['globe', 'warn'], certificate_issued: ['shield-check', 'ok'], certificate_failed: ['shield-alert', 'bad'],
  domain_changed: ['globe', ''], run_failed: ['clock', 'bad'], run_recovered: ['clock', 'ok'], freeze_changed: ['circle-pause', ''], freeze_overridden: ['circle-pause', 'warn'], job_changed: ['clock', ''], port_opened: ['ethernet-port', ''], port_closed: ['ethernet-port', 'warn'], cache_purged: ['eraser', ''], build_cache_trimmed: ['eraser', ''], edge_options_changed: ['gauge', ''], api_limits_changed: ['gauge', ''], allow_lists_changed: ['shield-alert', 'warn'], allow_lists_confirmed: ['shield-check', 'ok'], allow_lists_reverted: ['undo-2', 'warn'], certificate_expiring: ['shield-alert', 'warn'], certificate_uploaded: ['shield-check', 'ok'], certificate_removed: ['shield-check', 'warn'],
  dns_provider_added: ['waypoints', ''], dns_provider_changed: ['waypoints', ''], dns_provider_removed: ['waypoints', 'warn'], dns_record_changed: ['waypoints', ''], forge_connected: ['git-branch', 'ok'], forge_changed: ['git-branch', ''], forge_removed: ['git-branch', 'warn'], forge_told: ['git-branch', ''], build_server_changed: ['server', ''], build_server_lost: ['server-off', 'bad'], build_server_found: ['server', 'ok'], registry_added: ['package', ''], registry_removed: ['package', 'warn'],
  token_rotated: ['key-round', ''], role_changed: ['shield-check', ''], team_changed: ['users', ''], rights_granted: ['shield-check', 'warn'], rights_taken: ['shield-alert', ''], role_raised: ['shield-alert', 'warn'], audit_broken: ['shield-alert', 'bad'], organization_created: ['users', ''], organization_renamed: ['users', ''], organization_removed: ['users', 'warn'],
  signed_in: ['log-in', ''], signed_out: ['log-out', ''], login_failed: ['shield-alert', 'warn'], user_created: ['user-plus', ''], user_changed: ['user', ''], user_invited: ['user-plus', ''], invitation_revoked: ['user', 'warn'], invitation_accepted: ['user-plus', 'ok'], user_removed: ['user', 'warn'], token_created: ['key-round', ''], token_revoked: ['key-round', 'warn'],
  second_factor_added: ['shield-check', 'ok'], second_factor_removed: ['shield-alert', 'warn'], second_factor_failed: ['shield-alert', 'bad'], recovery_code_used: ['shield-alert', 'warn'], recovery_codes_renewed: ['key-round', ''], user_provisioned: ['user-plus', 'ok'], identity_provider_changed: ['key-round', 'warn'], provider_sessions_ended: ['log-out', 'warn'], passkey_added: ['key-round', 'ok'], passkey_removed: ['key-round', 'warn'], device_remembered: ['monitor', ''], device_forgotten: ['monitor', ''], new_device: ['monitor', 'warn'], new_country: ['globe', 'warn'], password_forgotten: ['key-round', ''], password_reset: ['key-round', 'warn'], password_set: ['key-round', 'warn'], security_changed: ['lock', 'warn'],
  engine_lost: ['server-off', 'bad'], engine_found: ['server', 'ok'], settings_changed: ['settings', ''], project_created: ['folder', ''], quota_changed: ['gauge', ''], quota_reached: ['gauge', 'warn'], canary_failed: ['bird', 'bad'], rolled_back: ['undo-2', 'warn'], project_changed: ['folder', ''], project_removed: ['folder', 'warn'], panel_claimed: ['sparkles', ''],
};
// Named for the sprite: icon('moon') icon('users') icon('rocket') icon('plus') icon('trash-2') icon('undo-2') icon('activity') icon('key-round') icon('eye') icon('terminal') icon('globe') icon('shield-check')
// icon('shield-alert') icon('log-in') icon('log-out') icon('user-plus') icon('user') icon('server-off') icon('server') icon('settings') icon('folder') icon('sparkles') icon('check') icon('x') icon('info') icon('scroll-text') icon('chart-line') icon('hard-drive') icon('ethernet-port') icon('eraser') icon('gauge') icon('bird') icon('waypoints') icon('package') icon('git-branch')

/** @param {any} event @returns {[string, string]} */
export function lookOf(event) {
  const phase = event.data?.phase;
  if (event.kind === 'deployment_moved' && phase === 'live') return ['check', 'ok'];
  if (event.kind === 'deployment_moved' && phase === 'failed') return ['x', 'bad'];
  if (event.kind === 'forge_told' && event.data?.problem) return ['git-branch', 'bad'];
  if (event.kind === 'app_state_changed' && /crash|fail|unhealthy/.test(event.data?.state ?? '')) return ['activity', 'bad'];
  return LOOKS[event.kind] ?? ['info', ''];
}

/** The API's words are a sentence without its subject, but where the subject is an app. @param {any} event */
export const wordsOf = (event) => (['deployment_moved', 'app_state_changed', 'app_asleep', 'app_awake', 'wake_failed'].includes(event.kind) ? event.text : event.text.charAt(0).toUpperCase() + event.text.slice(1));

/** @param {{ events: any[], small?: boolean, appKnown?: boolean }} props */
export function Feed({ events, small, appKnown }) {
  if (!events.length) return h(Empty, { icon: 'activity', title: 'Nothing happened yet', text: 'Deployments, sign-ins and changes are recorded here.', small: true });
  return html`<ol class=${`feed ${small ? 'small' : ''}`}>${events.map((event) => {
    const [name, tone] = lookOf(event);
    const app = event.app && !appKnown ? findApp(event.app) : null;
    const link = event.deployment ? `/deployments/${event.deployment}` : app ? appPath(app) : null;
    return html`<li key=${event.id}><span class=${`feed-mark ${tone}`} aria-hidden="true">${icon(name, 'icon-small')}</span>
      <div class="grow"><p class="any">${link ? html`<a href=${link}>${coded(wordsOf(event))}</a>` : coded(wordsOf(event))}</p><p class="feed-by"><span class="cut">${event.by}${event.country ? ` · ${countryName(event.country)}` : ''}</span><span>${h(Ago, { at: event.at })}</span></p></div></li>`;
  })}</ol>`;
}
