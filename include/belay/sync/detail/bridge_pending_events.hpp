// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_pending_events.hpp
/// BridgePendingEvents: the events that a bridge has not reported to its observer yet.
#pragma once

#include <deque>        // std::deque
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant, std::visit

#include <belay/sync/bridge_observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Stores events until no part of the bridge is running, so that hooks may call anything.
///
/// It drops events for which the observer has no hook. It is also the observer of the bridge's
/// retries.
template <class Self, class Content, class Observer>
class BridgePendingEvents {
    using Hooks = BridgeHooks<Self, Content>;
    using Retry = RetryRunHooks;
    struct Pushed {
        std::string session;
        Stamp stamp;
    };
    struct Lost {
        std::string session;
        Scene<Content> local;
        Scene<Content> remote;
        Origin kept;
        bool open;
    };
    struct Error {
        std::string session;
        BridgeError::Step step;
        Failure failure;
    };
    struct Begun {
        Attempt attempt;
    };
    struct Success {
        Attempt attempt;
    };
    using One = std::variant<Connectivity, Pushed, Lost, Error, Begun, Success, RetryPlanned,
                             CallRejected, RetryEnded>;

public:
    static constexpr bool has_conflict_hook = has_hook_of<typename Hooks::OfConflict, Observer>;

    // ---- events ---------------------------------------------------------------------------------

    void state(const Connectivity& view) { add<typename Hooks::State>(view); }
    void pushed(std::string_view session, const Stamp& stamp) {
        add<typename Hooks::Pushed, Pushed>(std::string{session}, stamp);
    }
    void conflict(std::string_view session, Scene<Content>&& local, Scene<Content>&& remote,
                  Origin kept, bool open) {
        add<typename Hooks::OfConflict, Lost>(std::string{session}, std::move(local),
                                              std::move(remote), kept, open);
    }
    void error(std::string_view session, BridgeError::Step step, const Failure& failure) {
        add<typename Hooks::Error, Error>(std::string{session}, step, failure);
    }
    void on_attempt(const Attempt& attempt) { add<Retry::Begun, Begun>(attempt); }
    void on_success(const Attempt& attempt) { add<Retry::Success, Success>(attempt); }
    void on_retry(const RetryPlanned& planned) { add<Retry::Planned>(planned); }
    void on_rejection(const CallRejected& rejected) { add<Retry::Rejection>(rejected); }
    void on_give_up(const RetryEnded& ended) { add<Retry::GaveUp>(ended); }

    // ---- notifications --------------------------------------------------------------------------

    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
    /// Notifies the observer of the first event.   Pre: not empty.   Throws: what the hook throws.
    void notify_first(Observer& observer, Self& self) {
        const One one = std::move(all_.front());
        all_.pop_front();
        std::visit([&](const auto& event) { report(observer, self, event); }, one);
    }

private:
    template <class H, class What = void, class... A>
    void add(A&&... a) {
        if constexpr (!has_hook_of<H, Observer>) {
            (static_cast<void>(a), ...);
        } else if constexpr (std::is_void_v<What>) {
            all_.push_back(One{std::forward<A>(a)...});
        } else {
            all_.push_back(One{What{std::forward<A>(a)...}});
        }
    }

    static void report(Observer& o, Self& self, const Connectivity& view) {
        notify<typename Hooks::State>(o, self, view);
    }
    static void report(Observer& o, Self& self, const Pushed& pushed) {
        notify<typename Hooks::Pushed>(o, self, std::string_view{pushed.session}, pushed.stamp);
    }
    static void report(Observer& o, Self& self, const Lost& lost) {
        const BridgeConflict<Content> conflict{lost.session, lost.local, lost.remote, lost.kept,
                                               lost.open};
        notify<typename Hooks::OfConflict>(o, self, conflict);
    }
    static void report(Observer& o, Self& self, const Error& error) {
        const BridgeError reported{error.session, error.step, error.failure};
        notify<typename Hooks::Error>(o, self, reported);
    }
    static void report(Observer& o, Self&, const Begun& begun) {
        notify<Retry::Begun>(o, no_machine, begun.attempt);
    }
    static void report(Observer& o, Self&, const Success& success) {
        notify<Retry::Success>(o, no_machine, success.attempt);
    }
    static void report(Observer& o, Self&, const RetryPlanned& planned) {
        notify<Retry::Planned>(o, no_machine, planned);
    }
    static void report(Observer& o, Self&, const CallRejected& rejected) {
        notify<Retry::Rejection>(o, no_machine, rejected);
    }
    static void report(Observer& o, Self&, const RetryEnded& ended) {
        notify<Retry::GaveUp>(o, no_machine, ended);
    }

    std::deque<One> all_;
};

}}}  // namespace belay::detail
