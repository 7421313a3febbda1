// SPDX-License-Identifier: MIT
/// \file belay/curl/http.hpp
/// curl::Http: makes HTTP requests by libcurl on a posix::Loop. Link belay::curl or -lcurl.
#pragma once

#include <poll.h>

#include <chrono>    // std::chrono::milliseconds
#include <concepts>  // std::derived_from, std::invocable
#include <memory>    // std::unique_ptr
#include <utility>   // std::move, std::exchange
#include <vector>    // std::vector

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/curl/detail/transfer.hpp>
#include <belay/http/http_message.hpp>
#include <belay/posix/poller.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// All requests of a client. They run in libcurl, which reports the sockets and times to wait for.
///
/// belay never calls libcurl from inside of its own callbacks. An action of the user in on_chunk is
/// recorded, and carried out when libcurl has returned (settle()).
///
/// Thread safety: the loop's thread.
class CurlCore : public Counted {
public:
    CurlCore(posix::Poller& poller, CurlSetup setup) : poller_{poller}, setup_{std::move(setup)} {
        // Initializes libcurl before other code of the process calls it.
        static_cast<void>(is_ready());
    }
    CurlCore(const CurlCore&) = delete;
    CurlCore& operator=(const CurlCore&) = delete;
    ~CurlCore() { clean_up(); }

    // ---- the machine ----------------------------------------------------------------------------

    void attach(Waker waker) noexcept { waker_ = std::move(waker); }
    [[nodiscard]] Instant deadline() const noexcept {
        if (broken_) return always;
        return smaller(timer_, smaller(next_.deadline, next_.look));
    }
    void advance(Instant now) {
        const Ref<CurlCore> keep = Ref<CurlCore>::share(this);
        if (timer_ <= now || broken_) {
            timer_ = never;
            act(CURL_SOCKET_TIMEOUT, 0);
        }
        if (next_.look <= now) look_again(now);
        if (next_.deadline <= now) expire(now);
    }

    // ---- requests ------------------------------------------------------------------------------

    [[nodiscard]] Ref<CurlTransfer> begin(HttpRequest&& request,
                                          Completion<HttpResponse>&& completion) {
        auto transfer = Ref<CurlTransfer>::make(std::move(request), std::move(completion));
        std::optional<HttpErrc> error = transfer->prepare(setup_, sockets_);
        if (!error && !is_ready()) error = HttpErrc::client_failed;
        if (error) {
            end(transfer, CURLE_OK, error);
            return transfer;
        }
        transfers_.push_back(transfer);
        transfer->place = transfers_.size() - 1;
        transfer->due = after(waker_.now(), transfer->limit());
        if (transfer->due < next_.deadline) next_.deadline = transfer->due;
        next_.look = smaller(next_.look, after(waker_.now(), look_every));
        start(*transfer);
        return transfer;
    }
    /// The user destroyed the handle of a request.
    void drop(CurlTransfer& transfer) noexcept {
        const Ref<CurlTransfer> keep = Ref<CurlTransfer>::share(&transfer);
        if (inside_) {
            transfer.dropped = unsettled_ = true;
        } else {
            remove(transfer);
        }
        transfer.reject();
    }
    /// The user destroyed the client.
    void close() noexcept {
        closed_ = true;
        waker_.detach();
        if (!inside_) return clean_up();
        // Nothing is removed meanwhile: a notified user can only record an action.
        for (std::size_t i = 0; i < transfers_.size(); ++i) transfers_[i]->reject();
    }

private:
    static constexpr Duration look_every = std::chrono::milliseconds{250};
    /// The instants at which the client acts without a request of libcurl.
    struct Next {
        Instant deadline = never;  ///< the first one of a request
        Instant look = never;      ///< see look_again()
    };
    using OnSocket = int (*)(CURL*, curl_socket_t, int, void*, void*);
    using OnTimer = int (*)(CURLM*, long, void*);

    /// A descriptor of libcurl.
    struct Socket {
        Socket(CurlCore& c, curl_socket_t s) noexcept
            : core{c}, socket{s}, watch{c.poller_, this, &ready} {}
        static void ready(void* self, short revents) {
            const Socket& s = *static_cast<Socket*>(self);
            int events = 0;
            if ((revents & (POLLIN | POLLHUP)) != 0) events |= CURL_CSELECT_IN;
            if ((revents & POLLOUT) != 0) events |= CURL_CSELECT_OUT;
            if ((revents & (POLLERR | POLLNVAL)) != 0) events |= CURL_CSELECT_ERR;
            const Ref<CurlCore> keep = Ref<CurlCore>::share(&s.core);
            keep->act(s.socket, events);
        }
        CurlCore& core;
        curl_socket_t socket;
        posix::Watch watch;
    };

