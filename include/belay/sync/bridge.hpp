// SPDX-License-Identifier: MIT
/// \file belay/sync/bridge.hpp
/// Bridge: keeps local scenes and those of a remote server equal, through all outages.
/// Push, Pull: the halves of a Bridge.
/// BridgeHandle: the state of a bridge, and stop(), for other threads.
#pragma once

#include <concepts>     // std::constructible_from, std::convertible_to, std::same_as
#include <cstdint>      // std::uint8_t
#include <string_view>  // std::string_view
#include <utility>      // std::forward, std::move

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/mailbox.hpp>
#include <belay/link/status.hpp>
#include <belay/sync/detail/bridge_engine.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The only command of a bridge: stop.
struct BridgeCommand {
    [[nodiscard]] static constexpr bool is_message() noexcept { return false; }
    [[nodiscard]] static constexpr bool same_control(const BridgeCommand&) noexcept { return true; }
};

/// The state that a bridge and its handles share.
class BridgeBox : public driver::Mailbox<BridgeCommand> {
public:
    BridgeBox() noexcept : Mailbox{0} {}

    // Guarded by the lock of the mailbox.
    Connectivity view{};
    bool ended = false;
};

/// Returns the options after checking them.
[[nodiscard]] inline const BridgeOptions& checked_options(const BridgeOptions& options) noexcept {
    expect_options(options.check(), {{"pull.interval", options.pull.interval},
                                     {"push.debounce", options.push.debounce},
                                     {"answer_within", options.answer_within},
                                     {"retry_after_max", options.retry_after_max},
                                     {"calls_max", options.calls_max}});
    return options;
}

}  // namespace detail

/// Gives other threads the state of a Bridge, Push or Pull, and stops it.
///
/// After the end of the bridge, stop() returns `gone`.
///
/// Thread safety: any thread; distinct objects safe.
class BridgeHandle {
public:
    BridgeHandle() noexcept = default;
    explicit BridgeHandle(detail::Ref<detail::BridgeBox> box) noexcept : box_{std::move(box)} {}

    /// Returns the connectivity as of the bridge's last turn.   Blocks: for a few instructions.
    [[nodiscard]] Connectivity connectivity() const {
        return box_ ? box_->locked([this] { return box_->view; }) : Connectivity{};
    }
    /// Returns whether a stopped bridge has ended; true also if the bridge is destroyed.
    [[nodiscard]] bool ended() const {
        return !box_ || box_->locked([this] { return box_->ended; });
    }
    /// Stops the bridge; see Bridge::stop.   Throws: std::bad_alloc.
    driver::Post stop() const { return box_ ? box_->post_control({}) : driver::Post::gone; }

private:
    detail::Ref<detail::BridgeBox> box_;
};

/// Keeps the scenes of a LocalLike and those of a RemoteLike equal.
///
/// It pushes local changes and pulls remote changes. If both sides have changed a scene, the later
/// stamp wins.
///
///     Bridge bridge{std::ref(local), Remote{}, policies::bridge(), BridgeOptions{}, App{}};
///     loop.attach(bridge);
///     bridge.start();
///     bridge.changed("session-1");  // by the local side
///
/// The bridge fetches the remote scene before it pushes, unless pulls are disabled. It reports a
/// change on both sides (`on_conflict`) and keeps the later one. The policy limits each call. The
/// bridge itself never gives up: it continues with growing waits. See docs/explanation/bridges.md.
///
/// A bridge is a machine: attach it to a driver, which runs it on one thread, the home thread. The
/// bridge calls both sides on that thread, in its turns. The sides may call the commands of the
/// bridge, but must not destroy it. Hooks may do both. The destructor pushes nothing and calls no
/// hook.
///
/// The observer may have these hooks, each of which may leave out the bridge:
/// - `on_state(auto& bridge, const Connectivity&)`: the connectivity has changed.
/// - `on_pushed(auto& bridge, std::string_view session, const Stamp&)`: the remote has confirmed a
///   push.
/// - `on_conflict(auto& bridge, const BridgeConflict<Content>&)`: one of two changes is lost, or
///   the conflict is `open`.
/// - `on_error(auto& bridge, const BridgeError&)`: one session, or the local side, has failed; the
///   others continue.
/// - The hooks of `retry`, for each attempt of each call of the bridge.
///
/// Hooks run on the home thread, between two steps of the bridge. If a hook throws, the exception
/// leaves the `advance` that ran it.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
/// Complexity:    O(log sessions) for each change and each call; a pull of all is linear.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Bridge {
    using TheLocal = detail::Unwrapped<Local>;
    using TheRemote = detail::Unwrapped<Remote>;
    static_assert(explain::local_like<TheLocal>());
    static_assert(explain::remote_like<TheRemote>());
    static_assert(explain::rule_like<Policy>());
    static_assert(std::same_as<typename TheLocal::content_type, typename TheRemote::content_type>,
                  "Bridge: both sides must have one content_type");
    static_assert(!detail::HasRemoveRemote<TheRemote> || detail::RemovesScenes<TheLocal>,
                  "Bridge: the remote deletes scenes, so the local side needs 'std::error_code "
                  "remove_scene(std::string_view session, belay::Origin)'");
    using Engine = detail::BridgeEngine<Bridge, TheLocal, TheRemote, Policy, Observer>;
    // The owner of a referenced remote runs it.
    static constexpr bool runs_remote = MachineLike<Remote>;

