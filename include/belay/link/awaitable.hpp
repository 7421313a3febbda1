// SPDX-License-Identifier: MIT
/// \file belay/link/awaitable.hpp
/// LinkAwaits, connected, receive: wait for a link in coroutines of any kind.
#pragma once

#include <coroutine>     // std::coroutine_handle
#include <cstddef>       // std::size_t, std::nullptr_t
#include <optional>      // std::optional
#include <system_error>  // std::errc
#include <type_traits>   // std::decay_t
#include <utility>       // std::exchange, std::move, std::forward

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/result.hpp>
#include <belay/core/tee.hpp>
#include <belay/link/link.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Returns why there is no connection; for a stopped link, that it is not connected.
[[nodiscard]] inline Failure why_not(const LinkStatus& status) noexcept {
    if (status.state != LinkState::stopped && status.failure.cause != Cause::none) {
        return status.failure;
    }
    return Failure::from(std::make_error_code(std::errc::not_connected));
}
[[nodiscard]] inline Result<LinkStatus, Failure> connection_or_why(const LinkStatus& status) {
    if (status.state == LinkState::connected) return status;
    return why_not(status);
}

/// An element of a list, which it leaves on destruction. Resuming or dropping it may destroy it and
/// everything else.
class LinkWaiter {
public:
    using Go = void (*)(LinkWaiter&);

    LinkWaiter(const LinkWaiter&) = delete;
    LinkWaiter& operator=(const LinkWaiter&) = delete;

    void go() {
        leave();
        actions_.go(*this);
    }

protected:
    struct Actions {
        Go go;
        Go drop;
    };
    explicit LinkWaiter(Actions actions) noexcept : actions_{actions} {}
    ~LinkWaiter() { leave(); }

private:
    friend class LinkWaiters;

    void leave() noexcept {
        next_->before_ = before_;
        before_->next_ = next_;
        next_ = before_ = this;
    }
    void stand_before(LinkWaiter& other) noexcept {
        leave();
        next_ = &other;
        before_ = std::exchange(other.before_, this);
        before_->next_ = this;
    }

    const Actions actions_;
    LinkWaiter* next_ = this;
    LinkWaiter* before_ = this;
};

/// The waiters in order of arrival. The list owns none, but drops those that remain at its end.
class LinkWaiters {
public:
    LinkWaiters() noexcept = default;
    LinkWaiters(const LinkWaiters&) = delete;
    LinkWaiters& operator=(const LinkWaiters&) = delete;
    ~LinkWaiters() {
        while (!empty()) {
            LinkWaiter& waiter = first();
            waiter.leave();
            waiter.actions_.drop(waiter);
        }
    }

    [[nodiscard]] bool empty() const noexcept { return ends_.next_ == &ends_; }
    [[nodiscard]] LinkWaiter& first() noexcept { return *ends_.next_; }
    void add(LinkWaiter& waiter) noexcept { waiter.stand_before(ends_); }
    void add_all(LinkWaiters& others) noexcept {
        while (!others.empty()) add(others.first());
    }
    /// Passes `answer` to each waiter and resumes it, until the link is destroyed, and this list
    /// with it. A waiter that is destroyed meanwhile has left the list.
    template <class Waiter, class A>
    void go_each(const A& answer, const driver::TurnGuard& guard) {
        while (!guard.gone() && !empty()) {
            Waiter& waiter = static_cast<Waiter&>(first());
            waiter.answer.emplace(answer);
            waiter.go();
        }
    }

private:
    struct Ends final : LinkWaiter {
        Ends() noexcept : LinkWaiter{{nullptr, nullptr}} {}
    };
    Ends ends_;
};

class ConnectionWaiter : public LinkWaiter {
public:
    using LinkWaiter::LinkWaiter;
    std::optional<Result<LinkStatus, Failure>> answer;
};

template <class M>
class MessageWaiter : public LinkWaiter {
public:
    using LinkWaiter::LinkWaiter;
    std::optional<Result<M, Failure>> answer;
};

