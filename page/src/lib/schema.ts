// Written by page/schema.py from the server's OpenAPI: change the Python specs, then run it again.

/** A TWEAK row as one line. */
export interface ALine {
  line: string
}

/** A run that was made or kept. */
export interface ARun {
  run: string
}

/** A recipe of some kind. */
export interface Asked {
  kind: string
  recipe: AttributionRecipe | ExperimentInput | ControlRecipe | HeadsRecipe | LensRecipeInput | LookRecipeInput | ExhibitRecipeInput | SweepInput | TrialsRecipeInput
}

/** All shares of one logit, or of the difference of two. */
export interface Attribution {
  prompt: string
  target: string
  wrong: string | null
  shares: Share[]
  total: number
  model: string
  revision: string
  notes: string[]
}

/** Whose logit is shared out. */
export interface AttributionRecipe {
  model?: string
  revision?: string | null
  dtype?: string | null
  prompt: string
  target: string
  wrong?: string | null
}

/** What a sweep's places are, before the first is known. */
export interface Axes {
  event: 'axes'
  axes: Axis[]
  cases: number
}

/** One axis of a grid. */
export interface Axis {
  name: string
  labels: string[]
}

/** Grouped bars: one group a label, one bar a series (token probabilities, say). */
export interface BarsInput {
  title: string
  summary: string
  kind?: 'bars'
  labels: string[]
  series: SeriesInput[]
  unit: string
}

/** Grouped bars: one group a label, one bar a series (token probabilities, say). */
export interface BarsOutput {
  title: string
  summary: string
  kind: 'bars'
  labels: string[]
  series: SeriesOutput[]
  unit: string
}

/** A token that might come next. */
export interface Candidate {
  id: number
  text: string
  base: number
  tweak: number
}

/** A kept run as the journal's list shows it. */
export interface Card {
  id: string
  created: string
  kind: string
  lab: string | null
  title: string
  takeaway: string
  recipe: ExperimentOutput
  rows: string[]
  numbers: Record<string, (number | null)[]>
}

/** One prompt that is swept, with the answers that its number is about. */
export interface CaseInput {
  prompt: string
  prompts?: Record<string, string>
  target?: string | null
  wrong?: string | null
}

/** One prompt that is swept, with the answers that its number is about. */
export interface CaseOutput {
  prompt: string
  prompts: Record<string, string>
  target: string | null
  wrong: string | null
}

/** Places of a sweep that are known now. */
export interface Cells {
  event: 'cells'
  case: number
  at: number[]
  values: (number | null)[]
  done: number
  total: number
}

/** Something to copy: a command line, YAML, Python. */
export interface Code {
  kind: 'code'
  text: string
  language: string
}

/** A lab's comparison is there; its steps are still to come. */
export interface Compared {
  event: 'compared'
  kind: string
  result: LabResult
  document: { blocks: (Heading | Text | Points | Strip | Table | Figure | Code | Drawing)[] }
  numbers: Record<string, (number | null)[]>
}

/** BASE and TWEAKs on the same prompt with the same dice. */
export interface Comparison {
  recipe: ExperimentOutput
  prompt_ids: number[]
  prompt_tokens: string[]
  base: Run
  tweaks: TweakRun[]
  versions: Record<string, string>
  revision: string
  device: string
  seconds: number
  notes: string[]
  source_ahead_nats: number | null
  allowed: string[]
}

/** What a tweak did, and what the same tweak did elsewhere. */
export interface Control {
  tweak: Stack
  case: CaseOutput
  metric: string
  effect: number
  lines: string[]
  others: number[]
  prompts: string[]
  elsewhere: number[]
}

/** Which tweak is tried elsewhere, and on what. */
export interface ControlRecipe {
  model?: string
  revision?: string | null
  dtype?: string | null
  tweak: Stack
  case: CaseInput
  metric?: string
  count?: number
  prompts?: string[]
}

/** A text in tokens. */
export interface Cut {
  tokens: Piece[]
}

