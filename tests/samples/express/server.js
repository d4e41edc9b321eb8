// Express without a Dockerfile.
const express = require('express');

const app = express();
app.get('/', (request, response) => { response.send('hello from express'); });
const server = app.listen(Number(process.env.PORT), () => { console.log('listening'); });
process.on('SIGTERM', () => server.close(() => process.exit(0)));
