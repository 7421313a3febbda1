// SPDX-License-Identifier: MIT
// What the servers here say to the program that measures them.

/** Prints the port; whoever says something then has the garbage collected, and is told so. */
export const announce = port => {
  console.log(`port ${port}`)
  process.stdin.on('data', () => {
    globalThis.gc()
    console.log('tidied')
  })
  process.stdin.on('end', () => process.exit())
}
