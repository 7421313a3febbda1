// SPDX-License-Identifier: MIT
// A client that is a socket: it reads when it is told to, and counts what comes.
import { connect } from 'node:net'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import * as Y from 'yjs'
import { within } from './rig.mjs'

export class RawClient {
  frames = 0
  bytes = 0
  awareness = 0  // messages
  updates = 0
  knows = new Set()  // ids of who is here
  shown = null  // its own id
  closed = null  // the code
  ended = false
  #waiting = Buffer.alloc(0)
  #upgraded = null

  /// It is in, when it has been greeted or closed.
  static open (server, user, { board = 'board', path = `/ws/canvas/${board}`, access = 'edit', document = true } = {}) {
    const client = new RawClient()
    client.doc = document ? new Y.Doc() : null
    client.socket = connect(server.port, '127.0.0.1')
    client.socket.setNoDelay(true)
    client.socket.on('error', () => {})
    client.socket.on('close', () => { client.ended = true })
    client.socket.write(`GET ${path}?token=${user}:${access} HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\n` +
      'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
    return within(new Promise((resolve, reject) => {
      client.#upgraded = { resolve, reject }
      client.socket.on('data', data => client.#read(data))
      client.socket.once('close', () => reject(new Error('closed before it was greeted')))
    }), 'a raw client is in').then(() => client)
  }

  stall () { this.socket.pause() }
  resume () { this.socket.resume() }
  cut () { this.socket.destroy() }

  /// A whole binary message.   Returns: when the system has it.
  send (payload) {
    const long = payload.length > 125
    const head = Buffer.from(payload.length > 65535
      ? [0x82, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
      : long ? [0x82, 0xfe, 0, 0, 0, 0, 0, 0] : [0x82, 0x80 | payload.length, 0, 0, 0, 0])
    if (payload.length > 65535) head.writeBigUInt64BE(BigInt(payload.length), 2)
    else if (long) head.writeUInt16BE(payload.length, 2)
    return new Promise(resolve => this.socket.write(Buffer.concat([head, payload]), resolve))
  }

  update (update) {
    const out = encoding.createEncoder()
    encoding.writeVarUint(out, 0)
    encoding.writeVarUint(out, 2)
    encoding.writeVarUint8Array(out, update)
    return this.send(encoding.toUint8Array(out))
  }

  /// Its state, as who is here.
  say (id, clock, state) {
    this.shown = state === null ? null : id
    const message = encoding.createEncoder()
    for (const number of [1, id, clock]) encoding.writeVarUint(message, number)
    encoding.writeVarString(message, JSON.stringify(state))
    const out = encoding.createEncoder()
    encoding.writeVarUint(out, 1)
    encoding.writeVarUint8Array(out, encoding.toUint8Array(message))
    return this.send(encoding.toUint8Array(out))
  }

  #read (data) {
    this.bytes += data.length
    this.#waiting = this.#waiting.length === 0 ? data : Buffer.concat([this.#waiting, data])
    if (!this.upgraded) {
      const end = this.#waiting.indexOf('\r\n\r\n')
      if (end < 0) return
      const status = this.#waiting.subarray(0, 12).toString()
      if (status !== 'HTTP/1.1 101') return this.#upgraded.reject(new Error(status))
      this.upgraded = true
      this.#waiting = this.#waiting.subarray(end + 4)
    }
    let at = 0
    for (const all = this.#waiting; all.length - at >= 2;) {
      let length = all[at + 1] & 127
      let head = 2
      if (length >= 126) {
        head = length === 126 ? 4 : 10
        if (all.length - at < head) break
        length = head === 4 ? all.readUInt16BE(at + 2) : Number(all.readBigUInt64BE(at + 2))
      }
      if (all.length - at < head + length) break
      this.#take(all[at] & 15, all.subarray(at + head, at + head + length))
      at += head + length
    }
    this.#waiting = this.#waiting.subarray(at)
  }

  #take (opcode, payload) {
    if (opcode === 8) {
      this.closed = payload.readUInt16BE(0)
    } else if (opcode === 2) {
      ++this.frames
      this.#receive(decoding.createDecoder(payload))
    }
    this.#upgraded.resolve()
  }

  #receive (message) {
    const type = decoding.readVarUint(message)
    if (type === 0) {
      const step = decoding.readVarUint(message)
      const payload = decoding.readVarUint8Array(message)
      if (step > 0) ++this.updates
      if (step > 0 && this.doc !== null) Y.applyUpdate(this.doc, payload)
    } else if (type === 1) {
      ++this.awareness
      const states = decoding.createDecoder(decoding.readVarUint8Array(message))
      for (let left = decoding.readVarUint(states); left > 0; --left) {
        const id = decoding.readVarUint(states)
        decoding.readVarUint(states)
        // The end of its own state raises its clock, and the state stays.
        if (decoding.readVarString(states) !== 'null' || id === this.shown) this.knows.add(id)
        else this.knows.delete(id)
      }
    } else if (type === 3) {
      // It is asked for a sign of life.
      this.send(Uint8Array.of(1, 1, 0))
    }
  }
}
