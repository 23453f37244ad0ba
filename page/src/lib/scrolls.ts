/** What scrolls can be scrolled by keys: it takes the focus while it is wider than its place, and only then. */
export function scrolls(node: HTMLElement): { destroy: () => void } {
  const look = () => {
    if (node.scrollWidth > node.clientWidth + 1 || node.scrollHeight > node.clientHeight + 1) node.tabIndex = 0
    else node.removeAttribute('tabindex')
  }
  const watch = new ResizeObserver(look)
  watch.observe(node)
  for (const child of node.children) watch.observe(child)
  return { destroy: () => watch.disconnect() }
}
