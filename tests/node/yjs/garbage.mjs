// SPDX-License-Identifier: MIT
// Histories with much deleted and overwritten content, by the real Yjs.
//
//   node garbage.mjs             a line for each: history, update, size, document
//   node garbage.mjs --record    writes garbage_corpus.txt: the same histories, with fewer edits
//   node garbage.mjs --check     fails if garbage_corpus.txt is not what --record would write
//
// "size" is the length of Y.encodeStateAsUpdate of a document that collects garbage, as the
// y-websocket server keeps one; "document" is the hash of these bytes. Updates are those that the
// clients' providers send: not what a client learns from others. The recorded file, which is for
// tests without node, has the bytes of the document and of the updates in base64.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import * as Y from 'yjs'
import { hex, lines, randomOf } from './shared.mjs'

// Clients of one room, and all that they send. Each learns of the others at `exchange` only.
class Room {
  constructor (random, count, isShort = false, gc = () => true) {
    this.random = random
    this.isShort = isShort
    this.log = []
    this.clients = []
    for (let i = 0; i < count; i++) this.join(gc(i))
  }

  join (gc = true) {
    const doc = new Y.Doc({ gc })
    doc.clientID = 1 + this.random(2 ** 32)
    doc.seen = 0
    doc.on('update', (update, origin) => { if (origin !== 'remote') this.log.push(update) })
    this.clients.push(doc)
    this.pull(doc)
    return doc
  }

  pull (doc) {
    const known = this.log.length
    doc.transact(() => {
      for (; doc.seen < known; doc.seen++) Y.applyUpdate(doc, this.log[doc.seen], 'remote')
    }, 'remote')
  }

  exchange () {
    for (let before = -1; before !== this.log.length;) {
      before = this.log.length
      for (const doc of this.clients) this.pull(doc)
    }
  }

  // How many edits are made in place of `count`: few in a short history.
  times (count) { return this.isShort ? Math.ceil(5 + count / 40) : count }

  // The bytes of a value, likewise.
  size (count) { return this.isShort ? Math.ceil(count / 20) : count }

  any () { return this.clients[this.random(this.clients.length)] }

  // `edit(doc, i)` by one client after the other; they exchange after `apart` edits.
  edits (count, apart, edit) {
    for (let i = 0; i < this.times(count); i++) {
      const doc = this.any()
      doc.transact(() => edit(doc, i))
      if (i % apart === apart - 1) this.exchange()
    }
    this.exchange()
  }
}

const shape = (random, id) => ({ id, x: random(2000), y: random(2000), w: 100, h: 50, fill: '#ff8800' })
const stroke = (random, points) => {
  const map = new Y.Map()
  const path = new Y.Array()
  map.set('color', '#123456')
  map.set('path', path)
  path.insert(0, Array.from({ length: 2 * points }, () => random(2000)))
  return map
}
const paragraph = text => {
  const element = new Y.XmlElement('paragraph')
  element.setAttribute('align', 'left')
  element.insert(0, [new Y.XmlText(text)])
  return element
}
const deep = (levels, text) => {
  const map = new Y.Map()
  map.set('text', text)
  if (levels > 0) map.set('in', deep(levels - 1, text))
  return map
}
const cut = (random, list, most) => {
  if (list.length === 0) return
  const at = random(list.length)
  list.delete(at, Math.min(1 + random(most), list.length - at))
}
const sentence = 'The quick brown fox jumps over the lazy dog. '

