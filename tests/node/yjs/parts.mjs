// SPDX-License-Identifier: MIT
// The parts of a state that the real y-protocols can be asked for, by the state vector of a sync step 1.
//
//   node parts.mjs     a line for each: request, bytes of the answer
//
// The document has three authors of 1 MB each, as an offline client has after three loads of its page.
import * as Y from 'yjs'
import * as decoding from 'lib0/decoding'
import * as encoding from 'lib0/encoding'
import * as sync from 'y-protocols/sync'

const all = 2 ** 31

function stateVector (clocks) {
  const encoder = encoding.createEncoder()
  encoding.writeVarUint(encoder, clocks.length)
  for (const [author, clock] of clocks) {
    encoding.writeVarUint(encoder, author)
    encoding.writeVarUint(encoder, clock)
  }
  return encoding.toUint8Array(encoder)
}

function answer (doc, clocks) {
  const request = encoding.createEncoder()
  encoding.writeVarUint(request, sync.messageYjsSyncStep1)
  encoding.writeVarUint8Array(request, stateVector(clocks))
  const reply = encoding.createEncoder()
  sync.readSyncMessage(decoding.createDecoder(encoding.toUint8Array(request)), reply, doc, 'server')
  return encoding.toUint8Array(reply)
}

function print (request, doc, clocks) {
  console.log(`${request} ${answer(doc, clocks).length}`)
}

const doc = new Y.Doc()
for (const author of [1, 2, 3]) {
  const load = new Y.Doc()
  load.clientID = author
  const text = load.getText('t')
  Y.applyUpdate(load, Y.encodeStateAsUpdate(doc))
  for (let i = 0; i < 10; i++) text.insert(text.length, String(author).repeat(100_000))
  Y.applyUpdate(doc, Y.encodeStateAsUpdate(load))
}
print('all', doc, [])
print('one-author', doc, [[1, all], [3, all]])
print('end-of-author', doc, [[1, all], [2, 500_000], [3, all]])
// A clock is where an answer begins. No field states where it ends.
print('begin-of-author', doc, [[1, all], [2, 0], [3, all]])

const value = new Y.Doc()
value.clientID = 4
value.getMap('m').set('v', new Uint8Array(3_000_000))
print('one-value', value, [[4, 0]])

const deleted = new Y.Doc()
deleted.clientID = 5
const letters = deleted.getText('t')
for (let i = 0; i < 20_000; i++) letters.insert(0, 'x')
for (let i = 19_998; i >= 0; i -= 2) letters.delete(i, 1)
print('only-deletions', deleted, [[5, all]])

// The answers for each author make the whole, in the order of the authors.
const server = new Y.Doc()
for (const author of [1, 2, 3]) {
  const others = [1, 2, 3].filter(other => other !== author).map(other => [other, all])
  sync.readSyncMessage(decoding.createDecoder(answer(doc, others)), encoding.createEncoder(), server, 'client')
}
console.log(`merged ${server.getText('t').length}`)
