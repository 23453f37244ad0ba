// What the page itself keeps of a run, beside what the server sends (types.ts).
import type { Candidate, Comparison, Heat, Lab, Verdict } from './types'

/** A token that is looked at: the strip it stands in (0 is BASE), its number, and whether it stays. */
export interface Spot {
  strip: number
  at: number
  pinned: boolean
}

export type Table = Candidate[]
export type Outlined = Heat & { outlined?: boolean[][] | null }
export type FullLab = Lab & { full_name: string; numbers?: string[] }
export type WithIds = { ids?: number[] }

/** A lab's step after its run. */
export interface Told {
  name: string
  title: string
  text: string
  kind?: string
  result?: unknown
  skipped?: string
  verdicts: Verdict[]
}

export interface ControlResult {
  tweak: string
  metric: string
  effect: number
  lines: string[]
  others: number[]
}

export interface LensResult {
  prompt_tokens: string[]
  base: Seen
  tweak: Seen | null
  texts: Record<string, string>
}

export interface Seen {
  ids: number[][][]
  probabilities: number[][][]
}

/** A guess made before the run: about the text, and about the answer where one is named. */
export interface Guess {
  text: '' | 'same' | 'other'
  answer: '' | 'up' | 'down' | 'level'
}

export function guessed(guess: Guess, result: Comparison, row: number, answer: (number | null)[] | undefined): { what: 'text' | 'answer'; right: boolean; is: string }[] {
  const tweak = result.tweaks[row]
  if (!tweak) return []
  const found: { what: 'text' | 'answer'; right: boolean; is: string }[] = []
  if (guess.text) {
    const is = tweak.first_divergence == null ? 'same' : 'other'
    found.push({ what: 'text', right: is === guess.text, is })
  }
  const [before, after] = [answer?.[0], answer?.[row + 1]]
  if (guess.answer && before != null && after != null) {
    const is = Math.abs(after - before) < 0.01 ? 'level' : after > before ? 'up' : 'down'
    found.push({ what: 'answer', right: is === guess.answer, is })
  }
  return found
}
