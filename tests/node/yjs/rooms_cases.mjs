// SPDX-License-Identifier: MIT
// What rooms.mjs plays.
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { WebsocketProvider } from 'y-websocket'
import { agree, check, until, within } from './rig.mjs'
import { randomOf } from './shared.mjs'

/// A real client, and its document.
export class Editor {
  doc = new Y.Doc()
  text = this.doc.getText('text')
  closed = null

  constructor (server, user, { access = 'edit', board = 'board' } = {}) {
    this.provider = new WebsocketProvider(`ws://127.0.0.1:${server.port}/ws`, board, this.doc, {
      // Of one process: they must not meet behind the server's back.
      disableBc: true,
      WebSocketPolyfill: WebSocket,
      params: access === null ? {} : { token: `${user}:${access}` },
      maxBackoffTime: 200
    })
    this.provider.on('closed', event => { this.closed = event.code })
  }

  get awareness () { return this.provider.awareness }
  synced () { return until(() => this.provider.synced, 'a client is synced') }
  offline () { this.provider.disconnect() }
  online () { this.provider.connect() }
  leave () { this.provider.destroy() }

  /// One change of some kind, anywhere.
  edit (random) {
    const { doc, text } = this
    switch (random(6)) {
      case 0:
        if (text.length > 0) return text.delete(random(text.length), 1)
        // falls through
      case 1:
      case 2:
        return text.insert(random(text.length + 1), String.fromCharCode(97 + random(26)))
      case 3:
        return doc.getMap('map').set(`key${random(4)}`, `😀${random(1000)}`)
      case 4:
        return doc.getArray('array').push([{ number: random(1000) }, new Uint8Array([random(256)])])
      default:
        return doc.transact(() => {
          text.insert(0, 'é漢')
          text.format(0, 2, { bold: true })
        })
    }
  }
}
const editors = async (server, count, options) => {
  const all = Array.from({ length: count }, (unused, i) => new Editor(server, `user${i}`, options))
  await Promise.all(all.map(editor => editor.synced()))
  return all
}
const docs = all => all.map(editor => editor.doc)
/// What somebody sees who comes now.
const newcomer = async (server, options) => {
  const [editor] = await editors(server, 1, options)
  return editor
}

export const cases = {
  two_converge: {
    async play (server) {
      const [ada, bob] = await editors(server, 2)
      const random = randomOf(1)
      for (let i = 0; i < 500; ++i) {
        ;(random(2) === 0 ? ada : bob).edit(random)
        if (i % 50 === 0) await new Promise(resolve => setImmediate(resolve))
      }
      await agree(docs([ada, bob]), 'two editors agree')
      check((await server.stats('board')).gaps === 0, 'the server misses something')
    }
  }
}
