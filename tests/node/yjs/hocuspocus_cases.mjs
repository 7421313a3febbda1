// SPDX-License-Identifier: MIT
// What hocuspocus.mjs plays.
import * as decoding from 'lib0/decoding'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { WebsocketProvider } from 'y-websocket'
import { agree, check, until } from './rig.mjs'

const isVersion2 = process.env.BELAY_YJS_CLIENT === 'hocuspocus-provider-2'
const { HocuspocusProvider, HocuspocusProviderWebsocket } = await import(process.env.BELAY_YJS_CLIENT ?? '@hocuspocus/provider')

/// As in a browser, where an error without a listener ends nothing: version 3 abandons dials.
class BrowserSocket extends WebSocket {
  constructor (...words) {
    super(...words)
    this.on('error', () => {})
  }
}
/// A connection, which several documents may share.
const socketTo = server => new HocuspocusProviderWebsocket({
  url: `ws://127.0.0.1:${server.port}/hocuspocus`,
  WebSocketPolyfill: BrowserSocket,
  delay: 50,
  minDelay: 50,
  maxDelay: 300
})

/// Version 2 sends no token instead of an empty one, and waits for `check_within`.
const noToken = isVersion2 ? () => '' : null
/// Whether a frame is an update of a document.
const isUpdateOf = (name, frame) => {
  const decoder = decoding.createDecoder(frame)
  return decoding.readVarString(decoder) === name && decoding.readVarUint(decoder) === 0 && decoding.readVarUint(decoder) === 2
}

/// A real client, and its document.
class Editor {
  doc = new Y.Doc()
  text = this.doc.getText('text')
  denials = []
  #sentLate = 0  // updates that were made offline, and sent when the connection was there again
  durable = ''  // the longest text of which it was told that all of it is durable