/// A waiter in the frame of the coroutine that waits.
template <class Waiter>
class InFrame : protected Waiter {
protected:
    InFrame() noexcept
        : Waiter{{[](LinkWaiter& self) { static_cast<InFrame&>(self).coroutine_.resume(); },
                  [](LinkWaiter&) {}}} {}
    void wait_in(LinkWaiters& waiters, std::coroutine_handle<> coroutine) noexcept {
        coroutine_ = coroutine;
        waiters.add(*this);
    }

private:
    std::coroutine_handle<> coroutine_{};
};

/// A handler with asio's cancellation slot. It is found as asio finds it, but without asio.
template <class Handler>
concept Cancellable =
    requires(const Handler& handler) { get_associated_cancellation_slot(handler).is_connected(); };

/// Ends a wait when asio's signal is emitted. The wait ends in the turn that `look` requests, and
/// not inside the signal.
template <class Waiter, class Look>
struct EndsWait {
    Waiter* waiter;
    LinkWaiters* cancelled;
    Look look;

    template <class Kind>
    void operator()(Kind kind) {
        if (kind == Kind{} || waiter->answer) return;
        using Answer = typename decltype(waiter->answer)::value_type;
        const auto error = std::make_error_code(std::errc::operation_canceled);
        waiter->answer.emplace(Answer::failure(Failure::from(error)));
        cancelled->add(*waiter);
        look();
    }
};

/// A waiter on the heap, with a handler that is called once, or destroyed.
template <class Waiter, class Handler>
class WithHandler final : public Waiter {
public:
    explicit WithHandler(Handler handler)
        : Waiter{{[](LinkWaiter& self) { static_cast<WithHandler&>(self).call(); },
                  [](LinkWaiter& self) { static_cast<WithHandler&>(self).drop(); }}},
          handler_{std::move(handler)} {}

    template <class Look>
    void end_by_slot([[maybe_unused]] LinkWaiters& cancelled, [[maybe_unused]] Look look) {
        if constexpr (Cancellable<Handler>) {
            auto slot = get_associated_cancellation_slot(handler_);
            if (!slot.is_connected()) return;
            slot.template emplace<EndsWait<Waiter, Look>>(
                EndsWait<Waiter, Look>{this, &cancelled, std::move(look)});
        }
    }

    /// Ends the wait without a call.
    void drop() {
        leave_slot();
        delete this;
    }

private:
    /// Clears its slot before the handler is called or destroyed.
    void leave_slot() noexcept {
        if constexpr (Cancellable<Handler>) get_associated_cancellation_slot(handler_).clear();
    }
    void call() {
        leave_slot();
        Handler handler = std::move(handler_);
        auto result = std::move(*this->answer);
        delete this;
        std::move(handler)(std::move(result));
    }

    Handler handler_;
};

/// Adds a waiter. `look()` requests a turn that checks the waiters, including `cancelled`.
template <class Waiter, class Handler, class Look>
void wait_with(LinkWaiters& waiters, Handler handler, LinkWaiters& cancelled, const Look& look) {
    // Adds it to the list only after `look()`: otherwise it would continue although this function
    // threw.
    auto* const waiter = new WithHandler<Waiter, Handler>{std::move(handler)};
    ScopeExit undo{[&] { waiter->drop(); }};
    waiter->end_by_slot(cancelled, look);
    look();
    undo.release();
    waiters.add(*waiter);
}

/// Matches a link such as a Supervisor, and no other type that has a `receive`.
template <class L>
concept Supervised = requires(L& link) {
    link.observer();
    link.handle();
    link.status();
};

template <class Link>
class ConnectedWait;
template <class Link>
class ReceiveWait;
struct LinkAwaitsOf;
}  // namespace detail

