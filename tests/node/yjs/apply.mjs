// SPDX-License-Identifier: MIT
// Applies updates to real documents.
//
//   node apply.mjs < lines      each line: a word, updates in hexadecimal
//
// Words: "new", the updates to a new document: its hash, or "threw" and why;
//        "base", what the documents of later lines "typed" hold before; "typed" has shared types
//        that a program uses, which do more with what comes.
import { createInterface } from 'node:readline'
import { createHash } from 'node:crypto'
import * as Y from 'yjs'
import { bytes, lines } from './shared.mjs'

// What Yjs says of a subdocument that is there twice is no failure.
console.error = () => {}
console.warn = () => {}
const out = lines()
let base = []
const typed = () => {
  const doc = new Y.Doc()
  doc.getText('t').observe(event => event.delta)
  doc.getArray('a').observeDeep(events => events.map(event => event.changes))
  doc.getMap('m').observe(event => event.changes)
  doc.getXmlFragment('x').observeDeep(events => events.map(event => event.changes))
  for (const update of base) Y.applyUpdate(doc, update)
  return doc
}
for await (const line of createInterface({ input: process.stdin })) {
  const [word, ...rest] = line.split(' ')
  const updates = rest.filter(text => text !== '').map(bytes)
  if (word === 'base') {
    base = updates
    continue
  }
  try {
    const doc = word === 'typed' ? typed() : new Y.Doc()
    for (const update of updates) Y.applyUpdate(doc, update)
    out.line('is', createHash('sha256').update(Y.encodeStateAsUpdate(doc)).digest('hex'))
  } catch (error) {
    out.line('threw', String(error.message).split('\n')[0])
  }
}
out.flush()