// name: [clients, edits before they exchange, what they do]
const kinds = {
  'a shape replaced': (room, r, apart) => room.edits(1500, apart, doc => doc.getMap('m').set('s', shape(r, 's'))),
  'shapes replaced': (room, r, apart) => room.edits(1500, apart, doc => {
    const id = 's' + r(20)
    doc.getMap('m').set(id, shape(r, id))
  }),
  'shapes as maps, moved': (room, r, apart) => {
    room.any().transact(() => {
      for (let i = 0; i < 10; i++) room.clients[0].getMap('m').set('s' + i, new Y.Map(Object.entries(shape(r, i))))
    })
    room.exchange()
    room.edits(1500, apart, doc => {
      const map = doc.getMap('m').get('s' + r(10))
      map.set('x', r(2000))
      map.set('y', r(2000))
    })
  },
  'keys set and deleted': (room, r, apart) => room.edits(1000, apart, doc =>
    r(2) === 0 ? doc.getMap('m').set('k' + r(9), 'value ' + r(999)) : doc.getMap('m').delete('k' + r(9))),
  'maps replaced': (room, r, apart) => room.edits(300, apart, doc => doc.getMap('m').set('k' + r(4), deep(2, 'text ' + r(99)))),
  'deep maps replaced': (room, r, apart) => room.edits(60, apart, doc => doc.getMap('m').set('k', deep(30, 'x'))),
  'large values overwritten': (room, r, apart) => room.edits(40, apart, doc => doc.getMap('m').set('image', 'x'.repeat(room.size(20000) + r(99)))),
  'binary values overwritten': (room, r, apart) => room.edits(40, apart, doc => doc.getMap('m').set('image', new Uint8Array(room.size(9000) + r(99)))),
  'text replaced': (room, r, apart) => room.edits(200, apart, doc => {
    const text = doc.getText('t')
    text.delete(0, text.length)
    text.insert(0, sentence.repeat(10))
  }),
  'text typed and corrected': (room, r, apart) => room.edits(2500, apart, doc => {
    const text = doc.getText('t')
    if (r(4) > 0) return text.insert(Math.max(0, text.length - r(3)), 'abcdefgh'[r(8)])
    if (text.length > 3) text.delete(text.length - 2 - r(2), 1)
  }),
  'text cut anywhere': (room, r, apart) => room.edits(1200, apart, doc => {
    const text = doc.getText('t')
    if (r(3) === 0) cut(r, text, 30)
    else text.insert(r(text.length + 1), sentence.slice(0, 1 + r(20)))
  }),
  'nested texts': (room, r, apart) => room.edits(400, apart, doc => {
    const notes = doc.getMap('notes')
    const id = 'n' + r(6)
    const note = notes.get(id)
    if (!(note instanceof Y.Text) || r(20) === 0) notes.set(id, new Y.Text(sentence))
    else if (r(2) === 0) note.insert(r(note.length + 1), 'word ')
    else cut(r, note, 9)
  }),
  'a queue': (room, r, apart) => room.edits(1500, apart, doc => {
    const list = doc.getArray('a')
    list.push([{ job: r(1e6) }])
    if (list.length > 10) list.delete(0, list.length - 10)
  }),
  'list items replaced': (room, r, apart) => room.edits(1000, apart, doc => {
    const list = doc.getArray('a')
    const at = r(30)
    if (at < list.length) list.delete(at, 1)
    list.insert(Math.min(at, list.length), [shape(r, at)])
  }),
  'rows moved': (room, r, apart) => room.edits(400, apart, doc => {
    const list = doc.getArray('rows')
    if (list.length < 12) return list.push([new Y.Map([['title', sentence], ['done', false]])])
    const from = r(list.length)
    const copy = new Y.Map(Object.entries(list.get(from).toJSON()))
    list.delete(from, 1)
    list.insert(r(list.length + 1), [copy])
  }),
  'tasks ticked': (room, r, apart) => room.edits(1000, apart, doc => {
    const list = doc.getArray('rows')
    if (list.length < 8) return list.push([new Y.Map([['title', sentence], ['done', false]])])
    const row = list.get(r(list.length))
    row.set('done', !row.get('done'))
  }),
  'strokes drawn and erased': (room, r, apart) => room.edits(200, apart, doc => {
    const list = doc.getArray('strokes')
    if (list.length > 4) list.delete(r(list.length), 1)
    list.push([stroke(r, 20)])
  }),
  'strokes grown point by point': (room, r, apart) => room.edits(1500, apart, doc => {
    const list = doc.getArray('strokes')
    if (list.length === 0 || r(40) === 0) return list.push([stroke(r, 1)])
    if (list.length > 5) list.delete(0, list.length - 3)
    list.get(list.length - 1).get('path').push([r(2000), r(2000)])
  }),
  'strokes all erased': (room, r, apart) => {
    room.edits(100, apart, doc => doc.getArray('strokes').push([stroke(r, 30)]))
    const list = room.any().getArray('strokes')
    list.delete(0, list.length)
    room.exchange()
  },
  'paragraphs written and deleted': (room, r, apart) => room.edits(600, apart, doc => {
    const xml = doc.getXmlFragment('x')
    if (xml.length === 0 || r(3) === 0) return xml.insert(r(xml.length + 1), [paragraph(sentence)])
    if (r(3) === 0) return cut(r, xml, 3)
    const text = xml.get(r(xml.length)).get(0)
    if (text instanceof Y.XmlText) text.insert(r(text.length + 1), 'word ')
  }),
  'attributes overwritten': (room, r, apart) => room.edits(1000, apart, doc => {
    const xml = doc.getXmlFragment('x')
    if (xml.length < 3) return xml.push([paragraph('p')])
    xml.get(r(xml.length)).setAttribute(['align', 'class'][r(2)], 'value' + r(99))
  }),
  'tables rebuilt': (room, r, apart) => room.edits(60, apart, doc => {
    const xml = doc.getXmlFragment('x')
    xml.delete(0, xml.length)
    const table = new Y.XmlElement('table')
    table.insert(0, [0, 1, 2, 3, 4].map(() => {
      const row = new Y.XmlElement('row')
      row.insert(0, [0, 1, 2].map(n => paragraph('cell ' + n)))
      return row
    }))
    xml.push([table])
  }),
  'formats toggled': (room, r, apart) => room.edits(800, apart, doc => {
    const text = doc.getText('t')
    if (text.length < 100) return text.insert(0, sentence)
    const at = r(text.length - 20)
    text.format(at, 5 + r(15), [{ bold: true }, { bold: null }, { color: '#' + r(999) }, { color: null }][r(4)])
  }),
  'formatted text replaced': (room, r, apart) => room.edits(150, apart, doc => {
    const text = doc.getText('t')
    text.delete(0, text.length)
    text.insert(0, sentence, { bold: true })
    text.insert(text.length, sentence, { link: 'https://x.example/' + r(99) })
  }),
  'embeds inserted and deleted': (room, r, apart) => room.edits(400, apart, doc => {
    const text = doc.getText('t')
    if (r(2) === 0) text.insertEmbed(r(text.length + 1), { image: 'https://x.example/' + r(1e6) })
    else cut(r, text, 2)
  }),
  'subdocuments replaced': (room, r, apart) => room.edits(200, apart, doc =>
    doc.getMap('m').set('page' + r(4), new Y.Doc({ guid: 'page-' + r(1e9), meta: { title: sentence } }))),
  'undone and redone': (room, r, apart) => {
    const undo = room.clients.map(doc => new Y.UndoManager([doc.getText('t'), doc.getMap('m')], { captureTimeout: 0 }))
    for (let i = 0; i < room.times(400); i++) {
      const n = r(room.clients.length)
      const doc = room.clients[n]
      const what = r(5)
      if (what === 0) undo[n].undo()
      else if (what === 1) undo[n].redo()
      else if (what === 2) doc.getMap('m').set('k' + r(3), deep(1, sentence))
      else if (what === 3) doc.transact(() => cut(r, doc.getText('t'), 20))
      else doc.getText('t').insert(r(doc.getText('t').length + 1), sentence.slice(0, 9))
      if (i % apart === 0) room.exchange()
    }
    room.exchange()
  },
  'each edit by a new tab': (room, r) => {
    for (let i = 0; i < room.times(150); i++) {
      const doc = room.join()
      doc.getMap('m').set('s', shape(r, i))
      const text = doc.getText('t')
      text.insert(text.length, sentence)
      if (text.length > 200) text.delete(0, 100)
      room.exchange()
      room.clients.pop()
    }
  },
  'written under parents that others delete': (room, r, apart) => {
    for (let i = 0; i < room.times(60); i++) {
      const list = room.clients[0].getArray('a')
      list.push([stroke(r, 5), deep(3, sentence), new Y.Text(sentence)])
      room.exchange()
      for (const doc of room.clients.slice(1)) {
        const there = doc.getArray('a')
        there.get(0).get('path').push([r(99), stroke(r, 3)])
        there.get(1).set('text', 'changed')
        there.get(1).get('in').set('more', deep(2, sentence))
        for (let n = 0; n < 9; n++) there.get(2).insert(r(there.get(2).length), 'offline ')
      }
      list.delete(0, list.length)
      if (i % apart === 0) room.exchange()
      room.exchange()
    }
  }
}

