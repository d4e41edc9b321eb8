// Pebble, the test server of RFC 8555 (Debian package pebble), with a name server that sends every name to this machine.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePorts, listens } from './panel.mjs';

/** Starts it; it looks for HTTP-01 answers at `httpPort`. @param {number} httpPort */
export async function startPebble(httpPort) {
  const folder = mkdtempSync(join(tmpdir(), 'sk-pebble-'));
  const [directory, management, dns, dnsManagement] = await freePorts(4);
  const openssl = (/** @type {string[]} */ ...words) => execFileSync('openssl', words, { cwd: folder, stdio: 'ignore' });
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca-key.pem', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=A private authority');
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem', '-out', 'certificate.pem', '-days', '2', '-subj', '/CN=localhost', '-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-addext', 'subjectAltName=DNS:localhost', '-addext', 'basicConstraints=critical,CA:FALSE');
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ pebble: { listenAddress: `127.0.0.1:${directory}`, managementListenAddress: `127.0.0.1:${management}`, certificate: join(folder, 'certificate.pem'), privateKey: join(folder, 'key.pem'), httpPort, tlsPort: 1, ocspResponderURL: '', externalAccountBindingRequired: false } }));
  const names = spawn('pebble-challtestsrv', ['-defaultIPv6', '', '-defaultIPv4', '127.0.0.1', '-http01', '', '-https01', '', '-tlsalpn01', '', '-dns01', `127.0.0.1:${dns}`, '-management', `127.0.0.1:${dnsManagement}`], { stdio: 'ignore' });
  const pebble = spawn('pebble', ['-strict', '-config', join(folder, 'config.json'), '-dnsserver', `127.0.0.1:${dns}`], { stdio: 'ignore', env: { ...process.env, PEBBLE_VA_NOSLEEP: '1' } });
  for (const port of [directory, management, dnsManagement]) await listens(port, 'is the Debian package pebble installed?');
  return {
    directory: `https://localhost:${directory}/dir`,
    /** Who signed Pebble's own certificate, PEM. */
    ca: readFileSync(join(folder, 'ca.pem'), 'utf8'),
    /** Where its name server answers. */
    nameServer: `127.0.0.1:${dns}`,
    /** Who signs what it issues, PEM. @returns {Promise<string>} */
    root: () => new Promise((done, fail) => { https.get({ host: '127.0.0.1', port: management, path: '/roots/0', rejectUnauthorized: false }, (answer) => { let text = ''; answer.on('data', (part) => { text += part; }); answer.on('end', () => done(text)); }).on('error', fail); }),
    stop() { names.kill(); pebble.kill(); rmSync(folder, { recursive: true, force: true }); },
  };
}
