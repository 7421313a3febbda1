// SPDX-License-Identifier: MIT
// How fast Yjs merges, and how small its documents are.
//
//   node bench.mjs FILE [size]     updates in hexadecimal, one a line
//
// Prints the seconds of one Y.mergeUpdates, the least of several after some to warm up, and the
// bytes of Y.encodeStateAsUpdate of a document that got them all. With "size" it merges once.
import { readFileSync } from 'node:fs'
import * as Y from 'yjs'
import { bytes } from './shared.mjs'

const updates = readFileSync(process.argv[2], 'utf8').trim().split('\n').map(bytes)
const once = () => {
  const begin = process.hrtime.bigint()
  const merged = Y.mergeUpdates(updates)
  const end = process.hrtime.bigint()
  if (merged.length < 2) throw new Error('nothing was merged')
  return Number(end - begin) / 1e9
}
let least = once()
// Some runs to be compiled, but not more than can be waited for.
for (let spent = least, i = 0; process.argv[3] !== 'size' && i < 8 && spent < 4; i++) {
  const seconds = once()
  spent += seconds
  least = Math.min(least, seconds)
}
const doc = new Y.Doc()
doc.transact(() => { for (const update of updates) Y.applyUpdate(doc, update) })
console.log(`${least} ${Y.encodeStateAsUpdate(doc).length}`)
