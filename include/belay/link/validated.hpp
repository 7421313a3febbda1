// SPDX-License-Identifier: MIT
/// \file belay/link/validated.hpp
/// Validated: counts a connection as open only after the peer has answered a question of yours.
#pragma once

#include <concepts>  // std::copyable, std::same_as
#include <cstddef>   // std::size_t
#include <utility>   // std::move, std::exchange

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/order.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The result of a check of a connection.
class Verdict {
public:
    /// The decisions of a check.
    enum class Kind : std::uint8_t { pending, passed, rejected, deferred };

    constexpr Verdict() noexcept = default;
    /// The check is not finished: it is called with the next message, too.
    [[nodiscard]] static constexpr Verdict pending() noexcept { return {}; }
    /// The connection is good. The message that proved it is not delivered.
    [[nodiscard]] static constexpr Verdict passed() noexcept { return Verdict{Kind::passed}; }
    /// The connection is closed with this failure, whose cause decides what happens next.
    [[nodiscard]] static Verdict rejected(
        const Failure& why = failure_of(LinkErrc::not_validated)) noexcept {
        return Verdict{Kind::rejected, why};
    }

    /// The message is not part of the check. It is delivered after the opening, and the check is
    /// called with the next message. Over a bundle, return it for the lanes that the check does not
    /// use.
    [[nodiscard]] static constexpr Verdict deferred() noexcept { return Verdict{Kind::deferred}; }

    /// Returns the decision of the check.
    [[nodiscard]] constexpr Kind kind() const noexcept { return kind_; }
    /// Returns why the connection is rejected.
    [[nodiscard]] constexpr const Failure& failure() const noexcept { return failure_; }

private:
    constexpr explicit Verdict(Kind kind, const Failure& failure = {}) noexcept
        : kind_{kind}, failure_{failure} {}

    Kind kind_ = Kind::pending;
    Failure failure_{};
};

namespace part {

/// The function object with which a check sends messages.
///
/// Call `say(message)`, or over a bundle `say(message, lane)`.
template <class C, class M>
class CheckSender {
public:
    explicit CheckSender(C& connection, Lane lane = 0) noexcept
        : connection_{&connection}, lane_{lane} {}
    /// The lane of the message that is judged, over a bundle; else 0.
    [[nodiscard]] Lane lane() const noexcept { return lane_; }
    [[nodiscard]] SendResult operator()(const M& message, Lane lane = 0) const noexcept {
        return send<M>(*connection_, lane, message);
    }

private:
    C* connection_;
    Lane lane_;
};

}  // namespace part

namespace detail {
template <class Check, class S, class M>
concept CheckLike = std::copyable<Check> && requires(Check& check, const M& message, const S& say) {
    { check.begin(say) } -> std::same_as<Verdict>;
    { check.judge(message, say) } -> std::same_as<Verdict>;
};
template <class Check>
concept LimitsMessages = requires { std::size_t{Check::message_bytes_max}; };
}  // namespace detail

/// A transport whose connections count as open only after a check has passed.
///
/// The check is copied for each connection. `begin(say)` sends the question when the transport has
/// opened. `judge(message, say)` is called with every message until it returns passed or rejected.
/// Over a bundle, `say.lane()` is the lane of the message. The attempt's limit runs meanwhile, so a
/// peer that never answers makes the attempt fail. This distinguishes working servers from servers
/// that accept and then drop a connection, and from frozen ones. If the check throws, the attempt
/// has failed (LinkErrc::check_threw), and the exception leaves the call that ran it.
///
/// Messages on which the check returns `deferred` wait, as those do which arrive before a bundle is
/// open: at most `messages_max` of the supervisor. Over a bundle, a lane that sends more is not
/// read until the connection is open. Else one more ends the attempt with Cause::overloaded.
///
/// If the check has a static constant `std::size_t message_bytes_max`, the connection accepts no
/// longer message until the check has passed, if it has limit_messages(). A longer one ends the
/// attempt before it is read. A smaller limit from outside holds, before the check has passed and
/// afterwards. The constant also limits a message that arrives directly after the one that passes,
/// and the other lanes of a bundle.
///
/// The check may call every function of the supervisor, but must not destroy it.
///
/// Models:        TransportLike.
/// Thread safety: as the transport inside; the check runs on the home thread.
template <class Transport, class Check>
class Validated : public part::Around<Transport> {
    static_assert(explain::transport_like<Transport>());

public:
    using message_type = typename Transport::message_type;

