// BIND, a name server that takes dynamic updates (RFC 2136) with a TSIG key; it is the authority for one zone.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, listens } from './panel.mjs';

export const KEY = { name: 'serverkit', secret: 'c2VjcmV0LW9mLXRoZS10ZXN0cy1vbmx5LTMyLWJ5dGVz' };

/** @param {string} zone @param {string[]} [records] lines of a zone file beside SOA and NS */
export async function startBind(zone, records = []) {
  const folder = mkdtempSync(join(tmpdir(), 'sk-bind-'));
  const [port] = await freePorts(1);
  writeFileSync(join(folder, 'zone'), ['$TTL 60', `@ IN SOA ns.${zone}. admin.${zone}. 1 3600 600 86400 1`, `@ IN NS ns.${zone}.`, 'ns IN A 127.0.0.1', ...records, ''].join('\n'));
  writeFileSync(join(folder, 'named.conf'), `options { directory "${folder}"; pid-file "${folder}/pid"; session-keyfile "${folder}/session"; listen-on port ${port} { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; };
controls { };
key "${KEY.name}" { algorithm hmac-sha256; secret "${KEY.secret}"; };
zone "${zone}" { type primary; file "zone"; allow-update { key ${KEY.name}; }; allow-transfer { key ${KEY.name}; }; };
`);
  const named = spawn(existsSync('/usr/sbin/named') ? '/usr/sbin/named' : 'named', ['-g', '-n', '1', '-c', join(folder, 'named.conf')], { stdio: 'ignore' });
  await listens(port, 'is the Debian package bind9 installed?');
  return {
    address: `127.0.0.1:${port}`,
    /** It writes a journal at its end: its folder goes after it. */
    async stop() {
      const ended = new Promise((done) => { named.once('exit', done); });
      named.kill();
      await ended;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
