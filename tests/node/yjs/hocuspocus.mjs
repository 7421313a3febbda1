// SPDX-License-Identifier: MIT
// The real Yjs and @hocuspocus/provider beside a server of rooms.
//   node hocuspocus.mjs SERVER [--storage memory|files|sqlite|redis|postgres] [CASE]...
// Exit code: 0 all held, 1 something did not, with its reason.
import { existsSync } from 'node:fs'

if (!existsSync(new URL('node_modules/@hocuspocus/provider', import.meta.url))) {
  console.log('SKIP: no @hocuspocus/provider: npm ci --omit=dev in tests/node/yjs')
  process.exit(0)
}
const { run } = await import('./rig.mjs')
const { cases } = await import('./hocuspocus_cases.mjs')
await run(cases, process.argv.slice(2))
