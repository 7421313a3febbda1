// SPDX-License-Identifier: MIT
// Draws on the whiteboard in real browsers, through outages of its server.
//   node whiteboard.mjs SERVER WEB
// Exit code: 0 all held, 1 something did not, with its reason.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'

const [program, web] = process.argv.slice(2)
const skip = why => { console.log(`SKIP: ${why}`); process.exit(0) }
const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync)
if (!chromium) skip('chromium is not installed')
if (!existsSync(`${web}/dist/main.js`)) skip('the page is not built')
let puppeteer
try { puppeteer = (await import('puppeteer-core')).default } catch { skip('puppeteer-core is not installed') }

const data = mkdtempSync(`${tmpdir()}/belay-whiteboard-`)
// The pages know one address: the server comes back at the same port.
const port = await new Promise(resolve => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address()
    probe.close(() => resolve(port))
  })
})
let server = null
let said = ''
const start = () => new Promise((resolve, reject) => {
  said = ''
  server = spawn(program, [String(port), web, data], { stdio: ['ignore', 'pipe', 'inherit'] })
  server.once('exit', code => reject(new Error(`the server ended with ${code}`)))
  server.stdout.on('data', text => {
    said += text
    const links = said.match(/http:\S+\n/g)
    if (links?.length === 3) resolve(links.map(link => link.trim()))
  })
})
const end = signal => new Promise(resolve => {
  server.removeAllListeners('exit')
  server.once('exit', (code, by) => resolve(by ?? code))
  server.kill(signal)
})

const check = (claim, what) => { if (!claim) throw new Error(what) }
const links = await start()
const browser = await puppeteer.launch({
  executablePath: chromium,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync']
})
const open = async link => {
  const context = await browser.createBrowserContext()
  const page = await context.newPage()
  page.on('pageerror', error => { console.error(error); process.exitCode = 1 })
  await page.setViewport({ width: 1000, height: 700 })
  await page.goto(link)
  return page
}
const state = (page, word) => page.waitForSelector(`#badge[data-state=${word}]`, { timeout: 60000 })
const drag = async (page, tool, from, to) => {
  await page.click(`[data-tool=${tool}]`)
  await page.mouse.move(...from)
  await page.mouse.down()
  await page.mouse.move((from[0] + to[0]) / 2, (from[1] + to[1]) / 2)
  await page.mouse.move(...to)
  await page.mouse.up()
}
// What is on the paper, cursors left out, as one number; 0 of an empty one.
const paper = page => page.evaluate(() => {
  document.body.dataset.cursors = 'off'
  dispatchEvent(new Event('resize'))
  return new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => {
    const canvas = document.getElementById('board')
    let sum = 0
    for (const byte of canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data) sum = (sum * 31 + byte) | 0
    resolve(sum)
  })))
})
const until = async (claim, what) => {
  for (let tries = 0; tries < 600; ++tries) {
    if (await claim()) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(what)
}
const agree = async (pages, what) => until(async () => new Set(await Promise.all(pages.map(paper))).size === 1, what)

try {
  const [ada, bob, eve] = await Promise.all(links.map(open))
  await Promise.all([ada, bob, eve].map(page => state(page, 'connected')))
  for (const page of [ada, bob]) await page.waitForSelector('#tools:not([hidden])')
  const empty = await paper(ada)

  await drag(ada, 'rectangle', [100, 150], [300, 300])
  await until(async () => await paper(bob) !== empty, 'what ada draws is not seen by bob')
  await drag(bob, 'ellipse', [350, 200], [550, 420])
  await agree([ada, bob, eve], 'three browsers show three boards')
  const before = await paper(ada)
  check(before !== empty, 'the board is empty')

  // Who may only look has no tools, and a pointer that draws nothing.
  await eve.waitForSelector('#notice:not([hidden])')
  check(await eve.$eval('#tools', tools => tools.hidden), 'a viewer has tools')
  check((await eve.$eval('#notice', notice => notice.textContent)).includes('view'), 'a viewer is not told so')

  // The server dies; both draw; it comes back with what it had, and gets the rest.
  check(await end('SIGKILL') === 'SIGKILL', 'the server did not die')
  await Promise.all([ada, bob, eve].map(page => state(page, 'waiting')))
  check((await ada.$eval('#badge', badge => badge.textContent)).startsWith('offline'), 'no word of the outage')
  await drag(ada, 'pen', [100, 500], [400, 560])
  await drag(bob, 'rectangle', [600, 450], [800, 560])
  check(await paper(ada) !== await paper(bob), 'drawn offline, and yet elsewhere')
  await start()
  await Promise.all([ada, bob, eve].map(page => state(page, 'connected')))
  await agree([ada, bob, eve], 'after the outage the boards differ')
  const after = await paper(eve)
  check(after !== before, 'what was drawn offline is lost')

  // A reload, and a stranger.
  await bob.reload()
  await state(bob, 'connected')
  await agree([ada, bob], 'after a reload the board is another')
  const stranger = await open(`http://127.0.0.1:${port}/?board=demo#token=no`)
  await state(stranger, 'refused')
  check(await paper(stranger) === empty, 'a stranger sees the board')

  check(await end('SIGTERM') === 0, 'SIGTERM did not end it well')
  check(said.includes('everything is saved'), 'nothing was said of saving')
  console.log('drawn, through an outage and a reload')
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  server?.kill('SIGKILL')
  await browser.close()
  rmSync(data, { recursive: true, force: true })
}
