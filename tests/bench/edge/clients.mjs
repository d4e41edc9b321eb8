//! Loads that wrk and h2load do not know, for run.sh. Each prints: how many a second, how many in all, p50 and p99 in ms.
//!
//!     clients.mjs echo PORT                    a WebSocket server that sends every message back
//!     clients.mjs websocket PORT SECONDS       32 WebSockets through the proxy, each with one message under way
//!     clients.mjs tls|tls-again PORT SECONDS   TLS handshakes, 8 at a time; resumed by the ticket of an earlier one
//!     clients.mjs idle PORT COUNT              holds so many TLS connections open, and says `held`

import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import tls from 'node:tls';

const [kind, port, amount] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

/** Calls `message` with each whole frame (RFC 6455, 5.2) of less than 126 bytes. */
function frames(socket, message) {
  let rest = Buffer.alloc(0);
  socket.on('data', (data) => {
    rest = rest.length ? Buffer.concat([rest, data]) : data;
    while (rest.length >= 2) {
      const masked = rest[1] & 0x80;
      const length = (rest[1] & 0x7f) + (masked ? 6 : 2);
      if (rest.length < length) return;
      const body = rest.subarray(masked ? 6 : 2, length);
      if (masked) for (let at = 0; at < body.length; at += 1) body[at] ^= rest[2 + (at & 3)];
      message(body);
      rest = rest.subarray(length);
    }
  });
}

function echo() {
  const server = http.createServer((_, answer) => answer.end('ok'));
  server.on('upgrade', (request, socket) => {
    const key = request.headers['sec-websocket-key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    const accept = createHash('sha1').update(key).digest('base64');
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
    socket.setNoDelay(true);
    socket.on('error', () => {});
    frames(socket, (body) => socket.write(Buffer.concat([Buffer.from([0x82, body.length]), body])));
  });
  server.listen(port, '127.0.0.1');
}

function tell(times, seconds) {
  times.sort((a, b) => a - b);
  const at = (share) => (times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0).toFixed(2);
  console.log((times.length / seconds).toFixed(0), times.length, at(0.5), at(0.99));
  process.exit(times.length ? 0 : 1);
}

function websockets() {
  const times = [];
  const frame = Buffer.concat([Buffer.from([0x82, 0x80 | 64, 0, 0, 0, 0]), randomBytes(64)]);
  for (let number = 0; number < 32; number += 1) {
    const request = http.request({ host: '127.0.0.1', port, headers: {
      Host: 'sockets.test', Connection: 'Upgrade', Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    } });
    request.on('upgrade', (_, socket) => {
      socket.setNoDelay(true);
      let sent = performance.now();
      frames(socket, () => {
        const now = performance.now();
        times.push(now - sent);
        sent = now;
        socket.write(frame);
      });
      socket.write(frame);
    });
    request.on('response', (answer) => { console.error(`not upgraded: ${answer.statusCode}`); process.exit(1); });
    request.end();
  }
  setTimeout(() => tell(times, amount), amount * 1000);
}

const connect = (session) => tls.connect({
  host: '127.0.0.1', port, servername: 'h5.test', rejectUnauthorized: false, ALPNProtocols: ['http/1.1'], session,
});

function handshakes(again) {
  const times = [];
  let resumed = 0;
  const next = (session) => {
    const begun = performance.now();
    const socket = connect(session);
    socket.on('error', (error) => { console.error(error.message); process.exit(1); });
    socket.on('secureConnect', () => {
      times.push(performance.now() - begun);
      if (socket.isSessionReused()) resumed += 1;
      if (!again) { socket.destroy(); next(undefined); }
    });
    // Of TLS 1.3, the tickets come after the handshake.
    if (again) socket.once('session', (ticket) => { socket.destroy(); next(ticket); });
  };
  for (let number = 0; number < 8; number += 1) next(undefined);
  setTimeout(() => {
    if (again && resumed < times.length * 0.9) { console.error(`only ${resumed} of ${times.length} were resumed`); process.exit(1); }
    tell(times, amount);
  }, amount * 1000);
}

async function idle() {
  const sockets = [];
  while (sockets.length < amount) {
    const some = Array.from({ length: 20 }, () => connect(undefined));
    await Promise.all(some.map((socket) => new Promise((done, failed) => {
      socket.once('secureConnect', done);
      socket.once('error', failed);
    })));
    sockets.push(...some);
  }
  setTimeout(() => console.log('held'), 500);
}

({ echo, websocket: websockets, tls: () => handshakes(false), 'tls-again': () => handshakes(true), idle })[kind]();
