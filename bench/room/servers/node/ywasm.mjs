// SPDX-License-Identifier: MIT
// How fast ywasm makes one update of many: it has no merge, so they are applied, and then encoded.
//
//   node ywasm.mjs FILE      updates in hexadecimal, one a line
//
// Prints the seconds of one, the least of several after some to warm up, and the bytes of the result.
import { readFileSync } from 'node:fs'
import { YDoc, applyUpdate, encodeStateAsUpdate } from 'ywasm'

const updates = readFileSync(process.argv[2], 'utf8').trim().split('\n')
  .map(line => Uint8Array.from(Buffer.from(line, 'hex')))
let least = Infinity
let size = 0
for (let spent = 0, i = 0; i < 8 && spent < 4; i++) {
  const doc = new YDoc({})
  const begin = process.hrtime.bigint()
  for (const update of updates) applyUpdate(doc, update, undefined)
  size = encodeStateAsUpdate(doc).length
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9
  doc.free()
  spent += seconds
  least = Math.min(least, seconds)
}
console.log(`${least} ${size}`)
