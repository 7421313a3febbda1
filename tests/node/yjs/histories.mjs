// SPDX-License-Identifier: MIT
// Random editing histories of several clients, and what Yjs makes of their updates.
//
//   node histories.mjs SEED COUNT [FIRST]     a line for each: history, update, merged, vector, diff, document
import * as Y from 'yjs'
import { documentOf, hex, lines, randomOf } from './shared.mjs'

const [seed, count, first = 0] = process.argv.slice(2).map(Number)
const words = ['a', 'bc', 'ä', '€uro', 'line\n', 'long enough to be cut', '好', '🙂', '']
const attributes = [{ bold: true }, { bold: null }, { link: 'https://x.example/"' }, { size: 1.5 }]

const anyValue = random => {
  const n = random(12)
  return [null, undefined, true, -7, 2 ** 40, 0.1, 'text', [1, ['x', {}]], { k: 1, z: { y: null } },
    new Uint8Array([0, 255]), 123n, -0.5][n]
}

// Of an array: not all that a map takes.
const item = random => {
  const value = anyValue(random) ?? null
  return typeof value === 'bigint' ? [value] : value
}

const nested = random => [() => new Y.Map([['in', 1]]), () => new Y.Array(), () => new Y.Text('nested'),
  () => new Y.XmlElement('p'), () => new Y.XmlText('x'), () => new Y.Doc({ guid: 'sub-' + random(99) })][random(6)]()

// One edit, of a kind that the history allows.
const edit = (random, client, emoji) => {
  const { doc, undo } = client
  const text = doc.getText('t')
  const array = doc.getArray('a')
  const map = doc.getMap('m')
  const xml = doc.getXmlFragment('x')
  const word = () => words[random(emoji ? words.length : words.length - 2)]
  switch (random(14)) {
    case 0: case 1: case 2: case 3:
      return text.insert(random(text.length + 1), word())
    case 4: {
      if (text.length === 0) return
      const at = random(text.length)
      return text.delete(at, Math.min(1 + random(4), text.length - at))
    }
    case 5: {
      if (text.length === 0) return
      const at = random(text.length)
      return text.format(at, Math.min(1 + random(9), text.length - at), attributes[random(4)])
    }
    case 6: return text.insertEmbed(random(text.length + 1), { image: 'x', n: random(9) })
    case 7: return array.insert(random(array.length + 1), [item(random), item(random)])
    case 8: return array.insert(random(array.length + 1), [nested(random)])
    case 9: return array.length > 0 ? array.delete(random(array.length), 1) : undefined
    case 10: return map.set('k' + random(3), random(4) === 0 ? nested(random) : anyValue(random))
    case 11: return map.delete('k' + random(3))
    case 12: {
      const element = xml.length > 0 && random(2) === 0 ? xml.get(random(xml.length)) : undefined
      if (element instanceof Y.XmlElement) {
        element.setAttribute('class', word())
        return element.insert(0, [new Y.XmlText(word())])
      }
      return xml.insert(random(xml.length + 1), [random(2) === 0 ? new Y.XmlElement('div') : new Y.XmlText(word())])
    }
    default: return random(2) === 0 ? undo.undo() : undo.redo()
  }
}

const newClient = (random, updates) => {
  const doc = new Y.Doc({ gc: random(2) === 0 })
  doc.clientID = 1 + random(2 ** (1 + random(32)))
  const undo = new Y.UndoManager([doc.getText('t'), doc.getMap('m')], { captureTimeout: 0 })
  doc.on('update', (update, origin) => { if (origin !== 'sync') updates.push(update) })
  return { doc, undo }
}

const sync = (from, to, updates, random) => {
  const update = Y.encodeStateAsUpdate(from.doc, Y.encodeStateVector(to.doc))
  if (random(3) === 0) updates.push(update)
  Y.applyUpdate(to.doc, update, 'sync')
}

const shuffle = (random, list) => {
  for (let i = list.length - 1; i > 0; i--) {
    const j = random(i + 1);
    [list[i], list[j]] = [list[j], list[i]]
  }
}

const out = lines()
for (let i = first; i < first + count; i++) {
  const random = randomOf(seed * 1000003 + i)
  const updates = []
  const clients = []
  while (clients.length < 1 + random(4)) {
    const client = newClient(random, updates)
    if (clients.every(c => c.doc.clientID !== client.doc.clientID)) clients.push(client)
  }
  const emoji = random(10) === 0
  // Updates that hold what others hold, too, cut in other places.
  const overlapping = random(2) === 0
  for (let steps = 5 + random(60); steps > 0; steps--) {
    const client = clients[random(clients.length)]
    client.doc.transact(() => { for (let n = 1 + random(3); n > 0; n--) edit(random, client, emoji) })
    if (random(6) === 0) {
      const from = clients[random(clients.length)]
      sync(from, client, overlapping ? updates : [], random)
    }
  }
  for (const to of clients) for (const from of clients) sync(from, to, overlapping ? updates : [], random)
  const whole = updates.slice()
  // What a log holds: in order, or shuffled, with duplicates, and, in some, with losses.
  const order = random(3)
  if (order > 0) {
    for (let n = random(4); n > 0 && updates.length > 0; n--) updates.push(updates[random(updates.length)])
    shuffle(random, updates)
  }
  const lost = order === 2 && random(2) === 0 ? updates.splice(0, 1 + random(3)) : []
  out.line('history', `${i}${emoji ? ' pairs' : ''}${overlapping ? ' overlapping' : ''}`)
  for (const update of updates) out.line('update', hex(update))
  for (const update of lost) out.line('lost', hex(update))
  const merged = updates.length > 0 ? Y.mergeUpdates(updates) : new Uint8Array([0, 0])
  out.line('merged', hex(merged))
  out.line('vector', hex(Y.encodeStateVectorFromUpdate(merged)))
  const partial = new Y.Doc()
  for (const update of whole) {
    if (random(3) === 0) Y.applyUpdate(partial, update)
  }
  const vectors = [new Uint8Array([0]), Y.encodeStateVector(partial), Y.encodeStateVectorFromUpdate(merged)]
  const known = Y.decodeStateVector(Y.encodeStateVectorFromUpdate(merged))
  known.forEach((clock, client) => known.set(client, random(clock + 1)))
  vectors.push(Y.encodeStateVector(known))
  for (const vector of vectors) out.line('diff', `${hex(vector)} ${hex(Y.diffUpdate(merged, vector))}`)
  out.line('document', documentOf(updates.concat(lost)))
}
out.flush()