/** How tokens are chosen. Filters act in this order: temperature, top_k, top_p (Holtzman et al. 2020). */
export interface DecodingInput {
  do_sample?: boolean
  temperature?: number
  top_k?: number
  top_p?: number
  num_beams?: number
  max_new_tokens?: number
}

/** How tokens are chosen. Filters act in this order: temperature, top_k, top_p (Holtzman et al. 2020). */
export interface DecodingOutput {
  do_sample: boolean
  temperature: number
  top_k: number
  top_p: number
  num_beams: number
  max_new_tokens: number
}

/** Blocks in reading order. */
export interface Document {
  blocks: (Heading | Text | Points | Strip | Table | Figure | Code | Drawing)[]
}

/** It is finished, and this came out. */
export interface Done {
  event: 'done'
  kind: string
  result: Comparison | LabResult | Attribution | Control | Exhibit | Grid | HeadScores | Lens | Look | Trials
  document: { blocks: (Heading | Text | Points | Strip | Table | Figure | Code | Drawing)[] }
  numbers: Record<string, (number | null)[]>
  seconds: number
}

/** Lines set in a font of one width, as they are: no writer wraps or fills them, so they must be short. */
export interface Drawing {
  kind: 'drawing'
  lines: Stroke[][]
}

/** What there was to see. */
export interface Exhibit {
  recipe: ExhibitRecipeOutput
  title: string
  sentence: string
  numbers: Record<string, number>
  blocks: (Heading | Text | Points | Strip | Table | Figure | Code | Drawing)[]
  revision: string
}

/** Which exhibit, with which settings. */
export interface ExhibitRecipeInput {
  model?: string
  revision?: string | null
  dtype?: string | null
  name: string
  settings?: Record<string, unknown>
}

/** Which exhibit, with which settings. */
export interface ExhibitRecipeOutput {
  model: string
  revision: string | null
  dtype: string | null
  name: string
  settings: Record<string, unknown>
}

/** Something to look at that compares no runs. */
export interface ExhibitText {
  name: string
  title: string
  what: string
  settings: Setting[]
}

/** BASE and the TWEAKs to compare with it, on one prompt, with one set of dice. */
export interface ExperimentInput {
  prompt: string
  tweaks?: Stack[]
  prompts?: Record<string, string>
  target?: string | null
  wrong?: string | null
  read?: string | null
  decoding?: DecodingInput
  seed?: number
  model?: string
  revision?: string | null
  dtype?: string | null
  top?: number
}

/** BASE and the TWEAKs to compare with it, on one prompt, with one set of dice. */
export interface ExperimentOutput {
  prompt: string
  tweaks: Stack[]
  prompts: Record<string, string>
  target: string | null
  wrong: string | null
  read: string | null
  decoding: DecodingOutput
  seed: number
  model: string
  revision: string | null
  dtype: string | null
  top: number
}

/** It could not be run. */
export interface Failed {
  event: 'failed'
  what: string
  hint: string | null
  field: string | null
}

/** A picture, with the name its file would have. */
export interface Figure {
  kind: 'figure'
  picture: BarsOutput | LinesOutput | HeatmapOutput
  name: string
}

/** How well a tuned lens does on text that it was not fitted on. */
export interface Fit {
  text: string
  tokens: number
  held_out: number
  raw_nats: number[]
  tuned_nats: number[]
  reused: boolean
}

/** A kind of tweak, as a sentence to be filled in. */
export interface Form {
  name: string
  family: string
  usage: string
  what: string
  parts: Part[]
}

/** A recipe in its other forms; null where it has none. */
export interface Forms {
  cli: string | null
  yaml: string
  python: string | null
}

/** What a sweep found: one number a place, row by row, for every case. */
export interface Grid {
  recipe: SweepOutput
  axes: Axis[]
  lines: string[]
  values: ((number | null)[])[]
  base: (number | null)[]
  unit: string
  prompt_tokens: string[]
  versions: Record<string, string>
  revision: string
  device: string
  path: string
  checked: number | null
  notes: string[]
  seconds: number
}

