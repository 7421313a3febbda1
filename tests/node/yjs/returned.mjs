// SPDX-License-Identifier: MIT
// Clients that were offline while others deleted what they edit; beside a server that keeps a Y.Doc.
//
//   node returned.mjs COUNT
//
// Each scenario is played twice: with a Y.Doc that collects garbage, as the y-websocket server has
// one, and with a server at the other end of the standard streams. The lines, per scenario:
//
//   scenario NAME
//   apply UPDATE       the server receives an update
//   join VECTOR        a client joins; the server answers in one line: its state vector, and what
//                      the client lacks
//   same, or differs WHY       at the end
import { readSync, writeSync } from 'node:fs'
import * as Y from 'yjs'
import { bytes, hex, randomOf } from './shared.mjs'

// A server with a document of Yjs.
class Reference {
  doc = new Y.Doc()
  apply (update) { Y.applyUpdate(this.doc, update) }
  join (vector) { return [Y.encodeStateVector(this.doc), Y.encodeStateAsUpdate(this.doc, vector)] }
}

// The server at the other end.
class Server {
  apply (update) { writeSync(1, `apply ${hex(update)}\n`) }
  join (vector) {
    writeSync(1, `join ${hex(vector)}\n`)
    let line = ''
    for (const part = Buffer.alloc(1 << 16); !line.endsWith('\n');) {
      line += part.toString('latin1', 0, readSync(0, part))
    }
    return line.trim().split(' ').map(bytes)
  }
}

// A client that is offline unless it exchanges with the server, or is online.
class Client {
  constructor (server, id, gc) {
    this.server = server
    this.doc = new Y.Doc({ gc })
    this.doc.clientID = id
    this.online = false
    this.doc.on('update', (update, origin) => {
      if (this.online && origin !== 'server') server.apply(update)
    })
    this.undo = new Y.UndoManager([this.doc.getMap('m'), this.doc.getArray('a'), this.doc.getText('t'),
      this.doc.getXmlFragment('x')], { captureTimeout: 0 })
  }

  exchange () {
    this.online = true
    const [vector, diff] = this.server.join(Y.encodeStateVector(this.doc))
    this.server.apply(Y.encodeStateAsUpdate(this.doc, vector))
    Y.applyUpdate(this.doc, diff, 'server')
    this.online = false
  }

  // A change that arrives at once.
  send (change) {
    this.online = true
    this.doc.transact(change)
    this.online = false
  }
}

const nested = n => {
  const map = new Y.Map([['text', new Y.Text('nested text ' + n)], ['n', n]])
  const list = new Y.Array()
  list.insert(0, [1, 2, new Y.Map([['deep', n]])])
  map.set('list', list)
  return map
}
const element = n => {
  const p = new Y.XmlElement('p')
  p.setAttribute('n', String(n))
  p.insert(0, [new Y.XmlText('text ' + n), new Y.XmlElement('br')])
  return p
}
const seed = doc => doc.transact(() => {
  doc.getMap('m').set('k', nested(1))
  doc.getArray('a').insert(0, [nested(2), 'value', nested(3)])
  doc.getText('t').insert(0, 'a text that all have')
  doc.getXmlFragment('x').insert(0, [element(1), element(2)])
})
const inside = (doc, n) => {
  for (const map of [doc.getMap('m').get('k'), doc.getArray('a').get(0)]) {
    map.get('text').insert(3, 'edited ' + n)
    map.get('text').delete(0, 2)
    map.get('text').format(1, 4, { bold: true })
    map.get('list').insert(1, [nested(n)])
    map.get('list').get(1).set('more', nested(n + 1))
    map.set('n', n)
    map.set('new', nested(n))
    map.delete('list')
  }
  const p = doc.getXmlFragment('x').get(0)
  p.setAttribute('n', 'edited')
  p.get(0).insert(2, 'edited')
  p.insert(1, [element(n)])
  doc.getText('t').insert(7, 'inserted ')
}
const erase = doc => {
  doc.getMap('m').delete('k')
  doc.getArray('a').delete(0, 2)
  doc.getXmlFragment('x').delete(0, 1)
  doc.getText('t').delete(2, 12)
}

// A client deletes, another was offline and has edited inside. `late`: who arrives second.
const offline = (gc, late) => (server, random) => {
  const [a, b, c] = [1, 2, 3].map(id => new Client(server, id * 1000 + random(1000), id === 2 ? gc : true))
  seed(a.doc)
  for (const client of [a, b, c]) client.exchange()
  b.doc.transact(() => inside(b.doc, 7))
  if (late === 'edits') {
    a.send(() => erase(a.doc))
    c.exchange() // The server has merged, and collected.
    b.exchange()
    b.send(() => b.doc.getText('t').insert(0, 'after '))
  } else {
    b.exchange()
    c.exchange()
    a.send(() => erase(a.doc))
  }
  // Inside what this client alone may still have.
  b.doc.transact(() => b.doc.getArray('a').insert(0, [nested(9)]))
  return [a, b, c]
}

