// SPDX-License-Identifier: MIT
// Draws on the whiteboard in real browsers, through outages of its server, and changes of who may what.
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
let output = ''
const start = () => new Promise((resolve, reject) => {
  output = ''
  server = spawn(program, [String(port), web, data], { stdio: ['ignore', 'pipe', 'inherit'] })
  server.once('exit', code => reject(new Error(`the server ended with ${code}`)))
  server.stdout.on('data', text => {
    output += text
    const links = output.match(/http:\S+\n/g)
    if (links?.length === 3) resolve(links.map(link => link.trim()))
  })
})
const end = signal => new Promise(resolve => {
  server.removeAllListeners('exit')
  server.once('exit', (code, by) => resolve(by ?? code))
  server.kill(signal)
})

// What the program answers, and with which code it ends.
const answer = (...args) => new Promise(resolve => {
  const asked = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let words = ''
  asked.stdout.on('data', text => { words += text })
  asked.stderr.on('data', text => { words += text })
  asked.once('close', code => resolve(`${code}: ${words.trim()}`))
})
// What the one who runs the server says of who may what.
const permit = (...what) => answer('--permit', data, ...what)

const check = (claim, what) => { if (!claim) throw new Error(what) }
const links = await start()
// Only a failure takes so many milliseconds, also on a busy machine.
const waitMax = 300000
const browser = await puppeteer.launch({
  executablePath: chromium,
  timeout: waitMax,
  protocolTimeout: waitMax,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync']
})
const desktop = { width: 1000, height: 700 }
const phone = { width: 360, height: 700, isMobile: true, hasTouch: true }
const open = async (link, { context, viewport = desktop, closedWith } = {}) => {
  const page = await (context ?? await browser.createBrowserContext()).newPage()
  if (closedWith) await page.evaluateOnNewDocument(alwaysCloses, closedWith)
  page.setDefaultTimeout(waitMax)
  page.on('pageerror', error => { console.error(error); process.exitCode = 1 })
  await page.setViewport(viewport)
  await page.goto(link)
  return page
}
// Each connection of the page ends with this code.
const alwaysCloses = code => {
  globalThis.WebSocket = class {
    constructor () { setTimeout(() => this.onclose({ code, reason: '' })) }
    close () {}
  }
}
const state = (page, word) => page.waitForSelector(`#badge[data-state=${word}]`)
const drag = async (page, tool, from, to) => {
  await page.bringToFront()
  await page.click(`[data-tool=${tool}]`)
  await page.mouse.move(...from)
  await page.mouse.down()
  await page.mouse.move((from[0] + to[0]) / 2, (from[1] + to[1]) / 2)
  await page.mouse.move(...to)
  await page.mouse.up()
}
// What is on the paper, cursors left out, as one number; 0 of an empty one.
const paper = async page => {
  // Nothing is painted behind another page.
  await page.bringToFront()
  return page.evaluate(painted)
}
const painted = () => {
  document.body.dataset.cursors = 'off'
  dispatchEvent(new Event('resize'))
  return new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => {
    const canvas = document.getElementById('board')
    let sum = 0
    for (const byte of canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data) sum = (sum * 31 + byte) | 0
    resolve(sum)
  })))
}
const until = async (claim, what) => {
  for (const begin = performance.now(); performance.now() - begin < waitMax;) {
    if (await claim()) return
    await new Promise(resolve => setTimeout(resolve, 50))
  }
  throw new Error(what)
}
const agree = async (pages, what) => until(async () => new Set(await Promise.all(pages.map(paper))).size === 1, what)

const text = (page, id) => page.$eval(`#${id}`, element => element.textContent)

