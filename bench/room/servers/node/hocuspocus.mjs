// SPDX-License-Identifier: MIT
// The server of hocuspocus, everybody may come in: documents in memory.
import { Server } from '@hocuspocus/server'
import { announce } from './shared.mjs'

// Its listen() takes 0 for its default, and prints a greeting.
const server = new Server({ address: '127.0.0.1', quiet: true })
server.httpServer.listen(0, '127.0.0.1', () => announce(server.httpServer.address().port))
