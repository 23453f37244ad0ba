// Numbers and text as people read them, and the house's colours.
export function visible(text: string): string {
  return text.replaceAll(' ', '·').replaceAll('\n', '⏎').replaceAll('\t', '⇥')
}

export function figure(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–'
  if (value === 0) return '0'
  const size = Math.abs(value)
  if (size < 0.001) return (value < 0 ? '−' : '') + '<0.001'
  const text = size >= 1000 ? Math.round(size).toLocaleString('en') : String(Number(size.toPrecision(digits)))
  return (value < 0 ? '−' : '') + text
}

export function percent(share: number): string {
  const value = 100 * share
  return value > 0 && value < 0.05 ? '<0.1 %' : `${value.toFixed(1)} %`
}

export function signed(share: number): string {
  const value = 100 * share
  if (Math.abs(value) < 0.05) return '±0.0'
  return `${value < 0 ? '▼ −' : '▲ +'}${Math.abs(value).toFixed(1)}`
}

// show/palette.py has the same ones; on either ground, what is near zero looks like the ground.
const AMOUNT = ['#f1f4f7', '#8fb0cc', '#3d6d99', '#12304d']
const SIGNED = ['#123f6b', '#6f9dc6', '#f4f2ee', '#eda55d', '#a34a00']
const AMOUNT_DARK = ['#1d2329', '#34567a', '#6f9dc6', '#cfe3f5']
const SIGNED_DARK = ['#a9cfee', '#4179ab', '#1f2327', '#a8601c', '#f7c08a']

export function shade(share: number, diverging: boolean, dark: boolean): string {
  const stops = diverging ? (dark ? SIGNED_DARK : SIGNED) : dark ? AMOUNT_DARK : AMOUNT
  const place = Math.min(Math.max(share, 0), 1) * (stops.length - 1)
  const left = Math.min(Math.floor(place), stops.length - 2)
  const [one, two] = [stops[left]!, stops[left + 1]!].map((stop) => [1, 3, 5].map((i) => parseInt(stop.slice(i, i + 2), 16)))
  return '#' + one!.map((a, i) => Math.round(a + (two![i]! - a) * (place - left)).toString(16).padStart(2, '0')).join('')
}

export function inkOn(colour: string): string {
  const linear = [1, 3, 5].map((i) => {
    const c = parseInt(colour.slice(i, i + 2), 16) / 255
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4
  })
  const light = 0.2126 * linear[0]! + 0.7152 * linear[1]! + 0.0722 * linear[2]!
  return 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 ? '#ffffff' : '#000000' // one of them has 4.5:1 on any colour
}

/** A cell's ground and ink, for a light page and for a dark one: the browser takes those of its scheme, also in print. */
export function painted(share: number, diverging: boolean): string {
  const [light, dark] = [shade(share, diverging, false), shade(share, diverging, true)]
  return `background: light-dark(${light}, ${dark}); color: light-dark(${inkOn(light)}, ${inkOn(dark)})`
}

export function limits(values: (number | null)[], diverging: boolean): [number, number] {
  const found = values.filter((v): v is number => v !== null && Number.isFinite(v))
  if (!found.length) return [0, 1]
  if (diverging) {
    const widest = Math.max(...found.map(Math.abs)) || 1
    return [-widest, widest]
  }
  const [low, high] = [Math.min(0, ...found), Math.max(...found)]
  return high > low ? [low, high] : [low, low + 1]
}

/** Save something under a name. */
export function download(name: string, content: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 1000)
}

export function slug(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-').replaceAll(/^-|-$/g, '').slice(0, 40) || 'figure'
}
