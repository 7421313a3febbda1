// SPDX-License-Identifier: MIT
/// \file belay/fleet/detail/scheduled_transport.hpp
/// ScheduledTransport: a service's transport that waits for its turn to dial, and for the fleet's
/// decision on failures.
#pragma once

#include <cstdint>      // std::uint16_t
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/fleet/detail/dial_scheduler.hpp>
#include <belay/link/detail/wrapped_later.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>
#include <belay/policy/detail/causes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns whether the network may have caused a failure. This side may have no route, for example.
/// A lack of memory or another failure of this process is excluded.
[[nodiscard]] inline bool may_be_network(const Failure& failure) noexcept {
    if (failure.origin == FailureOrigin::local) {
        return failure.cause == Cause::refused &&
               is_errno(failure.error().default_error_condition());
    }
    return failure.cause == Cause::lost || failure.cause == Cause::refused ||
           failure.cause == Cause::timed_out;
}
/// Returns whether a failure proves that the network works, because a peer or a machine on the way
/// to it has answered. Such an answer is a refusal, a status of HTTP, an alert of TLS, or any
/// answer beyond "not now". An unreachable or silent peer proves nothing, and neither does this
/// process.
[[nodiscard]] inline bool is_answer(const Failure& failure) noexcept {
    if (failure.origin != FailureOrigin::unset) return failure.origin == FailureOrigin::answered;
    if (may_be_network(failure)) return false;
    // An error of this system may be that of a firewall.
    return failure.category == nullptr || !is_errno(failure.error().default_error_condition());
}

/// Returns whether the endpoint of a transport is on this machine. A refusal of this machine proves
/// nothing about a network.
template <class Transport>
[[nodiscard]] bool dials_this_machine(Transport& transport) noexcept {
    if constexpr (requires { std::string_view{transport.endpoint().path}; }) {
        return true;  // a Unix domain socket
    } else if constexpr (requires { std::string_view{transport.endpoint().host}; }) {
        const std::string_view host = transport.endpoint().host;
        return host == "localhost" || host == "::1" || host.substr(0, 4) == "127.";
    } else if constexpr (requires { transport.inner(); }) {
        return dials_this_machine(transport.inner());
    } else {
        return false;
    }
}

/// The outermost decorator of a service's transport.
///
/// Models: TransportLike.   Thread safety: that of the inner transport.
template <class Transport>
class ScheduledTransport : public part::Around<Transport> {
public:
    using message_type = typename Transport::message_type;

    class Connection : public WrappedLater<part::ConnectionOf<Transport>, message_type> {
        using Inner = part::ConnectionOf<Transport>;
        using Base = WrappedLater<Inner, message_type>;
        using Base::inner_, Base::own_;

    public:
        Connection(ScheduledTransport& owner, const Link<message_type>& own)
            : Base{own}, owner_{owner} {
            entry().was_held = false;
            scheduler().enqueue(entry());
            owner.live_ = this;
        }
        ~Connection() { depart(); }

        /// Always present, also without a `close` inside: draining a held connection reports its
        /// failure.
        void close(const Failure& why) noexcept {
            // Closing a held connection ends one that has failed already, so report that failure.
            const bool failed = owner_.live_ == this && entry().phase == ServicePhase::held;
            const Failure ended = failed ? entry().failure : why;
            depart();
            if constexpr (HasClose<Inner>) {
                if (Inner* const c = inner_.get()) return c->close(why);
            }
            own_.closed(ended);
        }
        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (event.depth == 0) return sift_own(event, turn);
            if (!this->rise(event, turn)) return false;
            // After close() the end of the connection is not a failure.
            if (owner_.live_ != this) return true;
            if (event.kind == part::EventKind::opened) {
                scheduler().connected(entry(), turn.now);
                limit_ends_ = never;
            }
            if (event.kind == part::EventKind::queued) ++queued_;
            if (event.kind == part::EventKind::begun && queued_ != 0 && --queued_ == 0) {
                limit_ends_ = after(turn.now, entry().span);
            }
            if (event.proof && scheduler().rounds != 0) scheduler().prove(entry(), turn.now);
            return event.kind != part::EventKind::closed || ends(event, turn);
        }
        [[nodiscard]] Instant deadline() const noexcept {
            const Inner* const c = inner_.get();
            return c != nullptr ? smaller(limit_ends_, part::deadline(*c)) : never;
        }
        void advance(Turn& turn) {
            Inner* const c = inner_.get();
            if (c == nullptr) return;
            part::advance(*c, turn);
            if (entry().phase != ServicePhase::dialling || turn.now < limit_ends_) return;
            Failure late = failure_of(LinkErrc::attempt_timed_out);
            if (queued_ == 0) return fail(late, turn);
            late.origin = Failure::Origin::local;
            limit_ends_ = never;
            own_.withdraw(late);
        }

