import { Board } from './board.js'
import { paint } from './canvas.js'
import { Connection } from './connection.js'
import { useTools } from './tools.js'

const element = id => document.getElementById(id)
const colors = ['#22262b', '#b3261e', '#c77700', '#1d7a4a', '#2563ab', '#7b3fa0']
const name = new URLSearchParams(location.search).get('board') || 'demo'
const token = new URLSearchParams(location.hash.slice(1)).get('token') || ''
const user = userOf(token)

const board = new Board()
const state = {
  tool: 'pen', color: colors[0], selected: null, mayEdit: false, view: { x: 0, y: 0 },
  repaint, onCursor: moved
}
element('name').textContent = document.title = name

// ---- who is here, and what they may do

const connection = new Connection(board, name, { user, token }, (word, text) => {
  element('badge').dataset.state = word
  element('badge').textContent = text
  document.body.dataset.state = word
  if (word === 'connected') learnAccess()
  if (word === 'rejected') allow({ user, access: 'none' })
}, () => learnAccess())
element('badge').addEventListener('click', () => connection.now())
const awareness = connection.provider.awareness
const kept = `access-${name}-${user}`
let me = null
try { allow(JSON.parse(localStorage.getItem(kept)) ?? { user, access: 'none' }) } catch { allow({ user, access: 'none' }) }

/** Who the token is of; the server believes its signature only. */
function userOf (token) {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0))
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub)
  } catch { return 'somebody' }
}
/** Asks the server what this user may; what it said last holds while it cannot be asked. */
async function learnAccess () {
  try {
    const answer = await fetch(`access/${encodeURIComponent(name)}`, { headers: { authorization: `Bearer ${token}` } })
    if (!answer.ok) return
    const access = await answer.json()
    connection.belongsTo(access.epoch)
    // A board without a history begins one with its first shape.
    if (!access.epoch) setTimeout(() => learnAccess(), 5000)
    allow(access)
    localStorage.setItem(kept, JSON.stringify(me))
  } catch { /* The badge says that there is no server. */ }
}
function allow (access) {
  const before = me?.access
  me = access
  state.mayEdit = me.access === 'edit'
  element('tools').hidden = !state.mayEdit
  if (!state.mayEdit) {
    element('typing').blur()
    state.selected = null
  }
  document.body.dataset.access = me.access
  const now = `you may ${me.access} here, and change nothing`
  notice(state.mayEdit || me.access === 'none' ? '' : before === 'edit' ? `your right to draw was taken away: ${now}` : now)
  awareness.setLocalStateField('user', { name: me.user, access: me.access, color: colorOf(me.user) })
}
function colorOf (user) {
  let sum = 0
  for (const letter of String(user)) sum = (sum * 31 + letter.codePointAt(0)) % 997
  return colors[1 + sum % (colors.length - 1)]
}
function notice (text) {
  element('notice').textContent = text
  element('notice').hidden = !text
}
function showUsers () {
  const users = [...awareness.getStates()].filter(([, s]) => s.user).map(([id, s]) => {
    const item = document.createElement('li')
    const dot = document.createElement('b')
    dot.style.backgroundColor = s.user.color  // a colour, and never an address
    const level = document.createElement('small')
    level.textContent = s.user.access
    item.append(dot, id === awareness.clientID ? `${s.user.name} (you)` : String(s.user.name), level)
    return item
  })
  element('users').replaceChildren(...users)
}
awareness.on('change', () => { showUsers(); repaint() })

// ---- painting

let due = 0
function repaint () {
  due ||= requestAnimationFrame(() => {
    due = 0
    const cursors = [...awareness.getStates()]
      .filter(([id, s]) => id !== awareness.clientID && s.cursor && s.user)
      .map(([, s]) => ({ ...s.cursor, name: s.user.name, color: s.user.color }))
    paint(element('board'), board.all(), document.body.dataset.cursors === 'off' ? [] : cursors, state.view, state.selected)
  })
}
let lastMove = 0
function moved (cursor) {
  if (cursor && Date.now() - lastMove < 50) return
  lastMove = Date.now()
  awareness.setLocalStateField('cursor', cursor)
}
board.onChange(repaint)
addEventListener('resize', repaint)

// ---- tools

function choose (tool) {
  state.tool = tool
  if (tool !== 'select') state.selected = null
  for (const button of document.querySelectorAll('[data-tool]')) button.setAttribute('aria-pressed', button.dataset.tool === tool)
  repaint()
}
for (const button of document.querySelectorAll('[data-tool]')) button.addEventListener('click', () => choose(button.dataset.tool))
element('undo').addEventListener('click', () => board.undo())
for (const color of colors) {
  const button = document.createElement('button')
  button.style.setProperty('--color', color)
  button.setAttribute('role', 'radio')
  button.setAttribute('aria-label', color)
  button.addEventListener('click', () => {
    state.color = color
    for (const other of element('colors').children) other.setAttribute('aria-checked', other === button)
    if (state.selected) board.change(state.selected, { color })
  })
  button.setAttribute('aria-checked', color === state.color)
  element('colors').append(button)
}
function type (x, y) {
  const input = element('typing')
  const id = board.add('text', x, y, state.color)
  Object.assign(input.style, { left: `${x + state.view.x}px`, top: `${y + state.view.y - 4}px`, color: state.color })
  input.value = ''
  input.hidden = false
  setTimeout(() => input.focus())
  input.oninput = () => board.change(id, { text: input.value, w: 11 * input.value.length, h: 24 })
  input.onkeydown = event => { if (event.key === 'Enter' || event.key === 'Escape') input.blur() }
  input.onblur = () => {
    input.hidden = true
    if (!state.mayEdit) return
    if (!input.value.trim()) board.remove(id)
  }
}
useTools(element('board'), board, state, type)
addEventListener('keydown', event => {
  if (event.target === element('typing') || !state.mayEdit) return
  if ((event.ctrlKey || event.metaKey) && event.key === 'z') return board.undo()
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const tool = { v: 'select', p: 'pen', r: 'rectangle', o: 'ellipse', t: 'text', e: 'erase' }[event.key]
  if (tool) { event.preventDefault(); choose(tool) }
  if ((event.key === 'Delete' || event.key === 'Backspace') && state.selected) {
    board.remove(state.selected)
    state.selected = null
    repaint()
  }
})
choose('pen')
showUsers()
repaint()
