// SPDX-License-Identifier: MIT
/// \file belay/session/session_observer.hpp
/// The hooks of a session's and a receiver's observer.
///
/// Of a Session, each also without the session in front: `on_state(auto& session, const
/// Transition&)`, `on_accepted(auto& session, std::uint64_t up_to)`: durable, will be delivered;
/// `on_acknowledged(auto& session, std::uint64_t up_to)`: delivered;
/// `on_blocked(auto& session, Blocked, const BlockedDetails&)`: stopped by a loss that must not be
/// guessed about; `on_journal_replaced(auto& session, const BlockedDetails&)`: the receiver gave up
/// another journal of this sender for ours; `on_stalled(auto& session)`: connected, and no progress
/// for a long time.
///
/// Of a Receiver, each also without the receiver in front: `on_attached(auto& receiver, const Id&
/// sender, const Progress&)`, `on_committed(auto& receiver, const Id& sender, const Progress&)`,
/// `on_journal_replaced(auto& receiver, const Id& sender, const Progress& old)`,
/// `on_refused(auto& receiver, SessionErrc, const Id& sender)`, `on_ledger_failed(auto& receiver,
/// std::error_code)`.
#pragma once

#include <utility>  // std::forward

#include <belay/link/observer.hpp>

namespace belay::inline BELAY_ABI::detail {

struct OnAccepted {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_accepted(std::forward<decltype(a)>(a)...)) {
        return o.on_accepted(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_accepted; };
};
struct OnAcknowledged {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_acknowledged(std::forward<decltype(a)>(a)...)) {
        return o.on_acknowledged(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_acknowledged; };
};
struct OnBlocked {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_blocked(std::forward<decltype(a)>(a)...)) {
        return o.on_blocked(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_blocked; };
};
struct OnJournalReplaced {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_journal_replaced(std::forward<decltype(a)>(a)...)) {
        return o.on_journal_replaced(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_journal_replaced; };
};
struct OnStalled {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_stalled(std::forward<decltype(a)>(a)...)) {
        return o.on_stalled(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_stalled; };
};
struct OnAttached {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_attached(std::forward<decltype(a)>(a)...)) {
        return o.on_attached(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_attached; };
};
struct OnCommitted {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_committed(std::forward<decltype(a)>(a)...)) {
        return o.on_committed(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_committed; };
};
struct OnRefused {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_refused(std::forward<decltype(a)>(a)...)) {
        return o.on_refused(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_refused; };
};
struct OnLedgerFailed {
    static auto call(auto& o, auto&&... a)
        -> decltype(o.on_ledger_failed(std::forward<decltype(a)>(a)...)) {
        return o.on_ledger_failed(std::forward<decltype(a)>(a)...);
    }
    template <class O>
    static constexpr bool exists = requires { &O::on_ledger_failed; };
};

/// Whether an observer of a session has any hook at all; one without would stay silent unnoticed.
template <class O, class S, class Blocked, class Details>
[[nodiscard]] consteval bool observes_session() {
    return is_no_observer<O> || hears<OnState, O, S, const Transition&>() ||
           hears<OnAccepted, O, S, std::uint64_t>() ||
           hears<OnAcknowledged, O, S, std::uint64_t>() ||
           hears<OnBlocked, O, S, Blocked, const Details&>() ||
           hears<OnJournalReplaced, O, S, const Details&>() || hears<OnStalled, O, S>();
}
template <class O, class R, class Id, class Progress, class Error>
[[nodiscard]] consteval bool observes_receiver() {
    return is_no_observer<O> || hears<OnAttached, O, R, const Id&, const Progress&>() ||
           hears<OnCommitted, O, R, const Id&, const Progress&>() ||
           hears<OnJournalReplaced, O, R, const Id&, const Progress&>() ||
           hears<OnRefused, O, R, Error, const Id&>() ||
           hears<OnLedgerFailed, O, R, std::error_code>();
}

}  // namespace belay::inline BELAY_ABI::detail
