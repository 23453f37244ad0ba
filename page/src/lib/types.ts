// What the page calls the server's shapes. They are written out in schema.ts, which page/schema.py makes from the OpenAPI.
import type * as made from './schema'

export type {
  Axis,
  BarsOutput as Bars,
  Candidate,
  Card,
  Cut,
  HeatmapOutput as Heat,
  LabText as Lab,
  LinesOutput as Lines,
  Opened,
  Part,
  ReadStack,
  ReadTweak,
  SectionText as Section,
  SeriesOutput as Series,
  State,
  Verdict,
  Vocabulary,
} from './schema'

/** What is being written: it always has rows, if none yet. */
export type Experiment = made.ExperimentInput & { tweaks: string[] }
/** A row of a comparison; BASE has nothing of what is about a TWEAK. */
export type Run = made.Run & Partial<made.TweakRun>
export type Comparison = Omit<made.Comparison, 'base'> & { base: Run }
/** A kept run with all that came out. */
export type Whole = Omit<made.Whole, 'result'> & { result: Comparison }
export type LabResult = Omit<made.LabResult, 'comparison'> & { comparison: Comparison }
export type Decoding = made.DecodingInput
export type Kind = made.Form
export type Block = made.Document['blocks'][number]
export type Picture = made.Figure['picture']
export type Event = made.Queued | made.Started | made.Tokens | made.Axes | made.Cells | made.Compared | made.Done | made.Failed
