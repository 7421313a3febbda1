// SPDX-License-Identifier: MIT
/// \file belay/link/detail/live_connection.hpp
/// LiveConnection: the one connection of a supervisor, from its dial to its close.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t
#include <utility>  // std::exchange, std::forward, std::move

#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Owns the mailbox, the transport and at most one connection. The connection is in one of these
/// states:
/// - alive;
/// - closing: its epoch is void, and its end is still to come;
/// - dead: it waits until its own call has returned.
///
/// Thread safety: home thread of the supervisor.
template <TransportLike Transport>
class LiveConnection {
    using M = typename Transport::message_type;
    using Connection = part::ConnectionOf<Transport>;
    using Box = LinkBox<M>;

public:
    /// `messages_max` is the limit of its mailbox.
    LiveConnection(Transport transport, std::size_t messages_max)
        : box_{Ref<Box>::make(messages_max)}, transport_{std::move(transport)} {}
    LiveConnection(const LiveConnection&) = delete;
    LiveConnection& operator=(const LiveConnection&) = delete;

    /// Returns the mailbox that receives its events, and outlives it.
    [[nodiscard]] const Ref<Box>& box() const noexcept { return box_; }
    [[nodiscard]] Transport& transport() noexcept { return transport_; }
    /// Returns whether it has taken a whole message.
    [[nodiscard]] bool has_taken() const noexcept { return has_taken_; }
    [[nodiscard]] bool exists() const noexcept { return connection_.get() != nullptr; }
    /// Returns whether only its end is still handled: open() or a decorator threw.
    [[nodiscard]] bool broken() const noexcept { return !exists() || broken_; }
    /// Returns whether one of its calls is on the call stack, so that it must not be destroyed.
    [[nodiscard]] bool in_part() const noexcept { return in_part_ || in_send_; }
    [[nodiscard]] std::uint32_t epoch() const noexcept {
        return box_->epoch.load(std::memory_order_relaxed);
    }
    /// Returns the epoch that is closing, or 0.
    [[nodiscard]] std::uint32_t lingering() const noexcept {
        return box_->lingering.load(std::memory_order_relaxed);
    }

    [[nodiscard]] Instant deadline() const noexcept {
        const Connection* const c = connection_.get();
        if (c == nullptr) return never;
        if (lingering() != 0) return linger_ends_;
        return broken_ ? never : part::deadline(*c);
    }
    /// Returns: false if a decorator kept the event.
    /// Throws: what a decorator throws. The connection then ends, and no decorator is called again.
    [[nodiscard]] bool sift(part::Event<M>& event, Turn& turn) {
        if (broken()) return true;
        const InPart in{in_part_};
        EndIfThrown guard{*this, event.kind == part::EventKind::closed ? &event : nullptr};
        const bool rose = part::sift(*connection_.get(), event, turn);
        guard.armed = false;
        return rose;
    }
    [[nodiscard]] SendResult send(const M& message, Lane lane) noexcept {
        if (!exists() || lingering() != 0) return SendResult::down;
        SendResult result;
        {
            const InPart in{in_send_};
            result = part::send<M>(*connection_.get(), lane, message);
        }
        if (result == SendResult::sent) has_taken_ = true;
        // Also outside a turn, because no turn might follow soon.
        reap();
        return result;
    }
    /// Passes new credentials to the transport.
    template <class... A>
    void credentials(A&&... values) {
        {
            const InPart in{in_send_};
            transport_.credentials(std::forward<A>(values)...);
        }
        reap();
    }
    void run_timers(Turn& turn) {
        if (!exists()) return;
        if (lingering() != 0) {
            if (linger_ends_ <= turn.now) end_linger();
            return;
        }
        if (broken_) return;
        const InPart in{in_part_};
        EndIfThrown guard{*this};
        part::advance(*connection_.get(), turn);
        guard.armed = false;
    }
    void probe(Turn& turn, Duration within) noexcept {
        if (!exists() || lingering() != 0) return;
        const InPart in{in_part_};
        part::probe(*connection_.get(), turn, within);
    }
    /// Closes the connection while its epoch continues.
    /// Returns: false if it has no close(): everything sent was handed over.
    [[nodiscard]] bool drain() noexcept {
        if constexpr (HasClose<Connection>) {
            if (exists()) {
                begin_close();
                return true;
            }
        }
        return false;
    }
    void resume_reading() noexcept {
        if (!exists() || lingering() != 0) return;
        const InPart in{in_part_};
        part::resume_reading(*connection_.get());
    }

