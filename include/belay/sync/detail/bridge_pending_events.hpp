// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_pending_events.hpp
/// BridgePendingEvents: what a bridge has not told its observer yet.
#pragma once

#include <deque>        // std::deque
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <variant>      // std::variant, std::visit

#include <belay/sync/bridge_observer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Keeps what happens until no part of the bridge is at work: hooks may do whatever they like.
///
/// What nobody hears is not kept. Also the observer of the bridge's retries.
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
                             CallRefused, RetryEnded>;

public:
    static constexpr bool hears_conflicts = hears<typename Hooks::OfConflict, Observer>;

    // ---- what happens ---------------------------------------------------------------------------

    void state(const Connectivity& view) { add<typename Hooks::State>(view); }
    void pushed(std::string_view session, const Stamp& stamp) {
        add<typename Hooks::Pushed, Pushed>(std::string{session}, stamp);
    }
    void conflict(std::string_view session, Scene<Content>&& local, Scene<Content>&& remote,
                  Origin kept) {
        add<typename Hooks::OfConflict, Lost>(std::string{session}, std::move(local),
                                              std::move(remote), kept);
    }
    void error(std::string_view session, BridgeError::Step step, const Failure& failure) {
        add<typename Hooks::Error, Error>(std::string{session}, step, failure);
    }
    void on_attempt(const Attempt& attempt) { add<Retry::Begun, Begun>(attempt); }
    void on_success(const Attempt& attempt) { add<Retry::Success, Success>(attempt); }
    void on_retry(const RetryPlanned& planned) { add<Retry::Planned>(planned); }
    void on_refusal(const CallRefused& refused) { add<Retry::Refusal>(refused); }
    void on_give_up(const RetryEnded& ended) { add<Retry::GaveUp>(ended); }

    // ---- telling it -----------------------------------------------------------------------------

    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
    /// Tells the first.   Pre: not empty.   Throws: what the hook throws.
    void tell_one(Observer& observer, Self& self) {
        const One one = std::move(all_.front());
        all_.pop_front();
        std::visit([&](const auto& pending_events) { tell(observer, self, pending_events); }, one);
    }

private:
    template <class H, class What = void, class... A>
    void add(A&&... a) {
        if constexpr (!hears<H, Observer>) {
            (static_cast<void>(a), ...);
        } else if constexpr (std::is_void_v<What>) {
            all_.push_back(One{std::forward<A>(a)...});
        } else {
            all_.push_back(One{What{std::forward<A>(a)...}});
        }
    }

    static void tell(Observer& o, Self& self, const Connectivity& view) {
        notify<typename Hooks::State>(o, self, view);
    }
    static void tell(Observer& o, Self& self, const Pushed& pushed) {
        notify<typename Hooks::Pushed>(o, self, std::string_view{pushed.session}, pushed.stamp);
    }
    static void tell(Observer& o, Self& self, const Lost& lost) {
        const BridgeConflict<Content> conflict{lost.session, lost.local, lost.remote, lost.kept};
        notify<typename Hooks::OfConflict>(o, self, conflict);
    }
    static void tell(Observer& o, Self& self, const Error& error) {
        const BridgeError told{error.session, error.step, error.failure};
        notify<typename Hooks::Error>(o, self, told);
    }
    static void tell(Observer& o, Self&, const Begun& begun) {
        notify<Retry::Begun>(o, no_machine, begun.attempt);
    }
    static void tell(Observer& o, Self&, const Success& success) {
        notify<Retry::Success>(o, no_machine, success.attempt);
    }
    static void tell(Observer& o, Self&, const RetryPlanned& planned) {
        notify<Retry::Planned>(o, no_machine, planned);
    }
    static void tell(Observer& o, Self&, const CallRefused& refused) {
        notify<Retry::Refusal>(o, no_machine, refused);
    }
    static void tell(Observer& o, Self&, const RetryEnded& ended) {
        notify<Retry::GaveUp>(o, no_machine, ended);
    }

    std::deque<One> all_;
};

}}}  // namespace belay::detail
