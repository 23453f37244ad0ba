// A run's numbers beside what they are called: BASE's and one TWEAK row's.
import { figure, percent } from './format'
import type { Vocabulary } from './types'

export type Numbers = Record<string, (number | null)[]>
export interface Reading {
  metric: Vocabulary['metrics'][number]
  base: number | null
  tweak: number | null
}

/** Which numbers are shown where no lab says which of them matter. */
export const TELLING = ['target_probability', 'logit_diff', 'kl_next', 'kl_mean', 'top_changed', 'entropy_next', 'read_perplexity', 'said', 'distinct_2']

/** Those of the named numbers that this run has; `row` counts TWEAKs from 0. */
export function readings(names: string[], numbers: Numbers, row: number, metrics: Vocabulary['metrics'] = []): Reading[] {
  return names.flatMap((name) => {
    const metric = metrics.find((m) => m.name === name)
    const [base, tweak] = [numbers[name]?.[0] ?? null, numbers[name]?.[row + 1] ?? null]
    return metric && (base !== null || tweak !== null) ? [{ metric, base, tweak }] : []
  })
}

export function amount(unit: string, value: number | null): string {
  return value === null ? '–' : unit === '%' ? percent(value) : figure(value)
}