/** Scores of every head: [layer][head]. */
export interface HeadScores {
  induction: number[][]
  previous_token: number[][]
  duplicate_token: number[][]
  effect_nats: number[][]
  first_nats: number
  second_nats: number
  rows: number
  length: number
  seed: number
  model: string
  revision: string
  versions: Record<string, string>
}

/** A heading of level 1 to 3. */
export interface Heading {
  kind: 'heading'
  text: string
  level: number
}

/** How many strings are read, and how long they are. */
export interface HeadsRecipe {
  model?: string
  revision?: string | null
  dtype?: string | null
  rows?: number
  length?: number
  seed?: number
}

/** A grid of numbers: layers x heads, layers x positions. */
export interface HeatmapInput {
  title: string
  summary: string
  kind?: 'heatmap'
  rows: string[]
  columns: string[]
  values: ((number | null)[])[]
  row_name: string
  column_name: string
  unit: string
  diverging?: boolean
  outlined?: boolean[][] | null
}

/** A grid of numbers: layers x heads, layers x positions. */
export interface HeatmapOutput {
  title: string
  summary: string
  kind: 'heatmap'
  rows: string[]
  columns: string[]
  values: ((number | null)[])[]
  row_name: string
  column_name: string
  unit: string
  diverging: boolean
  outlined: boolean[][] | null
}

/** A lab after its run. */
export interface LabResult {
  lab: string
  comparison: Comparison
  takeaway: string
  verdicts: Verdict[]
  steps: StepResult[]
  notes: string[]
}

/** A lab as plain data: its text, its experiment, and its claims in words. */
export interface LabText {
  number: string
  name: string
  full_name: string
  section: number
  title: string
  why: string
  know: string[]
  numbers: string[]
  look_for: string
  questions: string[]
  sources: string[]
  hero: number
  experiment: ExperimentOutput
  claims: string[]
  steps: Told[]
}

/** What was learned from a run. */
export interface Learned {
  run: string
  takeaway: string
}

/** What was seen through a lens. */
export interface Lens {
  recipe: LensRecipeOutput
  prompt_tokens: string[]
  base: Seen
  tweak: Seen | null
  texts: Record<string, string>
  fit: Fit | null
  versions: Record<string, string>
  revision: string
  device: string
  notes: string[]
  seconds: number
}

/** One prompt, read by BASE and, where a tweak is given, by TWEAK, layer by layer. */
export interface LensRecipeInput {
  prompt: string
  tweak?: Stack | null
  prompts?: Record<string, string>
  target?: string | null
  tuned?: boolean
  text?: string | null
  top?: number
  model?: string
  revision?: string | null
  dtype?: string | null
}

/** One prompt, read by BASE and, where a tweak is given, by TWEAK, layer by layer. */
export interface LensRecipeOutput {
  prompt: string
  tweak: Stack | null
  prompts: Record<string, string>
  target: string | null
  tuned: boolean
  text: string | null
  top: number
  model: string
  revision: string | null
  dtype: string | null
}

/** Curves over a common x axis (a dose curve, an effect by position). */
export interface LinesInput {
  title: string
  summary: string
  kind?: 'lines'
  x: number[]
  x_name: string
  y_name: string
  series: SeriesInput[]
  x_labels?: string[] | null
}

/** Curves over a common x axis (a dose curve, an effect by position). */
export interface LinesOutput {
  title: string
  summary: string
  kind: 'lines'
  x: number[]
  x_name: string
  y_name: string
  series: SeriesOutput[]
  x_labels: string[] | null
}

/** One head's attention pattern. */
export interface Look {
  recipe: LookRecipeOutput
  tokens: string[]
  pattern: number[][]
  revision: string
  tweak: number[][] | null
  notes: string[]
}

/** Whose pattern is looked at, and on what. */
export interface LookRecipeInput {
  model?: string
  revision?: string | null
  dtype?: string | null
  prompt: string
  layer: number
  head: number
  tweak?: Stack | null
  prompts?: Record<string, string>
}

/** Whose pattern is looked at, and on what. */
export interface LookRecipeOutput {
  model: string
  revision: string | null
  dtype: string | null
  prompt: string
  layer: number
  head: number
  tweak: Stack | null
  prompts: Record<string, string>
}

