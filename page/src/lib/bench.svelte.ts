// What stands on the bench: an experiment being written, the run that is on, and what came out.
import { drop, get, post, Refusal, stream } from './api'
import type { Guess, Spot, Table, WithIds } from './kinds'
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
  Whole,
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
  depth = $state<Depth>(known('depth', 'learn'))
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
  opened = $state('') // the journal's entry that is shown
  recorded = $state(false)
  saved = $state('')
  takeaway = $state('')
  guess = $state<Guess>({ text: '', answer: '' })
  finished = $state.raw<Set<string>>(new Set()) // labs of which a run was kept
  spot = $state<Spot | null>(null)
  tables = $state.raw<Record<string, Table[]>>({}) // what was about to be said, along a strip
  row = $state(0) // the TWEAK row that numbers and bars show

  side = $state.raw<Record<string, Side>>({}) // what stands under "where it happened", by tab
  reading = $state<string | null>(null) // the journal's page: of one entry, or '' of all; null at the bench
  left = $state('') // the bench's address while the journal is read
  wholes = $state.raw<Record<string, Whole | Refusal>>({}) // entries with all that came out, or why they cannot be had
  #at = location.hash
  #fetching = new Set<string>()
  #abort: AbortController | null = null
  #looks = new Map<string, AbortController>()
  #seen = new Map<string, Extract<Event, { event: 'done' }> & { run: string }>() // results of late, by address
  #asked = new Set<string>()

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
      const [from, to] = [this.#at, location.hash]
      this.#at = to
      const [was, is] = [this.reading, journalIn(to)]
      this.reading = is
      if (is !== null) {
        if (was === null) this.left = from
        return
      }
      if (was !== null && to === this.left) return // the bench is as it was left
      this.stop()
      if (!this.#readAddress()) return
      void this.cut()
      const before = this.#seen.get(location.hash)
      if (before) this.#take(before, before.run)
    })
    try {
      ;[this.sections, this.vocabulary] = await Promise.all([get<Section[]>('/api/labs'), get<Vocabulary>('/api/vocabulary')])
      void this.readJournal()
      void this.#readFinished()
      await this.#watch()
      void this.cut()
    } catch (error) {
      this.tell(error)
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
    this.reading = journalIn(location.hash)
    if (location.hash.length < 2 || this.reading !== null) return false
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

  deepen(depth: Depth): void {
    this.depth = depth
    try {
      localStorage.setItem('depth', depth)
    } catch {
      // a browser that keeps nothing: the address still does
    }
  }

  remember(): void {
    this.reading = null
    if (this.address === location.hash) return
    history.pushState(null, '', this.address)
    this.#at = location.hash
  }

  // ── what is written ──
  choose(lab: Lab): void {
    this.stop()
    this.lab = lab.number
    this.plan = structuredClone($state.snapshot(lab.experiment)) as Experiment
    if (this.models[0] && !this.models.some((m) => m.name === this.plan.model)) this.plan.model = this.models[0].name
    this.guess = { text: '', answer: '' }
    this.row = lab.hero < 0 ? lab.experiment.tweaks.length + lab.hero : lab.hero
    this.forget()
    this.remember()
    void this.cut()
  }

  open(card: Card): void {
    this.stop()
    this.lab = card.lab?.slice(0, 2) ?? null
    this.plan = structuredClone($state.snapshot(card.recipe)) as Experiment
    this.row = Math.max(Math.min(this.row, this.plan.tweaks.length - 1), 0)
    this.forget()
    this.takeaway = card.takeaway
    this.remember()
    void this.replay(card.id)
    void this.cut()
  }

  /** What is known about every place of a prompt (a sweep of heads) outlives a change of the tweak. */
  #about(): string {
    const { prompt, target, wrong, model } = this.experiment
    return JSON.stringify([prompt, target, wrong, model])
  }

  forget(): void {
    this.rows = []
    this.result = this.told = null
    this.blocks = []
    this.numbers = {}
    const heads = this.side.heads?.about === this.#about() ? this.side.heads : undefined
    for (const [tab, abort] of this.#looks) if (tab !== 'heads' || !heads) abort.abort()
    this.side = heads ? { heads } : {}
    this.spot = null
    this.tables = {}
    this.#asked.clear()
    this.trouble = null
    this.recorded = false
    this.run = this.opened = this.saved = this.takeaway = ''
  }

  async replay(id: string): Promise<void> {
    try {
      const { result, document, numbers } = await get<Whole>(`/api/journal/${id}`)
      this.#seen.set(location.hash, { event: 'done', kind: 'Comparison', result, document, numbers, seconds: 0, run: '' })
      this.result = result
      this.numbers = numbers
      this.opened = id
      this.rows = []
    } catch (error) {
      this.tell(error)
    }
  }

  async tokensOf(text: string): Promise<{ id: number; text: string }[]> {
    const name = this.model?.name
    if (!name) return []
    try {
      return (await post<{ tokens: { id: number; text: string }[] }>('/api/tokens', { text, model: name })).tokens
    } catch {
      return [] // what is wrong with it is told when it is run
    }
  }

  async cut(): Promise<void> {
    const text = this.plan.prompt
    const shown = this.chips.map((chip) => chip.text).join('')
    if (!text.startsWith(shown.slice(0, 8))) this.chips = [] // of another prompt, not of one that is being typed
    const chips = await this.tokensOf(text)
    if (text === this.plan.prompt) this.chips = chips
  }

  async readLine(line: string): Promise<ReadTweak[]> {
    return (await post<{ tweaks: ReadTweak[] }>('/api/tweak', { line })).tweaks
  }

  /** The tweak that the page speaks of: the chosen row's line. */
  get line(): string {
    return this.plan.tweaks[Math.min(this.row, this.plan.tweaks.length - 1)] ?? ''
  }

  /** Put a place into the chosen row: look, change, compare in one gesture. A head takes another head's place. */
  pick(place: string): void {
    const rows = [...this.plan.tweaks]
    const at = Math.max(Math.min(this.row, rows.length - 1), 0)
    const line = rows[at] ?? ''
    const changed = place.startsWith('head ') ? line.replace(/head -?\d+\.-?\d+/, place) : line
    rows[at] = changed === line && !line.includes(place) ? `zero ${place}` : changed
    this.plan.tweaks = rows
    this.picked = rows[at]!
  }

  picked = $state('') // what a click wrote into the sentence, to be told aloud

  // ── along a text ──
  /** Look at a token of a strip; without `pin` only while the pointer or the focus is there. */
  lookAt(strip: number, at: number, pin = false): void {
    if (!this.result || (this.spot?.pinned && !pin)) return
    const same = this.spot?.pinned && this.spot.strip === strip && this.spot.at === at
    this.spot = pin && same ? { strip, at, pinned: false } : { strip, at, pinned: pin }
    void this.#readAlong(strip)
  }

  lookAway(unpin = false): boolean {
    const was = !!this.spot?.pinned
    if (this.spot && (unpin || !was)) this.spot = null
    return was
  }

  /** What stood at the spot before its token was chosen: None while it is being asked for. */
  get table(): Table | undefined {
    return this.spot ? this.tables[`${this.spot.strip}.${this.row}`]?.[this.spot.at] : undefined
  }

  async #readAlong(strip: number): Promise<void> {
    const { result, run } = this
    const key = `${strip}.${this.row}`
    if (!result || this.#asked.has(key)) return
    const { ids } = (strip ? result.tweaks[strip - 1] : result.base) as WithIds
    if (!ids?.length) return
    this.#asked.add(key)
    try {
      const row = result.tweaks.length ? this.row : null
      const { tables } = await post<{ tables: Table[] }>('/api/along', { recipe: result.recipe, ids, row })
      if (this.result && this.run === run) this.tables = { ...this.tables, [key]: tables }
    } catch (error) {
      this.#asked.delete(key)
      this.tell(error)
    }
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
    const lab = plan.tweaks.length && this.depth !== 'bench' ? this.chosen : undefined
    this.remember()
    this.forget()
    this.running = true
    this.rows = Array.from({ length: plan.tweaks.length + 1 }, () => [])
    const abort = (this.#abort = new AbortController())
    try {
      const path = lab ? `/api/labs/${lab.number}/run` : '/api/compare'
      this.run = await stream(path, plan, abort.signal, (event) => this.#hear(event), (run) => (this.run = run))
      if (!this.told?.steps.some((step) => step.name === 'real')) void this.tryElsewhere(true)
    } catch (error) {
      this.tell(error)
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
    else if (event.event === 'compared') this.#take({ ...event, event: 'done', seconds: 0 }, this.run)
    else if (event.event === 'done') {
      this.#seen.set(location.hash, { ...event, run: this.run })
      if (this.#seen.size > 8) this.#seen.delete(this.#seen.keys().next().value!)
      this.#take(event, this.run)
    }
  }

  #take(done: Extract<Event, { event: 'done' }>, run = ''): void {
    this.run = run
    this.told = done.kind === 'LabResult' ? (done.result as LabResult) : null
    this.result = this.told ? this.told.comparison : (done.result as Comparison)
    this.blocks = this.told ? done.document.blocks : []
    this.numbers = done.numbers
    if (this.row >= this.result.tweaks.length) this.row = Math.max(this.result.tweaks.length - 1, 0)
  }

  tell(error: unknown): void {
    if (error instanceof DOMException && error.name === 'AbortError') return
    this.trouble = error instanceof Refusal ? error : new Refusal(String(error))
  }

  /** The same tweak at random places: is the effect more than that of any change of its size? */
  tryElsewhere(quietly = false): Promise<void> {
    const { prompt, prompts, target, wrong, model } = this.result?.recipe ?? this.experiment
    const tweak = this.result?.tweaks[this.row]?.tweak ?? this.line
    if (quietly && !tweak) return Promise.resolve()
    const metric = target ? 'target_probability' : 'kl_next'
    return this.look('real', '/api/control', { case: { prompt, prompts, target, wrong }, tweak, metric, count: 20, model })
  }

  /** Another look at the same prompt: a sweep, a lens, a pattern, doses, the control. */
  async look(tab: string, path: string, body: unknown): Promise<void> {
    const abort = new AbortController()
    this.#looks.get(tab)?.abort()
    this.#looks.set(tab, abort)
    const about = this.#about()
    const side: Side = { axes: [], values: [], done: 0, total: 0, result: null, blocks: [], trouble: null, running: true, abort, about, ahead: 0 }
    const show = () => {
      if (this.#looks.get(tab) === abort) this.side = { ...this.side, [tab]: { ...side } }
    }
    show()
    try {
      await stream(path, body, abort.signal, (event) => {
        if (event.event === 'queued' || event.event === 'started') {
          side.ahead = event.event === 'queued' ? event.ahead : 0
        } else if (event.event === 'axes') {
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
      else if (!side.values.length) {
        if (this.#looks.get(tab) === abort) this.#looks.delete(tab)
        const { [tab]: _, ...others } = this.side
        if (this.side[tab]?.abort === abort) this.side = others
        return
      }
    }
    side.running = false
    show()
  }

  // ── the journal ──
  async readJournal(): Promise<void> {
    const { search } = this
    try {
      const found = await get<Card[]>(`/api/journal?search=${encodeURIComponent(search)}`)
      if (search === this.search) this.journal = found
    } catch (error) {
      this.tell(error)
    }
  }

  /** An entry with all that came out; it never changes, so once is enough. */
  async readWhole(id: string): Promise<void> {
    const had = this.wholes[id]
    if ((had && !(had instanceof Refusal)) || this.#fetching.has(id)) return
    this.#fetching.add(id)
    const found = await get<Whole>(`/api/journal/${id}`).catch((error) => (error instanceof Refusal ? error : new Refusal(String(error))))
    this.#fetching.delete(id)
    this.wholes = { ...this.wholes, [id]: found }
  }

  async #readFinished(): Promise<void> {
    const cards = await get<Card[]>('/api/journal?limit=500')
    this.finished = new Set(cards.flatMap((card) => card.lab ?? []))
  }

  removed = $state<Card | null>(null)

  async #change(what: () => Promise<unknown>): Promise<void> {
    try {
      await what()
      await Promise.all([this.readJournal(), this.#readFinished()])
    } catch (error) {
      this.tell(error)
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

  /** Put a card above the one before it, of those that are shown. */
  lift(card: Card | undefined, shown = this.journal): Promise<void> {
    const above = card && shown[shown.indexOf(card) - 1]
    return above ? this.#change(() => post(`/api/journal/${card.id}/move`, { above: above.id })) : Promise.resolve()
  }

  async save(): Promise<void> {
    try {
      const card = await post<Card>('/api/journal', { run: this.run, takeaway: this.takeaway })
      this.saved = card.id
      await Promise.all([this.readJournal(), this.#readFinished()])
    } catch (error) {
      this.tell(error)
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
  about: string
  ahead: number // how many runs come before it
}

/** Which entry of the journal an address names: '' for all of them, null where it is the bench's. */
function journalIn(hash: string): string | null {
  return hash.match(/^#journal(?:\/(\w*))?$/) ? (hash.split('/')[1] ?? '') : null
}

function known(name: string, otherwise: Depth): Depth {
  try {
    const found = localStorage.getItem(name)
    return found === 'learn' || found === 'lab' || found === 'bench' ? found : otherwise
  } catch {
    return otherwise
  }
}

export const bench = new Bench()