        /// Starts the dial, when the scheduler reaches this connection.
        void dial() { own_.note(0); }
        void end(const Failure& failure, bool withdrawn) {
            if (withdrawn) {
                own_.withdraw(failure);
            } else {
                own_.closed(failure);
            }
        }

    private:
        [[nodiscard]] ServiceEntry& entry() const noexcept { return *owner_.entry_; }
        [[nodiscard]] DialScheduler& scheduler() const noexcept {
            return *owner_.entry_->scheduler;
        }

        bool sift_own(part::Event<message_type>& event, Turn& turn) {
            if (event.kind == part::EventKind::note) {
                open(turn);
                return false;
            }
            return event.kind != part::EventKind::closed ||
                   ends_above(event.failure, turn, event.withdrawn);
        }
        /// Not inlined, because it is rare.   Returns: as ends().
        [[gnu::noinline]] bool ends_above(const Failure& failure, Turn& turn, bool withdrawn) {
            if (entry().was_held) entry().span = elapsed(entry().at, turn.now);
            const bool is_open = owner_.live_ == this && inner_.get() != nullptr;
            if (!is_open || withdrawn || failure.origin != FailureOrigin::silent) return true;
            if (scheduler().options.hold == Duration::zero()) return true;
            hold(failure, turn);
            return false;
        }
        void open(Turn& turn) {
            if (entry().phase != ServicePhase::dialling || inner_.get() != nullptr) return;
            limit_ends_ = after(turn.now, entry().span);
            entry().endpoints = static_cast<std::uint16_t>(
                smaller<std::size_t>(endpoints_of(owner_.inner()), 0xFFFF));
            Base::open_inner([&] { return owner_.inner().open(own_.child()); });
        }
        /// Returns: whether the supervisor receives the event now.
        bool ends(const part::Event<message_type>& event, Turn& turn) {
            if (event.withdrawn) return true;
            const bool is_refusal = event.failure.error() == std::errc::connection_refused;
            if (event.proof || (!event.closed_locally && is_answer(event.failure) &&
                                !(is_refusal && dials_this_machine(owner_.inner())))) {
                scheduler().prove(entry(), turn.now);
                return true;
            }
            // A connection that this end gives up is open. A local failure stays on this machine.
            if (event.closed_locally) return true;
            if (!may_be_network(event.failure) && !lacks_token_in_outage(event.failure)) {
                return true;
            }
            if (scheduler().options.hold == Duration::zero()) return true;
            hold(event.failure, turn);
            return false;
        }
        /// A source of tokens may need the network. Its rejection alone does not show that, so the
        /// failures of other services must.
        [[nodiscard]] bool lacks_token_in_outage(const Failure& failure) noexcept {
            return failure.error() == LinkErrc::no_token &&
                   (scheduler().suspect || scheduler().held.size() != 0);
        }
        void fail(const Failure& failure, Turn& turn) {
            if (scheduler().options.hold == Duration::zero()) {
                limit_ends_ = never;
                own_.closed(failure);
            } else {
                hold(failure, turn);
            }
        }
        void hold(const Failure& failure, Turn& turn) {
            scheduler().hold(entry(), failure, turn.now);
            // The connection will end for certain, so release its resources now.
            inner_.reset();
        }
        void depart() noexcept {
            if (owner_.live_ != this) return;
            owner_.live_ = nullptr;
            scheduler().leave(entry());
            entry().was_held = false;
        }

        ScheduledTransport& owner_;
        Instant limit_ends_ = never;
        std::uint16_t queued_ = 0;  // so many connections of the attempt wait in a queue
    };

    ScheduledTransport(Transport transport, ServiceEntry& entry)
        : part::Around<Transport>{std::move(transport)}, entry_{&entry} {}

    [[nodiscard]] Connection open(const Link<message_type>& link) {
        return Connection{*this, link};
    }

    [[nodiscard]] ServiceEntry& entry() const noexcept { return *entry_; }
    /// Returns the connection whose end is still to come, or null.
    [[nodiscard]] Connection* live() const noexcept { return live_; }

private:
    ServiceEntry* entry_;
    Connection* live_ = nullptr;
};

}}}  // namespace belay::detail
