// A server whose packages pnpm has locked.
const { createServer } = require('node:http');
const ms = require('ms');

const server = createServer((request, response) => { response.end(`hello from pnpm after ${ms('2 days')} ms`); });
server.listen(Number(process.env.PORT), '0.0.0.0');
process.on('SIGTERM', () => server.close(() => process.exit(0)));
