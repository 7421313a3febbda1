// SPDX-License-Identifier: MIT
// What the scripts beside it share.
import { createHash } from 'node:crypto'
import * as Y from 'yjs'

export const hex = bytes => Buffer.from(bytes).toString('hex')
export const bytes = text => new Uint8Array(Buffer.from(text, 'hex'))

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

/// Three page loads in which a user types 3 MB each, at places in what the others have typed, and deletes some of it.
export const typeInPageLoads = doc => {
  for (const letter of ['a', 'b', 'c']) {
    const page = new Y.Doc()
    Y.applyUpdate(page, Y.encodeStateAsUpdate(doc))
    const text = page.getText('text')
    for (let i = 0; i < 10; i++) text.insert(text.length >> 1, letter.repeat(300_000))
    text.delete(text.length >> 2, 1000)
    Y.applyUpdate(doc, Y.encodeStateAsUpdate(page))
  }
}
export const pageLoadsLength = 3 * (10 * 300_000 - 1000)
