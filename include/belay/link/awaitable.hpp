// SPDX-License-Identifier: MIT
/// \file belay/link/awaitable.hpp
/// LinkAwaits, connected, receive: wait for a link in coroutines of any kind.
/// AnswerAwait, AnswerByToken: the ways to wait for an answer, which Requests uses, too.
#pragma once

#include <cstddef>       // std::size_t, std::nullptr_t
#include <optional>      // std::optional
#include <system_error>  // std::errc
#include <type_traits>   // std::is_same_v
#include <utility>       // std::exchange, std::move

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
class WaitNode {
public:
    WaitNode(const WaitNode&) = delete;
    WaitNode& operator=(const WaitNode&) = delete;

    [[nodiscard]] bool in_list() const noexcept { return next_ != this; }
    void resume() {
        leave();
        actions_.resume(*this);
    }

protected:
    struct Actions {
        void (*resume)(WaitNode&);
        void (*drop)(WaitNode&);
    };
    explicit WaitNode(Actions actions) noexcept : actions_{actions} {}
    ~WaitNode() { leave(); }

private:
    friend class WaitList;

    void leave() noexcept {
        next_->before_ = before_;
        before_->next_ = next_;
        next_ = before_ = this;
    }
    void stand_before(WaitNode& other) noexcept {
        leave();
        next_ = &other;
        before_ = std::exchange(other.before_, this);
        before_->next_ = this;
    }

    const Actions actions_;
    WaitNode* next_ = this;
    WaitNode* before_ = this;
};

/// One that waits for an answer A: a coroutine or a handler.
template <class A>
class AnswerWaiter : public WaitNode {
public:
    using WaitNode::WaitNode;
    std::optional<A> answer;
};

/// Those that wait, in order of arrival. The list owns none, but drops those that remain at its
/// end.
class WaitList {
public:
    WaitList() noexcept = default;
    WaitList(WaitList&& other) noexcept {
        while (!other.empty()) add(other.first());
    }
    WaitList& operator=(WaitList&&) = delete;
    ~WaitList() {
        while (!empty()) {
            WaitNode& one = first();
            one.leave();
            one.actions_.drop(one);
        }
    }

    [[nodiscard]] bool empty() const noexcept { return !ends_.in_list(); }
    [[nodiscard]] WaitNode& first() noexcept { return *ends_.next_; }
    void add(WaitNode& one) noexcept { one.stand_before(ends_); }
    /// Gives an answer to the first, which waits for an A, and resumes it.   Pre: not empty.
    template <class A>
    void resume_first(A answer) {
        auto& waiter = static_cast<AnswerWaiter<A>&>(first());
        waiter.answer.emplace(std::move(answer));
        waiter.resume();
    }
    /// Gives an answer to all, which wait for an A, and moves them to `answered`.
    template <class A>
    void answer_all(const A& answer, WaitList& answered) {
        while (!empty()) {
            auto& waiter = static_cast<AnswerWaiter<A>&>(first());
            waiter.answer.emplace(answer);
            answered.add(waiter);
        }
    }

private:
    struct Ends final : WaitNode {
        Ends() noexcept : WaitNode{{nullptr, nullptr}} {}
    };
    Ends ends_;
};

/// The awaiter of an answer A, in a coroutine's frame. It needs no <coroutine>, because it is given
/// the handle. The `Question` has these functions:
/// - `now(std::optional<A>&)` stores the answer, if there is one without waiting;
/// - `ask(AnswerWaiter<A>&)` adds the waiter to a list, or stores the answer in it;
/// - `cancel()`: the coroutine was destroyed while it waited.
template <class A, class Question>
class [[nodiscard]] AnswerAwait : AnswerWaiter<A> {
public:
    explicit AnswerAwait(Question question) noexcept
        : AnswerWaiter<A>{{[](WaitNode& self) {
                               auto& me = static_cast<AnswerAwait&>(self);
                               me.resume_(me.coroutine_);
                           },
                           [](WaitNode&) {}}},
          question_{std::move(question)} {}
    ~AnswerAwait() {
        if (this->in_list()) question_.cancel();
    }

