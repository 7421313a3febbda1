// What a pointer does on the board. A tool begins with a press, follows it, and ends with its release.
import { at } from './board.js'

export function useTools (canvas, board, state, type) {
  const place = event => ({ x: Math.round(event.clientX - state.view.x), y: Math.round(event.clientY - state.view.y) })
  let stroke = null // { id, from, pending }

  const begin = {
    pen ({ x, y }) { return { id: board.add('pen', x, y, state.color), pending: [] } },
    rectangle ({ x, y }) { return { id: board.add('rectangle', x, y, state.color) } },
    ellipse ({ x, y }) { return { id: board.add('ellipse', x, y, state.color) } },
    text ({ x, y }) { type(x, y) },
    select ({ x, y }) {
      const found = at(board.all(), x, y, 6)
      state.selected = found?.id ?? null
      return found ? { id: found.id, offset: { x: x - found.x, y: y - found.y } } : { pan: { ...state.view } }
    },
    erase ({ x, y }) { erase(x, y); return {} }
  }
  const follow = {
    pen (s, { x, y }) { s.pending.push(x - s.from.x, y - s.from.y) },
    rectangle (s, p) { board.change(s.id, { w: p.x - s.from.x, h: p.y - s.from.y }) },
    ellipse (s, p) { board.change(s.id, { w: p.x - s.from.x, h: p.y - s.from.y }) },
    select (s, p) { if (s.id) board.change(s.id, { x: p.x - s.offset.x, y: p.y - s.offset.y }) },
    erase (s, { x, y }) { erase(x, y) }
  }
  const erase = (x, y) => { const found = at(board.all(), x, y, 6); if (found) board.remove(found.id) }
  // A stroke is sent as it is drawn, but a few points at a time.
  const send = () => { if (state.mayEdit && stroke?.pending?.length) board.extend(stroke.id, stroke.pending.splice(0)) }
  setInterval(send, 40)

  canvas.addEventListener('pointerdown', event => {
    if (event.button !== 0 || stroke) return
    event.preventDefault()
    canvas.setPointerCapture(event.pointerId)
    canvas.focus()
    const from = place(event)
    const tool = state.mayEdit ? state.tool : 'select'
    if (!state.mayEdit) {
      stroke = { tool, pan: { ...state.view }, at: { x: event.clientX, y: event.clientY } }
      return
    }
    const begun = begin[tool](from)
    if (begun) stroke = { tool, from, at: { x: event.clientX, y: event.clientY }, ...begun }
  })
  canvas.addEventListener('pointermove', event => {
    const now = place(event)
    state.onCursor(now)
    if (!stroke) return
    if (stroke.pan) {
      state.view.x = stroke.pan.x + event.clientX - stroke.at.x
      state.view.y = stroke.pan.y + event.clientY - stroke.at.y
      state.repaint()
    } else if (state.mayEdit) {
      follow[stroke.tool]?.(stroke, now)
    }
  })
  const end = () => {
    send()
    stroke = null
  }
  canvas.addEventListener('pointerup', end)
  canvas.addEventListener('pointercancel', end)
  canvas.addEventListener('pointerleave', () => state.onCursor(null))
}