public:
    using content_type = typename TheLocal::content_type;

    /// Constructs a bridge over two sides, each given by `std::ref` or moved in.
    ///
    /// A named side is never copied. The bridge runs a remote that is a machine and is moved in.
    /// Pre: each option is in the range that its comment states; push or pull is enabled.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Bridge(L&& local, R&& remote, Policy policy, const BridgeOptions& options = {},
           Observer observer = {})
        : local_{std::forward<L>(local)},
          remote_{std::forward<R>(remote)},
          observer_{std::move(observer)},
          engine_{{detail::unwrap(local_), detail::unwrap(remote_)},
                  std::move(policy),
                  detail::checked_options(options),
                  box_->waker()} {
        static_assert(!detail::copies_a_part<L> && !detail::copies_a_part<R>,
                      "Bridge: a side that is a variable must be passed as std::ref(side) or "
                      "std::move(side)");
        static_assert(
            detail::explain_observer<detail::BridgeHooks<Bridge, content_type>, Observer>());
    }
    /// With the usual options.
    template <class L, class R, detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, BridgeOptions>)
    Bridge(L&& local, R&& remote, Policy policy, O&& observer)
        : Bridge{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
                 BridgeOptions{}, std::forward<O>(observer)} {}
    ~Bridge() {
        BELAY_PRECONDITION(!engine_.sides().inside(),
                           "~Bridge: its local side or its remote side must not destroy it");
        box_->locked([this] { box_->ended = true; });
        box_->close();
    }
    Bridge(const Bridge&) = delete;
    Bridge& operator=(const Bridge&) = delete;

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
            due = detail::smaller(due, remote_close_.deadline());
        } else {
            due = detail::smaller(due, engine_.deadline());
        }
        if constexpr (runs_remote) due = detail::smaller(due, remote_.deadline());
        return due;
    }

    /// Runs one turn: commands, then answers, then the sessions that are ready. Hooks run at its
    /// beginning and its end.
    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "Bridge::advance: a hook must not call it");
        box_->begin_turn();
        now_ = detail::larger(now_, now);
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
        now_ = detail::larger(now_, box_->waker().now());
        begin_stop();
        box_->waker().touch();
    }

    /// Reports that the local side has a new scene of this session.
    ///
    /// A call with Origin::remote has no effect, because the remote has that scene. A change that
    /// is reported before start() counts; one after stop() is ignored.
    /// Throws: std::bad_alloc.
    void changed(std::string_view session, Origin origin = Origin::local) {
        if (origin == Origin::remote || stop_by_ != never) return;
        now_ = detail::larger(now_, box_->waker().now());
        engine_.changed(session, now_);
        box_->waker().touch();
    }

    /// Returns whether it has stopped, with nothing under way.
    [[nodiscard]] bool ended() const noexcept { return phase_ == Phase::ended; }
    /// Returns one of three states:
    /// - connected;
    /// - disconnected{since, reason}, also before the remote has answered for the first time;
    /// - reconnecting{attempt}, if the first call after a failed one has failed, too.
    [[nodiscard]] const Connectivity& connectivity() const noexcept {
        return engine_.health().view();
    }
    /// Returns a handle by which other threads give commands.
    [[nodiscard]] BridgeHandle handle() const { return BridgeHandle{box_}; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the local side.
    [[nodiscard]] TheLocal& local() noexcept { return detail::unwrap(local_); }
    /// Returns the remote side.
    [[nodiscard]] TheRemote& remote() noexcept { return detail::unwrap(remote_); }

private:
    friend struct detail::LifetimeFlagOf;
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
        if constexpr (detail::HasCloseRemote<TheRemote>) {
            if (there) return close_remote();
        }
        static_cast<void>(there);
        end();
    }
    void close_remote() {
        const detail::FlagScope inside = engine_.sides().enter();
        remote_close_.attach(box_->waker());
#if defined(__cpp_exceptions)
        try {
            engine_.sides().remote.close(remote_close_.ask());
        } catch (...) {
            remote_close_.drop();
            engine_.pending_events().error({}, BridgeError::Step::close,
                                           detail::failure_of_exception());
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
            engine_.pending_events().notify_first(observer_, *this);
            if (guard.gone()) return false;
        }
        return true;
    }

    detail::Ref<detail::BridgeBox> box_ = detail::Ref<detail::BridgeBox>::make();
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

