// SPDX-License-Identifier: MIT
/// \file belay/mcp/remote.hpp
/// mcp::Remote: a server of the Model Context Protocol as the remote side of a bridge. Needs
/// nlohmann/json.
#pragma once

#include <algorithm>    // std::min, std::none_of
#include <list>         // std::list
#include <memory>       // std::unique_ptr
#include <new>          // std::bad_alloc
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant
#include <vector>       // std::vector

#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>
#include <belay/http/http_message.hpp>
#include <belay/json/sync.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/mcp/detail/core.hpp>
#include <belay/mcp/options.hpp>
#include <belay/sync/scene.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A machine; pinned. The user's token source may destroy it.
///
/// Thread safety: home thread, except for Completions.
template <class Http>
class McpClient {
    using Handle = HttpHandleOf<Unwrapped<Http>>;
    using Aim = McpSend::Aim;

public:
    McpClient(Http http, std::string url, mcp::Options& options)
        : http_{std::move(http)},
          url_{std::move(url)},
          token_{std::move(options.token)},
          timeout_{options.timeout},
          bytes_max_{options.answer_bytes_max},
          core_{{.bytes_max = options.answer_bytes_max,
                 .is_retryable = std::move(options.is_retryable)}} {}
    McpClient(const McpClient&) = delete;
    McpClient& operator=(const McpClient&) = delete;

    /// Returns the core. Call touch() after you have called it.
    [[nodiscard]] McpCore& core() noexcept { return core_; }
    [[nodiscard]] const McpCore& core() const noexcept { return core_; }
    void touch() noexcept { waker_.touch(); }

    void attach(Waker waker) noexcept {
        waker_ = std::move(waker);
        for (Exchange& exchange : exchanges_) {
            exchange.token.attach(waker_);
            exchange.response.attach(waker_);
        }
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (core_.has_output()) return always;
        for (const Exchange& exchange : exchanges_) {
            if (exchange.state == State::fresh || exchange.state == State::broken) return always;
            if (exchange.token.answered() || exchange.response.answered()) return always;
        }
        return never;
    }
    void advance() {
        const driver::TurnGuard guard{lifetime_};
        // The loop ends: a call gets at most two sessions, and a request that is answered inside of
        // request() has failed.
        while (!guard.gone() && deadline() == always) {
            take_responses();
            use_tokens();
            drop();
            for (McpSend& what : core_.sends()) {
                exchanges_.emplace_back(std::move(what));
                exchanges_.back().token.attach(waker_);
                exchanges_.back().response.attach(waker_);
            }
            if (!begin(guard)) return;
            // The caller handles the finished calls first.
            if (core_.has_done()) return;
        }
    }

private:
    /// An exchange whose start throws remains broken.
    enum class State : std::uint8_t { fresh, begun, broken };

    /// A request of the core. It waits for its token, then for its response.
    struct Exchange {
        explicit Exchange(McpSend&& what) noexcept : send{std::move(what)} {}
        McpSend send;
        driver::Question<std::string> token;
        driver::Question<HttpResponse> response;
        std::optional<Handle> handle;
        std::string credentials;
        bool is_trial = false;  // with credentials that were rejected before
        State state = State::fresh;
    };

