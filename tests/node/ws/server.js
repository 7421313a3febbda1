// SPDX-License-Identifier: MIT
// WebSocket server for tests/beast. What it does with a connection is in its path;
// what it sees it writes to its output, a line each. Input "hang up" ends all connections,
// "text" sends one to all.
//   node server.js [certificate key]
'use strict';
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const {WebSocketServer} = require('ws');

const [certificate, key] = process.argv.slice(2);
const say = (line) => fs.writeSync(1, line + '\n');
const server = certificate
    ? https.createServer({
        cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
        SNICallback: (name, done) => { say('name ' + name); done(null); },
      })
    : http.createServer();

const sockets = new WebSocketServer({
  noServer: true,
  perMessageDeflate: {threshold: 0},
  handleProtocols: (offered) => offered.has('chat.v2') ? 'chat.v2' : false,
});

const refusals = (socket, query) => {
  const status = query.get('status');
  let text = `HTTP/1.1 ${status} Refused\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n`;
  if (query.has('retry')) text += `Retry-After: ${query.get('retry')}\r\n`;
  socket.end(text + 'Content-Length: 5\r\nConnection: close\r\n\r\nno no');
};

const closeFrame = (client) => {
  client._socket.removeAllListeners('data');
  client._socket.resume();
  client._socket.write(Buffer.from([0x88, 2, 4003 >> 8, 4003 & 0xff]));
};

const behaviours = {
  '/echo': (client) => client.on('message', (data, binary) => client.send(data, {binary})),
  '/last': (client) => client.on('message', (data) => String(data) === 'last' && client.send(data)),
  '/close': (client, query) => client.close(Number(query.get('code'))),
  '/text': (client) => client.send('text'),
  '/bomb': (client) => client.send(Buffer.alloc(64 << 20)),
  '/request': (client, query, request) =>
      client.send(Buffer.from(request.url + '\n' + request.rawHeaders.join('\n'))),
  '/garbage': (client) => client._socket.write(Buffer.alloc(64, 0xff)),
  '/quiet': () => {},
  // Goodbyes that are not followed by the end of the stream, or by a reset when they are answered.
  '/stays': (client) => closeFrame(client),
  '/resets': (client) => {
    closeFrame(client);
    client._socket.once('data', () => client._socket.resetAndDestroy());
  },
  '/undeflatable': (client) => client._socket.write(Buffer.from([0xc2, 2, 0xff, 0xff])),
  '/deaf': (client) => client._socket.pause(),
};

server.on('upgrade', (request, socket, head) => {
  const url = new URL(request.url, 'http://host');
  socket.on('error', () => {});
  if (url.pathname === '/refuse') return refusals(socket, url.searchParams);
  if (url.pathname === '/half') return socket.write('HTTP/1.1 101 Switching Proto');
  sockets.handleUpgrade(request, socket, head, (client) => {
    client.on('error', () => {});
    client.on('close', (code) => say('closed ' + code));
    say('open ' + url.pathname);
    behaviours[url.pathname](client, url.searchParams, request);
  });
});

const proxy = http.createServer();
proxy.on('connect', (request, client) => {
  say('proxy ' + request.url);
  client.on('error', () => {});
  if (request.headers['proxy-authorization'] !== 'Basic ZTpt') {
    return client.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n');
  }
  const at = request.url.lastIndexOf(':');
  const upstream = net.connect(Number(request.url.slice(at + 1)), '127.0.0.1', () => {
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    upstream.pipe(client).pipe(upstream);
  });
  upstream.on('error', () => client.destroy());
});

let input = '';
process.stdin.on('data', (data) => {
  input += data;
  while (input.includes('\n')) {
    const text = input.startsWith('text');
    input = input.slice(input.indexOf('\n') + 1);
    for (const client of sockets.clients) text ? client.send('text') : client.close(1001);
  }
});
process.stdin.on('end', () => process.exit(0));

server.listen(0, '127.0.0.1', () =>
    proxy.listen(0, '127.0.0.1', () => say(`ready ${server.address().port} ${proxy.address().port}`)));
