// SPDX-License-Identifier: MIT
// What the scripts beside it share.
import { createHash } from 'node:crypto'
import * as Y from 'yjs'

export const hex = bytes => Buffer.from(bytes).toString('hex')
export const bytes = text => new Uint8Array(Buffer.from(text, 'hex'))

/// Whether the large sizes are wanted.
export const isLarge = process.env.BELAY_LARGE === '1'

/// Numbers below n, the same for the same seed (mulberry32).
export const randomOf = seed => {
  let state = seed >>> 0
  return n => {
    state = (state + 0x6D2B79F5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 4294967296 * n)
  }
}

/// Lines of a word and a value, to the standard output.
export const lines = () => {
  let text = ''
  const flush = () => {
    process.stdout.write(text)
    text = ''
  }
  return {
    flush,
    line (word, value) {
      text += `${word} ${value}\n`
      if (text.length > 1 << 20) flush()
    }
  }
}

/// All that a new document holds after these updates: its bytes, by their hash.
export const documentOf = updates => {
  const doc = new Y.Doc()
  for (const update of updates) Y.applyUpdate(doc, update)
  return createHash('sha256').update(Y.encodeStateAsUpdate(doc)).digest('hex')
}