    void take_responses() {
        for (auto at = exchanges_.begin(); at != exchanges_.end();) {
            Exchange& exchange = *at;
            const bool broken = exchange.state == State::broken;
            if (!broken && !exchange.response.answered()) {
                ++at;
                continue;
            }
            HttpResponse response{.failure = Failure::from(HttpErrc::client_failed)};
            if (!broken) {
                // A client that ends drops its completions.
                if (auto answer = exchange.response.take()) response = std::move(*answer);
            }
            note_verdict(exchange, response.status);
            core_.finish(exchange.send.number, response);
            at = exchanges_.erase(at);
        }
    }
    [[nodiscard]] static bool is_for_call(const Exchange& exchange) noexcept {
        return most_for(exchange.send.aim) == forever;
    }
    /// Notes whether the server accepts the credentials of a request for a call. A server that
    /// rejects cancellations, or the end of a session, may accept them for calls.
    void note_verdict(Exchange& exchange, int status) {
        if (!is_for_call(exchange)) return;
        if (status == 401 || status == 403) {
            rejected_ = exchange.credentials;
            rejected_until_ = after(waker_.now(), rejected_for);
        } else if (status / 100 == 2 && exchange.is_trial && exchange.credentials == rejected_) {
            // Only once, and no request sent before the rejection: both may be older than it.
            exchange.is_trial = false;
            rejected_.clear();
        }
    }
    [[nodiscard]] bool was_rejected(const std::string& token) const noexcept {
        return !rejected_.empty() && token == rejected_;
    }
    /// Returns whether a token may be sent. One that was rejected is tried by one request at a
    /// time: a gateway may have rejected it for a while, and the source may have no other.
    [[nodiscard]] bool may_send(const std::string& token) const noexcept {
        if (!was_rejected(token)) return true;
        if (waker_.now() < rejected_until_) return false;
        return std::none_of(exchanges_.begin(), exchanges_.end(), [this](const Exchange& other) {
            return other.is_trial && is_for_call(other) && other.credentials == rejected_ &&
                   core_.awaits(other.send.number);
        });
    }
    void use_tokens() {
        for (auto at = exchanges_.begin(); at != exchanges_.end();) {
            const auto exchange = at++;
            if (!exchange->token.answered()) continue;
            std::optional<std::string> token = exchange->token.take();
            if (token && may_send(*token)) {
                exchange->is_trial = was_rejected(*token);
                exchange->credentials = std::move(*token);
                core_.hide(exchange->send.number, exchange->credentials);
                start(*exchange);
                continue;
            }
            const std::error_code error = token ? make_error_code(mcp::Errc::credentials_needed)
                                                : make_error_code(LinkErrc::no_token);
            core_.finish(exchange->send.number, {.failure = Failure::from(error), .sent = false});
            exchanges_.erase(exchange);
        }
    }
    void drop() {
        for (const std::uint64_t number : core_.drops()) {
            exchanges_.remove_if([number](const Exchange& w) { return w.send.number == number; });
        }
        // If a server does not end its streams, only the newest idle_max are kept.
        std::size_t idle = 0;
        for (auto at = exchanges_.end(); at != exchanges_.begin();) {
            --at;
            if (!core_.awaits(at->send.number) && ++idle > idle_max) at = exchanges_.erase(at);
        }
    }
    /// Returns: false if this object is gone.
    bool begin(const driver::TurnGuard& guard) {
        for (Exchange& exchange : exchanges_) {
            if (exchange.state != State::fresh) continue;
            if (!token_) {
                start(exchange);
                continue;
            }
            exchange.state = State::begun;
            token_(exchange.token.ask());
            if (guard.gone()) return false;
        }
        return true;
    }

    void start(Exchange& exchange) {
        exchange.state = State::broken;
        const McpSend& send = exchange.send;
        HttpRequest request{.url = url_,
                            .method = send.aim == Aim::end_session ? "DELETE" : "POST",
                            .headers = {{"Content-Type", "application/json"},
                                        {"Accept", "application/json, text/event-stream"}},
                            .body = send.body,
                            .deadline = std::min(timeout_, most_for(send.aim)),
                            .body_bytes_max = bytes_max_};
        if (!send.session.empty()) request.headers.add({"Mcp-Session-Id", send.session});
        if (!send.version.empty()) request.headers.add({"MCP-Protocol-Version", send.version});
        if (!exchange.credentials.empty()) {
            request.headers.add({"Authorization", "Bearer " + exchange.credentials});
        }
        request.on_chunk = [this, &exchange](const HttpResponse& head,
                                             std::string_view piece) noexcept {
            try {
                // Its stream may stay open for long. A rejection is noted when it ends.
                if (head.status / 100 == 2) note_verdict(exchange, head.status);
                core_.receive(exchange.send.number, head, piece);
            } catch (...) {
                // No memory: the answer is lost.
                exchange.state = State::broken;
            }
            if (deadline() == always) waker_.touch();
        };
        exchange.handle.emplace(unwrap(http_).request(std::move(request), exchange.response.ask()));
        exchange.state = State::begun;
    }
    /// Requests without a waiting caller get a short time limit.
    [[nodiscard]] static Duration most_for(Aim aim) noexcept {
        switch (aim) {
            case Aim::reply:
            case Aim::cancelled:
                return std::chrono::seconds{5};
            case Aim::end_session:
                return std::chrono::seconds{1};
            default:
                return forever;
        }
    }