    /// Models: ConnectionLike.
    class Connection : public part::Wrapped<part::ConnectionOf<Transport>, message_type> {
        using Base = part::Wrapped<part::ConnectionOf<Transport>, message_type>;
        using Sender = part::CheckSender<part::ConnectionOf<Transport>, message_type>;
        static_assert(detail::CheckLike<Check, Sender, message_type>,
                      "Validated: the check must be copyable, and needs 'Verdict begin(const auto& "
                      "say)' and 'Verdict judge(const message_type&, const auto& say)'");

    public:
        template <class... A>
        Connection(Validated& owner, const Link<message_type>& own, const A&... args)
            : Base{[&] { return owner.inner_.open(own.child(), args...); }},
              own_{own},
              check_{owner.check_} {
            // At once, because the peer may send before it is asked.
            if constexpr (detail::LimitsMessages<Check>) limit();
        }

        /// Limits messages. Until the check has passed, the smaller limit holds.
        void limit_messages(std::size_t bytes) noexcept
            requires detail::HasLimitMessages<part::ConnectionOf<Transport>>
        {
            message_bytes_max_ = bytes;
            limit();
        }

        [[nodiscard]] bool sift(part::Event<message_type>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            return passed_ || sift_unproven(event);
        }

    private:
        [[nodiscard]] bool sift_unproven(part::Event<message_type>& event) {
            if (event.depth == 0 || event.kind == part::EventKind::closed ||
                event.kind == part::EventKind::report) {
                return true;
            }
            const bool begins = event.kind == part::EventKind::opened;
            if (event.kind == part::EventKind::queued || event.kind == part::EventKind::begun) {
                return true;
            }
            if (!begins && event.kind != part::EventKind::received) return false;
            // A transport that reports `opened` twice does not make the check begin twice.
            if (begins && std::exchange(asked_, true)) return false;
            detail::ScopeExit end{[&] { own_.closed(failure_of(LinkErrc::check_threw)); }};
            const Sender say{this->inner_, event.lane};
            const Verdict verdict = begins ? check_.begin(say) : check_.judge(*event.message, say);
            end.release();
            return settle(verdict, event);
        }
        bool settle(const Verdict& verdict, part::Event<message_type>& event) {
            if (verdict.kind() == Verdict::Kind::pending) return false;
            // An opening is no message, so it cannot wait.
            if (verdict.kind() == Verdict::Kind::deferred) {
                return event.kind == part::EventKind::received;
            }
            // A check that passes before the peer has sent anything proves nothing.
            const bool from_message = event.kind == part::EventKind::received;
            event.message.reset();
            passed_ = verdict.kind() == Verdict::Kind::passed;
            if constexpr (detail::LimitsMessages<Check>) {
                if (passed_) limit();
            }
            // A peer that sends first may pass before the last lane of a bundle is open.
            if (passed_ && !asked_) return false;
            event.kind = passed_ ? part::EventKind::opened : part::EventKind::closed;
            event.failure = verdict.failure();
            event.closed_locally = !passed_;
            event.proof = event.proof && from_message;
            return true;
        }

        void limit() noexcept {
            std::size_t bytes_max = message_bytes_max_;
            if constexpr (detail::LimitsMessages<Check>) {
                if (!passed_)
                    bytes_max = detail::smaller<std::size_t>(bytes_max, Check::message_bytes_max);
            }
            part::limit_messages(this->inner_, bytes_max);
        }

        Link<message_type> own_;
        Check check_;
        std::size_t message_bytes_max_ = ~std::size_t{0};  // from outside
        bool asked_ = false;
        bool passed_ = false;
    };

    Validated(Transport transport, Check check)
        : part::Around<Transport>{std::move(transport)}, check_{std::move(check)} {}

    template <class... A>
    [[nodiscard]] Connection open(const Link<message_type>& link, const A&... args) {
        return Connection{*this, link, args...};
    }

private:
    Check check_;
};

}}  // namespace belay
