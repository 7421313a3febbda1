// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/basic_bridge.hpp
/// BasicBridge: the machine that Bridge, Push and Pull share.
#pragma once

#include <cstdint>      // std::uint8_t
#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/sync/bridge_handle.hpp>
#include <belay/sync/detail/bridge_engine.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// Whether a side is passed by name: it must be passed by std::ref or std::move instead.
template <class S>
inline constexpr bool copies_a_side =
    std::is_lvalue_reference_v<S> && !Reference<std::remove_cvref_t<S>>;

/// Returns the options after checking them.
[[nodiscard]] inline const BridgeOptions& checked_options(const BridgeOptions& options) noexcept {
    expect_options(options.check(), {{"pull.interval", options.pull.interval},
                                     {"push.debounce", options.push.debounce},
                                     {"answer_within", options.answer_within},
                                     {"retry_after_max", options.retry_after_max},
                                     {"calls_max", options.calls_max}});
    return options;
}

/// The machine. `Self` is the type that it passes to its observer.
template <class Self, class Local, class Remote, class Policy, class Observer>
class BasicBridge {
    using TheLocal = Unwrapped<Local>;
    using TheRemote = Unwrapped<Remote>;
    static_assert(explain::local_like<TheLocal>());
    static_assert(explain::remote_like<TheRemote>());
    static_assert(explain::rule_like<Policy>());
    static_assert(std::same_as<typename TheLocal::content_type, typename TheRemote::content_type>,
                  "Bridge: both sides must have one content_type");
    static_assert(!HasRemoveRemote<TheRemote> || RemovesScenes<TheLocal>,
                  "Bridge: the remote deletes scenes, so the local side needs 'std::error_code "
                  "remove_scene(std::string_view session, belay::Origin)'");
    using Engine = BridgeEngine<Self, TheLocal, TheRemote, Policy, Observer>;
    // The owner of a referenced remote runs it.
    static constexpr bool runs_remote = MachineLike<Remote>;

public:
    using content_type = typename TheLocal::content_type;

    BasicBridge(const BasicBridge&) = delete;
    BasicBridge& operator=(const BasicBridge&) = delete;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        box_->attach(std::move(waker));
        if constexpr (runs_remote) remote_.attach(box_->waker().nested(0));
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (!engine_.pending_events().empty() || !box_->empty() || dropped_) return always;
        if (phase_ == Phase::idle || phase_ == Phase::ended) return never;
        if (phase_ == Phase::starting) return always;
        if (phase_ == Phase::stopping && engine_.is_wound_down()) return always;
        Instant due = phase_ == Phase::running ? never : stop_by_;
        if (phase_ == Phase::closing) {
            due = smaller(due, remote_close_.deadline());
        } else {
            due = smaller(due, engine_.deadline());
        }
        if constexpr (runs_remote) due = smaller(due, remote_.deadline());
        return due;
    }

    /// Runs one turn: commands, then answers, then the sessions that are ready. Hooks run at its
    /// beginning and its end.
    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "Bridge::advance: a hook must not call it");
        box_->begin_turn();
        now_ = larger(now_, now);
        const driver::TurnGuard guard{lifetime_};
        if (!notify_observer(guard)) return;
        while (box_->size() != 0) {
            static_cast<void>(box_->pop());
            begin_stop();
        }
        if constexpr (runs_remote) {
            if (phase_ != Phase::idle && phase_ != Phase::ended) remote_.advance(now_);
        }
        dropped_ = false;
        if (phase_ == Phase::starting) {
            engine_.start(now_);
            phase_ = Phase::running;
            publish();
        }
        if (phase_ == Phase::running || phase_ == Phase::stopping) engine_.advance(now_);
        if (phase_ == Phase::stopping && (engine_.is_wound_down() || stop_by_ <= now_)) close();
        if (phase_ == Phase::closing) await_remote_close();
        dropped_ = engine_.take_dropped() && phase_ != Phase::ended;
        publish();
        static_cast<void>(notify_observer(guard));
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Starts the bridge. Call it once: a bridge cannot start again after stop().
    void start() {
        BELAY_PRECONDITION(phase_ == Phase::idle, "Bridge::start: call it only once");
        phase_ = Phase::starting;
        box_->waker().touch();
    }
    /// Ends both halves within a second. If the remote is available, the bridge pushes local edits,
    /// as far as the remote answers in that time. It then closes the remote. `ended()` is true when
    /// that is over. From then on the bridge calls neither side. It calls no hook after the
    /// on_state that reports the end.
    void stop() {
        now_ = larger(now_, box_->waker().now());
        begin_stop();
        box_->waker().touch();
    }

    [[nodiscard]] bool ended() const noexcept { return phase_ == Phase::ended; }
    /// Returns one of three states:
    /// - connected;
    /// - disconnected{since, reason}, also before the remote has answered for the first time;
    /// - reconnecting{attempt}, if the first call after a failed one has failed, too.
    [[nodiscard]] const Connectivity& connectivity() const noexcept {
        return engine_.health().view();
    }
    [[nodiscard]] BridgeHandle handle() const { return BridgeHandle{box_}; }
    [[nodiscard]] auto& observer() noexcept { return unwrap(observer_); }
    [[nodiscard]] TheLocal& local() noexcept { return unwrap(local_); }
    [[nodiscard]] TheRemote& remote() noexcept { return unwrap(remote_); }

