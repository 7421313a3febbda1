// The document: shapes by their ids. A shape is a map, so that two who change different things of it
// keep both; a stroke's points are a list that grows at its end.
import * as Y from 'yjs'

export class Board {
  constructor () {
    this.doc = new Y.Doc()
    this.shapes = this.doc.getMap('shapes')
    this.undoing = new Y.UndoManager(this.shapes, { captureTimeout: 300 })
  }

  /** Calls `f` whenever something was drawn, here or elsewhere. */
  onChange (f) { this.shapes.observeDeep(f) }

  add (kind, x, y, color) {
    const shape = new Y.Map(Object.entries({ kind, x, y, w: 0, h: 0, color, order: this.#top() + 1 }))
    if (kind === 'pen') shape.set('points', new Y.Array())
    if (kind === 'text') shape.set('text', '')
    const id = crypto.randomUUID()
    this.shapes.set(id, shape)
    return id
  }

  change (id, values) {
    const shape = this.shapes.get(id)
    if (!shape) return
    this.doc.transact(() => { for (const [key, value] of Object.entries(values)) shape.set(key, value) })
  }

  extend (id, points) { this.shapes.get(id)?.get('points')?.push(points) }
  remove (id) { this.shapes.delete(id) }
  undo () { this.undoing.undo() }

  /** From the lowest to the topmost. What others have drawn with a newer program is left out. */
  all () {
    const all = []
    for (const [id, shape] of this.shapes) {
      if (!(shape instanceof Y.Map)) continue
      const points = shape.get('points')
      all.push({ id, ...Object.fromEntries(shape.entries()), points: points instanceof Y.Array ? points.toArray() : [] })
    }
    return all.sort((a, b) => a.order - b.order || (a.id < b.id ? -1 : 1))
  }

  #top () {
    let top = 0
    for (const shape of this.shapes.values()) top = Math.max(top, shape.get('order') || 0)
    return top
  }
}

/** The corners of a shape, however it was drawn. */
export function box (shape) {
  let [left, top, right, bottom] = [shape.x, shape.y, shape.x + shape.w, shape.y + shape.h]
  for (let i = 0; i + 1 < shape.points.length; i += 2) {
    const [x, y] = [shape.x + shape.points[i], shape.y + shape.points[i + 1]]
    left = Math.min(left, x); right = Math.max(right, x); top = Math.min(top, y); bottom = Math.max(bottom, y)
  }
  return { left: Math.min(left, right), right: Math.max(left, right), top: Math.min(top, bottom), bottom: Math.max(top, bottom) }
}

/** The topmost shape near a point. */
export function at (shapes, x, y, near) {
  return shapes.findLast(shape => {
    const b = box(shape)
    if (x < b.left - near || x > b.right + near || y < b.top - near || y > b.bottom + near) return false
    if (shape.kind !== 'pen') return true
    for (let i = 0; i + 1 < shape.points.length; i += 2) {
      if (Math.hypot(shape.x + shape.points[i] - x, shape.y + shape.points[i + 1] - y) <= near + 6) return true
    }
    return false
  })
}
