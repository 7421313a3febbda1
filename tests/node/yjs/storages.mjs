// SPDX-License-Identifier: MIT
// The databases that servers of rooms share, as processes of their own.
import { execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'

/// Only a failure takes so many milliseconds, also on a busy machine.
const waitMax = 300000

/// Starts a program, and waits until `ready` holds of what it has written.
const started = async (program, words, options, ready) => {
  const child = spawn(program, words, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  process.once('exit', () => child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', text => { output += text })
  child.once('error', error => { output += error })
  for (const begin = performance.now(); !ready(output);) {
    if (child.exitCode !== null || child.pid === undefined || performance.now() - begin > waitMax) {
      throw new Error(`${program} does not start: ${output}`)
    }
    await new Promise(resolve => setTimeout(resolve, 5))
  }
  return child
}
/// Ends it, with its own processes.
const ended = (child, signal) => new Promise(resolve => {
  child.once('close', resolve)
  child.kill(signal)
})

const redis = async folder => {
  const at = `${folder}/redis`
  // The same program under another name, which it checks. Debian's redis-tools have it.
  const child = await started('redis-check-rdb', ['--unixsocket', at, '--port', '0', '--save', '', '--dir', folder],
    { argv0: 'redis-server' }, output => output.includes('eady to accept connections'))
  return { at, end: () => ended(child, 'SIGKILL') }
}

const postgres = async folder => {
  const versions = readdirSync('/usr/lib/postgresql').sort((a, b) => b - a)
  const program = name => `/usr/lib/postgresql/${versions[0]}/bin/${name}`
  // It does not run as root.
  const user = process.getuid() === 0 ? { uid: 65534, gid: 65534 } : {}
  if (user.uid !== undefined) chownSync(folder, user.uid, user.gid)
  execFileSync(program('initdb'), ['-D', `${folder}/data`, '-U', 'belay', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--locale=C'],
    { stdio: 'ignore', cwd: folder, ...user })
  const child = await started(program('postgres'), ['-D', `${folder}/data`, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off'],
    { cwd: folder, ...user }, output => output.includes('ready to accept connections'))
  return { at: `host=${folder} user=belay dbname=postgres`, end: () => ended(child, 'SIGQUIT') }
}

const databases = { redis, postgres }

/// Starts the database of a storage, in a folder of its own; nothing for a storage without one.
export const startDatabase = async storage => {
  if (!(storage in databases)) return null
  const folder = mkdtempSync(`${tmpdir()}/belay-${storage}-`)
  const remove = () => { if (existsSync(folder)) rmSync(folder, { recursive: true, force: true }) }
  try {
    const { at, end } = await databases[storage](folder)
    return { at, end: async () => { await end(); remove() } }
  } catch (error) {
    remove()
    throw error
  }
}