    [[nodiscard]] bool await_ready() {
        question_.now(this->answer);
        return this->answer.has_value();
    }
    template <class Coroutine>
    [[nodiscard]] bool await_suspend(Coroutine coroutine) {
        coroutine_ = coroutine.address();
        resume_ = [](void* at) { Coroutine::from_address(at).resume(); };
        question_.ask(*this);
        return !this->answer;
    }
    [[nodiscard]] A await_resume() { return std::move(*this->answer); }

private:
    Question question_;
    void* coroutine_ = nullptr;
    void (*resume_)(void*) = nullptr;
};

/// A handler with asio's cancellation slot. It is found as asio finds it, but without asio.
template <class Handler>
concept Cancellable =
    requires(const Handler& handler) { get_associated_cancellation_slot(handler).is_connected(); };

/// A handler of a completion token that waits for an answer A. It is on the heap, and is called
/// once, or destroyed.
template <class A, class Handler>
class AnswerByToken final : public AnswerWaiter<A> {
public:
    explicit AnswerByToken(Handler handler)
        : AnswerWaiter<A>{{[](WaitNode& self) { static_cast<AnswerByToken&>(self).call(); },
                           [](WaitNode& self) { static_cast<AnswerByToken&>(self).drop(); }}},
          handler_{std::move(handler)} {}

    /// Lets asio's signal end the wait, in the turn that `look` requests, and not inside the
    /// signal.
    template <class Look>
    void end_by_slot([[maybe_unused]] WaitList& answered, [[maybe_unused]] Look look) {
        if constexpr (Cancellable<Handler>) {
            auto slot = get_associated_cancellation_slot(handler_);
            if (!slot.is_connected()) return;
            slot.template emplace<EndsWait<Look>>(EndsWait<Look>{this, &answered, std::move(look)});
        }
    }
    /// Ends the wait without a call.
    void drop() {
        leave_slot();
        delete this;
    }

private:
    template <class Look>
    struct EndsWait {
        AnswerByToken* waiter;
        WaitList* answered;
        Look look;

        template <class Kind>
        void operator()(Kind kind) {
            if (kind == Kind{} || waiter->answer) return;
            const auto error = std::make_error_code(std::errc::operation_canceled);
            waiter->answer.emplace(A::failure(Failure::from(error)));
            answered->add(*waiter);
            look();
        }
    };

    /// Clears its slot before the handler is called or destroyed.
    void leave_slot() noexcept {
        if constexpr (Cancellable<Handler>) get_associated_cancellation_slot(handler_).clear();
    }
    void call() {
        leave_slot();
        Handler handler = std::move(handler_);
        A result = std::move(*this->answer);
        delete this;
        std::move(handler)(std::move(result));
    }

    Handler handler_;
};

/// Matches a link such as a Supervisor, and no other type that has a `receive`.
template <class L>
concept Supervised = requires(L& link) {
    link.observer();
    link.handle();
    link.status();
};

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
        if (may_receive(change.from) && !may_receive(change.to.state)) {
            full_ = false;
            end(detail::why_not(change.to));
        }
        // A coroutine that begins to wait now waits for a later transition.
        answer_connections(change.to);
        resume_answered(guard);
    }
    void on_message(auto& link, M message) {
        if (full_) return;
        if (kept_.empty() && !receivers_.empty())
            return receivers_.resume_first(Answer{std::move(message)});
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
        resume_answered(guard);
        if (guard.gone()) return;
        answer_connections(status);
        while (!receivers_.empty() && !kept_.empty()) {
            receivers_.resume_first(take());
            if (guard.gone()) return;
        }
        if (!receivers_.empty() && !may_receive(status.state)) end(detail::why_not(status));
        resume_answered(guard);
    }

private:
    friend struct detail::LinkAwaitsOf;

    using Answer = Result<M, Failure>;
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
    void answer_connections(const LinkStatus& status) {
        if (settles(status)) {
            connections_.answer_all(detail::connection_or_why(status), answered_);
        }
    }
    /// Resumes those whose answer is known, until the link is destroyed, and the list with it.
    void resume_answered(const driver::TurnGuard& guard) {
        while (!guard.gone() && !answered_.empty()) answered_.first().resume();
    }
    /// Gives the end to all receivers that wait; if none waits, stores it.
    void end(const Failure& why) {
        if (kept_.empty() && !receivers_.empty()) {
            return receivers_.answer_all(Answer::failure(why), answered_);
        }
        if (!kept_.empty() && !kept_[kept_.size() - 1].message) return;
        // Without memory, a receiver that does not wait yet misses the end; the others have it
        // already.
        static_cast<void>(kept_.try_push({std::nullopt, why}));
    }
    /// Returns the first stored message or end.   Pre: something is stored.
    [[nodiscard]] Answer take() {
        Kept kept = kept_.pop();
        if (!kept.message) return Answer::failure(kept.why);
        --messages_count_;
        return std::move(*kept.message);
    }

    const std::size_t messages_max_;
    // With their answers; they are about to be resumed. Destroyed last: a dropped waiter may cancel
    // others.
    detail::WaitList answered_;
    detail::WaitList connections_;
    detail::WaitList receivers_;
    detail::EventRing<Kept> kept_;
    std::size_t messages_count_ = 0;  // messages in kept_
    bool full_ = false;               // one message was too many: the connection is about to end
    driver::LifetimeFlag lifetime_;
};