/// An observer with which coroutines wait for a Supervisor's connection and messages.
///
/// Use it alone or in a Tee.
///
///     Supervisor link{transport, policy, {}, LinkAwaits{}};
///     while (co_await connected(link)) {
///         while (auto message = co_await receive(link)) { ... }
///     }
///
/// It stores up to `messages_max` messages that no coroutine has received yet. One more message, or
/// one for which there is no memory, ends the connection with Cause::overloaded. The messages
/// stored before that are still received, and then the end.
///
/// It may be moved only while no coroutine waits. If it is destroyed with its supervisor, it
/// resumes no coroutine.
///
/// Models:        an observer of Supervisor.
/// Thread safety: home thread of the supervisor.
/// Allocates:     while the messages that wait grow.
template <class M = Bytes>
class LinkAwaits {
public:
    /// Holds at most 1024 messages.
    LinkAwaits() : LinkAwaits{1024} {}
    /// Pre: messages_max > 0.
    explicit LinkAwaits(std::size_t messages_max) : messages_max_{messages_max} {
        BELAY_OPTION(messages_max > 0, "LinkAwaits: messages_max must be > 0");
    }
    LinkAwaits(LinkAwaits&& other) noexcept : messages_max_{other.messages_max_} {
        BELAY_PRECONDITION(other.connections_.empty() && other.receivers_.empty(),
                           "LinkAwaits: the observer must not be moved while a coroutine waits");
    }
    LinkAwaits& operator=(LinkAwaits&&) = delete;
    ~LinkAwaits() = default;

    // ---- for the supervisor --------------------------------------------------------------------

    void on_state(const Transition& change) {
        const driver::TurnGuard guard{lifetime_};
        // A coroutine that begins to wait now waits for a later transition.
        const auto rest = keep_rest(connected_, connections_, guard);
        if (settles(change.to)) connected_.add_all(connections_);
        if (may_receive(change.from) && !may_receive(change.to.state)) {
            full_ = false;
            end(detail::why_not(change.to), guard);
        }
        connected_.go_each<Connection>(detail::connection_or_why(change.to), guard);
    }
    void on_message(auto& link, M message) {
        if (full_) return;
        if (kept_.empty() && !receivers_.empty()) return give(std::move(message));
        if (messages_count_ == messages_max_ || !kept_.try_push({std::move(message), {}})) {
            full_ = true;
            return link.report_unhealthy({.cause = Cause::overloaded});
        }
        ++messages_count_;
    }
    /// Resumes the coroutines whose wait is over, after the commands that were given before it.
    void look_at_waiters(auto& link) {
        const driver::TurnGuard guard{lifetime_};
        const LinkStatus status = link.status();
        while (!guard.gone() && !cancelled_.empty()) cancelled_.first().go();
        if (guard.gone()) return;
        const auto rest = keep_rest(connected_, connections_, guard);
        if (settles(status)) connected_.add_all(connections_);
        while (!guard.gone() && !receivers_.empty() && !kept_.empty()) give(take());
        if (!guard.gone() && !receivers_.empty() && !may_receive(status.state)) {
            end(detail::why_not(status), guard);
        }
        connected_.go_each<Connection>(detail::connection_or_why(status), guard);
    }

private:
    template <class Link>
    friend class detail::ConnectedWait;
    template <class Link>
    friend class detail::ReceiveWait;
    friend struct detail::LinkAwaitsOf;

    using Connection = detail::ConnectionWaiter;
    using Receiver = detail::MessageWaiter<M>;
    using Answer = Result<M, Failure>;
    /// Waiters that an exception has left in the list of those to resume wait again.
    [[nodiscard]] static auto keep_rest(detail::LinkWaiters& now, detail::LinkWaiters& waiting,
                                        const driver::TurnGuard& guard) noexcept {
        return detail::ScopeExit{[&] {
            if (!guard.gone()) waiting.add_all(now);
        }};
    }
    struct Kept {
        std::optional<M> message;  ///< empty: the end of a connection
        Failure why;
    };