    static constexpr std::size_t idle_max = 8;
    static constexpr Duration rejected_for = std::chrono::minutes{5};

    Waker waker_;
    driver::LifetimeFlag lifetime_;
    Http http_;
    std::string url_;
    McpTokenSource token_;
    std::string rejected_;  // a token that the server has rejected; empty if there is none
    Instant rejected_until_ = always;
    Duration timeout_;
    std::size_t bytes_max_;
    McpCore core_;
    // Last: the destructors of the handles abort requests while all other members exist.
    std::list<Exchange> exchanges_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// Stores scenes in a server that is called by MCP over Streamable HTTP.
///
/// It uses two tools of the server, see Options.
///
///     Remote{curl::Http{loop}, "http://localhost:3000/mcp", {.token = source}}
///
/// - `fetch` calls `fetch_scene{session_id}`. The scene is the structured content of the result. If
///   there is none, it is the first text of the result, as JSON. The value `null` means that there
///   is no such session; see also Options::is_missing.
/// - `push` calls `push_scene{session_id, scene}`.
///
/// The server receives a scene as {"content", "stamp", "saw", "unaware"}, in the form of
/// json/sync.hpp. It may ignore the last two. The content has the form of its own
/// to_json and from_json. If the server needs another form, declare `to_json(json&, const
/// belay::Scene<Yours>&)` and `from_json` in your namespace.
///
/// The first call begins the protocol's session, and close() ends it. If a call fails because the
/// session is lost, the session is begun anew, once for that call. The status for that is 404, or
/// 400 from servers with one session. A call that timed out, or whose result is no longer wanted,
/// is cancelled at the server. For errors, the status of HTTP comes before its body; then Errc.
///
/// `http` is an HttpLike, or a std::ref of one that others use, too.
///
/// Models:        RemoteLike, MachineLike; movable until it is attached or called.
/// Thread safety: home thread.
/// Allocates:     with each call.
/// Throws:        std::bad_alloc; advance() also throws what the source of tokens throws.
template <class Http, class Content = nlohmann::json>
class Remote {
    static_assert(explain::http_like<detail::Unwrapped<Http>>());

public:
    using content_type = Content;

    /// Constructs a remote for the server at `url`.
    ///
    /// Pre: tools and arguments have names; the timeout and the limits are > 0.
    explicit Remote(Http http, std::string url, Options options = {}) {
        BELAY_OPTION(!options.fetch_tool.empty() && !options.push_tool.empty() &&
                         !options.session_argument.empty() && !options.scene_argument.empty(),
                     "mcp::Remote: tools and arguments must have names");
        BELAY_OPTION(options.timeout > Duration{} && options.answer_bytes_max > 0,
                     "mcp::Remote: timeout and answer_bytes_max must be > 0");
        state_ = std::make_unique<State>(std::move(http), std::move(url), std::move(options));
    }

    void fetch(std::string_view session,
               Completion<Result<std::optional<Scene<Content>>, Failure>> completion) {
        State& s = *state_;
        detail::McpJson arguments{{s.options.session_argument, std::string{session}}};
        if (!detail::is_writable(arguments)) {
            return completion(Failure::from(Errc::bad_scene));
        }
        s.begin(s.options.fetch_tool, std::move(arguments), std::move(completion));
    }
    void push(std::string_view session, Scene<Content> scene, Completion<Failure> completion) {
        State& s = *state_;
        detail::McpJson arguments{{s.options.session_argument, std::string{session}}};
        if (!put(scene, arguments[s.options.scene_argument]) || !detail::is_writable(arguments)) {
            return completion(Failure::from(Errc::bad_scene));
        }
        s.begin(s.options.push_tool, std::move(arguments), std::move(completion));
    }
    /// Ends the protocol's session; no call may follow. The answer comes when the server has
    /// confirmed it.
    void close(Completion<Failure> completion) {
        State& s = *state_;
        s.calls.clear();
        s.client.core().close();
        s.end_session.emplace(std::move(completion));
        s.client.touch();
    }