    /// Initializes libcurl once in the process, on whichever thread is first. It is never undone,
    /// because other code of the process may use libcurl.
    [[nodiscard]] static CURLcode global_init() noexcept {
        static const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
        return code;
    }

    /// Makes the multi handle if there is none.   Returns: whether there is one.
    [[nodiscard]] bool is_ready() noexcept {
        if (multi_ != nullptr) return true;
        if (global_init() != CURLE_OK) return false;
        multi_ = curl_multi_init();
        const bool configured =
            multi_ != nullptr && curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this) == CURLM_OK &&
            curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, OnSocket{&on_socket}) == CURLM_OK &&
            curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this) == CURLM_OK &&
            curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, OnTimer{&on_timer}) == CURLM_OK;
        if (!configured) end_multi();
        return configured;
    }
    void end_multi() noexcept {
        if (multi_ != nullptr) curl_multi_cleanup(std::exchange(multi_, nullptr));
    }

    // ---- what libcurl calls: nothing may be thrown ---------------------------------------------

    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): libcurl's form
    static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self,
                         void* known) noexcept {
        // Never -1: libcurl 7.88 then keeps the request in the list of the socket forever. It reads
        // the request after it was freed, when the socket's number is used again.
        CurlCore& core = *static_cast<CurlCore*>(self);
        core.watch(what, static_cast<Socket*>(known), socket);
        if (what == CURL_POLL_REMOVE) core.sockets_.end(socket, easy);
        return 0;
    }
    static int on_timer(CURLM*, long milliseconds, void* self) noexcept {
        CurlCore& core = *static_cast<CurlCore*>(self);
        core.timer_ = milliseconds < 0
                          ? never
                          : after(core.waker_.now(), std::chrono::milliseconds{milliseconds});
        core.waker_.touch();
        return 0;
    }
    /// Watches a socket. If that fails, all requests fail once libcurl has returned.
    void watch(int what, Socket* at, curl_socket_t socket) noexcept {
        if (what == CURL_POLL_REMOVE) {
            delete at;
            return;
        }
        const auto events = static_cast<short>(((what & CURL_POLL_IN) != 0 ? POLLIN : 0) |
                                               ((what & CURL_POLL_OUT) != 0 ? POLLOUT : 0));
        if (at != nullptr) {
            at->watch.modify(events);
            return;
        }
        try {
            sockets_.begin(socket);
            auto fresh = std::make_unique<Socket>(*this, socket);
            fresh->watch.start(socket, events);
            if (curl_multi_assign(multi_, socket, fresh.get()) == CURLM_OK) {
                static_cast<void>(fresh.release());
                return;
            }
        } catch (...) {
            // No memory: broken_ records it below.
        }
        broken_ = true;
    }

    // ---- work ----------------------------------------------------------------------------------

    void act(curl_socket_t socket, int events) {
        int running = 0;
        inside_ = true;
        const CURLMcode code = curl_multi_socket_action(multi_, socket, events, &running);
        acted(code);
    }
    /// Lets libcurl look at all requests while one connects. After an address that was silent, some
    /// versions (7.88) try the next one only if they are called, and request no call.
    void look_again(Instant now) {
        next_.look = never;
        for (const Ref<CurlTransfer>& t : transfers_) {
            if (t->is_connecting()) next_.look = after(now, look_every);
        }
        if (next_.look == never) return;
        int running = 0;
        inside_ = true;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        const CURLMcode code = curl_multi_socket_all(multi_, &running);
#pragma GCC diagnostic pop
        acted(code);
    }
    void acted(CURLMcode code) {
        inside_ = false;
        if (code != CURLM_OK) broken_ = true;
        if (closed_) return clean_up();
        if (std::exchange(unsettled_, false)) settle();
        if (std::exchange(broken_, false)) fail_all();
        answer_ended();
    }
    /// Carries out the actions of users while libcurl ran.
    void settle() noexcept {
        for (std::size_t i = transfers_.size(); i != 0; --i) {
            // A dropped transfer may own handles of others, which are dropped with it.
            if (i > transfers_.size()) continue;
            const Ref<CurlTransfer> transfer = transfers_[i - 1];
            if (transfer->dropped) {
                remove(*transfer);
            } else if (!transfer->started) {
                start(*transfer);
            }
        }
    }
    void fail_all() {
        // libcurl 7.88 does not restore its state after it ran out of memory. It divides by zero
        // when the number of a socket that it could not record is used again. So it starts with a
        // new handle.
        for (const Ref<CurlTransfer>& t : transfers_) curl_multi_remove_handle(multi_, t->easy());
        end_multi();
        timer_ = never;
        broken_ = false;
        // Transfers that begin meanwhile are added at the end. A notified user may end any or all.
        for (std::size_t i = transfers_.size(); i != 0; --i) {
            if (i > transfers_.size()) continue;
            end(Ref<CurlTransfer>{transfers_[i - 1]}, CURLE_OK, HttpErrc::client_failed);
        }
    }
    void answer_ended() {
        int left = 0;
        while (multi_ != nullptr) {
            const CURLMsg* const message = curl_multi_info_read(multi_, &left);
            if (message == nullptr) return;
            if (message->msg != CURLMSG_DONE) continue;
            const CURLcode code = message->data.result;
            char* self = nullptr;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &self);
            BELAY_INVARIANT(self != nullptr,
                            "CurlCore::answer_ended: the handle must be of this client");
            const auto transfer =
                Ref<CurlTransfer>::share(static_cast<CurlTransfer*>(static_cast<void*>(self)));
            if (transfer->continues(code)) {
                curl_multi_remove_handle(multi_, transfer->easy());
                start(*transfer);
            } else {
                end(transfer, code, std::nullopt);
            }
        }
    }
    void expire(Instant now) {
        for (std::size_t i = transfers_.size(); i != 0; --i) {
            if (i > transfers_.size()) continue;
            const Ref<CurlTransfer> transfer = transfers_[i - 1];
            if (transfer->due <= now) end(transfer, CURLE_OPERATION_TIMEDOUT, std::nullopt);
        }
    }

    void start(CurlTransfer& transfer) noexcept {
        transfer.started = !inside_;
        if (inside_) {
            unsettled_ = true;
        } else if (curl_multi_add_handle(multi_, transfer.easy()) != CURLM_OK) {
            broken_ = true;
        }
        waker_.touch();
    }
    void end(const Ref<CurlTransfer>& transfer, CURLcode code, std::optional<HttpErrc> error) {
        remove(*transfer);
        transfer->answer(transfer->conclude(code, error));
        transfer->release();
    }
    /// Removes a transfer from those under way.
    void remove(CurlTransfer& transfer) noexcept {
        const std::size_t place = std::exchange(transfer.place, CurlTransfer::nowhere);
        if (place == CurlTransfer::nowhere) return;
        curl_multi_remove_handle(multi_, transfer.easy());
        Ref<CurlTransfer> last = std::move(transfers_.back());
        transfers_.pop_back();
        if (place != transfers_.size()) {
            last->place = place;
            std::swap(transfers_[place], last);
        }
        if (!closed_ && transfer.due == next_.deadline) {
            next_.deadline = never;
            for (const Ref<CurlTransfer>& t : transfers_) {
                if (t->due < next_.deadline) next_.deadline = t->due;
            }
        }
    }
    void clean_up() noexcept {
        while (!transfers_.empty()) {
            const Ref<CurlTransfer> transfer = transfers_.back();
            remove(*transfer);
            transfer->reject();
        }
        end_multi();
    }

    posix::Poller& poller_;
    CurlSetup setup_;
    CurlSockets sockets_;
    CURLM* multi_ = nullptr;
    Waker waker_;
    Instant timer_ = never;
    Next next_{};
    std::vector<Ref<CurlTransfer>> transfers_;
    bool inside_ = false;     ///< libcurl runs, and must not be called
    bool unsettled_ = false;  ///< transfers began or were dropped meanwhile
    bool broken_ = false;     ///< libcurl failed, or a socket could not be watched
    bool closed_ = false;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace curl {

/// Makes HTTP requests by libcurl, which provides TLS, HTTP/2, proxies and persistent connections.
///
///     posix::Loop loop;
///     Http http{loop};
///     auto handle = http.request({.url = "https://example.com/"},
///                                [&](auto response) noexcept {
///                                    if (response) show(*response);
///                                    loop.stop();
///                                });
///     loop.run();
///
/// Certificates are verified. No redirection is followed unless the request asks for it. For other
/// features of libcurl, pass a function. It is called with each new handle, and returns the error
/// of the options that it sets:
///
///     Http http{loop, [](CURL* curl) {
///                       return curl_easy_setopt(curl, CURLOPT_CAINFO, "ca.pem");
///                   }};
///
/// The client asks for no compression, because libcurl reports a compressed body that breaks off as
/// complete. With CURLOPT_ACCEPT_ENCODING, bodies are decompressed, and limits apply to the result.
///
/// The client never sends a body again by itself. libcurl would do so if a persistent connection
/// ends without an answer. The response then reports HttpErrc::lost, and the caller decides.
///
/// Each new connection looks its name up, and no connection is used for longer than
/// Options::connection_age. So requests find a server that has moved. CURLOPT_DNS_CACHE_TIMEOUT
/// makes libcurl keep the addresses of names. If an address is silent for half of the time that is
/// left, the next one is tried.
///
/// A kept connection of HTTP/1 on which bytes have arrived since its last response is closed, and
/// not used again. Before libcurl 7.80, the next request gets these bytes as its response. So does
/// any request whose bytes arrive after it was sent. Not checked: a Unix socket
/// (CURLOPT_UNIX_SOCKET_PATH), and the second request of an authentication.
///
/// With CURLOPT_HTTPAUTH, libcurl may send a request twice. The response is the last one.
/// `on_chunk` also receives the head of each earlier one, with an empty piece.
///
/// Models:        HttpLike; movable, not copyable.
/// Thread safety: the loop's thread, or any while it is not running. The first client initialises
///                libcurl for the process, on any thread.
/// Errors:        the response's; client_failed where libcurl has no memory or refuses an option.
/// Blocks:        never, if libcurl looks up names in a thread (`curl --version`: AsynchDNS), as
///                that of distributions does. Before libcurl 7.87, dropping a request waits for its
///                lookup.
/// Needs:         libcurl 7.66 or later.
class Http {
public:
    /// Keeps its request running; its destructor aborts the request. May outlive the client.
    class Handle {
    public:
        Handle(Handle&&) noexcept = default;
        Handle& operator=(Handle other) noexcept {
            std::swap(core_, other.core_);
            std::swap(transfer_, other.transfer_);
            return *this;
        }
        ~Handle() {
            if (transfer_) core_->drop(*transfer_);
        }

    private:
        friend class Http;
        Handle(detail::Ref<detail::CurlCore> core, detail::Ref<detail::CurlTransfer> transfer)
            : core_{std::move(core)}, transfer_{std::move(transfer)} {}

        detail::Ref<detail::CurlCore> core_;
        detail::Ref<detail::CurlTransfer> transfer_;
    };

    struct Options {
        /// The longest time for which requests use a kept connection after it was made, in whole
        /// seconds. `forever`: no limit. Before libcurl 7.80, there is none.   Pre: > 0ns.
        Duration connection_age = std::chrono::minutes{5};
    };

    /// Constructs a client. `loop` must live as long as requests are made.
    ///
    /// Throws: std::bad_alloc.
    template <std::derived_from<posix::Poller> Loop>
    explicit Http(Loop& loop) : Http{loop, detail::CurlConfigure{}, Options{}} {}
    /// Constructs a client that calls `configure(curl) -> CURLcode` with the handle of each
    /// request.
    template <std::derived_from<posix::Poller> Loop>
    Http(Loop& loop, detail::CurlConfigure configure)
        : Http{loop, std::move(configure), Options{}} {}
    template <std::derived_from<posix::Poller> Loop>
    Http(Loop& loop, detail::CurlConfigure configure, Options options)
        : core_{detail::Ref<detail::CurlCore>::make(
              loop, detail::CurlSetup{std::move(configure), options.connection_age})} {
        BELAY_OPTION(options.connection_age > Duration::zero(),
                     "curl::Http: connection_age must be > 0ns");
        loop.attach(*core_);
    }
    Http(Http&&) noexcept = default;
    Http& operator=(Http other) noexcept {
        std::swap(core_, other.core_);
        return *this;
    }
    ~Http() {
        if (core_) core_->close();
    }

    /// Starts a request; see HttpLike.
    ///
    /// Throws: std::bad_alloc, and what `configure` throws; the Completion then reports a failure.
    [[nodiscard]] Handle request(HttpRequest request, Completion<HttpResponse> completion) {
        BELAY_PRECONDITION(static_cast<bool>(core_),
                           "curl::Http::request: the client must not be moved from");
        return {core_, core_->begin(std::move(request), std::move(completion))};
    }

private:
    detail::Ref<detail::CurlCore> core_;
};

}}}  // namespace belay::curl
