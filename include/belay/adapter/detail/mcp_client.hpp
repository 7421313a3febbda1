// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/mcp_client.hpp
/// McpClient: sends the requests of McpCore over any HTTP client, with tokens.
#pragma once

#include <algorithm>  // std::min
#include <list>       // std::list
#include <optional>   // std::optional
#include <string>     // std::string
#include <utility>    // std::move
#include <vector>     // std::vector

#include <belay/adapter/detail/mcp_core.hpp>
#include <belay/adapter/mcp_options.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>
#include <belay/http/http_like.hpp>
#include <belay/link/link_errc.hpp>

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
          core_{{.limits = {.bytes_max = options.answer_bytes_max, .depth_max = options.depth_max},
                 .is_retryable = std::move(options.is_retryable)}} {}
    McpClient(const McpClient&) = delete;
    McpClient& operator=(const McpClient&) = delete;

    /// Returns the core. Call touch() after you have called it.
    [[nodiscard]] McpCore& core() noexcept { return core_; }
    [[nodiscard]] const McpCore& core() const noexcept { return core_; }
    void touch() noexcept { waker_.touch(); }

    void attach(Waker waker) noexcept {
        waker_ = std::move(waker);
        for (Wire& wire : wires_) {
            wire.token.attach(waker_);
            wire.response.attach(waker_);
        }
    }
    [[nodiscard]] Instant deadline() const noexcept {
        if (core_.has_news()) return always;
        for (const Wire& wire : wires_) {
            if (wire.state == State::fresh || wire.state == State::broken) return always;
            if (wire.token.answered() || wire.response.answered()) return always;
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
                wires_.emplace_back(std::move(what));
                wires_.back().token.attach(waker_);
                wires_.back().response.attach(waker_);
            }
            if (!begin(guard)) return;
            // The caller handles the finished calls first.
            if (core_.has_done()) return;
        }
    }

private:
    /// A wire whose start throws remains broken.
    enum class State : std::uint8_t { fresh, begun, broken };

    /// A request of the core. It waits for its token, then for its response.
    struct Wire {
        explicit Wire(McpSend&& what) noexcept : send{std::move(what)} {}
        McpSend send;
        driver::Question<std::string> token;
        driver::Question<HttpResponse> response;
        std::optional<Handle> handle;
        std::string credentials;
        State state = State::fresh;
    };

    void take_responses() {
        for (auto at = wires_.begin(); at != wires_.end();) {
            Wire& wire = *at;
            const bool broken = wire.state == State::broken;
            if (!broken && !wire.response.answered()) {
                ++at;
                continue;
            }
            HttpResponse response{.failure = Failure::from(HttpErrc::client_failed)};
            if (!broken) {
                // A client that ends drops its completions.
                if (auto answer = wire.response.take()) response = std::move(*answer);
            }
            if (response.status == 401 || response.status == 403) refused_ = wire.credentials;
            core_.finish(wire.send.number, response);
            at = wires_.erase(at);
        }
    }
    void use_tokens() {
        for (auto at = wires_.begin(); at != wires_.end();) {
            const auto wire = at++;
            if (!wire->token.answered()) continue;
            std::optional<std::string> token = wire->token.take();
            if (token && (refused_.empty() || *token != refused_)) {
                wire->credentials = std::move(*token);
                core_.hide(wire->send.number, wire->credentials);
                start(*wire);
                continue;
            }
            const std::error_code error = token ? make_error_code(mcp::Errc::credentials_needed)
                                                : make_error_code(LinkErrc::token_refused);
            core_.finish(wire->send.number, {.failure = Failure::from(error), .sent = false});
            wires_.erase(wire);
        }
    }
    void drop() {
        for (const std::uint64_t number : core_.drops()) {
            wires_.remove_if([number](const Wire& w) { return w.send.number == number; });
        }
        // If a server does not end its streams, only the newest idle_max are kept.
        std::size_t idle = 0;
        for (auto at = wires_.end(); at != wires_.begin();) {
            --at;
            if (!core_.awaits(at->send.number) && ++idle > idle_max) at = wires_.erase(at);
        }
    }
    /// Returns: false if this object is gone.
    bool begin(const driver::TurnGuard& guard) {
        for (Wire& wire : wires_) {
            if (wire.state != State::fresh) continue;
            if (!token_) {
                start(wire);
                continue;
            }
            wire.state = State::begun;
            token_(wire.token.ask());
            if (guard.gone()) return false;
        }
        return true;
    }

    void start(Wire& wire) {
        wire.state = State::broken;
        const McpSend& send = wire.send;
        HttpRequest request{.url = url_,
                            .method = send.aim == Aim::farewell ? "DELETE" : "POST",
                            .headers = {{"Content-Type", "application/json"},
                                        {"Accept", "application/json, text/event-stream"}},
                            .body = send.body,
                            .deadline = std::min(timeout_, most_for(send.aim)),
                            .body_bytes_max = bytes_max_};
        if (!send.session.empty()) request.headers.add({"Mcp-Session-Id", send.session});
        if (!send.version.empty()) request.headers.add({"MCP-Protocol-Version", send.version});
        if (!wire.credentials.empty()) {
            request.headers.add({"Authorization", "Bearer " + wire.credentials});
        }
        request.on_chunk = [this, &wire](const HttpResponse& head,
                                         std::string_view piece) noexcept {
            try {
                core_.receive(wire.send.number, head, piece);
            } catch (...) {
                // No memory: the answer is lost.
                wire.state = State::broken;
            }
            if (deadline() == always) waker_.touch();
        };
        wire.handle.emplace(unwrap(http_).request(std::move(request), wire.response.ask()));
        wire.state = State::begun;
    }
    /// Requests without a waiting caller get a short time limit.
    [[nodiscard]] static Duration most_for(Aim aim) noexcept {
        switch (aim) {
            case Aim::reply:
            case Aim::cancelled:
                return std::chrono::seconds{5};
            case Aim::farewell:
                return std::chrono::seconds{1};
            default:
                return forever;
        }
    }

    static constexpr std::size_t idle_max = 8;

    Waker waker_;
    driver::LifetimeFlag lifetime_;
    Http http_;
    std::string url_;
    McpTokenSource token_;
    std::string refused_;
    Duration timeout_;
    std::size_t bytes_max_;
    McpCore core_;
    // Last: the destructors of the handles abort requests while all other members exist.
    std::list<Wire> wires_;
};

}}}  // namespace belay::detail
