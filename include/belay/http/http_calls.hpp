// SPDX-License-Identifier: MIT
/// \file belay/http/http_calls.hpp
/// HttpCalls: HTTP requests that are repeated only where that is safe, and never make an outage of
/// the server worse.
#pragma once

#include <atomic>       // std::atomic
#include <chrono>       // std::chrono::milliseconds
#include <concepts>     // std::same_as
#include <cstdint>      // std::uint8_t
#include <exception>    // std::current_exception
#include <functional>   // std::function, std::ref
#include <map>          // std::map
#include <memory>       // std::make_shared, std::shared_ptr, std::weak_ptr
#include <optional>     // std::optional
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::forward, std::move

#include <belay/call/answer.hpp>
#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/hedge.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/outcome.hpp>
#include <belay/call/pipeline_task.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/call/task.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/expect_options.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/order.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/core/tee.hpp>
#include <belay/http/detail/http_policy.hpp>
#include <belay/http/http_calls_options.hpp>
#include <belay/http/http_message.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

enum class HttpExchangeState : std::uint8_t { waits, failed, complete };

/// The answer of a client, which may come on any thread, and wakes the coroutine that waits.
struct HttpExchange {
    LocalStop answered{};
    std::atomic<HttpExchangeState> state{HttpExchangeState::waits};
    std::optional<HttpResponse> response{};  // while `state` is `waits`: the answering thread's
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
    // Notes the end for the rules, before the handle is destroyed, which answers "no". If the
    // caller has left, the thread of the calls may not have seen a response that has arrived.
    const ScopeExit end{[&progress, &exchange, now] {
        const State state = exchange->state.load(std::memory_order_acquire);
        if (state == State::complete) progress.answered = true;
        if (state != State::waits) return;
        progress.silent_since = detail::smaller(progress.silent_since, now);
    }};
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
    HttpTokens(const HttpCallsOptions::Hooks& hooks, Duration timeout)
        : new_token_{hooks.new_token},
          origin_{new_token_ ? origin_of(hooks.token_origin) : ""},
          timeout_{timeout} {
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
    /// Destroys the new_token that runs.
    void cancel() noexcept { renewal_.reset(); }

    /// Waits for another token than `old`, until `end`.   Errors: stopped, no_token; those of
    /// new_token.   Throws: what new_token throws; std::bad_alloc.
    template <class Sleeper, class Stop>
    belay::Task<std::error_code> renew(Sleeper& sleeper, std::string old, Instant end, Stop stop) {
        if (value_ != old) co_return std::error_code{};
        if (sleeper.now() >= end) co_return HttpErrc::no_token;
        const std::shared_ptr<Renewal> renewal = renewal_under_way(sleeper);
        LocalStop wake;
        const StopToken finished = renewal->finished.token();
        const WaitStop<StopToken> finishing{finished, wake};
        const WaitStop<Stop> stopping{stop, wake};
        while (!finished.stop_requested()) {
            if (stop.stop_requested()) co_return CallErrc::stopped;
            if (sleeper.now() >= end) co_return HttpErrc::no_token;
            const StopToken token = wake.token();
            decltype(auto) sleep =
                sleeper.async_sleep_until(stopping.slice(sleeper.now(), end), token);
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
            co_await awaiter;
        }
        // The first call to get here rethrows what new_token threw.
        if (std::exchange(renewal->threw, false)) static_cast<void>(renewal->task->take());
        co_return renewal->error;
    }

private:
    // It continues when its callers have left, because the next ones may have as little time.
    struct Renewal {
        StopSource finished{};
        bool threw = true;
        std::error_code error = CallErrc::call_failed;
        std::optional<belay::Task<bool>> task{};
    };
    template <class Sleeper>
    std::shared_ptr<Renewal> renewal_under_way(Sleeper& sleeper) {
        if (!renewal_ || renewal_->finished.token().stop_requested()) {
            auto next = std::make_shared<Renewal>();
            next->task.emplace(run(sleeper, *next));
            renewal_ = std::move(next);
            renewal_->task->start();
        }
        return renewal_;
    }
    // Its own timer ends it, because the code of new_token may be on the stack of any other.
    template <class Sleeper>
    belay::Task<bool> run(Sleeper& sleeper, Renewal& renewal) {
        const ScopeExit end{[&renewal] { renewal.finished.request_stop(); }};
        auto making = new_token_();
        making.start();
        if (!making.done()) {
            auto timer = detail::sleeping(sleeper, after(sleeper.now(), timeout_));
            timer.start();
            AnyDone any;
            any.add(making);
            any.add(timer);
            co_await any;
            if (!making.done()) static_cast<void>(timer.take());
        }
        std::error_code error = HttpErrc::no_token;
        if (making.done()) {
            Result<std::string> token = making.take();
            error = token.error();
            if (token) value_ = std::move(*token);
        }
        renewal.threw = false;
        renewal.error = error;
        co_return true;
    }

    std::function<belay::Task<Result<std::string>>()> new_token_;
    std::string origin_;
    std::string value_{};
    Duration timeout_;
    std::shared_ptr<Renewal> renewal_{};
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
                take(head, piece, {clock.now(), clock.bits()});
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
    void take(const HttpResponse& head, std::string_view piece, const Turn& turn) {
        if (head.status >= 200 && head.status < 300) {
            progress.begun.arrived(turn);
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

}  // namespace detail

/// Sends HTTP requests through any HttpLike, and repeats those that failed for a passing reason. A
/// budget of retries and a circuit breaker protect each host.
///
///     posix::Loop loop;
///     curl::Http http{loop};
///     LoopSleeper sleeper{loop};
///     HttpCalls calls{http, sleeper};
///     Outcome<HttpResponse> page = co_await calls.get("https://example.com/");
///     Outcome<HttpResponse> also = calls.send_blocking(loop, {.url = "https://example.com/"});
///
/// It is a Pipeline of a deadline, a Retrying and, on request, a Hedge. Each attempt sends a copy
/// of the request, with its body. A request is sent again if all of these hold:
///
/// - the failure may pass: Hooks::classify or HttpResponse::verdict returns a verdict that repeats;
/// - sending it twice does no harm: the method is GET, HEAD, OPTIONS, TRACE, PUT or DELETE, the
///   request has an Idempotency-Key, or the client reports that nothing was sent;
/// - no part of the response has been passed to on_chunk;
/// - attempts, budget and time are left;
/// - the breaker is closed;
/// - the pace of the host allows it. A 429 or 503 with a Retry-After makes all calls to the host
///   wait without a request;
/// - the server requests no wait longer than HttpCallsOptions::retry_after_max.
///
/// After a 401, a request to Hooks::token_origin is sent once more, with a new token. This is no
/// retry: it needs no budget, and a POST without a key may have it, too.
///
/// HttpRequest::deadline limits the whole call. With an on_chunk, the pieces of a response with
/// another status than 200 to 299 are not passed on. They are the body of Outcome::last() if they
/// have at most 64 KiB together; otherwise it is empty.
///
/// A host is a scheme, a name and a port, in any of the spellings that RFC 3986 treats as equal.
/// The dot at the end of a name with another dot makes no difference.
///
/// A new host beyond HttpCallsOptions::hosts_max replaces the one that was used least recently of
/// those without calls under way. One whose breaker is not closed is replaced last, until it was
/// not called for `breaker_window` or, if longer, `breaker_open`. A host that is replaced starts
/// again with a full budget and a closed breaker. If no host can be replaced, the new one has no
/// breaker and no pace. It shares one budget with all other hosts without a place.
///
/// The client and the sleeper must outlive the calls, and the calls must end before this object
/// does. A call whose client is destroyed ends with HttpErrc::client_failed.
///
/// The observer has the hooks of that of `retry`, and on_hedge; a RetryLog is one. It is notified
/// of the attempts, failures and waits of each call. The code of a failure is the status. Calls
/// that share a response are one call.
///
/// Thread safety: the sleeper's thread. The client may answer on any thread.
template <HttpLike Http, class Sleeper, class Observer = NoObserver>
class HttpCalls {
    static_assert(explain::async_sleeper_like<Sleeper>());
    static_assert(detail::explain_observer<detail::RetryRunHooks, Observer>());

public:
    /// Pre: options.check() is empty.   Throws: std::bad_alloc.
    HttpCalls(Http& http, Sleeper& sleeper, HttpCallsOptions options = {},
              HttpCallsOptions::Hooks hooks = {}, Observer observer = {})
        : http_{http},
          sleeper_{sleeper},
          options_{options},
          hooks_{std::move(hooks)},
          observer_{std::move(observer)} {
        detail::expect_options(options_.check(),
                               {{"attempts_max", std::uint64_t{options_.attempts_max}},
                                {"first_wait", options_.first_wait},
                                {"wait_max", options_.wait_max},
                                {"attempt_timeout", options_.attempt_timeout},
                                {"token_timeout", options_.token_timeout},
                                {"retry_after_max", options_.retry_after_max},
                                {"breaker.percent", std::uint64_t{options_.breaker.percent}},
                                {"breaker.min_calls", std::uint64_t{options_.breaker.min_calls}},
                                {"breaker_window", options_.breaker_window},
                                {"breaker_open", options_.breaker_open},
                                {"unanswered_after", options_.unanswered_after},
                                {"hosts_max", std::uint64_t{options_.hosts_max}},
                                {"silent_max", options_.silent_max},
                                {"hedge_after", options_.hedge_after}});
    }
    HttpCalls(const HttpCalls&) = delete;
    HttpCalls& operator=(const HttpCalls&) = delete;
    /// Destroys a new_token that runs.   Pre: every call has ended, or its Task was destroyed.
    ~HttpCalls() {
        tokens_.cancel();
        BELAY_PRECONDITION(under_way_ == 0, "HttpCalls::~HttpCalls: each call must have ended");
    }

    /// Sends a copy of a request. Nothing happens before the Task is awaited or started.
    ///
    ///     HttpRequest order{.url = url, .method = "POST", .headers = {{"Idempotency-Key", id}}};
    ///     Outcome<HttpResponse> placed = co_await calls.send(order);
    ///
    /// The request is a variable, and not a temporary. In an expression with a co_await, GCC 12
    /// destroys the members of a temporary struct twice, or stops with an internal error. The
    /// on_chunk of the request is moved into the Task.
    ///
    /// The Outcome has the response if its status is 200 to 299. Otherwise last() is what the
    /// client returned last, or null if no request was made. Its status is 0 if nothing arrived.
    ///
    /// error() is the reason:
    /// - the status, in http_category();
    /// - an HttpErrc;
    /// - CallErrc::call_rejected if, before the first request, the breaker was open, or the host
    ///   had asked for a wait beyond the deadline or `retry_after_max`;
    /// - CallErrc::stopped if a stop was requested before it, or ended the last request.
    ///
    /// A stop ends a request that is under way and a wait, and begins no request. Destroying the
    /// Task aborts the request, too. Each is a failure of the host only as
    /// HttpCallsOptions::unanswered_after specifies.
    ///
    /// Throws:    what the client and the sleeper throw; std::bad_alloc.
    /// Allocates: frames of coroutines, copies of the request, and one block for each request.
    template <StopTokenLike Stop = NeverStops>
    [[nodiscard]] Task<Outcome<HttpResponse>> send(HttpRequest& request, Stop stop = {}) {
        HttpRequest copy = detail::copy_of(request);
        copy.on_chunk = std::move(request.on_chunk);
        return run(std::move(copy), std::move(stop));
    }
    /// Does not compile, because GCC 12 destroys temporary requests twice.
    template <StopTokenLike Stop = NeverStops>
    Task<Outcome<HttpResponse>> send(HttpRequest&&, Stop = {}) {
        static_assert(!sizeof(Stop*),
                      "HttpCalls::send: the request must be a variable: HttpRequest request{...}; "
                      "co_await calls.send(request). For a GET, use co_await calls.get(url)");
        return run(HttpRequest{}, NeverStops{});
    }
    /// Sends a GET as send() does, with the defaults of HttpRequest.
    template <StopTokenLike Stop = NeverStops>
    [[nodiscard]] Task<Outcome<HttpResponse>> get(std::string url, Stop stop = {}) {
        HttpRequest request;
        request.url = std::move(url);
        return run(std::move(request), std::move(stop));
    }

    /// Sends a request, and runs `loop` until it has ended. `loop` is the loop of the client and of
    /// the sleeper, and must not be running.
    ///
    /// If the loop is stopped before the end, the request is aborted, and the error is
    /// CallErrc::stopped.
    ///
    /// Throws: as send(), and what other machines of the loop throw.   Blocks: until the end.
    template <class Loop, StopTokenLike Stop = NeverStops>
    [[nodiscard]] Outcome<HttpResponse> send_blocking(Loop& loop, HttpRequest request,
                                                      Stop stop = {}) {
        Task<Outcome<HttpResponse>> sending = run(std::move(request), std::move(stop));
        sending.start();
        static_cast<void>(loop.run_until([&] { return sending.done(); }));
        if (!sending.done()) return Outcome<HttpResponse>{CallErrc::stopped};
        return sending.take();
    }

    /// Returns what was done so far.   Complexity: O(1).
    [[nodiscard]] const HttpCallsCounters& counters() const noexcept { return counters_; }
    /// Returns the options in force.
    [[nodiscard]] const HttpCallsOptions& options() const noexcept { return options_; }
    /// Returns the state of the breaker of a URL's host, which is closed for a host without one.
    /// Throws: std::bad_alloc.
    [[nodiscard]] BreakerState breaker_state(std::string_view url) const {
        const detail::HttpHost* const host = hosts_.find(url);
        return host != nullptr ? host->breaker.state(sleeper_.now()) : BreakerState::closed;
    }
    /// Returns how many hosts have a breaker in this state. With `HttpCallsOptions::breaker` of
    /// 0 %, all are closed.   Complexity: O(HttpCallsOptions::hosts_max).
    [[nodiscard]] std::size_t breakers(BreakerState state) const {
        return hosts_.count(state, sleeper_.now());
    }

private:
    // Counts the retries of one call, and notes which rule ended it.
    struct Retries {
        HttpCallsCounters& counters;
        void on_attempt(const Attempt& attempt) const noexcept {
            if (attempt.is_retry()) ++counters.retries;
        }
        void on_give_up(const RetryEnded& end) const noexcept {
            if (end.advice.verb != Advice::Verb::stop) return;
            if (end.advice.by == detail::HttpRepeat::name) ++counters.not_repeated;
            if (end.advice.by == TokenBudget::name) ++counters.over_budget;
        }
    };
    struct Hedges {
        HttpCallsCounters& counters;
        Observer& observer;
        void on_hedge(const Attempt& attempt) const {
            ++counters.hedges;
            detail::notify<detail::PipelineHooks::Hedged>(observer, detail::no_machine, attempt);
        }
    };
    // A call whose response other calls share. It lives as long as one of them waits.
    struct Flight {
        std::string key{};
        StopSource finished{};
        Instant ends = never;          // its own deadline
        Instant waits_until = always;  // the last of its callers' deadlines
        std::optional<Outcome<HttpResponse>> outcome{};
        bool repeats = false;  // whether another request may succeed after a failure
        detail::HttpProgress* progress = nullptr;  // until it is finished
        std::optional<Task<bool>> task{};
        // The flight that its callers share after it. They join it also if it has ended already,
        // because a client may answer at once.
        std::shared_ptr<Flight> next{};
    };

    template <class Stop>
    Task<Outcome<HttpResponse>> run(HttpRequest request, Stop stop) {
        ++under_way_;
        ++counters_.calls;
        bool has_ended = false;
        const detail::ScopeExit end{[this, &has_ended] {
            --under_way_;
            if (!has_ended) ++counters_.dropped;
        }};
        std::optional<Task<Outcome<HttpResponse>>> task;
        // A stop of one call must not end the others.
        if (std::same_as<Stop, NeverStops> && options_.single_flight &&
            detail::is_shareable(request)) {
            task.emplace(join(std::move(request)));
        } else {
            task.emplace(perform(std::move(request), std::move(stop)));
        }
        Outcome<HttpResponse> outcome = co_await std::move(*task);
        has_ended = true;
        const bool is_rejected = outcome.last() == nullptr || outcome.error() == CallErrc::stopped;
        ++(outcome ? counters_.succeeded : is_rejected ? counters_.rejected : counters_.failed);
        co_return outcome;
    }

    template <class Stop>
    Task<Outcome<HttpResponse>> perform(HttpRequest request, Stop stop, Flight* flight = nullptr) {
        detail::HttpHost& host = hosts_.host_of(request.url, sleeper_.now(), counters_);
        ++host.under_way;
        const detail::ScopeExit leave{[this, &host] {
            --host.under_way;
            host.used_at = sleeper_.now();  // a long call may have opened the breaker just now
        }};
        detail::HttpCall call{std::move(request)};
        if (flight != nullptr) flight->progress = &call.progress;
        Tee retries{Retries{counters_}, std::ref(observer_)};
        Hedges hedges{counters_, observer_};
        const Instant end =
            after(sleeper_.now(), detail::larger(call.request().deadline, Duration{}));
        const Retrying retrying{host.policy(options_, call.progress, counters_, end), retries};
        const detail::HttpDeadline deadline{call.request().deadline, options_.attempt_timeout};
        const Authorized authorized{*this, call, host};
        auto attempt = fails_if([this, &call, stop](Attempt a) { return send_once(call, a, stop); },
                                [&](const HttpResponse& response) noexcept {
                                    return failure_of(call, host, response);
                                });
        const auto ended = [&](Outcome<HttpResponse> outcome) {
            if (flight != nullptr) flight->repeats = call.progress.noted[0].verdict.repeats;
            return outcome;
        };
        if (call.progress.repeatable && !call.in_pieces() && options_.hedge_after != forever) {
            const Pipeline pipeline{deadline, retrying,
                                    Hedge{options_.hedge_after, 1, Shared{host.budget}}
                                        .until(detail::HttpDefinite{call.progress})
                                        .retry_after_max(options_.retry_after_max),
                                    authorized};
            auto task = pipeline(sleeper_, std::move(attempt), std::move(stop), hedges);
            co_return ended(co_await std::move(task));
        }
        const Pipeline pipeline{deadline, retrying, authorized};
        auto task = pipeline(sleeper_, std::move(attempt), std::move(stop), hedges);
        co_return ended(co_await std::move(task));
    }

    // Returns the failure of a response, and notes the verdict on it for the rules.
    Failure failure_of(detail::HttpCall& call, detail::HttpHost& host,
                       const HttpResponse& response) noexcept {
        const bool accepts = response.status >= 200 && response.status < 300;
        if (!host.is_one) host.rejections = {};
        const HttpResponse::History history =
            host.rejections.take(response.status, accepts, sleeper_.now(), {});
        const HttpResponse::Verdict verdict =
            detail::verdict_by(hooks_.classify, call.request(), response, history);
        const Failure failure = detail::failure_by(verdict, response, options_.retry_after_max);
        if (failure.cause != Cause::none) call.progress.note(failure, verdict);
        // At once: a Hedge keeps its failure to itself while it waits.
        if (response.complete() && host.is_one) host.pace.answered(failure, sleeper_.now());
        return failure;
    }

    // Returns the limit of a request that begins now.
    Duration limit_of(const detail::HttpCall& call, const Attempt& attempt) const noexcept {
        const Duration limit = call.in_pieces() ? forever : options_.attempt_timeout;
        if (attempt.deadline == never) return limit;
        const Duration left = elapsed(sleeper_.now(), attempt.deadline);
        // The limit makes room for another attempt, so the last one has all the time left. After
        // one that took as long, another must have at least that.
        const Duration room = call.progress.was_cut ? limit : limit / 2;
        const bool is_last = !call.progress.repeatable ||
                             call.progress.attempts >= options_.attempts_max || left <= limit ||
                             left - limit < room;
        return is_last ? left : limit;
    }
    // Gives a request its token. No call is under way while it waits for one. So the wait does not
    // count to the limit of a request, and a Hedge makes no further call.
    struct Authorized {
        HttpCalls& calls;
        detail::HttpCall& call;
        detail::HttpHost& host;

        template <class Next, class Context>
        Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
            if (!calls.tokens_.belongs_to(call.request())) return next(attempt);
            return calls.authorize(call, host, next, context, attempt);
        }
    };
    // An exception of new_token is a failure of the attempt, as one of the client is.
    template <class Next, class Context>
    Task<typename Next::Answer> authorize(detail::HttpCall& call, detail::HttpHost& host, Next next,
                                          Context& context, Attempt attempt) {
        using Answer = typename Next::Answer;
        Answer answer;
#if defined(__cpp_exceptions)
        try {
#endif
            std::string refused;
            if (tokens_.value().empty()) {
                auto first = tokens_.renew(sleeper_, refused, attempt.deadline, context.stop);
                if (const std::error_code error = co_await std::move(first)) {
                    co_return without_token<Answer>(call, host, error);
                }
            }
            refused = tokens_.value();
            auto sending = next(attempt);
            answer = co_await std::move(sending);
            // RFC 9110, section 15.5.2: a request with a 401 has not been applied.
            constexpr int unauthorized = 401;
            if (!answer.returned || answer.returned->status != unauthorized) co_return answer;
            context.note_wait();
            auto renewing = tokens_.renew(sleeper_, refused, attempt.deadline, context.stop);
            if (co_await std::move(renewing)) co_return answer;
            auto again = next(attempt);
            answer = co_await std::move(again);
#if defined(__cpp_exceptions)
        } catch (...) {
            answer = Answer{};
            answer.failure = detail::failure_of_exception();
            answer.thrown = std::current_exception();
        }
#endif
        co_return answer;
    }
    // Makes the answer to a request that was not sent for lack of a token.
    template <class Answer>
    Answer without_token(detail::HttpCall& call, detail::HttpHost& host,
                         const std::error_code& why) noexcept {
        call.progress.stopped |= why == CallErrc::stopped;
        call.progress.sent = false;
        HttpResponse none{.failure = Failure::from(why), .sent = false};
        none.failure.origin = Failure::Origin::local;
        Answer answer = Answer::none(why, failure_of(call, host, none));
        answer.returned = std::move(none);
        return answer;
    }
    template <class Stop>
    Task<HttpResponse> send_once(detail::HttpCall& call, Attempt attempt, Stop stop) {
        call.progress.sent = false;
        const Duration limit = limit_of(call, attempt);
        const Instant end = after(sleeper_.now(), limit);
        HttpRequest request = call.copy(limit, options_.deadline_header, sleeper_);
        if (tokens_.belongs_to(call.request())) {
            request.headers.set({"Authorization", tokens_.value()});
        }
        ++counters_.requests;
        auto exchange =
            detail::http_exchange(http_, sleeper_, std::move(request), call.progress, stop,
                                  call.in_pieces() ? options_.silent_max : forever);
        HttpResponse response = co_await std::move(exchange);
        call.progress.was_cut |= sleeper_.now() >= end;
        co_return call.ended(std::move(response));
    }

    Task<Outcome<HttpResponse>> join(HttpRequest request) {
        const std::string key = detail::flight_key(request);
        const Instant end = after(sleeper_.now(), detail::larger(request.deadline, Duration{}));
        std::shared_ptr<Flight> flight = flight_of(key);
        const bool is_late = flight != nullptr;
        if (is_late) {
            ++counters_.shared;
        } else {
            flight = begin_flight(key, detail::copy_of(request), end);
        }
        auto first = landing(flight, end);
        Outcome<HttpResponse> outcome = co_await std::move(first);
        // This call may have had only a part of the time and of the attempts of a flight that it
        // joined. All such calls share one more, which lasts as long as any of them may wait.
        if (!is_late || sleeper_.now() >= end || !detail::may_go_on(outcome, flight->repeats))
            co_return outcome;
        if (!flight->next) flight->next = flight_of(key);
        if (!flight->next)
            flight->next = begin_flight(key, std::move(request), flight->waits_until);
        auto second = landing(flight->next, end);
        outcome = co_await std::move(second);
        co_return outcome;
    }
    // Returns the flight under way with this key, or null.
    std::shared_ptr<Flight> flight_of(const std::string& key) const {
        const auto found = flights_.find(key);
        return found != flights_.end() ? found->second.lock() : nullptr;
    }
    std::shared_ptr<Flight> begin_flight(const std::string& key, HttpRequest request, Instant end) {
        auto flight = std::make_shared<Flight>();
        flight->key = key;
        flights_[key] = flight;
        flight->ends = end;
        request.deadline = elapsed(sleeper_.now(), end);
        flight->task.emplace(fly(*flight, std::move(request)));
        flight->task->start();
        return flight;
    }
    // Returns the outcome of a flight, or `timed_out` at `end`.
    Task<Outcome<HttpResponse>> landing(std::shared_ptr<Flight> flight, Instant end) {
        flight->waits_until = detail::larger(flight->waits_until, end);
        // A flight that ends first, or then, is awaited, because the breaker counts its end.
        const Instant leaves = end < flight->ends ? end : never;
        const StopToken finished = flight->finished.token();
        while (!finished.stop_requested()) {
            if (sleeper_.now() >= leaves) {
                flight->progress->timed_out = true;
                HttpResponse none;
                none.failure = Failure::from(HttpErrc::timed_out);
                co_return Outcome<HttpResponse>::failure(std::move(none),
                                                         make_error_code(HttpErrc::timed_out));
            }
            decltype(auto) sleep = sleeper_.async_sleep_until(leaves, finished);
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
            co_await awaiter;
        }
        if (!flight->outcome) {
            // The first call to get here rethrows what the flight threw.
            flight->outcome.emplace(CallErrc::call_failed);
            static_cast<void>(flight->task->take());
        }
        co_return *flight->outcome;
    }
    Task<bool> fly(Flight& flight, HttpRequest request) {
        // Also if it throws or is destroyed.
        const detail::ScopeExit end{[this, &flight] {
            const auto found = flights_.find(flight.key);
            if (found != flights_.end()) {
                const std::shared_ptr<Flight> listed = found->second.lock();
                if (!listed || listed.get() == &flight) flights_.erase(found);
            }
            flight.finished.request_stop();
        }};
        auto task = perform(std::move(request), NeverStops{}, &flight);
        flight.outcome.emplace(co_await std::move(task));
        co_return true;
    }

    Http& http_;
    Sleeper& sleeper_;
    const HttpCallsOptions options_;
    const HttpCallsOptions::Hooks hooks_;
    [[no_unique_address]] Observer observer_;
    HttpCallsCounters counters_{};
    detail::HttpHosts hosts_{options_};
    detail::HttpTokens tokens_{hooks_, options_.token_timeout};
    std::map<std::string, std::weak_ptr<Flight>> flights_{};
    std::size_t under_way_ = 0;
};

}}  // namespace belay
