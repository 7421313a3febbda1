// SPDX-License-Identifier: MIT
/// \file belay/link/served_link.hpp
/// ServedLink: one accepted connection, run by the machine that serves it.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/order.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One accepted connection, run by the machine that serves it.
///
/// It is the other end of a Supervisor. It has no policy, because the side that accepted a
/// connection does not dial again. It can be neither copied nor moved.
///
/// `Transport` opens once: it is the transport that a listener hands out, with any decorators.
///
/// Thread safety: home thread of the machine that owns it.
template <TransportLike Transport>
class ServedLink {
public:
    using message_type = typename Transport::message_type;

    /// `driver` is the owner's waker. `key` distinguishes this connection from the owner's others.
    ServedLink(Transport transport, std::size_t messages_max, const Waker& driver,
               std::uint64_t key)
        : box_{detail::Ref<Box>::make(messages_max)}, transport_{std::move(transport)} {
        Waker waker = driver.nested(key);
        bits_ = Random{waker.seed()};
        box_->attach(std::move(waker));
        box_->epoch.store(1, std::memory_order_release);
        connection_.emplace_from([&] { return transport_.open(Link<message_type>{box_, 1}); });
    }
    /// Sets the waker of this connection's entry in a MachineGroup. Call it if the owner runs its
    /// connections in a MachineGroup; from then on only that entry is woken.
    void attach(Waker waker) { box_->attach(std::move(waker)); }
    ServedLink(const ServedLink&) = delete;
    ServedLink& operator=(const ServedLink&) = delete;
    ~ServedLink() {
        BELAY_PRECONDITION(!in_part_, "~ServedLink: a transport or a check must not destroy it");
        box_->epoch.store(0, std::memory_order_release);
        box_->lingering.store(0, std::memory_order_release);
        connection_.reset();
        box_->close();
    }

    /// Returns when it wants to be advanced next.
    [[nodiscard]] Instant deadline() const noexcept {
        if (ended()) return never;
        if (!box_->empty() || (box_->rejected() && !closing_)) return always;
        return closing_ ? linger_ends_ : part::deadline(*connection_.get());
    }

    /// Runs one turn, in which it handles at most `events_max` events and passes each message to
    /// `on_message(message, lane)`. That function may close or abort this connection, but must not
    /// destroy it. The same holds for the transport inside each call that it gets.
    /// Throws: what `on_message` or a decorator throws; the connection has then ended.
    template <class F>
    void advance(Instant now, unsigned events_max, F&& on_message) {
        box_->begin_turn();
        now_ = now;
        signs_ = 0;
        Turn turn{now, bits_};
        while (events_max != 0 && box_->size() != 0 && !ended()) {
            --events_max;
            part::Event<message_type> event = box_->pop();
            const bool ends = event.kind == part::EventKind::closed;
            const bool rose = end_if_it_throws(
                LinkErrc::decorator_threw,
                [&] { return call([&](auto& c) { return part::sift(c, event, turn); }); },
                ends ? &event.failure : nullptr);
            if (!rose || ended()) continue;
            if (event.kind == part::EventKind::closed) {
                if (!closing_) failure_ = event.failure;
                return abort();
            }
            alive_ = alive_ || is_sign(event);
            if (closing_) continue;
            if (event.kind == part::EventKind::opened) opened_ = true;
            if (event.kind == part::EventKind::received) {
                end_if_it_throws(LinkErrc::handler_threw,
                                 [&] { on_message(std::move(*event.message), event.lane); });
            }
            if (event.kind == part::EventKind::writable) writable_ = true;
        }
        if (ended()) return;
        if (closing_) {
            if (linger_ends_ <= now) abort();
            return;
        }
        end_if_it_throws(LinkErrc::decorator_threw,
                         [&] { call([&](auto& c) { part::advance(c, turn); }); });
        if (ended() || !box_->take_rejection()) return;
        call([](auto& c) { part::resume_reading(c); });
    }