    void attach(Waker waker) noexcept { state_->client.attach(std::move(waker)); }
    [[nodiscard]] Instant deadline() const noexcept { return state_->deadline(); }
    void advance(Instant) { state_->advance(); }

private:
    /// Returns: false if the user's to_json rejects the scene by an exception, as those of nlohmann
    ///          do.
    [[nodiscard]] static bool put(const Scene<Content>& scene, detail::McpJson& to) {
        try {
            to = scene;
            return true;
        } catch (const std::bad_alloc&) {
            throw;
        } catch (...) {
            return false;
        }
    }

    using Asked = std::variant<Completion<Result<std::optional<Scene<Content>>, Failure>>,
                               Completion<Failure>>;
    struct Call {
        std::uint64_t number;
        Asked asked;
    };

    // Cannot be moved, unlike the remote.
    struct State {
        State(Http http, std::string url, Options given)
            : options{std::move(given)}, client{std::move(http), std::move(url), options} {}

        void begin(const std::string& tool, detail::McpJson arguments, Asked asked) {
            calls.reserve(calls.size() + 1);
            calls.push_back({client.core().call(tool, std::move(arguments)), std::move(asked)});
            client.touch();
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const bool over = end_session && !client.core().is_closing();
            return over ? always : client.deadline();
        }
        void advance() {
            const driver::TurnGuard guard{lifetime};
            give_up_unwanted();
            client.advance();
            if (guard.gone()) return;
            while (auto done = client.core().next_done()) {
                answer(*done);
                if (guard.gone()) return;
            }
            if (end_session && !client.core().is_closing()) {
                Completion<Failure> last = std::move(*end_session);
                end_session.reset();
                last(client.core().end_failure());
            }
        }
        void give_up_unwanted() {
            std::erase_if(calls, [&](const Call& call) {
                const bool wanted =
                    std::visit([](const auto& asked) { return asked.wanted(); }, call.asked);
                if (!wanted) client.core().give_up(call.number);
                return !wanted;
            });
        }
        void answer(detail::McpDone& done) {
            const auto at = detail::find_numbered(calls, done.call);
            if (at == calls.end()) return;
            Asked asked = std::move(at->asked);
            calls.erase(at);
            if (auto* pushed = std::get_if<Completion<Failure>>(&asked)) {
                return (*pushed)(done.error ? done.error->failure : Failure{});
            }
            auto& fetched =
                std::get<Completion<Result<std::optional<Scene<Content>>, Failure>>>(asked);
            if (!done.error) return fetched(scene_of(done.result));
            const std::error_code why = done.error->failure.error();
            const bool failed = why == Errc::tool_failed || why == Errc::rpc_error;
            if (failed && options.is_missing(*done.error)) {
                return fetched(std::optional<Scene<Content>>{});
            }
            fetched(done.error->failure);
        }
        [[nodiscard]] Result<std::optional<Scene<Content>>, Failure> scene_of(
            const detail::McpJson& result) const {
            const auto json = detail::json_of_result(result);
            if (!json) return Failure::from(json.error());
            if (json->is_null()) return std::optional<Scene<Content>>{};
            try {
                return std::optional<Scene<Content>>{json->template get<Scene<Content>>()};
            } catch (const std::bad_alloc&) {
                throw;
            } catch (...) {
                // from_json of nlohmann throws, and that of a user may throw, too.
                return Failure::from(Errc::no_scene);
            }
        }

        driver::LifetimeFlag lifetime;
        Options options;
        std::vector<Call> calls;
        std::optional<Completion<Failure>> end_session;
        detail::McpClient<Http> client;
    };

    std::unique_ptr<State> state_;
};

}}}  // namespace belay::mcp