/** A number that is taken between BASE and TWEAK. */
export interface MetricText {
  name: string
  label: string
  unit: string
  gloss: string
  needs: string[]
}

/** A model of the desk, as the page is told of it. */
export interface Opened {
  name: string
  state: string
  layers: number
  heads: number
  width: number
  context: number
  sites: string[]
  revision: string
  device: string
  what: string
  hint: string
}

/** A piece of a tweak's form: words as they stand, or a slot to be filled. */
export interface Part {
  optional: boolean
  words: string | null
  slot: string | null
  word: string
  sample: string
  pattern: string
  what: string
}

/** A picture that a lab can name. */
export interface PictureText {
  name: string
  what: string
}

/** A token of a text. */
export interface Piece {
  id: number
  text: string
}

/** Where an entry is to go. */
export interface Place {
  above?: string | null
}

/** A list of short paragraphs. */
export interface Points {
  kind: 'points'
  items: string[]
  numbered: boolean
}

/** What a refusal says, in the command line's words. */
export interface Problem {
  what: string
  hint: string | null
  field: string | null
}

/** It waits; told again whenever the line moves. */
export interface Queued {
  event: 'queued'
  ahead: number
}

/** A row's line, read. */
export interface ReadStack {
  line: string
  tweaks: ReadTweak[]
}

/** A tweak of a line, read. */
export interface ReadTweak {
  name: string
  family: string
  line: string
  slots: Record<string, string>
}

/** What came out of a run. A kind of result says what to show, in order, as `document`; the doors are here. */
export interface Result {
}

/** What one row said, and how sure it was. */
export interface Run {
  text: string
  ids: number[]
  tokens: string[]
  said_nats: number[]
  choice_entropy_nats: number[]
  entropy_nats: number[]
  perplexity: number | null
  next: Candidate[]
  target_nats: number | null
  ahead_nats: number | null
  read_perplexity: number | null
}

/** A section of the guide, with its labs. */
export interface SectionText {
  number: number
  title: string
  why: string
  labs: LabText[]
}

/** What one row, BASE or TWEAK, would say: everything is [layer][position], and the last layer is its output. */
export interface Seen {
  ids: number[][][]
  probabilities: number[][][]
  entropy_nats: number[][]
  kl_nats: number[][]
  target: number[][] | null
  moved_nats: number[][] | null
}

/** One named row of numbers; its role decides its colour (BASE blue-grey, TWEAK orange). */
export interface SeriesInput {
  name: string
  values: (number | null)[]
  role?: 'base' | 'tweak' | 'other'
  low?: number[] | null
  high?: number[] | null
}

/** One named row of numbers; its role decides its colour (BASE blue-grey, TWEAK orange). */
export interface SeriesOutput {
  name: string
  values: (number | null)[]
  role: 'base' | 'tweak' | 'other'
  low: number[] | null
  high: number[] | null
}

/** A setting of an exhibit. */
export interface Setting {
  name: string
  what: string
  default: unknown
}

/** One component's part of the logit. */
export interface Share {
  component: string
  layer: number | null
  head: number | null
  logit: number
}

/** A kind of place in a model. */
export interface SiteText {
  name: string
  axes: string[]
  layered: boolean
  what: string
}

/** A text that a row of a comparison said, and who is asked about it. */
export interface Spoken {
  recipe: { prompt: string; tweaks?: Stack[]; prompts?: Record<string, string>; target?: string | null; wrong?: string | null; read?: string | null; decoding?: DecodingInput; seed?: number; model?: string; revision?: string | null; dtype?: string | null; top?: number }
  ids: number[]
  row?: number | null
}

/** Tweaks, one line each, joined by ` + `. */
export type Stack = string

/** It is being run. */
export interface Started {
  event: 'started'
  what: string
}

/** What the server is doing. */
export interface State {
  version: string
  models: Opened[]
  waiting: number
}

/** A step after its run. */
export interface StepResult {
  name: string
  title: string
  text: string
  kind: string
  result: Result | null
  command: string | null
  skipped: string
  verdicts: Verdict[]
}