// `each(name, updates, state)` for each history.
const play = (isShort, each) => {
  let number = 0
  for (const [name, run] of Object.entries(kinds)) {
    // Alone; together; three that learn of each other rarely, one of whom keeps deleted content.
    for (const [clients, apart] of [[1, 1], [2, 1], [3, 7]]) {
      const random = randomOf(++number * 7919)
      const room = new Room(random, Math.max(clients, name.includes('others') ? 2 : 1), isShort, i => i < 2)
      run(room, random, apart)
      const doc = new Y.Doc()
      for (const update of room.log) Y.applyUpdate(doc, update)
      each(`${name}, ${clients}/${apart}`, room.log, Y.encodeStateAsUpdate(doc))
    }
  }
}

const here = name => new URL(name, import.meta.url)
const recording = () => {
  const { version } = JSON.parse(readFileSync(here('node_modules/yjs/package.json')))
  const all = [`# Histories of yjs ${version}. Written by "node garbage.mjs --record", which describes them.`]
  const base64 = update => Buffer.from(update).toString('base64')
  play(true, (name, updates, state) => {
    all.push(`history ${name}`, `document ${base64(state)}`)
    for (const update of updates) all.push(`update ${base64(update)}`)
  })
  return all.join('\n') + '\n'
}

const corpus = here('garbage_corpus.txt')
if (process.argv[2] === '--record') {
  writeFileSync(corpus, recording())
} else if (process.argv[2] === '--check') {
  const then = readFileSync(corpus, 'utf8').split('\n')
  const now = recording().split('\n')
  const at = now.findIndex((line, i) => line !== then[i])
  if (at >= 0 || then.length !== now.length) {
    console.error(`garbage_corpus.txt differs from what Yjs makes today, from line ${(at < 0 ? now.length : at) + 1}: ` +
                  'run "node garbage.mjs --record", and see what has changed')
    process.exit(1)
  }
} else {
  const out = lines()
  play(false, (name, updates, state) => {
    out.line('history', name)
    for (const update of updates) out.line('update', hex(update))
    out.line('size', state.length)
    out.line('document', createHash('sha256').update(state).digest('hex'))
  })
  out.flush()
}
