// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_call.hpp
/// BridgeCall: one call of a bridge's remote, with its retries, its answer and its time limit;
/// BridgeCalls: all calls of a bridge.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t
#include <memory>    // std::unique_ptr
#include <optional>  // std::optional
#include <utility>   // std::exchange, std::move
#include <vector>    // std::vector

#include <belay/call/retry.hpp>
#include <belay/sync/detail/bridge_sessions.hpp>
#include <belay/sync/remote_like.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The clock and the random numbers of a call's policy.
struct CallClock {
    Instant time = always;
    Random chance{};

    [[nodiscard]] Instant now() const noexcept { return time; }
    [[nodiscard]] Random& bits() noexcept { return chance; }
};

/// One call at a time. The object is used again and again.
///
/// It uses the core of `retry`. A turn of the bridge asks the core for its next step, where `retry`
/// would block.
template <class Content, class Policy, class Observer>
class BridgeCall {
public:
    using Got = std::optional<Scene<Content>>;
    using Reply = part::Answer<Got>;
    enum class Kind : std::uint8_t { fetch, push };

    BridgeCall(const Waker& waker, Random bits) noexcept : clock_{always, bits} {
        fetched_.attach(waker);
        pushed_.attach(waker);
    }

    void begin(BridgeSession& session, Kind kind, const Policy& policy, Observer& observer) {
        core_.emplace(as_policy(policy), clock_, observer, Attempt{});
        session_ = &session;
        kind_ = kind;
        wake_ = always;
        failure_.reset();
        ended_by_.reset();
        probe = false;
    }
    /// Ends the call: an answer is ignored, and the policy is notified of the end.
    void end() noexcept {
        core_.reset();
        fetched_.drop();
        pushed_.drop();
        question_.open = false;
        session_ = nullptr;
    }

    [[nodiscard]] BridgeSession* session() const noexcept { return session_; }
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    /// Returns when there is something to do; see collect() and next().
    [[nodiscard]] Instant deadline() const noexcept {
        if (!question_.open) return wake_;
        return fetched_.answered() || pushed_.answered() ? always : question_.answer_by;
    }

    // ---- one attempt ---------------------------------------------------------------------------

    /// Returns the next step of the policy.   Pre: no question is open, and deadline() has passed.
    RetryStep next(Instant now) {
        clock_.time = now;
        const RetryStep step = core_->next(false);
        if (step == RetryStep::wait) wake_ = core_->until();
        return step;
    }
    /// Starts an attempt by `call(completion)`. An exception of `call` is a failure, too.
    template <class F>
    void ask(Instant now, Duration within, F&& call) {
        question_.open = question_.at_once = true;
        question_.answer_by = smaller(after(now, within), core_->attempt().deadline);
#if defined(__cpp_exceptions)
        try {
            put(call);
            question_.at_once = fetched_.answered() || pushed_.answered();
        } catch (...) {
            // `call` may have stopped the bridge before it threw.
            if (!std::exchange(question_.open, false)) return;
            took(now, Reply::none(CallErrc::call_failed, failure_of_exception()));
        }
#else
        put(call);
        question_.at_once = fetched_.answered() || pushed_.answered();
#endif
    }
    /// Takes the answer if it has arrived. If its time is over instead, this ends the attempt and
    /// sets `dropped`.
    /// Returns: whether no question is open any more.
    bool collect(Instant now, bool& dropped) {
        if (!question_.open) return true;
        if (fetched_.answered()) {
            question_.open = false;
            took(now, reply_of(fetched_.take()));
        } else if (pushed_.answered()) {
            question_.open = false;
            took(now, reply_of(pushed_.take()));
        } else if (question_.answer_by <= now) {
            question_.open = false;
            dropped = true;
            const std::error_code why = std::make_error_code(std::errc::timed_out);
            took(now, Reply::none(why, Failure::from(why)));
        }
        return !question_.open;
    }
    /// Returns the failure of the last attempt, if the next attempt is more than `most` away.
    [[nodiscard]] std::optional<Failure> long_wait(Instant now, Duration most) const noexcept {
        if (!failure_ || wake_ <= after(now, most)) return std::nullopt;
        Failure why = *failure_;
        why.retry_after = larger(why.retry_after, elapsed(now, wake_));
        return why;
    }
    /// Returns the failure of the attempt that collect() has ended, once; none if it succeeded.
    [[nodiscard]] std::optional<Failure> take_attempt_failure() noexcept {
        return std::exchange(ended_by_, std::nullopt);
    }
    /// Returns the reply. It counts as rejected if the last attempt ended inside of the call,
    /// because no server can have answered then.
    /// Pre: next() returned finished.
    [[nodiscard]] Reply& reply() noexcept {
        Reply& last = core_->answer();
        last.rejected = last.rejected || question_.at_once;
        return last;
    }