/** What one row said, token by token, after the prompt. */
export interface Strip {
  kind: 'strip'
  role: 'base' | 'tweak'
  label: string
  prompt: string
  tokens: string[]
  probabilities: number[]
  parted_at: number | null
}

/** A piece of a drawing's line. */
export interface Stroke {
  text: string
  ink: 'plain' | 'dim' | 'bold' | 'one' | 'two' | 'three' | 'four'
}

/** One kind of tweak over many places. */
export interface SweepInput {
  tweak: string
  cases: CaseInput[]
  metric?: string
  over?: string | null
  values?: number[]
  window?: number
  under?: Stack | null
  seeds?: number
  model?: string
  revision?: string | null
  dtype?: string | null
}

/** One kind of tweak over many places. */
export interface SweepOutput {
  tweak: string
  cases: CaseOutput[]
  metric: string
  over: string | null
  values: number[]
  window: number
  under: Stack | null
  seeds: number
  model: string
  revision: string | null
  dtype: string | null
}

/** Rows of cells. Numbers come formatted, with their unit in the column's name or in the cell. */
export interface Table {
  kind: 'table'
  columns: string[]
  rows: string[][]
  caption: string
}

/** One paragraph. */
export interface Text {
  kind: 'text'
  text: string
  tone: 'plain' | 'dim' | 'note' | 'takeaway'
}

/** A text to be cut into tokens. */
export interface ToCut {
  text: string
  model: string
}

/** A token that one row said. */
export interface Token {
  text: string
  probability: number
}

/** What every row said next; None for a row that has ended. */
export interface Tokens {
  event: 'tokens'
  rows: (Token | null)[]
}

/** A step of a lab, before it is run. */
export interface Told {
  name: string
  title: string
  text: string
}

/** What came out of many trials of the same rows. */
export interface Trials {
  recipe: TrialsRecipeOutput
  base: ((number | null)[])[]
  values: (((number | null)[])[])[]
  examples: string[][]
  versions: Record<string, string>
  revision: string
  device: string
  seconds: number
}

/** Rows to be tried, and on what. */
export interface TrialsRecipeInput {
  model?: string
  revision?: string | null
  dtype?: string | null
  prompts: string[]
  tweaks: Stack[]
  metric: string
  seeds?: number
  doses?: number[]
  dose_name?: string
  targets?: string[]
  read?: string | null
  decoding?: DecodingInput
  seed?: number
}

/** Rows to be tried, and on what. */
export interface TrialsRecipeOutput {
  model: string
  revision: string | null
  dtype: string | null
  prompts: string[]
  tweaks: Stack[]
  metric: string
  seeds: number
  doses: number[]
  dose_name: string
  targets: string[]
  read: string | null
  decoding: DecodingOutput
  seed: number
}

export type Tweak = string

/** A TWEAK row beside BASE. */
export interface TweakRun {
  text: string
  ids: number[]
  tokens: string[]
  said_nats: number[]
  choice_entropy_nats: number[]
  entropy_nats: number[]
  perplexity: number | null
  next: Candidate[]
  target_nats: number | null
  ahead_nats: number | null
  read_perplexity: number | null
  tweak: Stack
  kl_nats: number[]
  top_changed: boolean[]
  first_divergence: number | null
  notes: string[]
}

/** Whether a claim held. */
export interface Verdict {
  text: string
  holds: boolean
  expected: boolean
}

/** Everything that a sentence of the page can be made of. */
export interface Vocabulary {
  tweaks: Form[]
  sites: SiteText[]
  places: string[]
  metrics: MetricText[]
  exhibits: ExhibitText[]
  pictures: PictureText[]
}

/** A picture as a file. */
export interface Wanted {
  picture: BarsInput | LinesInput | HeatmapInput
  format?: 'svg' | 'png' | 'csv'
}

/** A kept run with all that came out. */
export interface Whole {
  id: string
  created: string
  kind: string
  lab: string | null
  title: string
  takeaway: string
  recipe: ExperimentOutput
  rows: string[]
  numbers: Record<string, (number | null)[]>
  result: Comparison
  document: Document
}
