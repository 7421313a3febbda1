// SPDX-License-Identifier: MIT
/// \file belay/http/detail/http_call.hpp
/// HttpCall, http_exchange, HttpTokens: one call of an HttpCalls, one request of it, and its token.
#pragma once

#include <atomic>       // std::atomic
#include <chrono>       // std::chrono::milliseconds
#include <cstdint>      // std::uint8_t
#include <functional>   // std::function
#include <memory>       // std::make_shared, std::shared_ptr, std::weak_ptr
#include <optional>     // std::optional
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/call/answer.hpp>
#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/task.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/order.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/http/detail/http_repeat.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

enum class HttpExchangeState : std::uint8_t { waits, failed, complete };

/// The answer of a client, which may come on any thread, and wakes the coroutine that waits.
struct HttpExchange {
    LocalStop answered{};
    std::atomic<HttpExchangeState> state{HttpExchangeState::waits};
    std::optional<HttpResponse> response{};  // while `state` is `waits`: the answering thread's
};

/// Notes the end of a request for the rules. If the caller has left, the thread of the calls may
/// not have seen a response that has arrived.
class HttpExchangeEnd {
public:
    HttpExchangeEnd(const HttpExchange& exchange, HttpProgress& progress, Instant sent_at) noexcept
        : exchange_{exchange}, progress_{progress}, sent_at_{sent_at} {}
    HttpExchangeEnd(const HttpExchangeEnd&) = delete;
    HttpExchangeEnd& operator=(const HttpExchangeEnd&) = delete;
    ~HttpExchangeEnd() {
        const HttpExchangeState state = exchange_.state.load(std::memory_order_acquire);
        if (state == HttpExchangeState::complete) progress_.answered = true;
        if (state != HttpExchangeState::waits) return;
        progress_.silent_since = detail::smaller(progress_.silent_since, sent_at_);
    }

private:
    const HttpExchange& exchange_;
    HttpProgress& progress_;
    Instant sent_at_;
};

/// Sends one request, and waits for the answer. It is `client_failed` if the client was destroyed,
/// `stopped` after a stop, and `timed_out` if the server was silent for `silent_max`. If the client
/// throws, `progress.sent` stays as it is, otherwise it becomes true.
template <class Http, class Sleeper, class Stop>
belay::Task<HttpResponse> http_exchange(Http& http, Sleeper& sleeper, HttpRequest request,
                                        HttpProgress& progress, Stop stop, Duration silent_max) {
    const auto ended_by = [](const std::error_code& why) {
        return HttpResponse{.failure = Failure::from(why)};
    };
    using State = HttpExchangeState;
    const auto exchange = std::make_shared<HttpExchange>();
    Completion<HttpResponse> done{[exchange](std::optional<HttpResponse> response) noexcept {
        const bool is_complete = response && response->complete();
        exchange->response = std::move(response);
        exchange->state.store(is_complete ? State::complete : State::failed,
                              std::memory_order_release);
        exchange->answered.request_stop();
    }};
    const Instant now = sleeper.now();
    [[maybe_unused]] const auto handle = http.request(std::move(request), std::move(done));
    progress.sent = true;
    // Before the handle is destroyed, which answers "no".
    const HttpExchangeEnd end{*exchange, progress, now};
    const WaitStop<Stop> stopping{stop, exchange->answered};
    while (exchange->state.load(std::memory_order_acquire) == State::waits) {
        if (stop.stop_requested()) {
            progress.stopped = true;
            co_return ended_by(CallErrc::stopped);
        }
        const Instant silent = after(detail::larger(now, progress.heard_at), silent_max);
        if (sleeper.now() >= silent) co_return ended_by(HttpErrc::timed_out);
        const StopToken token = exchange->answered.token();
        decltype(auto) sleep =
            sleeper.async_sleep_until(stopping.slice(sleeper.now(), silent), token);
        decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
        co_await awaiter;
    }
    std::optional<HttpResponse> response = std::move(exchange->response);
    co_return response ? std::move(*response) : ended_by(HttpErrc::client_failed);
}

/// The token of one origin, which the calls of an HttpCalls renew together.
///
/// Thread safety: the thread of the calls.
class HttpTokens {
public:
    explicit HttpTokens(const HttpCallsOptions::Hooks& hooks)
        : new_token_{hooks.new_token}, origin_{new_token_ ? origin_of(hooks.token_origin) : ""} {
        BELAY_OPTION(!new_token_ || !origin_.empty(),
                     "HttpCalls: Hooks::token_origin must be the origin that gets the tokens of "
                     "new_token, such as https://api.example");
    }

    /// Returns whether a request gets the token.
    [[nodiscard]] bool belongs_to(const HttpRequest& request) const {
        return !origin_.empty() && request.headers.find("Authorization") == nullptr &&
               origin_of(request.url) == origin_;
    }
    [[nodiscard]] const std::string& value() const noexcept { return value_; }