protected:
    template <class L, class R>
    BasicBridge(L&& local, R&& remote, Policy policy, const BridgeOptions& options,
                Observer observer)
        : local_{std::forward<L>(local)},
          remote_{std::forward<R>(remote)},
          observer_{std::move(observer)},
          engine_{{unwrap(local_), unwrap(remote_)},
                  std::move(policy),
                  checked_options(options),
                  box_->waker()} {
        static_assert(!copies_a_side<L> && !copies_a_side<R>,
                      "Bridge: a side that is a variable must be passed as std::ref(side) or "
                      "std::move(side)");
        static_assert(explain_observer<BridgeHooks<Self, content_type>, Observer>());
    }
    ~BasicBridge() {
        BELAY_PRECONDITION(!engine_.sides().inside(),
                           "~Bridge: its local side or its remote side must not destroy it");
        box_->locked([this] { box_->ended = true; });
        box_->close();
    }

    void mark(std::string_view session, Origin origin) {
        if (origin == Origin::remote || stop_by_ != never) return;
        now_ = larger(now_, box_->waker().now());
        engine_.changed(session, now_);
        box_->waker().touch();
    }

private:
    friend struct LifetimeFlagOf;
    enum class Phase : std::uint8_t { idle, starting, running, stopping, closing, ended };
    static constexpr Duration remote_close_max = std::chrono::seconds{1};

    void begin_stop() {
        if (stop_by_ != never) return;
        stop_by_ = after(now_, remote_close_max);
        if (phase_ == Phase::running) {
            phase_ = Phase::stopping;
            engine_.wind_down(now_);
        } else {
            end();
        }
    }
    void close() {
        phase_ = Phase::closing;
        const bool there = !engine_.health().away() && now_ < stop_by_;
        engine_.drop_all();
        if constexpr (HasCloseRemote<TheRemote>) {
            if (there) return close_remote();
        }
        static_cast<void>(there);
        end();
    }
    void close_remote() {
        const typename Engine::Sides::Inside inside{engine_.sides()};
        remote_close_.attach(box_->waker());
#if defined(__cpp_exceptions)
        try {
            engine_.sides().remote.close(remote_close_.ask());
        } catch (...) {
            remote_close_.drop();
            engine_.pending_events().error({}, BridgeError::Step::close, failure_of_exception());
        }
#else
        engine_.sides().remote.close(remote_close_.ask());
#endif
    }
    void await_remote_close() {
        if (remote_close_.answered()) {
            const std::optional<Failure> answer = remote_close_.take();
            const Failure failure = answer.value_or(Failure::from(SyncErrc::unanswered));
            if (failure.cause != Cause::none) {
                engine_.pending_events().error({}, BridgeError::Step::close, failure);
            }
        } else if (remote_close_.waits()) {
            if (now_ < stop_by_) return;
            remote_close_.drop();
            engine_.pending_events().error(
                {}, BridgeError::Step::close,
                Failure::from(std::make_error_code(std::errc::timed_out)));
        }
        end();
    }
    void end() {
        phase_ = Phase::ended;
        engine_.end(now_);
        publish();
    }
    void publish() {
        box_->locked([this] {
            box_->view = engine_.health().view();
            box_->ended = phase_ == Phase::ended;
        });
    }
    /// Notifies the observer of all pending events.   Returns: false if the bridge is gone.
    bool notify_observer(const driver::TurnGuard& guard) {
        while (!engine_.pending_events().empty()) {
            engine_.pending_events().notify_first(observer_, static_cast<Self&>(*this));
            if (guard.gone()) return false;
        }
        return true;
    }

    Ref<BridgeBox> box_ = Ref<BridgeBox>::make();
    Local local_;
    Remote remote_;
    [[no_unique_address]] Observer observer_;
    driver::LifetimeFlag lifetime_;
    driver::Question<Failure> remote_close_;
    Instant now_ = always;
    Instant stop_by_ = never;
    Phase phase_ = Phase::idle;
    bool dropped_ = false;
    Engine engine_;  // last: it refers to all above
};

}}}  // namespace belay::detail
