// SPDX-License-Identifier: MIT
/// \file belay/link/served_link.hpp
/// ServedLink: one connection that was accepted, run by the machine that serves it.
#pragma once

#include <utility>  // std::exchange, std::move

#include <belay/core/order.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What an acceptor's machine holds for each connection: the other end of a Supervisor, without a
/// policy, since who was dialled does not dial again.
///
/// `Transport` is a transport that opens once: what a listener hands out, decorated at will.
/// Pinned.
///
/// Thread safety: home thread of the machine that owns it.
template <TransportLike Transport>
class ServedLink {
public:
    using message_type = typename Transport::message_type;

    /// `driver` is the owner's; `key` tells this connection from its others.
    ServedLink(Transport transport, std::size_t messages_max, const Waker& driver,
               std::uint64_t key)
        : box_{detail::Ref<Box>::make(messages_max)}, transport_{std::move(transport)} {
        Waker waker = driver.nested(key);
        bits_ = Random{waker.seed()};
        box_->attach(std::move(waker));
        box_->epoch.store(1, std::memory_order_release);
        connection_.emplace_from([&] { return transport_.open(Link<message_type>{box_, 1}); });
    }
    /// Where the owner runs its connections in a MachineGroup: from now on only this one's entry
    /// is woken.
    void attach(Waker waker) { box_->attach(std::move(waker)); }
    ServedLink(const ServedLink&) = delete;
    ServedLink& operator=(const ServedLink&) = delete;
    ~ServedLink() {
        BELAY_PRECONDITION(!in_part_, "~ServedLink: must not run inside a transport or a check");
        box_->epoch.store(0, std::memory_order_release);
        box_->lingering.store(0, std::memory_order_release);
        connection_.reset();
        box_->close();
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (ended()) return never;
        if (!box_->empty() || (box_->refused() && !closing_)) return always;
        return closing_ ? linger_ends_ : part::deadline(*connection_.get());
    }

    /// One turn: gives up to `events_max` messages to `on_message(message, lane)`, which may close
    /// or abort this connection, but not destroy it; so may what the transport is told.
    template <class F>
    void advance(Instant now, unsigned events_max, F&& on_message) {
        box_->begin_turn();
        now_ = now;
        signs_ = 0;
        Turn turn{now, bits_};
        while (events_max != 0 && box_->size() != 0 && !ended()) {
            --events_max;
            part::Event<message_type> event = box_->pop();
            const bool rose = call([&](auto& c) { return part::sift(c, event, turn); });
            if (!rose || ended()) continue;
            if (event.kind == part::EventKind::closed) {
                if (!closing_) failure_ = event.failure;
                return abort();
            }
            heard_ = heard_ || event.kind == part::EventKind::received ||
                     event.kind == part::EventKind::pong;
            if (closing_) continue;
            if (event.kind == part::EventKind::opened) opened_ = true;
            if (event.kind == part::EventKind::received)
                on_message(std::move(*event.message), event.lane);
            if (event.kind == part::EventKind::writable) writable_ = true;
        }
        if (ended()) return;
        if (closing_) {
            if (linger_ends_ <= now) abort();
            return;
        }
        call([&](auto& c) { part::advance(c, turn); });
        if (ended() || !box_->take_refusal()) return;
        call([](auto& c) { part::resume_reading(c); });
    }