namespace detail {

/// Finds the LinkAwaits of a link, alone or in a Tee, and waits for its answers.
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

    /// The question of connected().
    template <class Link>
    struct Connected {
        using Answer = Result<LinkStatus, Failure>;
        Link& link;

        [[nodiscard]] WaitList& list() const noexcept { return of(link).connections_; }
        void now(std::optional<Answer>& answer) const {
            if (link.status().state == LinkState::connected) answer.emplace(link.status());
        }
        void ask(AnswerWaiter<Answer>& waiter) const { wait(*this, waiter); }
        void cancel() const noexcept {}
    };
    /// The question of receive().
    template <class Link>
    struct Received {
        using Answer = Result<typename Link::message_type, Failure>;
        Link& link;

        [[nodiscard]] WaitList& list() const noexcept { return of(link).receivers_; }
        void now(std::optional<Answer>& answer) const {
            auto& awaits = of(link);
            if (!awaits.receivers_.empty()) return;
            if (!awaits.kept_.empty()) {
                answer.emplace(awaits.take());
            } else if (!awaits.may_receive(link.status().state)) {
                answer.emplace(why_not(link.status()));
            }
        }
        void ask(AnswerWaiter<Answer>& waiter) const { wait(*this, waiter); }
        void cancel() const noexcept {}
    };

    template <class Question, class Handler>
    static void ask(const Question& question, Handler handler) {
        using Waiting = AnswerByToken<typename Question::Answer, Handler>;
        auto* const waiter = new Waiting{std::move(handler)};
        ScopeExit undo{[&] { waiter->drop(); }};
        waiter->end_by_slot(of(question.link).answered_, look_at(question.link));
        wait(question, *waiter);
        undo.release();
    }

private:
    template <class Link>
    [[nodiscard]] static auto look_at(Link& link) {
        return [commands = link.handle()] { LinkCommandsOf::give(commands, Command::look); };
    }
    template <class Question>
    static void wait(const Question& question, WaitNode& waiter) {
        look_at(question.link)();
        // Only now: otherwise it would continue although this function threw.
        question.list().add(waiter);
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
[[nodiscard]] auto connected(Link& link) noexcept {
    using Question = detail::LinkAwaitsOf::Connected<Link>;
    return detail::AnswerAwait<typename Question::Answer, Question>{{link}};
}

/// Waits in a coroutine for the next message of any lane: `co_await receive(link)`.
///
/// The result is a failure if there is no connection, and once for each connection that ended,
/// after its messages. Everything else is as for connected(). Several coroutines may wait: each
/// message resumes the one that has waited longest.
template <detail::Supervised Link>
[[nodiscard]] auto receive(Link& link) noexcept {
    using Question = detail::LinkAwaitsOf::Received<Link>;
    return detail::AnswerAwait<typename Question::Answer, Question>{{link}};
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
    using Question = detail::LinkAwaitsOf::Connected<Link>;
    return async_initiate<Token, void(typename Question::Answer)>(
        [question = Question{link}](auto handler) {
            detail::LinkAwaitsOf::ask(question, std::move(handler));
        },
        token);
}
/// Waits for the next message with a completion token, as this overload of connected().
template <detail::Supervised Link, class Token>
auto receive(Link& link, Token&& token) {
    using Question = detail::LinkAwaitsOf::Received<Link>;
    return async_initiate<Token, void(typename Question::Answer)>(
        [question = Question{link}](auto handler) {
            detail::LinkAwaitsOf::ask(question, std::move(handler));
        },
        token);
}

}}  // namespace belay
