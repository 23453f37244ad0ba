// What stands on the bench: an experiment being written, the run that is on, and what came out.
import { drop, get, post, Refusal, stream } from './api'
import type {
  Axis,
  Block,
  Card,
  Comparison,
  Event,
  Experiment,
  Lab,
  LabResult,
  Opened,
  ReadTweak,
  Section,
  State,
  Vocabulary,
} from './types'
import { words } from './words'

export type Depth = 'learn' | 'lab' | 'bench'

interface Piece {
  text: string
  probability: number
}

const BLANK: Experiment = { prompt: 'Once upon a time', tweaks: ['zero head 3.5'], decoding: { max_new_tokens: 30 } }

class Bench {
  state = $state<State | null>(null)
  sections = $state<Section[]>([])
  vocabulary = $state<Vocabulary | null>(null)
  journal = $state<Card[]>([])
  search = $state('')

  plan = $state<Experiment>(structuredClone(BLANK))
  lab = $state<string | null>(null)
  depth = $state<Depth>('lab')
  chips = $state<{ id: number; text: string }[]>([])

  running = $state(false)
  doing = $state('')
  trouble = $state<Refusal | null>(null)
  rows = $state<Piece[][]>([])
  result = $state.raw<Comparison | null>(null)
  told = $state.raw<LabResult | null>(null)
  blocks = $state.raw<Block[]>([])
  numbers = $state.raw<Record<string, (number | null)[]>>({})
  run = $state('')
  recorded = $state(false)
  saved = $state('')
  takeaway = $state('')
  guess = $state('')
  row = $state(0) // the TWEAK row that numbers and bars show

  side = $state.raw<Record<string, Side>>({}) // what stands under "where it happened", by tab
  #abort: AbortController | null = null

  get models(): Opened[] {
    return this.state?.models ?? []
  }

  get model(): Opened | undefined {
    return this.models.find((m) => m.name === (this.plan.model ?? this.models[0]?.name)) ?? this.models[0]
  }

  get chosen(): Lab | undefined {
    return this.sections.flatMap((s) => s.labs).find((lab) => lab.number === this.lab)
  }

  /** Everything that the first look needs; the recorded run first, because it needs no model. */
  async begin(): Promise<void> {
    const fromAddress = this.#readAddress()
    if (!fromAddress) void this.#showRecorded()
    addEventListener('popstate', () => {
      this.stop()
      if (this.#readAddress()) void this.cut()
    })
    try {
      ;[this.sections, this.vocabulary] = await Promise.all([get<Section[]>('/api/labs'), get<Vocabulary>('/api/vocabulary')])
      void this.readJournal()
      await this.#watch()
      void this.cut()
    } catch (error) {
      this.#tell(error)
    }
  }

  async #watch(): Promise<void> {
    for (;;) {
      this.state = await get<State>('/api/state')
      if (this.models.every((m) => m.state !== 'loading' && m.state !== 'waiting')) return
      if (this.models[0]?.state === 'ready' || this.models[0]?.state === 'failed') return
      await new Promise((done) => setTimeout(done, 250))
    }
  }