// A client restores what it has deleted, after the server has collected it.
const undone = (gc, order) => (server, random) => {
  const [a, b, c] = [1, 2, 3].map(id => new Client(server, id * 1000 + random(1000), id === 1 ? gc : true))
  seed(b.doc)
  for (const client of [b, a, c]) client.exchange()
  inside(c.doc, 5)
  if (order === 0) a.send(() => erase(a.doc))
  else a.doc.transact(() => erase(a.doc))
  b.exchange()
  if (order === 2) c.exchange()
  a.exchange()
  b.exchange()
  a.send(() => a.undo.undo())
  b.exchange()
  c.exchange()
  a.undo.redo()
  a.exchange()
  c.exchange()
  a.undo.undo()
  a.exchange()
  return [a, b, c]
}

const types = doc => {
  const found = []
  const walk = type => {
    found.push(type)
    if (type instanceof Y.Map) for (const key of [...type.keys()].sort()) visit(type.get(key))
    else if (type instanceof Y.XmlFragment || type instanceof Y.Array) type.toArray().forEach(visit)
  }
  const visit = value => { if (value instanceof Y.AbstractType && found.length < 60) walk(value) }
  for (const root of [doc.getMap('m'), doc.getArray('a'), doc.getXmlFragment('x'), doc.getText('t')]) walk(root)
  return found
}
const change = (doc, random) => {
  const all = types(doc)
  const type = all[random(all.length)]
  const n = random(100)
  if (type instanceof Y.Text) {
    const at = random(type.length + 1)
    if (random(3) === 0) return type.delete(at, Math.min(type.length - at, 1 + random(5)))
    return type.insert(at, 'word ' + n)
  }
  if (type instanceof Y.Map) {
    const key = ['k', 'n', 'text', 'list'][random(4)]
    if (random(4) === 0) return type.delete(key)
    return type.set(key, [n, nested(n), 'x'.repeat(n), new Y.Doc({ guid: 'sub' + n })][random(4)])
  }
  const at = random(type.length + 1)
  if (random(3) === 0) return type.delete(at, Math.min(type.length - at, 1 + random(3)))
  type.insert(at, type instanceof Y.XmlFragment ? [element(n)] : [n, nested(n)])
}
// Any edits by clients that exchange at any time.
const anything = (server, random) => {
  const clients = []
  for (let id = 1; id <= 2 + random(3); id++) clients.push(new Client(server, id * 1000 + random(1000), random(3) > 0))
  seed(clients[0].doc)
  for (const client of clients) client.exchange()
  for (let steps = 30 + random(60); steps > 0; steps--) {
    const client = clients[random(clients.length)]
    switch (random(8)) {
      case 0: client.exchange(); break
      case 1: client.undo.undo(); break
      case 2: client.undo.redo(); break
      default: client.doc.transact(() => change(client.doc, random))
    }
  }
  return clients
}

const scenarios = []
for (const gc of [true, false]) {
  for (const late of ['edits', 'deletion']) scenarios.push([`offline, gc ${gc}, ${late} late`, offline(gc, late)])
  for (const order of [0, 1, 2]) scenarios.push([`undone, gc ${gc}, order ${order}`, undone(gc, order)])
}
for (let i = 0; i < Number(process.argv[2]); i++) scenarios.push([`anything ${i}`, anything])

const sorted = (key, value) => value?.constructor === Object
  ? Object.fromEntries(Object.entries(value).sort())
  : value
const play = (server, run, number) => {
  const clients = run(server, randomOf(7919 * (number + 1)))
  for (let round = 0; round < 2; round++) for (const client of clients) client.exchange()
  const fresh = new Client(server, 9, true)
  fresh.exchange()
  return clients.concat(fresh).map(client => ({
    content: JSON.stringify(client.doc.toJSON(), sorted),
    snapshot: hex(Y.encodeSnapshot(Y.snapshot(client.doc))),
    pending: client.doc.store.pendingStructs !== null || client.doc.store.pendingDs !== null,
    doc: client.doc
  }))
}
const difference = (ours, theirs) => {
  for (let i = 0; i < ours.length; i++) {
    if (ours[i].pending) return `client ${i} waits for more`
    if (ours[i].content !== theirs[i].content) return `client ${i}: ${ours[i].content} for ${theirs[i].content}`
    if (ours[i].snapshot !== theirs[i].snapshot) return `the history of client ${i}`
    if (ours[i].content !== ours[0].content) return `client ${i} and client 0`
  }
  const [fresh, expected] = [ours, theirs].map(all => hex(Y.encodeStateAsUpdate(all.at(-1).doc)))
  return fresh === expected ? null : 'the bytes of a new client'
}

// Yjs warns of subdocuments that are there twice.
console.error = () => {}
console.warn = () => {}
scenarios.forEach(([name, run], number) => {
  writeSync(1, `scenario ${name}\n`)
  const why = difference(play(new Server(), run, number), play(new Reference(), run, number))
  writeSync(1, why === null ? 'same \n' : `differs ${why}\n`)
})
