// SPDX-License-Identifier: MIT
/// \file belay/link/detail/link_waiter.hpp
/// LinkWaiter: a coroutine, or a handler, that waits for an event of a link.
#pragma once

#include <coroutine>     // std::coroutine_handle
#include <optional>      // std::optional
#include <system_error>  // std::errc
#include <utility>       // std::exchange, std::move

#include <belay/core/assert.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/result.hpp>
#include <belay/link/status.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
    struct Undo {
        WithHandler<Waiter, Handler>* waiter;
        ~Undo() {
            if (waiter != nullptr) waiter->drop();
        }
    } undo{new WithHandler<Waiter, Handler>{std::move(handler)}};
    undo.waiter->end_by_slot(cancelled, look);
    look();
    waiters.add(*std::exchange(undo.waiter, nullptr));
}

}}}  // namespace belay::detail