    [[nodiscard]] static bool may_receive(LinkState state) noexcept {
        return state == LinkState::connected || state == LinkState::draining;
    }
    /// Returns whether there is a connection, or a state that only a command leaves.
    [[nodiscard]] static bool settles(const LinkStatus& status) noexcept {
        return status.state == LinkState::connected || detail::rests(status.state);
    }
    /// Gives the end to all receivers that wait; if none waits, stores it.
    void end(const Failure& why, const driver::TurnGuard& guard) {
        if (kept_.empty() && !receivers_.empty()) {
            const auto rest = keep_rest(ended_, receivers_, guard);
            ended_.add_all(receivers_);
            return ended_.go_each<Receiver>(Answer::failure(why), guard);
        }
        if (!kept_.empty() && !kept_[kept_.size() - 1].message) return;
        // Without memory, a receiver that does not wait yet misses the end; the others have it
        // already.
        static_cast<void>(kept_.try_push({std::nullopt, why}));
    }
    void give(Answer answer) {
        Receiver& first = static_cast<Receiver&>(receivers_.first());
        first.answer.emplace(std::move(answer));
        first.go();
    }
    /// Returns the first stored message or end.   Pre: something is stored.
    [[nodiscard]] Answer take() {
        Kept kept = kept_.pop();
        if (!kept.message) return Answer::failure(kept.why);
        --messages_count_;
        return std::move(*kept.message);
    }

    const std::size_t messages_max_;
    detail::LinkWaiters cancelled_;  // destroyed last: a dropped waiter may cancel others
    detail::LinkWaiters connections_;
    detail::LinkWaiters receivers_;
    // The waiters of both lists that are being resumed. They are members so that destroying the
    // link during this ends their waits, too.
    detail::LinkWaiters connected_;
    detail::LinkWaiters ended_;
    detail::EventRing<Kept> kept_;
    std::size_t messages_count_ = 0;  // messages in kept_
    bool full_ = false;               // one message was too many: the connection is about to end
    driver::LifetimeFlag lifetime_;
};

namespace detail {

/// Finds the LinkAwaits of a link, alone or in a Tee.
struct LinkAwaitsOf {
    template <class M>
    [[nodiscard]] static LinkAwaits<M>* in(LinkAwaits<M>& awaits) noexcept {
        return &awaits;
    }
    template <class... Os>
    [[nodiscard]] static auto in(Tee<Os...>& tee) noexcept {
        return in_tee<0>(tee);
    }
    static std::nullptr_t in(...) noexcept { return nullptr; }

    template <class Link>
    [[nodiscard]] static auto& of(Link& link) noexcept {
        using Found = decltype(in(link.observer()));
        static_assert(!std::is_same_v<Found, std::nullptr_t>,
                      "co_await connected(link), receive(link): the link's observer must be a "
                      "belay::LinkAwaits of its messages, or a Tee that contains one");
        return *in(link.observer());
    }

    template <class Link, class Handler>
    static void wait_for_connection(Link& link, Handler handler) {
        auto& awaits = of(link);
        wait_with<ConnectionWaiter>(awaits.connections_, std::move(handler), awaits.cancelled_,
                                    look_at(link));
    }
    template <class Link, class Handler>
    static void wait_for_message(Link& link, Handler handler) {
        using Waiter = MessageWaiter<typename Link::message_type>;
        auto& awaits = of(link);
        wait_with<Waiter>(awaits.receivers_, std::move(handler), awaits.cancelled_, look_at(link));
    }

private:
    template <class Link>
    [[nodiscard]] static auto look_at(Link& link) {
        return [handle = link.handle()] { LinkCommandsOf::give(handle, Command::look); };
    }
    template <std::size_t I, class... Os>
    [[nodiscard]] static auto in_tee(Tee<Os...>& tee) noexcept {
        if constexpr (I == sizeof...(Os)) {
            return nullptr;
        } else if constexpr (std::is_same_v<decltype(in(tee.template get<I>())), std::nullptr_t>) {
            return in_tee<I + 1>(tee);
        } else {
            return in(tee.template get<I>());
        }
    }
};

/// The awaiter of connected(), in a coroutine's frame.
template <class Link>
class ConnectedWait final : InFrame<ConnectionWaiter> {
public:
    explicit ConnectedWait(Link& link) noexcept : link_{link} {}

