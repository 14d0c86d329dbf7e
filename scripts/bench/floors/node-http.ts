/** The floor below all: what an answer costs in Node.js itself. */
import { createServer } from 'node:http';

createServer((request, response) => {
  if (request.url === '/check') response.writeHead(200, { 'content-length': 0 }).end();
  else response.writeHead(302, { location: 'http://127.0.0.1/authorize', 'content-length': 0 }).end();
}).listen(Number(process.env['PORT']), '127.0.0.1');
