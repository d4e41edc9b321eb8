// In the browser's network: takes connections to a port and hands them to a Unix socket outside. Ends with the browser that shares its parent.
import net from 'node:net';

const [port, path] = process.argv.slice(2);
net.createServer((line) => {
  const out = net.connect(path);
  line.pipe(out).pipe(line);
  for (const end of [line, out]) end.on('error', () => { line.destroy(); out.destroy(); });
}).listen(Number(port), '127.0.0.1');
// The socket's folder goes with the test; then there is nothing left to forward to.
setInterval(() => { net.connect(path).on('error', () => process.exit()).on('connect', function close() { this.destroy(); }); }, 2000);
