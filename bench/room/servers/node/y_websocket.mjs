// SPDX-License-Identifier: MIT
// The server of y-websocket, as its own program has it, but for ws of this folder: documents in memory.
import http from 'node:http'
import { setupWSConnection } from '@y/websocket-server/utils'
import { WebSocketServer } from 'ws'
import { announce } from './shared.mjs'

const server = http.createServer()
const sockets = new WebSocketServer({ server })
sockets.on('connection', setupWSConnection)
server.listen(0, '127.0.0.1', () => announce(server.address().port))
