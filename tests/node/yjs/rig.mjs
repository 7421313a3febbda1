// SPDX-License-Identifier: MIT
// A server of rooms as a process, its real clients, and sockets that are nobody's clients.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import * as Y from 'yjs'
import { startDatabase } from './storages.mjs'

export const check = (claim, what) => { if (!claim) throw new Error(what) }

/// Only a failure takes so many milliseconds, also on a busy machine.
const waitMax = 300000

/// Waits for a condition.
export const until = async (claim, what) => {
  for (const begin = performance.now(); performance.now() - begin < waitMax;) {
    if (await claim()) return
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  throw new Error(`never: ${what}`)
}
/// What comes of it, or an error when it does not come.
export const within = (promise, what) => {
  let timer
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`never: ${what}`)), waitMax)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/// A server with a folder of its own; it comes back at the same port.
export class Server {
  port = 0
  #process = null

  constructor (program, options = {}, folder = tmpdir(), database = null) {
    this.program = program
    this.database = database
    this.options = options
    this.data = mkdtempSync(`${folder}/belay-rooms-`)
  }

  async start () {
    const words = ['--dir', this.data, '--port', String(this.port)]
    if (this.database !== null) words.push('--at', this.database.at)
    for (const [name, value] of Object.entries(this.options)) words.push(`--${name}`, String(value))
    // What it refuses it says on the other stream.
    const child = spawn(this.program, words, { stdio: ['ignore', 'pipe', process.env.BELAY_VERBOSE ? 'inherit' : 'ignore'] })
    this.#process = child
    this.output = ''
    await within(new Promise((resolve, reject) => {
      child.once('exit', code => reject(new Error(`the server ended with ${code}`)))
      child.once('error', reject)
      child.stdout.on('data', text => {
        this.output += text
        const port = this.output.match(/^port (\d+)$/m)
        if (!port) return
        this.port = Number(port[1])
        resolve()
      })
    }), 'the server listens')
    return this
  }

  /// Returns: the signal that ended it, or its exit code.
  end (signal) {
    const child = this.#process
    this.#process = null
    if (child === null) return null
    child.removeAllListeners('exit')
    return within(new Promise(resolve => {
      child.once('close', (code, by) => resolve(by ?? code))
      child.kill(signal)
    }), `the server ends by ${signal}`)
  }

  /// It takes nothing until it goes on.
  freeze () { this.#process.kill('SIGSTOP') }
  thaw () { this.#process.kill('SIGCONT') }

  kill () { return this.end('SIGKILL') }

  /// All is saved.
  async stop () {
    check(await this.end('SIGTERM') === 0, 'the server did not stop well')
    check(this.output.includes('saved'), 'the server did not say that all is saved')
  }

  async page (path) {
    const answer = await fetch(`http://127.0.0.1:${this.port}${path}`, { headers: { connection: 'close' } })
    return answer.status === 200 ? answer.json() : null
  }

  /// Of the server, or of a room; null if that is not here.
  stats (board) { return this.page(board === undefined ? '/stats' : `/stats/${board}`) }

  async destroy () {
    await this.kill()
    rmSync(this.data, { recursive: true, force: true })
  }
}

/// Whatever order the keys of a map have.
const contentOf = doc => JSON.stringify(doc.toJSON(), (key, value) =>
  value?.constructor === Object ? Object.fromEntries(Object.entries(value).sort()) : value)
/// The same content, and the same history.
const same = docs => {
  const [first, ...others] = docs.map(doc => Y.snapshot(doc))
  return others.every(other => Y.equalSnapshots(first, other)) &&
    new Set(docs.map(contentOf)).size === 1 && docs.every(doc => doc.store.pendingStructs === null)
}
export const agree = (docs, what) => until(() => same(docs), what)

/// Runs the cases that are named, or all of them, each beside a server of its own, with a database
/// of its own if the server has a storage that needs one.
export const run = async (cases, argv) => {
  const [program, ...words] = argv
  const [storage, names] = words[0] === '--storage' ? [words[1], words.slice(2)] : ['files', words]
  if (program === undefined || names.some(name => !(name in cases))) {
    console.error(`usage: SERVER [--storage NAME] [${Object.keys(cases).join('|')}]...`)
    process.exit(2)
  }
  if (!existsSync(program)) {
    console.error(`there is no ${program}`)
    process.exit(2)
  }
  // Each client waits for the process to end.
  process.setMaxListeners(0)
  let failed = 0
  for (const name of names.length > 0 ? names : Object.keys(cases)) {
    const begin = performance.now()
    const { options, folder, run } = cases[name]
    let server = null
    let database = null
    try {
      database = await startDatabase(storage)
      server = new Server(program, options, folder, database)
      await server.start()
      const output = await run(server)
      console.log(`${name}: ok, ${Math.round(performance.now() - begin)} ms${output === undefined ? '' : `: ${output}`}`)
    } catch (error) {
      ++failed
      console.error(`${name}: FAILED`, error)
    } finally {
      await server?.destroy()
      await database?.end()
    }
  }
  // Clients that dial for ever, and sockets that nobody reads, do not keep it.
  process.exit(failed === 0 ? 0 : 1)
}