// Rights change while the boards are open.
const rights = async (ada, bob) => {
  check((await permit('bob', 'demo', 'view')).startsWith('0: bob may view demo'), 'the server lets nobody change rights')
  await bob.waitForSelector('#tools[hidden]')
  check((await text(bob, 'notice')).includes('taken away'), 'who may draw no more is not told')
  check(await bob.$eval('#badge', badge => badge.dataset.state) === 'connected', 'who may look is not connected')
  const shown = await paper(ada)
  await bob.keyboard.press('r')
  await bob.mouse.move(150, 350)
  await bob.mouse.down()
  await bob.mouse.move(250, 450)
  await bob.mouse.up()
  await bob.reload()
  await state(bob, 'connected')
  check(await bob.$eval('#tools', tools => tools.hidden), 'after a reload a viewer has tools')
  check(await paper(bob) === shown && await paper(ada) === shown, 'a viewer has drawn')
  await drag(ada, 'pen', [600, 150], [800, 200])
  await agree([ada, bob], 'who may only look sees nothing')

  check((await permit('bob', 'demo', 'edit')).startsWith('0: '), 'no right can be given back')
  await bob.waitForSelector('#tools:not([hidden])')
  check(await bob.$eval('#notice', notice => notice.hidden), 'who may draw again reads that they may not')
  await drag(bob, 'ellipse', [650, 250], [800, 350])
  await agree([ada, bob], 'who may draw again draws nothing')

  // Another user's page in the same browser tells the one nothing who may not see the board.
  const beside = await open(links[1], { context: ada.browserContext() })
  await state(beside, 'connected')
  check((await permit('bob', 'demo', 'none')).startsWith('0: bob may not see demo'), 'no right can be taken away')
  const last = await paper(ada)
  for (const page of [bob, beside]) {
    await state(page, 'rejected')
    check((await text(page, 'badge')).includes('taken away'), 'who may see it no more is not told why')
    check(await page.$eval('#tools', tools => tools.hidden), 'who may see it no more has tools')
  }
  await drag(ada, 'rectangle', [850, 150], [950, 350])
  check(await paper(ada) !== last, 'the others cannot draw any more')
  for (const page of [bob, beside]) {
    check(await paper(page) === last, 'what is drawn is seen by one who may not see it')
    await page.reload()
    await state(page, 'rejected')
    check(!(await text(page, 'badge')).includes('taken away'), 'a right is taken away that there was not')
    await until(async () => await paper(page) === last, 'a reload shows another board to one who may not see it')
  }

  // It is given back, and asked for by a touch of the badge.
  check((await permit('bob', 'demo', 'edit')).startsWith('0: '), 'no right can be given back')
  await bob.click('#badge')
  await state(bob, 'connected')
  await bob.waitForSelector('#tools:not([hidden])')
  await agree([ada, bob], 'who is back sees another board')
  await beside.close()

  for (const [asked, why] of [[['ada', 'demo', 'view'], 'owns'], [['bob', 'none', 'view'], 'no board'], [['bob', 'demo', 'x'], 'is not a level']]) {
    const answered = await permit(...asked)
    check(answered.startsWith('2: ') && answered.includes(why), `${asked}: ${answered}`)
  }
}

// A board is restored: no page brings back what was drawn since the copy, also not one that was away.
const restores = async (ada, bob) => {
  const copy = `${data}/copy`
  const backedUp = await answer('--backup', data, copy)
  check(backedUp.startsWith('0: '), backedUp)
  const before = await paper(ada)
  await drag(bob, 'rectangle', [100, 600], [300, 660])
  await until(async () => await paper(ada) !== before, 'what is drawn after the backup is not seen')
  const context = bob.browserContext()
  await until(() => bob.evaluate(storedEpoch), 'a page does not keep the epoch of its board')
  await bob.close()
  const restored = await answer('--restore', data, copy, 'demo')
  check(restored.startsWith('0: '), restored)
  await state(ada, 'rejected')
  check((await text(ada, 'badge')).includes('begun anew'), 'who has a replaced board is not told so')
  const back = await open(links[1], { context })
  await state(back, 'rejected')
  for (const page of [ada, back]) {
    await page.reload()
    await state(page, 'connected')
    await page.waitForSelector('#tools:not([hidden])')
    await until(async () => await paper(page) === before, 'a page has brought back what a restore replaced')
  }
  await drag(back, 'rectangle', [100, 600], [300, 660])
  await until(async () => await paper(ada) !== before, 'a restored board cannot be drawn on')
  await agree([ada, back], 'a restored board is not the same for all')
}
const storedEpoch = () => new Promise(resolve => {
  const opening = indexedDB.open('belay-demo-bob')
  opening.onsuccess = () => {
    const asked = opening.result.transaction('custom').objectStore('custom').get('epoch')
    asked.onsuccess = () => { opening.result.close(); resolve(asked.result) }
  }
})