    [[nodiscard]] bool await_ready() const noexcept {
        return link_.status().state == LinkState::connected;
    }
    void await_suspend(std::coroutine_handle<> coroutine) {
        this->wait_in(LinkAwaitsOf::of(link_).connections_, coroutine);
        LinkCommandsOf::give(link_.handle(), Command::look);
    }
    [[nodiscard]] Result<LinkStatus, Failure> await_resume() {
        return this->answer ? std::move(*this->answer) : link_.status();
    }

private:
    Link& link_;
};

template <class Link>
class ReceiveWait final : InFrame<MessageWaiter<typename Link::message_type>> {
    using M = typename Link::message_type;

public:
    explicit ReceiveWait(Link& link) noexcept : link_{link} {}

    [[nodiscard]] bool await_ready() {
        auto& awaits = LinkAwaitsOf::of(link_);
        if (!awaits.receivers_.empty()) return false;
        if (!awaits.kept_.empty()) {
            this->answer.emplace(awaits.take());
        } else if (!awaits.may_receive(link_.status().state)) {
            this->answer.emplace(why_not(link_.status()));
        }
        return this->answer.has_value();
    }
    void await_suspend(std::coroutine_handle<> coroutine) {
        this->wait_in(LinkAwaitsOf::of(link_).receivers_, coroutine);
        LinkCommandsOf::give(link_.handle(), Command::look);
    }
    [[nodiscard]] Result<M, Failure> await_resume() { return std::move(*this->answer); }

private:
    Link& link_;
};

}  // namespace detail

/// Waits in a coroutine until the link has a connection: `co_await connected(link)`.
///
/// The result is the status if there is a connection, at once or later. It is a failure if the link
/// has stopped, has failed or is blocked, so that only a command would lead on. Commands that were
/// given before the wait count.
///
/// The coroutine is resumed inside the link's turn, where it may call everything and may destroy
/// the link. A coroutine that waits may be destroyed. `link` is a Supervisor whose observer is a
/// LinkAwaits, or a Tee that contains one. It must outlive the wait, unless the coroutine is never
/// resumed again.
///
/// Thread safety: home thread of the link.   Allocates: as a command.
template <detail::Supervised Link>
[[nodiscard]] detail::ConnectedWait<Link> connected(Link& link) noexcept {
    return detail::ConnectedWait<Link>{link};
}

/// Waits in a coroutine for the next message of any lane: `co_await receive(link)`.
///
/// The result is a failure if there is no connection, and once for each connection that ended,
/// after its messages. Everything else is as for connected(). Several coroutines may wait: each
/// message resumes the one that has waited longest.
template <detail::Supervised Link>
[[nodiscard]] detail::ReceiveWait<Link> receive(Link& link) noexcept {
    return detail::ReceiveWait<Link>{link};
}

/// Waits for a connection with a completion token of Boost.Asio or of the standalone asio.
///
/// Use this overload, and that of receive(), in coroutines that can await only their own kind
/// (`co_await connected(link, asio::use_awaitable)`), and with handlers. The completion runs inside
/// the link's turn, never inside this call.
///
/// A token with a connected cancellation slot (asio 1.19, Boost 1.77, or later) ends the wait with
/// std::errc::operation_canceled in the next turn. No message is lost. Emit the signal on the
/// link's home thread.
///
/// Allocates: the handler, and as a command.
template <detail::Supervised Link, class Token>
auto connected(Link& link, Token&& token) {
    using Answer = Result<LinkStatus, Failure>;
    return async_initiate<Token, void(Answer)>(
        [at = &link](auto handler) {
            detail::LinkAwaitsOf::wait_for_connection(*at, std::move(handler));
        },
        token);
}
template <detail::Supervised Link, class Token>
auto receive(Link& link, Token&& token) {
    using Answer = Result<typename Link::message_type, Failure>;
    return async_initiate<Token, void(Answer)>(
        [at = &link](auto handler) {
            detail::LinkAwaitsOf::wait_for_message(*at, std::move(handler));
        },
        token);
}

}}  // namespace belay
