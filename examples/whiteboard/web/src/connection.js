// The way to the server, and what there is to say of it: connected, or the seconds until the next try.
import { WebsocketProvider } from 'y-websocket'
import { IndexeddbPersistence } from 'y-indexeddb'

export class Connection {
  constructor (board, name, token, tell) {
    this.tell = tell
    // What is drawn is kept here first, so that it survives a reload without a server.
    this.kept = new IndexeddbPersistence(`belay-${name}`, board.doc)
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/canvas`
    this.provider = new WebsocketProvider(url, encodeURIComponent(name), board.doc, {
      params: { token },
      maxBackoffTime: 20000,
      shouldReconnect: event => !refusals[event.code]
    })
    this.provider.on('status', ({ status }) => {
      if (status === 'connected') this.#say('connecting', 'loading')
      if (status === 'connecting') this.#say('connecting', 'connecting')
    })
    this.provider.on('sync', synced => synced && this.#say('connected', 'connected'))
    this.provider.on('connection-close', event => this.#closed(event))
    addEventListener('online', () => this.now())
  }

  /** Tries at once, if it waits. */
  now () {
    if (!this.retryAt) return
    this.provider.disconnect()
    this.provider.wsUnsuccessfulReconnects = 0
    this.provider.connect()
  }

  #closed (event) {
    const refusal = event && refusals[event.code]
    if (refusal) return this.#say('refused', event.reason || refusal)
    // As the provider waits: it has counted this end only after it has told us.
    const wait = Math.min(100 * 2 ** (this.provider.wsUnsuccessfulReconnects + 1), this.provider.maxBackoffTime)
    this.retryAt = Date.now() + wait
    clearInterval(this.timer)
    this.timer = setInterval(() => this.#count(), 250)
    this.#count()
  }

  #count () {
    const left = Math.max(0, Math.ceil((this.retryAt - Date.now()) / 1000))
    this.tell('waiting', left > 0 ? `offline: again in ${left} s` : 'offline')
  }

  #say (state, text) {
    clearInterval(this.timer)
    this.retryAt = 0
    this.tell(state, text)
  }
}

// A server that closes so has decided; asking again changes nothing.
const refusals = {
  4001: 'sign in again: the link is not valid any more', 4401: 'sign in again: the link is not valid any more',
  4003: 'you may not see this board', 4403: 'you may not see this board',
  4409: 'this board was begun anew: reload the page'
}
