"""What moves in a report's page: a small script, and the rule by which a browser knows that it is this one.

Pointing at a token, a cell, a bar or a dot says what it stands for; a click pins that, Escape lets it go. A click on a
name of a legend takes its series out and back. A picture that has the focus is walked with the arrow keys. The script
reads attributes and writes text, asks for nothing, and the page is whole without it.
"""

from __future__ import annotations

import base64
import hashlib

SCRIPT = """
(() => {
  const box = document.createElement('output')
  box.className = 'told'
  box.hidden = true
  document.body.append(box)
  for (const token of document.querySelectorAll('.said span[title]')) {
    token.dataset.say = token.textContent.trim() + '  ' + token.title
    token.removeAttribute('title')
  }
  let lit = null
  let pinned = false
  const show = (mark) => {
    lit?.classList.remove('lit')
    lit = mark
    box.hidden = !mark
    if (!mark) return
    mark.classList.add('lit')
    box.textContent = mark.dataset.say
    const at = mark.getBoundingClientRect()
    const left = at.left + at.width / 2 - box.offsetWidth / 2
    box.style.left = Math.max(4, Math.min(left, document.documentElement.clientWidth - box.offsetWidth - 4)) + 'px'
    box.style.top = (at.top > box.offsetHeight + 8 ? at.top - box.offsetHeight - 6 : at.bottom + 6) + 'px'
  }
  const mark = (event) => event.target.closest?.('[data-say]') ?? null
  const free = () => {
    pinned = false
    show(null)
  }
  addEventListener('pointerover', (event) => pinned || show(mark(event)))
  addEventListener('scroll', free, { passive: true })
  addEventListener('click', (event) => {
    const key = event.target.closest?.('svg [role=button]')
    if (key) return turn(key)
    show(mark(event))
    pinned = !!lit
  })
  const turn = (key) => {
    const svg = key.closest('svg')
    const off = key.getAttribute('aria-pressed') === 'true'
    for (const one of svg.querySelectorAll('[data-series="' + key.dataset.series + '"]')) {
      if (one.getAttribute('role') === 'button') one.setAttribute('aria-pressed', String(!off))
      else one.classList.toggle('gone', off)
    }
    free()
  }
  for (const svg of document.querySelectorAll('figure svg')) {
    const marks = [...svg.querySelectorAll('[data-say]')]
    if (!marks.length) continue
    svg.tabIndex = 0
    svg.setAttribute('role', 'group')
    const row = +svg.dataset.columns || 1
    svg.addEventListener('focus', () => svg.matches(':focus-visible') && show(marks[0]))
    svg.addEventListener('blur', free)
    svg.addEventListener('keydown', (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row }[event.key]
      if (!step || event.target !== svg) return
      event.preventDefault()
      const next = marks[marks.indexOf(lit) + step]
      if (next) show(next)
      pinned = true
    })
    for (const key of svg.querySelectorAll('text[data-key]')) {
      key.setAttribute('role', 'button')
      key.setAttribute('aria-pressed', 'true')
      key.tabIndex = 0
    }
  }
  addEventListener('keydown', (event) => {
    if (event.key === 'Escape') free()
    const key = event.target.closest?.('svg [role=button]')
    if (key && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault()
      turn(key)
    }
  })
})()
"""
RULE = f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"  # no other script may run
STYLE = """
.told { position: fixed; z-index: 1; max-width: 24rem; padding: .2em .6em; border-radius: 4px; background: #22262b;
  color: #fdfcfa; font: 13px/1.5 system-ui, sans-serif; pointer-events: none; overflow-wrap: anywhere; }
.told[hidden] { display: none; } .invivo .said span[data-say] { cursor: default; }
.invivo .said span.lit { outline: 2px solid var(--tweak); }
.invivo svg .lit { stroke: #d9730d; stroke-width: 2; paint-order: stroke; } .invivo svg .gone { display: none; }
.invivo svg text:not([data-key]) { pointer-events: none; }
.invivo svg [role=button] { cursor: pointer; } .invivo svg [aria-pressed=false] { text-decoration: line-through;
  opacity: .6; } .invivo svg:focus-visible, .invivo svg [role=button]:focus-visible { outline: 2px solid var(--tweak); }
@media (prefers-color-scheme: dark) { .told { background: #e7e5e1; color: #17191c; } }
@media print { .told { display: none; } }
"""