    /// The scene that is being pushed.
    SceneMark pushing{};
    /// Whether the call checks if an unavailable remote is available again.
    bool probe = false;

private:
    template <class F>
    void put(F& call) {
        if constexpr (std::is_invocable_v<F&, Completion<Failure>>) {
            call(pushed_.ask());
        } else {
            call(fetched_.ask());
        }
    }
    void took(Instant now, Reply&& reply) {
        fetched_.drop();
        pushed_.drop();
        clock_.time = now;
        wake_ = always;
        ended_by_ = failure_ = reply.failure;
        core_->took(std::move(reply));
    }
    static Reply unanswered() {
        return Reply::none(SyncErrc::unanswered, Failure::from(SyncErrc::unanswered));
    }
    static Reply reply_of(std::optional<Result<std::optional<Scene<Content>>, Failure>>&& got) {
        if (!got) return unanswered();
        if (got->has_value()) return Reply::success(*std::move(*got));
        // A failure without a cause would count as a success.
        Failure failure = got->error();
        if (failure.cause == Cause::none) failure.cause = Cause::lost;
        return Reply::none(CallErrc::call_failed, failure);
    }
    static Reply reply_of(std::optional<Failure>&& got) {
        if (!got) return unanswered();
        if (got->cause == Cause::none) return Reply::success(std::nullopt);
        return Reply::none(CallErrc::call_failed, *got);
    }

    CallClock clock_;
    driver::Question<Result<std::optional<Scene<Content>>, Failure>> fetched_;
    driver::Question<Failure> pushed_;
    std::optional<RetryCore<AsPolicy<Policy>, CallClock, Reply, Observer>> core_;
    std::optional<Failure> failure_{};
    std::optional<Failure> ended_by_{};
    BridgeSession* session_ = nullptr;
    Instant wake_ = always;
    Kind kind_{};
    struct {
        Instant answer_by = never;
        bool open = false;
        /// Whether the attempt ended inside of the call that started it.
        bool at_once = false;
    } question_{};
};

/// The calls that are under way, and objects for the next ones.
template <class Content, class Policy, class Observer>
class BridgeCalls {
public:
    using Call = BridgeCall<Content, Policy, Observer>;

    explicit BridgeCalls(const Waker& waker) noexcept : waker_{waker} {}

    void begin_turn() noexcept { left_ = attempts_per_turn; }
    /// Returns whether this turn may start another attempt.
    [[nodiscard]] bool has_left() const noexcept { return left_ != 0; }
    void count_attempt() noexcept { --left_; }

    /// Throws: std::bad_alloc.
    [[nodiscard]] Call& begin(BridgeSession& session, typename Call::Kind kind,
                              const Policy& policy, Observer& observer, Random& bits) {
        Call& call = free_call(bits);
        call.begin(session, kind, policy, observer);
        ++busy_;
        return call;
    }
    void release(Call& call) noexcept {
        call.end();
        --busy_;
    }
    /// Releases a call whose answer is not needed.
    void drop(Call& call) noexcept {
        release(call);
        dropped_ = true;
    }
    /// See BridgeCall::collect.
    [[nodiscard]] bool collect(Call& call, Instant now) { return call.collect(now, dropped_); }

    /// Returns the number of objects. One without a session is not under way.
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
    [[nodiscard]] Call& operator[](std::size_t i) noexcept { return *all_[i]; }
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }
    /// Returns whether a call checks if an unavailable remote is available again.
    [[nodiscard]] bool probing() const noexcept {
        for (const auto& call : all_) {
            if (call->session() != nullptr && call->probe) return true;
        }
        return false;
    }
    [[nodiscard]] Instant deadline() const noexcept {
        Instant due = never;
        for (const auto& call : all_) {
            if (call->session() != nullptr) due = smaller(due, call->deadline());
        }
        return due;
    }
    /// Returns whether calls were dropped since it was called last.
    [[nodiscard]] bool take_dropped() noexcept { return std::exchange(dropped_, false); }
    [[nodiscard]] const Waker& waker() const noexcept { return waker_; }

private:
    // An answer may arrive at once, so a turn has a limit.
    static constexpr unsigned attempts_per_turn = 4096;

    [[nodiscard]] Call& free_call(Random& bits) {
        for (const auto& call : all_) {
            if (call->session() == nullptr) return *call;
        }
        all_.push_back(std::make_unique<Call>(waker_, Random{Seed{bits()}}));
        return *all_.back();
    }

    const Waker& waker_;
    std::size_t busy_ = 0;
    unsigned left_ = 0;
    bool dropped_ = false;
    std::vector<std::unique_ptr<Call>> all_;
};

}}}  // namespace belay::detail
