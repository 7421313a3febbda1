// SPDX-License-Identifier: MIT
/// \file belay/session/session_observer.hpp
/// The hooks of a session's and a receiver's observer.
///
/// A Session has these hooks, each of which may leave out the session:
/// - `on_state(auto& session, const Transition&)`
/// - `on_accepted(auto& session, std::uint64_t up_to)`: operations are durable and will be
///   delivered.
/// - `on_acknowledged(auto& session, std::uint64_t up_to)`: operations are delivered.
/// - `on_blocked(auto& session, Blocked, const BlockedDetails&)`: a loss, about which the session
///   must not guess, has stopped it.
/// - `on_journal_replaced(auto& session, const BlockedDetails&)`: the receiver replaced another
///   journal of this sender by this one.
/// - `on_stalled(auto& session)`: the session is connected, but made no progress for a long time.
///
/// A Receiver has these hooks, each of which may leave out the receiver:
/// - `on_attached(auto& receiver, const Id& sender, const Progress&)`
/// - `on_committed(auto& receiver, const Id& sender, const Progress&)`
/// - `on_journal_replaced(auto& receiver, const Id& sender, const Progress& old)`
/// - `on_rejected(auto& receiver, SessionErrc, const Id& sender)`
/// - `on_ledger_failed(auto& receiver, std::error_code)`
#pragma once

#include <cstdint>       // std::uint64_t
#include <system_error>  // std::error_code

#include <belay/core/observer.hpp>
#include <belay/journal/id.hpp>
#include <belay/link/status.hpp>
#include <belay/session/blocked.hpp>
#include <belay/session/session_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

struct Progress;

namespace detail {

/// The hooks of a Session S.
template <class S>
struct SessionHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Accepted = Hook<OnAccepted, S, std::uint64_t>;
    using Acknowledged = Hook<OnAcknowledged, S, std::uint64_t>;
    using IsBlocked = Hook<OnBlocked, S, Blocked, const BlockedDetails&>;
    using JournalReplaced = Hook<OnJournalReplaced, S, const BlockedDetails&>;
    using Stalled = Hook<OnStalled, S>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Session: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& session' in front of that");
        static_assert(Accepted::template right<O>,
                      "Session: the observer's on_accepted must be 'on_accepted(std::uint64_t)', "
                      "or have 'auto& session' in front of that");
        static_assert(Acknowledged::template right<O>,
                      "Session: the observer's on_acknowledged must be 'on_acknowledged("
                      "std::uint64_t)', or have 'auto& session' in front of that");
        static_assert(IsBlocked::template right<O>,
                      "Session: the observer's on_blocked must be 'on_blocked(belay::Blocked, "
                      "const belay::BlockedDetails&)', or have 'auto& session' in front of that");
        static_assert(JournalReplaced::template right<O>,
                      "Session: the observer's on_journal_replaced must be 'on_journal_replaced("
                      "const belay::BlockedDetails&)', or have 'auto& session' in front of that");
        static_assert(Stalled::template right<O>,
                      "Session: the observer's on_stalled must be 'on_stalled()', or "
                      "'on_stalled(auto& session)'");
        static_assert(
            has_any_hook_of<O, State, Accepted, Acknowledged, IsBlocked, JournalReplaced, Stalled>,
            "Session: the observer has no hook: it needs one of on_state, on_accepted, "
            "on_acknowledged, on_blocked, on_journal_replaced, on_stalled. Derive an observer "
            "without hooks from belay::NoObserver");
        return true;
    }
};

/// The hooks of a Receiver R.
template <class R>
struct ReceiverHooks {
    using Attached = Hook<OnAttached, R, const Id&, const Progress&>;
    using Committed = Hook<OnCommitted, R, const Id&, const Progress&>;
    using JournalReplaced = Hook<OnJournalReplaced, R, const Id&, const Progress&>;
    using Rejected = Hook<OnRejected, R, SessionErrc, const Id&>;
    using LedgerFailed = Hook<OnLedgerFailed, R, std::error_code>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Attached::template right<O>,
                      "Receiver: the observer's on_attached must be 'on_attached(const belay::Id&, "
                      "const belay::Progress&)', or have 'auto& receiver' in front of that");
        static_assert(Committed::template right<O>,
                      "Receiver: the observer's on_committed must be 'on_committed(const "
                      "belay::Id&, const belay::Progress&)', or have 'auto& receiver' in front of "
                      "that");
        static_assert(JournalReplaced::template right<O>,
                      "Receiver: the observer's on_journal_replaced must be 'on_journal_replaced("
                      "const belay::Id&, const belay::Progress&)', or have 'auto& receiver' in "
                      "front of that");
        static_assert(
            Rejected::template right<O>,
            "Receiver: the observer's on_rejected must be 'on_rejected(belay::SessionErrc, "
            "const belay::Id&)', or have 'auto& receiver' in front of that");
        static_assert(LedgerFailed::template right<O>,
                      "Receiver: the observer's on_ledger_failed must be 'on_ledger_failed("
                      "std::error_code)', or have 'auto& receiver' in front of that");
        static_assert(
            has_any_hook_of<O, Attached, Committed, JournalReplaced, Rejected, LedgerFailed>,
            "Receiver: the observer has no hook: it needs one of on_attached, "
            "on_committed, on_journal_replaced, on_rejected, on_ledger_failed. Derive an "
            "observer without hooks from belay::NoObserver");
        return true;
    }
};

}
}}  // namespace belay::detail