  async #showRecorded(): Promise<void> {
    const found = await fetch('./recorded.json').catch(() => null)
    if (!found?.ok || this.result) return
    const done = (await found.json()) as Extract<Event, { event: 'done' }>
    if (this.running || this.result) return
    this.recorded = true
    this.#take(done)
    this.plan = structuredClone(this.result!.recipe)
    this.row = Math.max(this.result!.tweaks.length - 1, 0)
    this.lab = (this.told?.lab ?? '').slice(0, 2) || null
  }

  // ── the address ──
  #readAddress(): boolean {
    if (location.hash.length < 2) return false
    try {
      const { e, lab, depth, row } = JSON.parse(decodeURIComponent(location.hash.slice(1)))
      this.plan = { ...structuredClone(BLANK), ...e }
      this.lab = lab ?? null
      this.depth = depth ?? this.depth
      this.row = row ?? 0
      this.forget()
      return true
    } catch {
      return false
    }
  }

  get address(): string {
    const { lab, depth, row } = this
    return '#' + encodeURIComponent(JSON.stringify({ e: $state.snapshot(this.plan), lab, depth, row }))
  }

  remember(): void {
    if (this.address !== location.hash) history.pushState(null, '', this.address)
  }

  // ── what is written ──
  choose(lab: Lab): void {
    this.stop()
    this.lab = lab.number
    this.plan = structuredClone($state.snapshot(lab.experiment)) as Experiment
    if (this.models[0] && !this.models.some((m) => m.name === this.plan.model)) this.plan.model = this.models[0].name
    this.row = lab.hero < 0 ? lab.experiment.tweaks.length + lab.hero : lab.hero
    this.forget()
    this.remember()
    void this.cut()
  }

  open(card: Card): void {
    this.stop()
    this.lab = card.lab?.slice(0, 2) ?? null
    this.plan = structuredClone($state.snapshot(card.recipe)) as Experiment
    this.forget()
    this.takeaway = card.takeaway
    this.remember()
    void this.replay(card.id)
    void this.cut()
  }

  forget(): void {
    this.rows = []
    this.result = this.told = null
    this.blocks = []
    this.numbers = {}
    this.side = {}
    this.trouble = null
    this.recorded = false
    this.run = this.saved = this.takeaway = ''
  }

  async replay(id: string): Promise<void> {
    try {
      const entry = await get<Card & { result: Comparison; document: { blocks: Block[] } }>(`/api/journal/${id}`)
      this.result = entry.result
      this.numbers = entry.numbers
      this.rows = []
    } catch (error) {
      this.#tell(error)
    }
  }

  async cut(): Promise<void> {
    const name = this.model?.name
    if (!name) return
    try {
      this.chips = (await post<{ tokens: { id: number; text: string }[] }>('/api/tokens', { text: this.plan.prompt, model: name })).tokens
    } catch {
      this.chips = []
    }
  }

  async readLine(line: string): Promise<ReadTweak[]> {
    return (await post<{ tweaks: ReadTweak[] }>('/api/tweak', { line })).tweaks
  }

  /** Put a place into the first tweak that has one: look, change, compare in one gesture. */
  pick(place: string): void {
    const rows = [...this.plan.tweaks]
    const at = Math.min(this.row, rows.length - 1)
    const line = rows[at] ?? ''
    const changed = line.replace(/head -?\d+\.-?\d+/, place)
    rows[Math.max(at, 0)] = changed === line && !line.includes(place) ? `zero ${place}` : changed
    this.plan.tweaks = rows
  }

  // ── running ──
  get experiment(): Experiment {
    const plan = structuredClone($state.snapshot(this.plan)) as Experiment
    plan.model = this.model?.name ?? plan.model
    plan.tweaks = plan.tweaks.filter((line) => line.trim())
    for (const name of ['target', 'wrong', 'read'] as const) if (!plan[name]) plan[name] = null
    return plan
  }

  stop(): void {
    this.#abort?.abort()
    this.#abort = null
    this.running = false
  }

  async go(): Promise<void> {
    this.stop()
    const plan = this.experiment
    const lab = this.chosen && plan.tweaks.length ? this.chosen : undefined
    this.remember()
    this.forget()
    this.running = true
    this.rows = Array.from({ length: plan.tweaks.length + 1 }, () => [])
    const abort = (this.#abort = new AbortController())
    try {
      const path = lab ? `/api/labs/${lab.number}/run` : '/api/compare'
      this.run = await stream(path, plan, abort.signal, (event) => this.#hear(event))
    } catch (error) {
      this.#tell(error)
    } finally {
      if (this.#abort === abort) {
        this.running = false
        this.doing = ''
      }
    }
    void this.#watch().catch(() => {})
  }

  #hear(event: Event): void {
    if (event.event === 'queued') this.doing = words.queued(event.ahead)
    else if (event.event === 'started') this.doing = event.what
    else if (event.event === 'tokens') event.rows.forEach((token, i) => token && this.rows[i]?.push(token))
    else if (event.event === 'done') this.#take(event)
  }

  #take(done: Extract<Event, { event: 'done' }>): void {
    this.told = done.kind === 'LabResult' ? (done.result as LabResult) : null
    this.result = this.told ? this.told.comparison : (done.result as Comparison)
    this.blocks = this.told ? done.document.blocks : []
    this.numbers = done.numbers
    if (this.row >= this.result.tweaks.length) this.row = Math.max(this.result.tweaks.length - 1, 0)
    this.takeaway = ''
  }

  #tell(error: unknown): void {
    if (error instanceof DOMException && error.name === 'AbortError') return
    this.trouble = error instanceof Refusal ? error : new Refusal(String(error))
  }

  /** Another look at the same prompt: a sweep, a lens, a pattern, doses, the control. */
  async look(tab: string, path: string, body: unknown): Promise<void> {
    const abort = new AbortController()
    const side: Side = { axes: [], values: [], done: 0, total: 0, result: null, blocks: [], trouble: null, running: true, abort }
    const show = () => (this.side = { ...this.side, [tab]: { ...side } })
    show()
    try {
      await stream(path, body, abort.signal, (event) => {
        if (event.event === 'axes') {
          side.axes = event.axes
          side.values = Array(event.axes.reduce((n, axis) => n * axis.labels.length, 1)).fill(null)
        } else if (event.event === 'cells') {
          if (event.case === 0) event.at.forEach((at, i) => (side.values[at] = event.values[i] ?? null))
          side.done = event.done
          side.total = event.total
        } else if (event.event === 'done') {
          side.result = event.result
          side.blocks = event.document.blocks
        } else return
        show()
      })
    } catch (error) {
      if (!(error instanceof DOMException)) side.trouble = error instanceof Refusal ? error : new Refusal(String(error))
    }
    side.running = false
    show()
  }

  // ── the journal ──
  async readJournal(): Promise<void> {
    try {
      this.journal = await get<Card[]>(`/api/journal?search=${encodeURIComponent(this.search)}`)
    } catch (error) {
      this.#tell(error)
    }
  }

  removed = $state<Card | null>(null)

  async #change(what: () => Promise<unknown>): Promise<void> {
    try {
      await what()
      await this.readJournal()
    } catch (error) {
      this.#tell(error)
    }
  }

  remove(card: Card): Promise<void> {
    return this.#change(async () => {
      await drop(`/api/journal/${card.id}`)
      this.removed = card
    })
  }

  restore(card: Card): Promise<void> {
    return this.#change(async () => {
      await post(`/api/journal/${card.id}/restore`, {})
      this.removed = null
    })
  }

  lift(card: Card): Promise<void> {
    const at = this.journal.findIndex((other) => other.id === card.id)
    const above = this.journal[at - 1]
    return above ? this.#change(() => post(`/api/journal/${card.id}/move`, { above: above.id })) : Promise.resolve()
  }

  async save(): Promise<void> {
    try {
      const card = await post<Card>('/api/journal', { run: this.run, takeaway: this.takeaway })
      this.saved = card.id
      await this.readJournal()
    } catch (error) {
      this.#tell(error)
    }
  }
}

export interface Side {
  axes: Axis[]
  values: (number | null)[]
  done: number
  total: number
  result: unknown
  blocks: Block[]
  trouble: Refusal | null
  running: boolean
  abort: AbortController
}

export const bench = new Bench()
