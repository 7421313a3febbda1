// Paints the board, and whose cursor is where.
export function paint (canvas, shapes, cursors, view, selected) {
  const scale = devicePixelRatio || 1
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
  }
  const c = canvas.getContext('2d')
  c.setTransform(scale, 0, 0, scale, 0, 0)
  c.clearRect(0, 0, width, height)
  c.translate(view.x, view.y)
  c.lineWidth = 3
  c.lineCap = c.lineJoin = 'round'
  for (const shape of shapes) {
    c.strokeStyle = c.fillStyle = shape.color
    c.setLineDash(shape.id === selected ? [8, 6] : [])
    if (Object.hasOwn(draw, shape.kind)) draw[shape.kind](c, shape)
  }
  c.setLineDash([])
  c.font = '13px system-ui, sans-serif'
  for (const { x, y, name, color } of cursors) {
    c.fillStyle = color
    c.beginPath()
    c.moveTo(x, y); c.lineTo(x + 4, y + 14); c.lineTo(x + 8, y + 8); c.lineTo(x + 14, y + 8)
    c.fill()
    c.fillText(name, x + 14, y + 22)
  }
}

const draw = {
  rectangle: (c, s) => c.strokeRect(s.x, s.y, s.w, s.h),
  ellipse (c, s) {
    c.beginPath()
    c.ellipse(s.x + s.w / 2, s.y + s.h / 2, Math.abs(s.w / 2), Math.abs(s.h / 2), 0, 0, 2 * Math.PI)
    c.stroke()
  },
  pen (c, s) {
    c.beginPath()
    c.moveTo(s.x, s.y)
    c.lineTo(s.x, s.y)
    for (let i = 0; i + 1 < s.points.length; i += 2) c.lineTo(s.x + s.points[i], s.y + s.points[i + 1])
    c.stroke()
  },
  text (c, s) {
    c.font = '20px system-ui, sans-serif'
    c.textBaseline = 'top'
    c.fillText(s.text ?? '', s.x, s.y)
    c.textBaseline = 'alphabetic'
  }
}