  constructor (server, user, { access = 'edit', board = 'board', socket = socketTo(server), sessionAwareness = false } = {}) {
    this.socket = socket
    this.provider = new HocuspocusProvider({
      websocketProvider: socket,
      name: board,
      document: this.doc,
      token: access === null ? noToken : () => `${user}:${access}`,
      sessionAwareness,
      onAuthenticationFailed: ({ reason }) => this.denials.push(reason)
    })
    // Version 2 has the event, but no option for it.
    this.provider.on('unsyncedChanges', () => {
      // Before any of its own changes it has nothing to be told of.
      if (this.unsynced === 0 && this.text.length > this.durable.length) this.durable = this.text.toString()
    })
    if (isVersion2) {
      socket.on('connect', () => { this.#sentLate = socket.messageQueue.filter(frame => isUpdateOf(board, frame)).length })
    } else {
      this.provider.attach()  // version 2 is attached as it is made
    }
  }

  /// Version 2 begins at 1 with each connection, for the answer to the server. It does not add the updates that it sends late,
  /// but subtracts 1 as each of them is acknowledged.
  get unsynced () { return this.provider.unsyncedChanges + this.#sentLate }
  synced () { return until(() => this.provider.synced, 'a client is synced') }
  settled () { return until(() => this.provider.synced && this.unsynced === 0, 'all of it is durable') }
  type (text) { this.text.insert(this.text.length, text) }
  offline () { this.socket.disconnect() }
  online () { return this.socket.connect() }
}
const editors = async (server, count, options) => {
  const all = Array.from({ length: count }, (unused, i) => new Editor(server, `user${i}`, options))
  await Promise.all(all.map(editor => editor.settled()))
  return all
}
const docs = all => all.map(editor => editor.doc)
const turn = () => new Promise(resolve => setTimeout(resolve, 1))

export const cases = {
  converge: {
    async run (server) {
      const all = await editors(server, 2)
      for (let i = 0; i < 300; ++i) {
        all[i % 2].type(String(i))
        if (i % 10 === 0) await turn()
      }
      await agree(docs(all), 'two editors agree')
      await Promise.all(all.map(editor => editor.settled()))
      const late = new Editor(server, 'late')
      await late.settled()
      check(late.text.toString() === all[0].text.toString(), 'who comes late has all of it at once')
      all[0].provider.setAwarenessField('name', 'ada')
      const visible = () => [...late.provider.awareness.getStates().values()].some(state => state.name === 'ada')
      await until(visible, 'who comes late sees who is here')
      all[0].socket.destroy()
      await until(() => !visible(), 'who has gone is not seen')
    }
  },

  offline: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      ada.offline()
      bob.offline()
      await until(() => ada.socket.status === 'disconnected' && bob.socket.status === 'disconnected', 'both are offline')
      ada.type('ada')
      bob.type('bob')
      check(ada.unsynced > 0, 'nothing was durable offline')
      ada.online()
      bob.online()
      await agree(docs([ada, bob]), 'offline edits of both sides')
      await Promise.all([ada, bob].map(editor => editor.settled()))
      check(ada.text.length === 6, 'both are there')
    }
  },

  stateless: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      const received = { ada: [], bob: [] }
      ada.provider.on('stateless', ({ payload }) => received.ada.push(payload))
      bob.provider.on('stateless', ({ payload }) => received.bob.push(payload))
      ada.provider.sendStateless('{"saved":"plän"}')
      await until(() => received.bob.length === 1, 'the other client receives a stateless message')
      check(received.bob[0] === 'user0: {"saved":"plän"}', 'the hook has the user and the payload')
      ada.type('still')
      await ada.settled()
      check(received.ada.length === 0, 'the sender receives nothing')
      check((await server.stats()).upgraded === 2, 'no client dialled again')
    }
  },

  many_documents: {
    async run (server) {
      const socket = socketTo(server)
      const mine = Array.from({ length: 20 }, (unused, i) => new Editor(server, 'ada', { board: `board${i}`, socket }))
      await Promise.all(mine.map(editor => editor.settled()))
      check((await server.stats()).clients === 20, 'each document is a client')
      check((await server.stats()).upgraded === 1, 'of one connection')
      const theirs = mine.map((unused, i) => new Editor(server, 'bob', { board: `board${i}` }))
      mine.forEach((editor, i) => editor.type(`of board ${i}`))
      for (let i = 0; i < 20; ++i) await agree([mine[i].doc, theirs[i].doc], `board${i} agrees`)
      check(theirs[3].text.toString() === 'of board 3', 'none has what another has')
      // One is closed, and the others go on.
      mine[3].provider.destroy()
      await until(async () => (await server.stats('board3')).clients === 1, 'a document is closed')
      mine[4].type('!')
      await mine[4].settled()
      const again = new Editor(server, 'ada', { board: 'board3', socket })
      await again.settled()
      check(again.text.toString() === 'of board 3', 'and opened again')
      check((await server.stats()).upgraded === 21, 'nobody has dialled again')
    }
  },

  sessions: {
    async run (server) {
      const socket = socketTo(server)
      const two = ['a', 'b'].map(user => new Editor(server, user, { socket, sessionAwareness: true }))
      await Promise.all(two.map(editor => editor.settled()))
      two[0].type('of one')
      two[1].type('of the other')
      await agree(docs(two), 'two of one document on one connection')
      check((await server.stats('board')).clients === 2, 'both are clients')
    }
  },

  both_protocols: {
    async run (server) {
      const [ada] = await editors(server, 1)
      const doc = new Y.Doc()
      const provider = new WebsocketProvider(`ws://127.0.0.1:${server.port}/ws/canvas`, 'board', doc, {
        disableBc: true, WebSocketPolyfill: WebSocket, params: { token: 'bob:edit' }
      })
      doc.getText('text').insert(0, 'of y-websocket')
      ada.type('of hocuspocus')
      await agree([ada.doc, doc], 'both protocols agree')
      provider.awareness.setLocalStateField('name', 'bob')
      ada.provider.setAwarenessField('name', 'ada')
      const visible = awareness => [...awareness.getStates().values()].map(state => state.name).sort().join()
      await until(() => visible(provider.awareness) === 'ada,bob' && visible(ada.provider.awareness) === 'ada,bob', 'they see each other')
      await ada.settled()
    }
  },

  denied: {
    async run (server) {
      const socket = socketTo(server)
      const ada = new Editor(server, 'ada', { socket })
      const nobody = new Editor(server, 'ada', { socket, board: 'other', access: null })
      const mallory = new Editor(server, 'mallory', { socket, board: 'secret', access: 'none' })
      await until(() => nobody.denials.length === 1 && mallory.denials.length === 1, 'both are refused')
      check(nobody.denials[0] !== mallory.denials[0], 'who is unknown hears that')
      await ada.settled()
      mallory.type('nobody sees this')
      ada.type('goes on')
      await ada.settled()
      const stats = await server.stats()
      check(stats.rooms === 1 && stats.updates === 1 && stats.upgraded === 1, JSON.stringify(stats))
      check(!mallory.provider.synced && mallory.unsynced > 0, 'nothing of it is taken')
    }
  },

  too_large: {
    options: { 'frame-bytes': 65536 },
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      ada.offline()
      await until(() => ada.socket.status === 'disconnected', 'ada is offline')
      ada.type('x'.repeat(100000))
      ada.online()
      // It stops at no code.
      await until(async () => (await server.stats()).too_large >= 3, 'who dials on is refused')
      check(ada.denials.length === 0, 'it was told that it has no right')
      bob.type('on')
      await bob.settled()
    }
  },

  read_only: {
    async run (server) {
      const [ada] = await editors(server, 1)
      ada.type('of an editor')
      const vera = new Editor(server, 'vera', { access: 'view' })
      await agree(docs([ada, vera]), 'a viewer sees it')
      await until(() => vera.unsynced === 0, 'a viewer has nothing to send')
      check(vera.provider.authorizedScope === 'readonly', 'and knows what it is')
      vera.type('of a viewer')
      await until(async () => (await server.stats()).denied > 0, 'the server refuses it')
      ada.type('!')
      await ada.settled()
      check(vera.unsynced === 1, 'a viewer knows that it is not taken')
      check(!ada.text.toString().includes('viewer'), 'nobody has it')
      // The right is given while it is here.
      await server.page('/reload/vera/edit/board')
      await agree(docs([ada, vera]), 'who may edit now is heard')
      await vera.settled()
      check(ada.text.toString().includes('viewer'), 'with what was refused before')
      check(vera.provider.authorizedScope === 'read-write', 'and knows it')
    }
  },

  restart: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      ada.type('before')
      await agree(docs([ada, bob]), 'they agree')
      await ada.settled()
      await server.stop()
      ada.type('while it is away')
      check(ada.unsynced > 0, 'that is not durable')
      await server.start()
      await agree(docs([ada, bob]), 'they agree again')
      await ada.settled()
      await server.stop()
      await server.start()
      const [late] = await editors(server, 1)
      check(late.text.toString() === ada.text.toString(), 'all of it was kept')
    }
  },

  killed: {
    async run (server) {
      let durableCount = 0
      for (let life = 0; life < 5; ++life) {
        const [ada] = await editors(server, 1, { board: `board${life}` })
        let over = false
        const typing = (async () => {
          for (let i = 0; !over; ++i) {
            ada.type(`${i},`)
            await turn()
          }
        })()
        await until(() => ada.text.length > 200 * (life + 1) && ada.durable.length > 0, 'it is durable while it types')
        await server.kill()
        over = true
        await typing
        ada.socket.destroy()
        const claimed = ada.durable
        durableCount += claimed.length
        await server.start()
        const [late] = await editors(server, 1, { board: `board${life}` })
        check(late.text.toString().startsWith(claimed), `of what was durable is lost: ${claimed.length - late.text.length}`)
      }
      return `${durableCount} characters were durable at the kill`
    }
  }
}
