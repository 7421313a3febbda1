// The way to the server, and what there is to say of it: connected, or the seconds until the next try.
import { WebsocketProvider } from 'y-websocket'
import { IndexeddbPersistence } from 'y-indexeddb'

export class Connection {
  /** `tell(state, text)`: how it is; `rightsChanged()`: the server has something else to say on what this user may. */
  constructor (board, name, { user, token }, tell, rightsChanged) {
    this.tell = tell
    // What is drawn is kept here first, so that it survives a reload without a server. Of this user only: another one's
    // page in the same browser may see other things.
    this.kept = new IndexeddbPersistence(`belay-${name}-${user}`, board.doc)
    const url = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws/canvas`
    this.provider = new WebsocketProvider(url, encodeURIComponent(name), board.doc, {
      params: { token },
      connect: false,
      maxBackoffTime: 20000,
      // Pages of one browser would tell each other what the server keeps from one of them.
      disableBc: true,
      shouldReconnect: event => !rejectionOf(event)
    })
    // The server admits a page with an epoch to that history only: after a restore, an old document stays away.
    this.kept.get('epoch').then(epoch => { this.provider.params = { token, epoch: epoch ?? '' } }, () => {})
      .then(() => this.provider.connect())
    this.provider.messageHandlers[rightsMessage] = rightsChanged
    this.provider.on('status', ({ status }) => {
      if (status === 'connected') this.#say('connecting', 'loading')
      if (status === 'connecting') this.#say('connecting', 'connecting')
    })
    this.provider.on('sync', synced => {
      if (!synced) return
      this.wasIn = true
      this.#say('connected', 'connected')
    })
    this.provider.on('connection-close', event => this.#closed(event))
    addEventListener('online', () => this.now())
  }

  /** The server's epoch of the document that the page has received. */
  belongsTo (epoch) {
    if (!epoch || this.provider.params.epoch || !this.provider.synced) return
    this.provider.params.epoch = epoch
    this.kept.set('epoch', epoch).catch(() => {})
  }

  /** Tries at once, if it waits, or was rejected. */
  now () {
    if (this.isOver) location.reload()
    if (!this.retryAt && !this.rejected) return
    this.provider.disconnect()
    this.provider.wsUnsuccessfulReconnects = 0
    this.provider.connect()
  }

  #closed (event) {
    const rejection = event && rejectionOf(event)
    if (rejection) {
      // Another document begins: this one would bring back what was replaced.
      this.isOver ||= rejection.isOver
      if (rejection.isOver) this.kept.clearData()
      this.#say('rejected', event.reason || (this.wasIn && rejection.live) || rejection.text)
      this.rejected = true
      this.wasIn = false
      return
    }
    // As the provider waits: it has counted this end only after it has told us.
    const wait = Math.min(100 * 2 ** (this.provider.wsUnsuccessfulReconnects + 1), this.provider.maxBackoffTime)
    this.why = event?.code === 1013 ? 'the server cannot serve this board now' : 'offline'
    this.retryAt = Date.now() + wait
    clearInterval(this.timer)
    this.timer = setInterval(() => this.#count(), 250)
    this.#count()
  }

  #count () {
    const left = Math.max(0, Math.ceil((this.retryAt - Date.now()) / 1000))
    this.tell('waiting', left > 0 ? `${this.why}: again in ${left} s` : this.why)
  }

  #say (state, text) {
    clearInterval(this.timer)
    this.retryAt = 0
    this.rejected = false
    this.tell(state, text)
  }
}

// A frame of the server's own, beside those of Yjs.
const rightsMessage = 100

// A server that closes so has decided; asking again changes nothing.
const signIn = { text: 'sign in again: the link is not valid any more' }
const forbidden = { text: 'you may not see this board', live: 'you may not see this board any more: the right to it was taken away' }
const rejections = {
  4001: signIn,
  4401: signIn,
  4003: forbidden,
  4403: forbidden,
  4409: { text: 'this board was begun anew: reload the page', isOver: true },
  4410: { text: 'this board was erased: reload the page to begin another one', isOver: true },
  4413: { text: 'what was drawn here is too much for the server' }
}
// The others of these codes are of a server that is newer than the page.
const rejectionOf = ({ code }) => rejections[code] ?? (code >= 4400 && code < 4500 ? { text: 'the server does not accept this page' } : undefined)
