// SPDX-License-Identifier: MIT
// What rooms.mjs plays.
import { existsSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as decoding from 'lib0/decoding'
import { WebSocket } from 'ws'
import * as Y from 'yjs'
import { RawClient } from './raw_client.mjs'
import { agree, check, until } from './rig.mjs'
import { isLarge, randomOf } from './shared.mjs'

const isVersion1 = process.env.BELAY_YJS_CLIENT === 'y-websocket-1'
const { WebsocketProvider } = await import(process.env.BELAY_YJS_CLIENT ?? 'y-websocket')

/// A real client, and its document.
class Editor {
  doc = new Y.Doc({ gc: Editor.gc })
  // Named at once: a document does not tell what others have put where it has not looked.
  text = this.doc.getText('text')
  map = this.doc.getMap('map')
  array = this.doc.getArray('array')
  static gc = true  // of those that are made next
  closed = null  // the code at which it stopped to dial; of version 1, which stops at none, that of the last connection
  received = []  // all updates that came from the server

  constructor (server, user, { access = 'edit', board = 'board' } = {}) {
    this.provider = new WebsocketProvider(`ws://127.0.0.1:${server.port}/ws/canvas`, board, this.doc, {
      // Of one process: they must not meet behind the server's back.
      disableBc: true,
      WebSocketPolyfill: WebSocket,
      params: access === null ? {} : { token: `${user}:${access}` },
      maxBackoffTime: 200
    })
    this.provider.on(isVersion1 ? 'connection-close' : 'closed', event => { this.closed = event.code })
    // As they came: what the document makes of them also says what its own changes, unsent ones too, do to them.
    const [sync] = this.provider.messageHandlers
    this.provider.messageHandlers[0] = (encoder, decoder, ...more) => {
      const message = decoding.clone(decoder)
      if (decoding.readVarUint(message) !== 0) this.received.push(decoding.readVarUint8Array(message))
      sync(encoder, decoder, ...more)
    }
  }

  get awareness () { return this.provider.awareness }
  synced () { return until(() => this.provider.synced, 'a client is synced') }
  offline () { this.provider.disconnect() }
  online () { this.provider.connect() }
  leave () { this.provider.destroy() }

  /// One change of some kind, anywhere.
  edit (random) {
    const { doc, text, map, array } = this
    switch (random(6)) {
      case 0:
        if (text.length > 0) return text.delete(random(text.length), 1)
        // falls through
      case 1:
      case 2:
        return text.insert(random(text.length + 1), String.fromCharCode(97 + random(26)))
      case 3:
        return map.set(`key${random(4)}`, `😀${random(1000)}`)
      case 4:
        return array.push([{ number: random(1000) }, new Uint8Array([random(256)])])
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
const lateEditor = async (server, options) => {
  const [editor] = await editors(server, 1, options)
  return editor
}

const turn = () => new Promise(resolve => setTimeout(resolve, 1))
/// All of them change something, again and again, until it is so.
const typing = async (all, random, claim, what) => {
  let over = false
  const typists = all.map(async editor => {
    while (!over) {
      editor.edit(random)
      await turn()
    }
  })
  try {
    await until(claim, what)
  } finally {
    over = true
    await Promise.all(typists)
  }
}
/// So many changes of 20 kB, no faster than `reader` can read.
const overwrite = async (editor, reader, changes) => {
  const big = 'x'.repeat(20000)
  for (let i = 0; i < changes; ++i) {
    editor.map.set('key', `${i} ${big}`)
    if (i % 10 === 9) await until(() => parseInt(reader.map.get('key')) >= i - 9, 'who reads is not held up')
  }
}
/// Makes a document of 20 kB for each change, none of which is garbage.
const fill = async (editor, reader, changes) => {
  const big = 'x'.repeat(20000)
  for (let i = 0; i < changes; ++i) {
    editor.map.set(`key ${i}`, big)
    if (i % 10 === 9) await until(() => reader.map.size >= i - 9, 'who reads is not held up')
  }
}
const count = (server, name) => server.stats().then(stats => stats[name])
const sum = numbers => numbers.reduce((a, b) => a + b, 0)
/// Whether `doc` has all of these already.
const has = (doc, updates) => {
  const before = Y.encodeStateAsUpdate(doc)
  const copy = new Y.Doc()
  Y.applyUpdate(copy, before)
  const snapshot = Y.snapshot(copy)
  for (const update of updates) Y.applyUpdate(copy, update)
  return Y.equalSnapshots(snapshot, Y.snapshot(copy)) && copy.store.pendingStructs === null
}
/// Descriptors that a process may have, as the server, too.
const descriptors = () => Number(readFileSync('/proc/self/limits', 'utf8').match(/Max open files\s+\S+\s+(\d+)/)?.[1] ?? 1024)

export const cases = {
  endpoint_accepts: {
    async run (server) {
      const at = async path => {
        const client = await RawClient.open(server, 'ada', { path })
        await until(() => client.closed !== null || client.frames > 0, 'it is greeted or closed')
        return client.closed
      }
      check(await at('/ws/canvas/7f3a') === null, 'the endpoint does not accept')
      check((await server.stats('7f3a')).clients === 1, 'it is in another room')
      for (const path of ['/ws/canvas/', '/ws/canvas/a%00b', '/ws/teams/a', '/', `/ws/canvas/${'x'.repeat(101)}`]) {
        check(await at(path) === 4403, `${path} is a board`)
      }
      // A line of 10 kB is longer than a request may be.
      const refused = await RawClient.open(server, 'ada', { path: `/ws/canvas/${'x'.repeat(10240)}` }).catch(error => error.message)
      check(refused === 'HTTP/1.1 431', `10 kB: ${refused}`)
      for (const path of ['a%2Fb', 'a/b', '%C3%A9']) check(await at(`/ws/canvas/${path}`) === null, `${path} is no board`)
      check((await server.stats()).rooms === 3, 'ids that differ are one room')
    }
  },

  two_converge: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      const random = randomOf(1)
      await typing([ada, bob], random, () => ada.received.length + bob.received.length >= 300, 'they see each other')
      await agree(docs([ada, bob]), 'two editors agree')
      check((await server.stats('board')).gaps === 0, 'the server misses something')
    }
  },

  twenty_converge: {
    async run (server) {
      const all = await editors(server, 20)
      await typing(all, randomOf(2), () => sum(all.map(editor => editor.received.length)) >= 4000, 'they see each other')
      await agree(docs(all), 'twenty editors agree')
      check((await server.stats('board')).gaps === 0, 'the server misses something')
    }
  },

  late_join: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      await typing([ada, bob], randomOf(3), () => bob.received.length >= 50, 'bob sees ada')
      await agree(docs([ada, bob]), 'two editors agree')
      const late = await lateEditor(server)
      // It is synced by a state, which comes behind all of it.
      check(has(late.doc, [Y.encodeStateAsUpdate(ada.doc)]), 'synced, and does not have what was there')
      await agree(docs([ada, bob, late]), 'the late one has more')
    }
  },

  offline_edits: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      const random = randomOf(4)
      for (let round = 0; round < 5; ++round) {
        ada.offline()
        if (round % 2 === 0) bob.offline()
        for (let i = 0; i < 50; ++i) [ada, bob][i % 2].edit(random)
        ada.online()
        bob.online()
        await agree(docs([ada, bob]), 'what both did offline is there')
      }
      const eve = await lateEditor(server)
      await agree(docs([ada, eve]), 'a newcomer has it')
    }
  },

  deleted_meanwhile: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      Editor.gc = false
      const [kim] = await editors(server, 1)
      Editor.gc = true
      const undo = new Y.UndoManager([ada.map, ada.array], { captureTimeout: 0 })
      const nested = n => new Y.Map([['text', new Y.Text(`nested ${n}`)], ['list', Y.Array.from([1, 2, 3])]])
      for (let round = 0; round < 6; ++round) {
        ada.map.set('nested', nested(round))
        ada.array.insert(0, [nested(round), 'x'.repeat(1000)])
        await agree(docs([ada, bob, kim]), 'all have it')
        for (const editor of [bob, kim]) {
          editor.offline()
          editor.map.get('nested').get('text').insert(3, 'offline')
          editor.map.get('nested').set('more', nested(round))
          editor.array.get(0).get('list').insert(1, [nested(round)])
          editor.array.get(0).get('list').delete(0, 1)
        }
        const erase = () => {
          ada.map.delete('nested')
          ada.array.delete(0, ada.array.length)
        }
        // The deletion comes first, and the server has forgotten the content; or the edits do.
        if (round % 2 === 0) {
          erase()
          const eve = await lateEditor(server)
          eve.leave()
        }
        bob.online()
        kim.online()
        await agree(docs([ada, bob, kim]), 'what was written meanwhile has arrived')
        if (round % 2 === 1) erase()
        await agree(docs([ada, bob, kim]), 'all is deleted')
        const reference = new Y.Doc()
        reference.getText('text')
        reference.getMap('map')
        reference.getArray('array')
        Y.applyUpdate(reference, Y.encodeStateAsUpdate(kim.doc))
        await agree([ada.doc, reference], 'as a document of Yjs has it')
        const sizes = [await lateEditor(server), { doc: reference }].map(({ doc }) => Y.encodeStateAsUpdate(doc).length)
        check(sizes[0] === sizes[1], `a newcomer has ${sizes[0]} bytes for ${sizes[1]}`)
        // The content comes back from its author's document.
        undo.undo()
        undo.undo()
        await agree(docs([ada, bob, kim]), 'what was undone')
      }
    }
  },

  killed_mid_edit: {
    async run (server) {
      const all = await editors(server, 5)
      const random = randomOf(5)
      for (let round = 0; round < 4; ++round) {
        const received = () => sum(all.map(editor => editor.received.length))
        const goal = received() + 100 + random(200)
        let killed = null
        await typing(all, random, async () => {
          if (received() < goal) return false
          killed ??= server.kill()
          await killed
          return true
        }, 'they see each other')
        // Nobody says again what the server has lost.
        for (const editor of all) editor.offline()
        await server.start()
        const late = await lateEditor(server)
        for (const editor of all) check(has(late.doc, editor.received), `round ${round}: what a client has seen is lost`)
        late.leave()
        for (const editor of all) editor.online()
        await agree(docs(all), `round ${round}: all agree after the restart`)
      }
      await server.stop()
      for (const editor of all) editor.offline()
      await server.start()
      const late = await lateEditor(server)
      await agree(docs([all[0], late]), 'what was saved at the end is all')
      return `${sum(all.map(editor => editor.received.length))} updates were received, through 4 kills`
    }
  },

  cold_start: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      await typing([ada, bob], randomOf(6), () => bob.received.length >= 50, 'bob sees ada')
      await agree(docs([ada, bob]), 'two editors agree')
      ada.offline()
      bob.offline()
      await server.stop()
      await server.start()
      check((await server.stats()).rooms === 0, 'it starts with rooms')
      const eve = await lateEditor(server)
      check(has(eve.doc, [Y.encodeStateAsUpdate(ada.doc)]), 'a cold server serves less')
      await agree(docs([ada, eve]), 'a cold server serves more')
    }
  },

  evicted: {
    options: { 'save-after': 20, 'unload-after': 20 },
    async run (server) {
      const [ada] = await editors(server, 1)
      ada.edit(randomOf(7))
      await until(async () => (await server.stats('board'))?.dirty === 0, 'the room is saved')
      ada.offline()
      await until(async () => await server.stats('board') === null, 'the room is evicted')
      const bob = await lateEditor(server)
      check(has(bob.doc, [Y.encodeStateAsUpdate(ada.doc)]), 'the document differs after the eviction')
      check(await count(server, 'loads') === 2, 'loaded once for each life')
    }
  },

  view_only: {
    async run (server) {
      const random = randomOf(8)
      const [ada] = await editors(server, 1)
      const eve = new Editor(server, 'eve', { access: 'view' })
      const tim = new Editor(server, 'tim', { access: 'comment' })
      await eve.synced()
      await tim.synced()
      ada.edit(random)
      await agree(docs([ada, eve, tim]), 'who may only look sees nothing')
      const before = await count(server, 'updates')
      for (const editor of [eve, tim]) {
        editor.text.insert(0, 'vandal')
        editor.offline()
        editor.text.insert(0, 'offline')
        // Until it is closed, version 1 does not dial.
        await until(() => editor.provider.ws === null, 'it is offline')
        editor.online()
        await editor.synced()
        editor.text.insert(0, 'again')
      }
      await until(async () => await count(server, 'denied') >= 4, 'their edits are denied')
      ada.edit(random)
      await until(() => has(eve.doc, [Y.encodeStateAsUpdate(ada.doc)]), 'who may only look sees no more')
      check(await count(server, 'updates') === before + 1, 'an edit of who may only look was taken')
      const late = await lateEditor(server)
      await agree(docs([ada, late]), 'somebody has seen what a viewer wrote')
      check(!ada.text.toString().includes('vandal'), 'a viewer wrote')
      // Now eve may: what she wrote before is asked for.
      await server.page('/reload/eve/edit/board')
      await until(() => has(ada.doc, [Y.encodeStateAsUpdate(eve.doc)]), 'who may edit now is not heard')
    }
  },

  rejected: {
    async run (server) {
      const [ada] = await editors(server, 1)
      const nobody = new Editor(server, '', { access: null })
      const stranger = new Editor(server, 'sam', { access: 'none' })
      const bob = new Editor(server, 'bob')
      await bob.synced()
      await until(() => nobody.closed === 4401 && stranger.closed === 4403, 'who may not come in stops to dial')
      await server.page('/reload/bob/none/board')
      await until(() => bob.closed === 4403, 'whose right was taken away is closed')
      ada.text.insert(0, 'in private')
      await until(async () => await count(server, 'updates') === 1, 'ada goes on')
      check(!bob.text.toString().includes('private'), 'whose right was taken away still sees')
      check(nobody.received.length + stranger.received.length === 0, 'refused, and told something')
    }
  },

  too_large: {
    options: { 'frame-bytes': 65536 },
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      ada.offline()
      ada.text.insert(0, 'x'.repeat(100000))
      ada.online()
      if (isVersion1) {
        // It stops at no code.
        await until(async () => await count(server, 'too_large') >= 3, 'who dials on is refused')
      } else {
        await until(() => ada.closed === 4413, 'whose state is too large stops to dial')
        check(!ada.provider.shouldConnect, 'it may dial on')
        check(await count(server, 'upgraded') === 3 && await count(server, 'too_large') === 1, 'it has dialled again')
      }
      bob.text.insert(0, 'on')
      await until(async () => await count(server, 'updates') === 1, 'bob goes on')
      const late = await lateEditor(server, { board: 'other' })
      check(late.provider.synced, 'another room is affected')
    }
  },

  awareness: {
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      const eve = new Editor(server, 'eve', { access: 'view' })
      const sees = (who, whom, name) => until(() => who.awareness.getStates().get(whom.doc.clientID)?.name === name,
        `${name} is seen`)
      const misses = (who, whom) => until(() => !who.awareness.getStates().has(whom.doc.clientID), 'who has gone is gone')
      for (const [editor, name] of [[ada, 'ada'], [bob, 'bob'], [eve, 'eve']]) editor.awareness.setLocalStateField('name', name)
      for (const [who, whom, name] of [[ada, bob, 'bob'], [bob, ada, 'ada'], [ada, eve, 'eve'], [eve, ada, 'ada']]) await sees(who, whom, name)
      const late = await lateEditor(server)
      for (const [whom, name] of [[ada, 'ada'], [bob, 'bob'], [eve, 'eve']]) await sees(late, whom, name)
      // One says goodbye, one is cut off, one only says that it is not there.
      bob.leave()
      await misses(ada, bob)
      eve.provider.shouldConnect = false
      eve.provider.ws.terminate()
      await misses(ada, eve)
      await misses(late, eve)
      late.awareness.setLocalState(null)
      await misses(ada, late)
      // Who comes back is seen again, by the same id.
      eve.online()
      await sees(ada, eve, 'eve')
    }
  },

  slow_reader_resynced: {
    options: { 'client-bytes': 32 << 20 },
    async run (server) {
      const [ada, bob] = await editors(server, 2)
      const slow = await RawClient.open(server, 'slow')
      slow.stall()
      // More than the kernel, the socket and the half of the budget that waits in the room take, by less than that half.
      await overwrite(ada, bob, 1450)
      await agree(docs([ada, bob]), 'a slow one holds up another')
      check(await count(server, 'resyncs') === 0, 'resynced, and has read nothing')
      slow.resume()
      await until(() => has(slow.doc, [Y.encodeStateAsUpdate(ada.doc)]), 'the slow one gets the rest')
      check(slow.closed === null, `closed, with ${slow.closed}`)
      check(await count(server, 'resyncs') === 1, 'it got all of it, and no difference')
      return `${slow.bytes >> 20} MB in ${slow.frames} frames`
    }
  },

  slow_reader_bounded: {
    async run (server) {
      const budget = 1 << 20
      const grown = async (board, readers) => {
        const [ada, bob] = await editors(server, 2, { board })
        const slow = await Promise.all(Array.from({ length: readers }, (unused, i) => RawClient.open(server, `slow${i}`, { board })))
        for (const one of slow) one.stall()
        const before = await count(server, 'heap_bytes')
        await fill(ada, bob, 1000)
        await agree(docs([ada, bob]), 'a slow one holds up another')
        const after = await count(server, 'heap_bytes')
        for (const one of slow) one.resume()
        // One that was stalled for longer than 45 s was too slow.
        const all = [Y.encodeStateAsUpdate(ada.doc)]
        await until(() => slow.every(one => one.closed === 1013 || has(one.doc, all)), 'one that reads again gets the rest')
        ada.leave()
        bob.leave()
        return after - before
      }
      const alone = await grown('a', 0)
      const beside = await grown('b', 2)
      const each = (beside - alone) / 2
      check(each <= budget + (1 << 20), `a stalled client costs ${each} bytes`)
      return `${Math.round(each / 1024)} KiB for each`
    }
  },

  thousand_clients: {
    async run (server) {
      const all = await editors(server, 20)
      const raw = []
      while (raw.length < 980) {
        const some = Array.from({ length: 70 }, (unused, i) => RawClient.open(server, `raw${raw.length + i}`, { document: false }))
        raw.push(...await Promise.all(some))
      }
      await until(async () => (await server.stats('board')).clients === 1000, 'a thousand are in')
      // Who is one more is told to come later.
      const more = await RawClient.open(server, 'more', { document: false })
      await until(() => more.closed === 1013, 'one too many is let in')

      // All at once, for a server that has just looked away.
      const receivedDuring = async change => {
        const before = raw.map(one => one.awareness)
        server.freeze()
        await change()
        server.thaw()
        return () => Math.max(...raw.map((one, i) => one.awareness - before[i]))
      }
      all.forEach((editor, i) => editor.awareness.setLocalStateField('name', `user${i}`))
      const came = await receivedDuring(() => Promise.all(raw.map((one, i) => one.say(1_000_000 + i, 1, { name: `raw${i}` }))))
      await until(() => all.every(editor => editor.awareness.getStates().size === 1000), 'all see all')
      await until(() => raw.every(one => one.knows.size === 1000), 'all are told of all')
      const frames = came()
      check(frames <= 50, `${frames} frames tell one client of a thousand`)
      const visible = raw.map(one => one.updates)
      all[0].text.insert(0, 'to all')
      await until(() => raw.every((one, i) => one.updates === visible[i] + 1), 'an edit reaches all')
      await agree(docs(all), 'twenty editors agree')
      const half = raw.splice(0, 490)
      const gone = await receivedDuring(() => { for (const one of half) one.cut() })
      await until(() => all.every(editor => editor.awareness.getStates().size === 510), 'half of them are gone')
      await until(() => raw.every(one => one.knows.size === 510), 'all are told who is gone')
      check(gone() <= 50, `${gone()} frames tell one client that half of them are gone`)
      return `${frames} frames told each of a thousand, ${gone()} that half of them went`
    }
  },

  many_rooms: {
    // Thousands of snapshots are the disk's business, and not what is tried here.
    folder: existsSync('/dev/shm') ? '/dev/shm' : tmpdir(),
    options: { 'unload-after': 500 },
    async run (server) {
      const rooms = Math.min(isLarge ? 10_000 : 500, descriptors() - 500)
      const idle = await server.stats()
      const update = board => {
        const doc = new Y.Doc()
        doc.getText('text').insert(0, `of ${board}`)
        return Y.encodeStateAsUpdate(doc)
      }
      const raw = []
      while (raw.length < rooms) {
        const some = Array.from({ length: Math.min(100, rooms - raw.length) }, (unused, i) => {
          const board = `board${raw.length + i}`
          return RawClient.open(server, 'raw', { board, document: false }).then(one => {
            one.update(update(board))
            return one
          })
        })
        raw.push(...await Promise.all(some))
      }
      await until(async () => (await server.stats()).updates === rooms, 'all updates are durable')
      const full = await server.stats()
      check(full.rooms === rooms, `${full.rooms} rooms`)
      for (const one of raw) one.cut()
      await until(async () => (await server.stats()).rooms === 0, 'all rooms are let go')
      const after = await server.stats()
      check(after.loads === rooms && after.storage_failures === 0, 'loads failed')
      for (let i = 0; i < rooms; i += Math.floor(rooms / 20)) {
        const editor = await lateEditor(server, { board: `board${i}` })
        check(editor.text.toString() === `of board${i}`, `board${i} is another`)
        editor.leave()
      }
      const each = Math.round((full.heap_bytes - idle.heap_bytes) / rooms)
      const left = Math.round((after.heap_bytes - idle.heap_bytes) / rooms)
      return `${rooms} rooms, ${each} bytes for each with its client, ${left} when it is let go`
    }
  }
}