    /// Sends as Supervisor::send does. After `busy`, take_writable() returns true when there is
    /// capacity again.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        if (ended() || closing_) return SendResult::down;
        return call([&](auto& c) { return part::send<message_type>(c, lane, message); });
    }
    /// Limits the size of the messages that are read from now on, if the connection supports it;
    /// see ConnectionLike.
    void limit_messages(std::size_t bytes) noexcept {
        if (!ended()) call([&](auto& c) { part::limit_messages(c, bytes); });
    }
    /// Limits the bytes that wait in the connection to be sent, if the connection supports it.
    void limit_output(std::size_t bytes) noexcept {
        if (!ended()) call([&](auto& c) { part::limit_output(c, bytes); });
    }
    /// Returns whether it has become writable since the last call.
    [[nodiscard]] bool take_writable() noexcept { return std::exchange(writable_, false); }
    /// Returns whether the peer has given a sign of life since the last call. Signs of life are a
    /// message, a part of one, and an answered ping of the transport.
    [[nodiscard]] bool take_sign_of_life() noexcept { return std::exchange(alive_, false); }
    /// Returns whether an event of this connection waits for a turn. It may be one of the peer, or
    /// `writable` or `written` of this side's own output.
    [[nodiscard]] bool has_arrived() const noexcept { return !ended() && !box_->empty(); }

    /// Returns whether a message or another sign of life of the peer waits for a turn.
    /// Complexity: O(messages_max).
    [[nodiscard]] bool has_received() { return !ended() && count_queued(is_sign) != 0; }

    /// Returns whether the end of the connection has arrived, also if it is queued after messages
    /// that were not handled yet. Use it while you handle no messages. An end that the transport
    /// has not read yet, because a message before it was rejected, does not count.
    /// Complexity: O(messages_max).
    [[nodiscard]] bool has_hung_up() {
        if (ended() || box_->has_unqueued_end()) return true;
        return count_queued(
                   [](const auto& event) { return event.kind == part::EventKind::closed; }) != 0;
    }

    /// Returns whether a new sign of life of the peer is queued: one since the last call or turn,
    /// which no turn has handled. Use it while you handle no messages. Data that the transport has
    /// not read does not count.
    /// Complexity: O(messages_max).
    [[nodiscard]] bool has_signs() {
        if (ended()) return false;
        const std::size_t signs = count_queued(is_sign);
        return signs > std::exchange(signs_, signs);
    }

    /// Begins a graceful close, which ends after `linger_max` at the latest. Nothing more is
    /// received. A connection without `close` is aborted. A time below 0ns counts as 0ns.
    void close(const Failure& why, Duration linger_max) noexcept {
        if (ended() || closing_) return;
        failure_ = why;
        if constexpr (detail::HasClose<part::ConnectionOf<Transport>>) {
            closing_ = true;
            // The driver's time, because the last turn may be long ago.
            linger_ends_ = after(detail::larger(now_, box_->waker().now()),
                                 detail::larger(linger_max, Duration::zero()));
            // From now on the transport's messages are answered `gone`; only its end is still
            // accepted.
            box_->lingering.store(1, std::memory_order_release);
            box_->epoch.store(0, std::memory_order_release);
            call([&](auto& c) { c.close(why); });
            box_->waker().touch();
        } else {
            abort();
        }
    }

    /// Ends the connection at once. Messages that were received and not handled are dropped.
    void abort() noexcept {
        box_->epoch.store(0, std::memory_order_release);
        box_->lingering.store(0, std::memory_order_release);
        ended_ = true;
        if (!in_part_) connection_.reset();
        box_->waker().touch();
    }

    /// Returns whether the connection has opened. Before that, send() may return `down`.
    [[nodiscard]] bool opened() const noexcept { return opened_; }
    /// Returns whether the connection has ended.
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    /// Returns whether it is to be closed, or is closed.
    [[nodiscard]] bool closing() const noexcept { return closing_ || ended(); }
    /// Returns why it ended.
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

private:
    using Box = detail::LinkBox<message_type>;

    /// Returns how many queued events `is` accepts.
    template <class F>
    [[nodiscard]] std::size_t count_queued(F&& is) {
        box_->begin_turn();
        std::size_t count = 0;
        for (std::size_t i = 0; i < box_->size(); ++i) count += is(box_->peek(i)) ? 1U : 0U;
        return count;
    }
    /// Returns whether only the peer can have caused an event.
    [[nodiscard]] static bool is_sign(const part::Event<message_type>& event) noexcept {
        return event.kind == part::EventKind::received || event.kind == part::EventKind::pong;
    }

    /// Calls the connection, which stays alive until the call has returned, even if the call ends
    /// it.
    template <class F>
    decltype(auto) call(F&& f) {
        const detail::ScopeExit called{[this, outer = std::exchange(in_part_, true)] {
            in_part_ = outer;
            if (ended_ && !outer) connection_.reset();
        }};
        return f(*connection_.get());
    }

    /// Runs `f`, and ends the connection if it throws: without one message or event the others
    /// would be another conversation. An end that `f` was passed has its own reason.
    template <class F>
    decltype(auto) end_if_it_throws(LinkErrc why, F&& f, const Failure* end = nullptr) {
#if defined(__cpp_exceptions)
        try {
            return f();
        } catch (...) {
            if (!ended() && !closing_) failure_ = end != nullptr ? *end : failure_of(why);
            if (!ended()) abort();
            throw;
        }
#else
        static_cast<void>(why);
        static_cast<void>(end);
        return f();
#endif
    }

    detail::Ref<Box> box_;
    Random bits_;
    Failure failure_{};
    Instant now_ = always;
    Instant linger_ends_ = never;
    std::size_t signs_ = 0;  // signs of life that are queued and were already reported
    bool opened_ = false;
    bool closing_ = false;
    bool writable_ = false;
    bool alive_ = false;
    bool ended_ = false;
    bool in_part_ = false;  // a call of the connection is on the stack
    Transport transport_;
    part::Slot<part::ConnectionOf<Transport>> connection_;
};

}}  // namespace belay