    /// Opens the next connection.
    /// Throws: what open() throws; the attempt then ends like any other.
    void dial() {
        end_linger();
        dead_ = parting_ = has_taken_ = broken_ = false;
        if (++last_epoch_ == 0) ++last_epoch_;
        box_->epoch.store(last_epoch_, std::memory_order_release);
        const Link<M> link{box_, last_epoch_};
        struct Unwind {
            const Link<M>& link;
            bool armed = true;
            ~Unwind() {
                if (armed) link.closed(failure_of(LinkErrc::open_threw));
            }
        } unwind{link};
        {
            const InPart in{in_part_};
            connection_.emplace_from([&] { return transport_.open(link); });
        }
        unwind.armed = false;
    }

    /// Ends the epoch, and the connection with it: at once, or with a close until `linger_ends`.
    void teardown(bool graceful, Instant linger_ends) noexcept {
        const std::uint32_t old = epoch();
        // A connection that is already closing continues to do so.
        if (old == 0) return;
        void_epoch();
        box_->held_lanes = 0;
        box_->forget_rejection();
        if (in_part_) {
            dead_ = true;
            return;
        }
        if constexpr (HasClose<Connection>) {
            if (graceful && exists()) {
                box_->lingering.store(old, std::memory_order_release);
                linger_ends_ = linger_ends;
                return begin_close();
            }
        }
        if (in_send_) {
            dead_ = true;
            return;
        }
        connection_.reset();
    }
    void end_linger() noexcept {
        box_->lingering.store(0, std::memory_order_release);
        connection_.reset();
    }
    /// Destroys a connection that was given up inside one of its own calls.
    void reap() noexcept {
        if (dead_ && !in_part()) {
            dead_ = false;
            connection_.reset();
        }
    }
    /// Ends everything, without a close.
    void abort() noexcept {
        void_epoch();
        connection_.reset();
    }

private:
    struct InPart {
        explicit InPart(bool& flag) noexcept : flag_{flag}, outer_{std::exchange(flag, true)} {}
        ~InPart() { flag_ = outer_; }
        bool& flag_;
        bool outer_;
    };

    /// Ends the connection if a decorator throws. `end` is the event of its end if that was passed
    /// to the decorator: it must not be lost.
    struct EndIfThrown {
        LiveConnection& live;
        part::Event<M>* end = nullptr;
        bool armed = true;

        ~EndIfThrown() {
            if (!armed) return;
            live.broken_ = true;
            if (end != nullptr) {
                live.box_->post_end(std::move(*end));
            } else {
                // Read before the copy, after which GCC 12 warns of a null pointer at -O3.
                const std::uint32_t epoch = live.epoch();
                Link<M>{live.box_, epoch}.closed(failure_of(LinkErrc::decorator_threw));
            }
        }
    };

    /// Closes at most once: a drain that is given up at this end has already called close().
    void begin_close() noexcept
        requires HasClose<Connection>
    {
        const InPart in{in_part_};
        if (!parting_) {
            parting_ = true;
            connection_.get()->close(Failure{.cause = Cause::planned});
        }
    }
    void void_epoch() noexcept {
        box_->epoch.store(0, std::memory_order_release);
        box_->lingering.store(0, std::memory_order_release);
    }

    Ref<Box> box_;
    std::uint32_t last_epoch_ = 0;
    bool in_part_ = false;
    bool in_send_ = false;  // or credentials(): it may close all the same
    bool dead_ : 1 = false;
    bool parting_ : 1 = false;  // its close() was called
    bool has_taken_ : 1 = false;
    bool broken_ : 1 = false;  // a decorator threw
    Instant linger_ends_ = never;
    Transport transport_;
    part::Slot<Connection> connection_;
};

}}}  // namespace belay::detail
