// SPDX-License-Identifier: MIT
// WebSocket clients for tests/beast/listener.test.cpp: each sends messages, and counts what
// comes back; says "done <clients> <messages>", or what went wrong.
//   node client.js <url> <clients> <messages> [certificate]
'use strict';
const fs = require('fs');
const WebSocket = require('ws');

const [url, clients, messages, certificate] = process.argv.slice(2);
const options = {perMessageDeflate: true};
if (certificate) options.ca = fs.readFileSync(certificate);
const say = (line) => fs.writeSync(1, line + '\n');
let left = Number(clients);
let heard = 0;
for (let i = 0; i < Number(clients); ++i) {
  const socket = new WebSocket(url, options);
  let mine = 0;
  const next = () => socket.send(Buffer.alloc(1 + 997 * mine, i + mine));
  socket.on('open', next);
  socket.on('message', (data, binary) => {
    if (!binary || !data.equals(Buffer.alloc(1 + 997 * mine, i + mine))) return say('wrong message');
    ++heard;
    if (++mine < Number(messages)) return next();
    socket.ping();
  });
  socket.on('pong', () => socket.close(1000));
  socket.on('unexpected-response', (request, response) => {
    say('rejected ' + response.statusCode + ' ' + (response.headers['retry-after'] || '-'));
    socket.terminate();
  });
  socket.on('error', () => {});
  socket.on('close', (code) => {
    say('closed ' + code);
    if (--left === 0) say('done ' + clients + ' ' + heard), process.exit(0);
  });
}
