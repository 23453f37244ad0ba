// The server's endpoints: plain questions, and runs that tell what happens line by line.
import type { Event } from './types'
import { words } from './words'

export class Refusal extends Error {
  constructor(
    readonly what: string,
    readonly hint: string | null = null,
    readonly field: string | null = null,
  ) {
    super(what)
  }
}

async function answer(path: string, init?: RequestInit): Promise<Response> {
  let found: Response
  try {
    found = await fetch(path, init)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw new Refusal(words.gone, words.goneHint)
  }
  if (found.ok) return found
  const told = await found.json().catch(() => ({}))
  throw new Refusal(told.what ?? `${found.status} ${found.statusText}`, told.hint, told.field)
}

export async function get<T>(path: string): Promise<T> {
  return (await answer(path)).json()
}

function posting(body: unknown, signal?: AbortSignal): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal }
}

export async function post<T>(path: string, body: unknown): Promise<T> {
  return (await answer(path, posting(body))).json()
}

/** Something that is no JSON: a figure as a file, a run as HTML. */
export async function fetched(path: string, body: unknown): Promise<Blob> {
  return (await answer(path, posting(body))).blob()
}

export async function drop(path: string): Promise<void> {
  await answer(path, { method: 'DELETE' })
}

/** A run: its number first, then its events. Aborting the signal stops it on the server, too. */
export async function stream(
  path: string,
  body: unknown,
  signal: AbortSignal,
  on: (event: Event) => void,
  named: (run: string) => void = () => {},
): Promise<string> {
  const found = await answer(path, posting(body, signal))
  named(found.headers.get('x-run') ?? '')
  const reader = found.body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let ended = false
  for (;;) {
    let piece: ReadableStreamReadResult<string>
    try {
      piece = await reader.read()
    } catch (error) {
      if (signal.aborted) throw error
      throw new Refusal(words.gone, words.goneHint)
    }
    if (piece.done) break
    const lines = (rest + piece.value).split('\n')
    rest = lines.pop()!
    for (const line of lines) {
      const event = JSON.parse(line) as Event
      if (event.event === 'failed') throw new Refusal(event.what, event.hint, event.field)
      ended ||= event.event === 'done'
      on(event)
    }
  }
  if (!ended) throw new Refusal(words.gone, words.goneHint)
  return found.headers.get('x-run') ?? ''
}
