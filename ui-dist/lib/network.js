// The requests about domains, certificates, DNS, ports, the edge, build servers and registries. Loaded with their pages.
import { all, del, enc, get, patch, post, put } from './api.js';

/** @template {keyof import('./api.js').Schemas} K @typedef {import('./api.js').S<K>} S */

export const network = {
  domainTrafficList: () => /** @type {Promise<S<'DomainTraffic'>[]>} */ (all('/traffic')),
  domainShow: (/** @type {string} */ host) => /** @type {Promise<S<'DomainTraffic'>>} */ (get(`/domains/${enc(host)}/traffic`)),
  domainPolicyShow: (/** @type {string} */ host) => /** @type {Promise<S<'TrafficPolicy'>>} */ (get(`/domains/${enc(host)}/policy`)),
  domainPolicyReplace: (/** @type {string} */ host, /** @type {S<'TrafficPolicy'>} */ body) => /** @type {Promise<S<'TrafficPolicy'>>} */ (put(`/domains/${enc(host)}/policy`, body)),
  domainRuleAdd: (/** @type {string} */ host, /** @type {S<'RuleWish'>} */ body) => /** @type {Promise<S<'Rule'>>} */ (post(`/domains/${enc(host)}/rules`, body)),
  domainRuleReplace: (/** @type {string} */ host, /** @type {string} */ rule, /** @type {S<'RuleWish'>} */ body) => /** @type {Promise<S<'Rule'>>} */ (put(`/domains/${enc(host)}/rules/${enc(rule)}`, body)),
  domainRuleRemove: (/** @type {string} */ host, /** @type {string} */ rule) => del(`/domains/${enc(host)}/rules/${enc(rule)}`),
  domainRuleOrder: (/** @type {string} */ host, /** @type {string[]} */ rules) => /** @type {Promise<S<'DomainTraffic'>>} */ (put(`/domains/${enc(host)}/rule-order`, { rules })),
  domainCanary: (/** @type {string} */ host, /** @type {S<'CanaryWish'>} */ body) => /** @type {Promise<S<'DomainTraffic'>>} */ (put(`/domains/${enc(host)}/canary`, body)),
  domainPassthrough: (/** @type {string} */ host, /** @type {S<'PassthroughWish'>} */ body) => /** @type {Promise<S<'DomainTraffic'>>} */ (put(`/domains/${enc(host)}/passthrough`, body)),
  domainExplain: (/** @type {S<'ExplainQuestion'>} */ body) => /** @type {Promise<S<'Explanation'>>} */ (post('/domains/explain', body)),

  edgeReport: () => /** @type {Promise<S<'EdgeReport'>>} */ (get('/edge/report')),
  edgePurge: (/** @type {S<'PurgeWish'>} */ body) => /** @type {Promise<S<'Purged'>>} */ (post('/edge/purge', body)),
  edgeOptionsShow: () => /** @type {Promise<S<'EdgeOptions'>>} */ (get('/edge/options')),
  allowListsShow: () => /** @type {Promise<S<'AllowLists'>>} */ (get('/allow-lists')),
  allowListsUpdate: (/** @type {S<'AllowListsPatch'>} */ body) => /** @type {Promise<S<'AllowLists'>>} */ (patch('/allow-lists', body)),
  allowListsConfirm: () => /** @type {Promise<S<'AllowLists'>>} */ (post('/allow-lists/confirm')),
  allowListsRevert: () => /** @type {Promise<S<'AllowLists'>>} */ (post('/allow-lists/revert')),
  apiLimitsShow: () => /** @type {Promise<S<'ApiLimits'>>} */ (get('/api-limits')),
  apiLimitsUpdate: (/** @type {S<'ApiLimitsPatch'>} */ body) => /** @type {Promise<S<'ApiLimits'>>} */ (patch('/api-limits', body)),
  edgeOptionsUpdate: (/** @type {S<'EdgeOptionsPatch'>} */ body) => /** @type {Promise<S<'EdgeOptions'>>} */ (patch('/edge/options', body)),

  portList: () => /** @type {Promise<S<'Port'>[]>} */ (all('/ports')),
  portOpen: (/** @type {S<'PortWish'>} */ body) => /** @type {Promise<S<'Port'>>} */ (post('/ports', body)),
  portClose: (/** @type {string} */ listen) => del(`/ports/${enc(listen.replace('/', '-'))}`),

  certificateList: () => /** @type {Promise<S<'Certificate'>[]>} */ (all('/certificates')),
  certificateOrder: (/** @type {S<'CertificateOrder'>} */ body) => /** @type {Promise<S<'Certificate'>>} */ (post('/certificates', body)),
  certificateForecast: (/** @type {string[]} */ names, /** @type {string | null} */ challenge = null) => /** @type {Promise<S<'CertificateForecast'>>} */ (get('/certificates/forecast', { query: { name: names.join(','), challenge } })),
  certificateUpload: (/** @type {S<'CertificateUpload'>} */ body) => /** @type {Promise<S<'CertificateUploaded'>>} */ (post('/certificates/upload', body)),
  certificateReplace: (/** @type {string} */ id, /** @type {S<'CertificateUpload'>} */ body) => /** @type {Promise<S<'CertificateUploaded'>>} */ (put(`/certificates/${enc(id)}`, body)),
  certificateRemove: (/** @type {string} */ id) => del(`/certificates/${enc(id)}`),
  certificateRenew: (/** @type {string} */ id) => /** @type {Promise<S<'Certificate'>>} */ (post(`/certificates/${enc(id)}/renew`)),
  certificateAuthority: () => /** @type {Promise<string>} */ (get('/certificates/authority', { as: 'text' })),

  dnsProviderList: () => /** @type {Promise<S<'DnsProvider'>[]>} */ (all('/dns/providers')),
  dnsProviderCreate: (/** @type {S<'DnsProviderCreate'>} */ body) => /** @type {Promise<S<'DnsProvider'>>} */ (post('/dns/providers', body)),
  dnsProviderUpdate: (/** @type {string} */ id, /** @type {S<'DnsProviderPatch'>} */ body) => /** @type {Promise<S<'DnsProvider'>>} */ (patch(`/dns/providers/${enc(id)}`, body)),
  dnsProviderDelete: (/** @type {string} */ id) => del(`/dns/providers/${enc(id)}`),
  dnsProviderTest: (/** @type {string} */ id) => /** @type {Promise<S<'DnsProvider'>>} */ (post(`/dns/providers/${enc(id)}/test`)),
  dnsZoneList: () => /** @type {Promise<S<'DnsZone'>[]>} */ (all('/dns/zones')),
  dnsRecordList: (/** @type {string} */ zone) => /** @type {Promise<S<'DnsRecord'>[]>} */ (all(`/dns/zones/${enc(zone)}/records`)),
  dnsRecordCreate: (/** @type {string} */ zone, /** @type {S<'DnsRecordWrite'>} */ body) => /** @type {Promise<S<'DnsRecord'>>} */ (post(`/dns/zones/${enc(zone)}/records`, body)),
  dnsRecordUpdate: (/** @type {string} */ zone, /** @type {string} */ id, /** @type {S<'DnsRecordWrite'>} */ body) => /** @type {Promise<S<'DnsRecord'>>} */ (put(`/dns/zones/${enc(zone)}/records/${enc(id)}`, body)),
  dnsRecordDelete: (/** @type {string} */ zone, /** @type {string} */ id) => del(`/dns/zones/${enc(zone)}/records/${enc(id)}`),
  dnsSetupShow: (/** @type {string} */ host) => /** @type {Promise<S<'DnsSetup'>>} */ (get(`/dns/setup/${enc(host)}`)),
  dnsSetupApply: (/** @type {string} */ host) => /** @type {Promise<S<'DnsSetup'>>} */ (post(`/dns/setup/${enc(host)}`)),

  buildServerList: () => /** @type {Promise<S<'BuildServer'>[]>} */ (all('/build-servers')),
  buildServerShow: (/** @type {string} */ id) => /** @type {Promise<S<'BuildServer'>>} */ (get(`/build-servers/${enc(id)}`)),
  buildServerCreate: (/** @type {S<'BuildServerCreate'>} */ body) => /** @type {Promise<S<'BuildServer'>>} */ (post('/build-servers', body)),
  buildServerUpdate: (/** @type {string} */ id, /** @type {S<'BuildServerPatch'>} */ body) => /** @type {Promise<S<'BuildServer'>>} */ (patch(`/build-servers/${enc(id)}`, body)),
  buildServerTest: (/** @type {string} */ id) => /** @type {Promise<S<'BuildServerTest'>>} */ (post(`/build-servers/${enc(id)}/test`)),
  buildServerTrim: (/** @type {string} */ id, /** @type {number} */ keep_bytes) => /** @type {Promise<S<'BuildCacheTrimmed'>>} */ (post(`/build-servers/${enc(id)}/trim`, { keep_bytes })),
  buildServerDelete: (/** @type {string} */ id) => del(`/build-servers/${enc(id)}`),

  registryList: () => /** @type {Promise<S<'Registry'>[]>} */ (all('/registries')),
  registryCreate: (/** @type {S<'RegistryCreate'>} */ body) => /** @type {Promise<S<'Registry'>>} */ (post('/registries', body)),
  registryTest: (/** @type {string} */ id) => post(`/registries/${enc(id)}/test`),
  registryDelete: (/** @type {string} */ id) => del(`/registries/${enc(id)}`),
};
