// SPDX-License-Identifier: MIT
// MCP server for tests/mcp: the SDK's own, with the tools fetch_scene and
// push_scene, and faults between it and the client. Each request that comes is a line of output.
//   node server.mjs [--json] [--port N] [--token T] [--one-session] [--strict]
// Scenes are lost with the process; of one that is not there it tells null, or an error if it is strict. Input, a line each, answered by "done" when it holds:
//   status CODE RETRY_AFTER|- TIMES   the next requests are refused so
//   raw TYPE BASE64                   the next POST of a request gets this body
//   cut BYTES                         the body of the next tools/call ends after so many, abruptly
//   hang                              the next tools/call is not answered
//   ask                               in the next tools/call the server asks the client, too
//   forget                            no session is known any more
//   mark                              nothing, to wait for what was said before
//   token T                           from now on only this one is accepted
//   put NAME JSON, get NAME           a scene; "scene JSON"
import {randomUUID} from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import readline from 'node:readline';
import {McpServer} from '@modelcontextprotocol/sdk/server/mcp.js';
import {StreamableHTTPServerTransport} from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import {EmptyResultSchema, isInitializeRequest} from '@modelcontextprotocol/sdk/types.js';
import {z} from 'zod';

const options = process.argv.slice(2);
const value = (name) => options.includes(name) ? options[options.indexOf(name) + 1] : undefined;
const json = options.includes('--json');
const oneSession = options.includes('--one-session');
const strict = options.includes('--strict');
let token = value('--token');
const say = (line) => fs.writeSync(1, line + '\n');

const scenes = new Map();
const sessions = new Map();
const faults = {refusals: [], raw: null, cut: null, hang: false, ask: false};

const ask = async (extra) => {
  await extra.sendNotification({method: 'notifications/message', params: {level: 'info', data: 'hi'}});
  await extra.sendRequest({method: 'ping'}, EmptyResultSchema);
  say('pong');
  try {
    await extra.sendRequest({method: 'roots/list'}, z.any());
  } catch (error) {
    say(`refused ${error.code}`);
  }
};

const tool = (run) => async (input, extra) => {
  extra.signal.addEventListener('abort', () => say('cancelled'));
  if (faults.hang) {
    faults.hang = false;
    say('hangs');
    await new Promise(() => {});
  }
  if (faults.ask) {
    faults.ask = false;
    await ask(extra);
  }
  return run(input);
};

const serve = () => {
  const server = new McpServer({name: 'belay-test', version: '1'}, {capabilities: {logging: {}}});
  server.registerTool('fetch_scene', {inputSchema: {session_id: z.string()}}, tool(({session_id}) => {
    const scene = scenes.get(session_id) ?? null;
    if (scene === null && strict) return {isError: true, content: [{type: 'text', text: `no scene ${session_id}`}]};
    const content = [{type: 'text', text: JSON.stringify(scene)}];
    return scene?.content !== undefined ? {content, structuredContent: scene} : {content};
  }));
  server.registerTool('push_scene', {inputSchema: {session_id: z.string(), scene: z.any()}},
                      tool(({session_id, scene}) => {
    if (scene?.content?.refuse) return {isError: true, content: [{type: 'text', text: 'this scene is refused'}]};
    scenes.set(session_id, scene);
    say(`pushed ${session_id} ${JSON.stringify(scene)}`);
    return {content: [{type: 'text', text: 'ok'}]};
  }));
  return server;
};

const transportFor = async (body) => {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    enableJsonResponse: json,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await serve().connect(transport);
  return transport;
};
// What the SDK answers where there is one session only, and it is not the one that is asked for.
let single = oneSession ? await transportFor() : null;

const refuse = (response, code, rpc, message) => {
  response.writeHead(code, {'content-type': 'application/json'});
  response.end(JSON.stringify({jsonrpc: '2.0', error: {code: rpc, message}, id: null}));
};

// The body is passed on up to a byte, then the connection is torn down.
const cutAfter = (response, bytes) => {
  const write = response.write.bind(response);
  const end = response.end.bind(response);
  let left = bytes;
  const pass = (data) => {
    const piece = Buffer.from(data ?? '');
    if (piece.length <= left) {
      left -= piece.length;
      return piece.length ? write(piece) : true;
    }
    const last = piece.subarray(0, left);
    left = -1;
    say('cut');
    const tear = () => response.socket?.destroy();
    last.length ? write(last, tear) : (response.flushHeaders(), setImmediate(tear));
    return false;
  };
  response.write = (data) => left >= 0 && pass(data);
  response.end = (data) => {
    if (left >= 0) pass(data);
    if (left < 0) return response;
    say('whole');
    return end();
  };
};

const read = async (request) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const text = Buffer.concat(pieces).toString();
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const handle = async (request, response) => {
  const body = await read(request);
  const id = request.headers['mcp-session-id'];
  const called = body?.method ?? (body ? 'response' : '-');
  say(`request ${request.method} ${called} ${id ? 'session' : '-'} ` +
      `${request.headers['mcp-protocol-version'] ?? '-'}`);
  const refusal = faults.refusals.shift();
  if (refusal) {
    if (refusal.after !== '-') response.setHeader('retry-after', refusal.after);
    if (refusal.code >= 300 && refusal.code < 400) response.setHeader('location', '/elsewhere');
    return refuse(response, refusal.code, -32000, 'refused');
  }
  if (token && request.headers.authorization !== `Bearer ${token}`) {
    return refuse(response, 401, -32001, 'who are you');
  }
  if (faults.raw && body?.id !== undefined && body?.method) {
    response.writeHead(200, {'content-type': faults.raw.type});
    response.end(faults.raw.body);
    faults.raw = null;
    return;
  }
  if (faults.cut !== null && called === 'tools/call') {
    cutAfter(response, faults.cut);
    faults.cut = null;
  }
  if (single) return single.handleRequest(request, response, body);
  if (id) {
    const transport = sessions.get(id);
    if (!transport) return refuse(response, 404, -32001, 'Session not found');
    return transport.handleRequest(request, response, body);
  }
  if (!isInitializeRequest(body)) return refuse(response, 400, -32000, 'Bad Request: no session');
  return (await transportFor()).handleRequest(request, response, body);
};

const commands = {
  mark: () => {},
  status: (code, after, times) => {
    for (let i = 0; i < Number(times); ++i) faults.refusals.push({code: Number(code), after});
  },
  raw: (type, body) => { faults.raw = {type, body: Buffer.from(body ?? '', 'base64')}; },
  cut: (bytes) => { faults.cut = Number(bytes); },
  hang: () => { faults.hang = true; },
  ask: () => { faults.ask = true; },
  forget: async () => {
    sessions.clear();
    if (single) single = await transportFor();
  },
  token: (next) => { token = next; },
  put: (name, ...text) => { scenes.set(name, JSON.parse(text.join(' '))); },
  get: (name) => { say('scene ' + JSON.stringify(scenes.get(name) ?? null)); },
};
const input = readline.createInterface({input: process.stdin});
input.on('line', async (line) => {
  const [name, ...words] = line.split(' ');
  await commands[name](...words);
  say('done');
});
input.on('close', () => process.exit(0));

const server = http.createServer((request, response) => {
  response.on('error', () => {});
  handle(request, response).catch((error) => {
    say(`error ${error.message}`);
    response.destroy();
  });
});
server.listen(Number(value('--port') ?? 0), '127.0.0.1', () => say(`ready ${server.address().port}`));
