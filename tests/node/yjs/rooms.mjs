// SPDX-License-Identifier: MIT
// The real Yjs and y-websocket beside a server of rooms.
//   node rooms.mjs SERVER [--storage memory|files|sqlite|redis|postgres] [CASE]...
// Exit code: 0 all held, 1 something did not, with its reason.
import { existsSync } from 'node:fs'

if (!existsSync(new URL('node_modules/y-websocket', import.meta.url))) {
  console.log('SKIP: no y-websocket: npm ci --omit=dev in tests/node/yjs')
  process.exit(0)
}
const { run } = await import('./rig.mjs')
const { cases } = await import('./rooms_cases.mjs')
await run(cases, process.argv.slice(2))