template <class L, class R, class Policy, class Observer = NoObserver>
Bridge(L&&, R&&, Policy, BridgeOptions = {}, Observer = {})
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;
template <class L, class R, class Policy, class Observer>
    requires(!std::convertible_to<Observer, BridgeOptions>)
Bridge(L&&, R&&, Policy, Observer)
    -> Bridge<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

/// Brings new scenes from a remote server to the local side, and never changes the remote.
///
/// Equal to a Bridge with pushes disabled, and with default options for everything except the
/// pulls.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Pull final : public Bridge<Local, Remote, Policy, Observer> {
    using Base = Bridge<Local, Remote, Policy, Observer>;

public:
    /// Constructs a Pull like a Bridge.   Pre: options.enabled; options.interval > 0ns.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Pull(L&& local, R&& remote, Policy policy, const BridgePullOptions& options = {},
         Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgeOptions{.pull = options, .push = {.enabled = false}}, std::move(observer)} {}

    void changed(std::string_view, Origin = Origin::local) = delete;
};

template <class L, class R, class Policy, class Observer = NoObserver>
Pull(L&&, R&&, Policy, BridgePullOptions = {}, Observer = {})
    -> Pull<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

/// Brings local changes to a remote server that no other client changes.
///
/// It never fetches the scene of the remote. Equal to a Bridge with pulls disabled, and with
/// default options for everything except the debounce. Stores about 400 bytes for each session that
/// was ever reported to it.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; handle() is for others.
template <class Local, class Remote, class Policy, class Observer = NoObserver>
class Push final : public Bridge<Local, Remote, Policy, Observer> {
    using Base = Bridge<Local, Remote, Policy, Observer>;

public:
    /// Constructs a Push like a Bridge.   Pre: options.enabled; options.debounce >= 0ns.
    template <class L, class R>
        requires std::constructible_from<Local, L> && std::constructible_from<Remote, R>
    Push(L&& local, R&& remote, Policy policy, const BridgePushOptions& options = {},
         Observer observer = {})
        : Base{std::forward<L>(local), std::forward<R>(remote), std::move(policy),
               BridgeOptions{.pull = {.enabled = false}, .push = options}, std::move(observer)} {}
};

template <class L, class R, class Policy, class Observer = NoObserver>
Push(L&&, R&&, Policy, BridgePushOptions = {}, Observer = {})
    -> Push<std::remove_cvref_t<L>, std::remove_cvref_t<R>, Policy, Observer>;

}}  // namespace belay