    /// As Supervisor::send; after `busy`, take_writable() says when there is room.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        if (ended() || closing_) return SendResult::down;
        return call([&](auto& c) { return part::send<message_type>(c, lane, message); });
    }
    /// Bounds the messages that are read from here on, where the connection can; see
    /// ConnectionLike.
    void limit_messages(std::size_t bytes) noexcept {
        if (!ended()) call([&](auto& c) { part::limit_messages(c, bytes); });
    }
    /// Likewise, what waits in the connection to be sent.
    void limit_output(std::size_t bytes) noexcept {
        if (!ended()) call([&](auto& c) { part::limit_output(c, bytes); });
    }
    [[nodiscard]] bool take_writable() noexcept { return std::exchange(writable_, false); }
    /// Whether the peer has given a sign of life since the last call: a message, a part of one, or
    /// an answered ping of the transport.
    [[nodiscard]] bool take_heard() noexcept { return std::exchange(heard_, false); }
    /// Whether something of it has arrived, and awaits a turn.
    [[nodiscard]] bool has_arrived() const noexcept { return !ended() && !box_->empty(); }

    /// Whether its end has arrived, behind messages that were not taken yet: for who takes none for
    /// a while. One that the transport does not read, as it was refused before, has not.
    /// Complexity: O(messages_max).
    [[nodiscard]] bool has_hung_up() {
        if (ended()) return true;
        if (box_->has_unqueued_end()) return true;
        box_->begin_turn();
        for (std::size_t i = box_->size(); i-- != 0;) {
            if (box_->peek(i).kind == part::EventKind::closed) return true;
        }
        return false;
    }

    /// Whether the peer has given a sign of life since the last call, or turn, that no turn has
    /// taken: for who takes none for a while. What the transport does not read is none.
    /// Complexity: O(messages_max).
    [[nodiscard]] bool has_signs() {
        if (ended()) return false;
        box_->begin_turn();
        std::size_t signs = 0;
        for (std::size_t i = box_->size(); i-- != 0;) {
            const part::EventKind kind = box_->peek(i).kind;
            const bool sign = kind == part::EventKind::received || kind == part::EventKind::pong;
            signs += sign ? 1 : 0;
        }
        return signs > std::exchange(signs_, signs);
    }

    /// Says goodbye, and is gone after `linger_max` at the latest. Nothing is received any more.
    void close(const Failure& why, Duration linger_max) noexcept {
        if (ended() || closing_) return;
        failure_ = why;
        if constexpr (detail::HasClose<part::ConnectionOf<Transport>>) {
            closing_ = true;
            // By the driver's time: the last turn may be long ago.
            linger_ends_ = after(detail::larger(now_, box_->waker().now()), linger_max);
            // Whoever still sends hears that nobody takes it.
            box_->lingering.store(1, std::memory_order_release);
            box_->epoch.store(0, std::memory_order_release);
            call([&](auto& c) { c.close(why); });
            box_->waker().touch();
        } else {
            abort();
        }
    }

    /// Ends it at once. What was received and not handled is dropped.
    void abort() noexcept {
        box_->epoch.store(0, std::memory_order_release);
        box_->lingering.store(0, std::memory_order_release);
        ended_ = true;
        if (!in_part_) connection_.reset();
        box_->waker().touch();
    }

    /// Whether it has been usable: what is sent before may be answered `down`.
    [[nodiscard]] bool opened() const noexcept { return opened_; }
    [[nodiscard]] bool ended() const noexcept { return ended_; }
    [[nodiscard]] bool closing() const noexcept { return closing_ || ended(); }
    [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

private:
    using Box = detail::LinkBox<message_type>;

    /// Calls the connection, which lives until that has returned, whatever it leads to.
    template <class F>
    decltype(auto) call(F&& f) {
        struct Call {
            ServedLink& link;
            const bool outer = std::exchange(link.in_part_, true);
            ~Call() {
                link.in_part_ = outer;
                if (link.ended_ && !outer) link.connection_.reset();
            }
        } const in{*this};
        return f(*connection_.get());
    }

    detail::Ref<Box> box_;
    Random bits_;
    Failure failure_{};
    Instant now_ = always;
    Instant linger_ends_ = never;
    std::size_t signs_ = 0;  // that wait, and were told of
    bool opened_ = false;
    bool closing_ = false;
    bool writable_ = false;
    bool heard_ = false;
    bool ended_ = false;
    bool in_part_ = false;  // one of its calls is on the stack
    Transport transport_;
    part::Slot<part::ConnectionOf<Transport>> connection_;
};

}}  // namespace belay
