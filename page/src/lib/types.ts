// What the server sends, as far as the page reads it. Field names are the Python specs'.

export interface Decoding {
  do_sample?: boolean
  temperature?: number
  top_k?: number
  top_p?: number
  max_new_tokens?: number
  [name: string]: unknown
}

export interface Experiment {
  prompt: string
  tweaks: string[]
  prompts?: Record<string, string>
  target?: string | null
  wrong?: string | null
  read?: string | null
  decoding?: Decoding
  seed?: number
  model?: string
  [name: string]: unknown
}

export interface Candidate {
  id: number
  text: string
  base: number
  tweak: number
}

export interface Run {
  text: string
  tokens: string[]
  said_nats: number[]
  next: Candidate[]
  tweak?: string
  kl_nats?: number[]
  first_divergence?: number | null
  notes?: string[]
}

export interface Comparison {
  recipe: Experiment
  prompt_tokens: string[]
  base: Run
  tweaks: Run[]
  notes: string[]
  revision: string
  device: string
  seconds: number
  versions: Record<string, string>
}

export interface Verdict {
  text: string
  holds: boolean
  expected: boolean
}

export interface LabResult {
  lab: string
  comparison: Comparison
  takeaway: string
  verdicts: Verdict[]
  steps: { name: string; title: string; verdicts: Verdict[] }[]
  notes: string[]
}

export interface Axis {
  name: string
  labels: string[]
}

export interface Series {
  name: string
  values: (number | null)[]
  role: 'base' | 'tweak' | 'other'
  low?: number[] | null
  high?: number[] | null
}

export interface Bars {
  kind: 'bars'
  title: string
  summary: string
  labels: string[]
  series: Series[]
  unit: string
}

export interface Lines {
  kind: 'lines'
  title: string
  summary: string
  x: number[]
  x_name: string
  y_name: string
  series: Series[]
  x_labels?: string[] | null
}

export interface Heat {
  kind: 'heatmap'
  title: string
  summary: string
  rows: string[]
  columns: string[]
  values: (number | null)[][]
  row_name: string
  column_name: string
  unit: string
  diverging: boolean
}

export type Picture = Bars | Lines | Heat

export type Block =
  | { kind: 'heading'; text: string; level: number }
  | { kind: 'text'; text: string; tone: string }
  | { kind: 'points'; items: string[]; numbered: boolean }
  | { kind: 'strip'; role: string; label: string; tokens: string[]; probabilities: number[]; parted_at?: number | null }
  | { kind: 'table'; columns: string[]; rows: string[][]; caption: string }
  | { kind: 'figure'; picture: Picture; name: string }
  | { kind: 'code'; text: string; language: string }
  | { kind: 'drawing'; lines: { text: string; ink: string }[][] }

export interface Lab {
  number: string
  full_name: string
  title: string
  why: string
  know: string[]
  look_for: string
  questions: string[]
  sources: string[]
  claims: string[]
  hero: number
  experiment: Experiment
  steps: { name: string; title: string; text: string }[]
}

export interface Section {
  number: number
  title: string
  why: string
  labs: Lab[]
}

export interface Part {
  words?: string
  slot?: string
  optional: boolean
  word?: string
  sample?: string
  what?: string
}

export interface Kind {
  name: string
  family: string
  usage: string
  what: string
  parts: Part[]
}

export interface Vocabulary {
  tweaks: Kind[]
  sites: { name: string; axes: string; layered: boolean; what: string }[]
  places: string[]
  exhibits: { name: string; title: string; what: string; settings: { name: string; what: string; default: unknown }[] }[]
  metrics: { name: string; label: string; unit: string; gloss: string; needs: string[] }[]
}

export interface Opened {
  name: string
  state: 'waiting' | 'loading' | 'ready' | 'failed'
  layers: number
  heads: number
  context: number
  what: string
  hint: string
}

export interface State {
  version: string
  models: Opened[]
  waiting: number
}

export interface Card {
  id: string
  created: string
  lab: string | null
  title: string
  takeaway: string
  recipe: Experiment
  rows: string[]
  numbers: Record<string, (number | null)[]>
}

export interface ReadTweak {
  name: string
  line: string
  slots: Record<string, string>
}

export type Event =
  | { event: 'queued'; ahead: number }
  | { event: 'started'; what: string }
  | { event: 'tokens'; rows: ({ text: string; probability: number } | null)[] }
  | { event: 'axes'; axes: Axis[]; cases: number }
  | { event: 'cells'; case: number; at: number[]; values: (number | null)[]; done: number; total: number }
  | {
      event: 'done'
      kind: string
      result: unknown
      document: { blocks: Block[] }
      numbers: Record<string, (number | null)[]>
      seconds: number
    }
  | { event: 'failed'; what: string; hint: string | null; field: string | null }