    /// Waits for another token than `old`, until `end`.   Errors: stopped, timed_out; those of
    /// new_token.
    template <class Sleeper, class Stop>
    belay::Task<std::error_code> renew(Sleeper& sleeper, std::string old, Instant end, Stop stop) {
        if (value_ != old) co_return std::error_code{};
        std::shared_ptr<Renewal> renewal = renewal_.lock();
        if (!renewal) {
            renewal_ = renewal = std::make_shared<Renewal>();
            renewal->task.emplace(run(*renewal));
            renewal->task->start();
        }
        LocalStop wake;
        const StopToken finished = renewal->finished.token();
        const WaitStop<StopToken> finishing{finished, wake};
        const WaitStop<Stop> stopping{stop, wake};
        while (!finished.stop_requested()) {
            if (stop.stop_requested()) co_return CallErrc::stopped;
            if (sleeper.now() >= end) co_return HttpErrc::timed_out;
            const StopToken token = wake.token();
            decltype(auto) sleep =
                sleeper.async_sleep_until(stopping.slice(sleeper.now(), end), token);
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
            co_await awaiter;
        }
        // The first call to get here rethrows what new_token threw.
        if (renewal->threw) {
            renewal->threw = false;
            static_cast<void>(renewal->task->take());
        }
        co_return renewal->error;
    }

private:
    // Lives as long as a call waits for it.
    struct Renewal {
        StopSource finished{};
        bool threw = true;
        std::error_code error = CallErrc::call_failed;
        std::optional<belay::Task<bool>> task{};
    };
    belay::Task<bool> run(Renewal& renewal) {
        struct End {
            Renewal& of;
            ~End() { of.finished.request_stop(); }
        } const end{renewal};
        auto making = new_token_();
        Result<std::string> token = co_await std::move(making);
        renewal.threw = false;
        renewal.error = token.error();
        if (token) value_ = std::move(*token);
        co_return true;
    }

    std::function<belay::Task<Result<std::string>>()> new_token_;
    std::string origin_;
    std::string value_{};
    std::weak_ptr<Renewal> renewal_{};
};

/// A layer that gives the inner ones a deadline. It does not end a call. The client keeps the
/// deadline of its request, and a breaker must see that the server did not answer.
struct HttpDeadline {
    static constexpr bool limits_time = true;

    Duration limit;
    Duration attempt_timeout;

    [[nodiscard]] constexpr TimeLimit time_limit(Instant) const noexcept {
        const Duration shortest = smaller(larger(limit, Duration{}), attempt_timeout);
        return {shortest, shortest / 2};
    }
    template <class Next, class Context>
    belay::Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        // The rest of a deadline that has passed is negative.
        const Duration left = limit.count() > 0 ? limit : Duration{};
        const Instant end = after(context.sleeper.now(), left);
        if (end < attempt.deadline) attempt.deadline = end;
        auto answering = next(attempt);
        typename Next::Answer answer = co_await std::move(answering);
        co_return answer;
    }
};

/// Returns a copy without the on_chunk, which cannot be copied.   Throws: std::bad_alloc.
[[nodiscard]] inline HttpRequest copy_of(const HttpRequest& request) {
    return {.url = request.url,
            .method = request.method,
            .headers = request.headers,
            .body = request.body,
            .deadline = request.deadline,
            .body_bytes_max = request.body_bytes_max,
            .redirects = request.redirects,
            .fresh_connection = request.fresh_connection};
}

/// One call: the request, of which each attempt sends a copy, and what became of it.
class HttpCall {
public:
    explicit HttpCall(HttpRequest request) : request_{std::move(request)} {
        progress.repeatable = detail::is_repeatable(request_);
    }
    HttpCall(const HttpCall&) = delete;
    HttpCall& operator=(const HttpCall&) = delete;

    /// Returns the request of one attempt. It refers to this call and the clock, if it has an
    /// on_chunk.
    /// Throws: std::bad_alloc.
    template <class Clock>
    [[nodiscard]] HttpRequest copy(Duration deadline, std::string_view deadline_header,
                                   Clock& clock) {
        HttpRequest copy = detail::copy_of(request_);
        copy.deadline = deadline;
        // The server that the kept connection leads to does not serve this name.
        constexpr int misdirected_request = 421;
        const Failure& last = progress.noted[0].failure;
        if (last.code == misdirected_request && last.category == &http_category()) {
            copy.fresh_connection = true;
        }
        if (!deadline_header.empty() && deadline != forever) {
            const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline);
            copy.headers.set({std::string{deadline_header},
                              std::to_string(left.count() > 0 ? left.count() : 1)});
        }
        if (in_pieces()) {
            rest_.clear();
            rest_is_whole_ = true;
            events_ = {};
            copy.on_chunk = [this, &clock](const HttpResponse& head,
                                           std::string_view piece) noexcept {
                if (piece.empty()) is_events_ = has_media_type(head, "text/event-stream");
                if (piece.empty() || !is_events_ || events_.has_field(piece)) {
                    progress.heard_at = clock.now();
                }
                take(head, piece);
            };
        }
        return copy;
    }
    /// Takes the end of one attempt.
    [[nodiscard]] HttpResponse ended(HttpResponse response) {
        if (in_pieces() && !progress.begun) response.body = std::move(rest_);
        progress.sent = response.sent;
        return response;
    }

    [[nodiscard]] const HttpRequest& request() const noexcept { return request_; }
    [[nodiscard]] bool in_pieces() const noexcept { return static_cast<bool>(request_.on_chunk); }

    HttpProgress progress{};

private:
    static constexpr std::size_t rest_bytes_max = std::size_t{64} << 10;

    // The user gets the pieces of a success only, because another response may be followed by a
    // retry. Its body is kept for the Outcome.
    void take(const HttpResponse& head, std::string_view piece) {
        if (head.status >= 200 && head.status < 300) {
            progress.begun = true;
            request_.on_chunk(head, piece);
            return;
        }
        if (rest_.size() + piece.size() > rest_bytes_max) {
            rest_is_whole_ = false;
            rest_.clear();
        }
        if (rest_is_whole_) rest_ += piece;
    }

    HttpRequest request_;
    std::string rest_{};
    bool rest_is_whole_ = true;
    bool is_events_ = false;  // the response is an event stream
    EventLines events_{};
};

}}}  // namespace belay::detail