// A page does not come again and again with what a server never accepts.
const staysAway = async () => {
  for (const [closedWith, word] of [[4413, 'too much'], [4499, 'does not accept']]) {
    const page = await open(links[0], { closedWith })
    await state(page, 'rejected')
    check((await text(page, 'badge')).includes(word), `no word of ${closedWith}`)
    await page.close()
  }
  const page = await open(links[0], { closedWith: 1013 })
  await state(page, 'waiting')
  await page.close()
}

// A server that cannot start says why, and leaves alone the one that runs.
const failsToStart = async () => {
  const other = mkdtempSync(`${tmpdir()}/belay-whiteboard-`)
  for (const [args, why] of [
    [[String(port), web, other], 'another program uses this port'],
    [['0', other, other], `${other}/index.html of the page is missing`],
    [['0', web, data], data],
    [['--permit', other, 'bob', 'demo', 'view'], 'start it first'],
    [['http', web, other], 'usage']
  ]) {
    const answered = await answer(...args)
    check(answered.startsWith('2: whiteboard: ') && answered.includes(why), `${args}: ${answered}`)
  }
  rmSync(other, { recursive: true, force: true })
}

// What has room on a desk has room in a hand, and a finger draws.
const onPhone = async ada => {
  const [bob, eve] = await Promise.all(links.slice(1).map(link => open(link, { viewport: phone })))
  await Promise.all([bob, eve].map(page => state(page, 'connected')))
  await bob.waitForSelector('#tools:not([hidden])')
  await eve.waitForSelector('#notice:not([hidden])')
  const before = await paper(ada)
  await bob.touchscreen.tap(...await bob.$eval('[data-tool=pen]', button => {
    const { left, top, width, height } = button.getBoundingClientRect()
    return [left + width / 2, top + height / 2]
  }))
  await bob.touchscreen.touchStart(60, 400)
  await bob.touchscreen.touchMove(200, 430)
  await bob.touchscreen.touchMove(300, 400)
  await bob.touchscreen.touchEnd()
  await until(async () => await paper(ada) !== before, 'what a finger draws is not seen')
  await agree([bob, eve], 'two phones show two boards')
  check((await permit('bob', 'demo', 'view')).startsWith('0: '), 'no right can be taken away')
  await bob.waitForSelector('#tools[hidden]')
  for (const page of [bob, eve]) {
    // Of what stands over the board nothing is outside of the screen, nor over something else.
    const wrong = await page.evaluate(() => {
      const shown = [...document.querySelectorAll('header > *, #tools')].filter(element => element.getClientRects().length)
      const boxes = shown.map(element => [element.id, element.getBoundingClientRect()])
      const outside = boxes.filter(([, b]) => b.left < 0 || b.top < 0 || b.right > innerWidth || b.bottom > innerHeight)
      const over = boxes.filter(([, a], i) => boxes.some(([, b], j) => j > i &&
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom))
      return [...outside, ...over].map(([id]) => id)
    })
    check(wrong.length === 0, `on a phone there is no room for ${wrong}`)
  }
  check((await permit('bob', 'demo', 'edit')).startsWith('0: '), 'no right can be given back')
  await bob.waitForSelector('#tools:not([hidden])')
  const buttons = await bob.$$eval('#tools button', all => all.map(button => button.getBoundingClientRect()).map(b => [b.left, b.right, b.width, b.height]))
  for (const [left, right, width, height] of buttons) {
    check(left >= 0 && right <= phone.width && width >= 32 && height >= 40, 'a tool is too small for a finger, or outside')
  }
}

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
  await state(stranger, 'rejected')
  check(await paper(stranger) === empty, 'a stranger sees the board')

  await failsToStart()
  await staysAway()
  await rights(ada, bob)
  await restores(ada, bob)
  await onPhone(ada)

  check(await end('SIGTERM') === 0, 'SIGTERM did not end it well')
  check(output.includes('everything is saved'), 'nothing was said of saving')
  console.log('drawn, through an outage, a reload, changes of rights, and a restore')
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  server?.kill('SIGKILL')
  await browser.close()
  rmSync(data, { recursive: true, force: true })
}
